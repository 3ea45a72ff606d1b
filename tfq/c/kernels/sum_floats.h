/* Weights in float. */

#define TFQ_HAS_FLOATS

#if defined(TFQ_VECTORS)
TFQ_DEFINE_FLOATS(tfq_sum_few_floats, float, 0)
#else
TFQ_DEFINE_FLOATS(tfq_sum_floats, float, 1)
#endif

#if defined(TFQ_VECTORS)
/* Four windows and a whole block. */
TFQ_APART void tfq_sum_floats_16(const float *x, const float *w, int32_t count, float *sums)
{
    tfq_floats16 a = {0}, b = {0}, c = {0}, d = {0};
    int32_t k;

    for (k = 0; k < count; k++, x++, w += TFQ_LANES) {
        const tfq_floats16 weights = TFQ_OF_16(tfq_floats16, w);
        a += weights * x[0];
        b += weights * x[count];
        c += weights * x[2 * count];
        d += weights * x[3 * count];
    }
    TFQ_16(tfq_floats16, sums) = a;
    TFQ_16(tfq_floats16, sums + TFQ_LANES) = b;
    TFQ_16(tfq_floats16, sums + 2 * TFQ_LANES) = c;
    TFQ_16(tfq_floats16, sums + 3 * TFQ_LANES) = d;
}

TFQ_INLINE void tfq_sum_floats(const float *x, const float *w, int32_t count, int32_t lanes, int32_t windows, float *sums)
{
    if (lanes == TFQ_LANES && windows == TFQ_WINDOWS)
        tfq_sum_floats_16(x, w, count, sums);
    else
        tfq_sum_few_floats(x, w, count, lanes, windows, sums);
}
#endif
