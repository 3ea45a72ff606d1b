/* Weights in float. */

#define TFQ_HAS_FLOATS

#if !defined(TFQ_VECTORS)
TFQ_DEFINE_FLOATS(tfq_sum_floats, float)
#else
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

/* One window, and a block as wide as it is. */
TFQ_PLAIN_LOOPS void tfq_sum_few_floats(const float *x, const float *w, int32_t count, int32_t lanes, float *sums)
{
    tfq_floats16 whole = {0};
    int32_t k;

#if defined(TFQ_AVX512)
    const __mmask16 those = (__mmask16)((1u << lanes) - 1u);
    for (k = 0; k < count; k++, w += lanes)
        whole += (tfq_floats16)_mm512_maskz_loadu_ps(those, w) * x[k];
#else
    int32_t l;

    for (k = 0; k < count && lanes == TFQ_LANES; k++, w += TFQ_LANES)
        whole += TFQ_OF_16(tfq_floats16, w) * x[k];
    for (; k < count; k++, w += lanes)
        for (l = 0; l < lanes; l++)
            whole[l] += x[k] * w[l];
#endif
    TFQ_16(tfq_floats16, sums) = whole;
}

TFQ_INLINE void tfq_sum_floats(const float *x, const float *w, int32_t count, int32_t lanes, int32_t windows, float *sums)
{
    int32_t p;

    if (lanes == TFQ_LANES && windows == TFQ_WINDOWS) {
        tfq_sum_floats_16(x, w, count, sums);
        return;
    }
    for (p = 0; p < windows; p++)
        tfq_sum_few_floats(x + p * count, w, count, lanes, sums + p * TFQ_LANES);
}
#endif
