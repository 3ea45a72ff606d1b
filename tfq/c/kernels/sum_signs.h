/* Weights of -1, 0 and 1, as two words of 16 bits. */

#define TFQ_HAS_SIGNS

#if defined(TFQ_VECTORS)

/* The 16 weights of two words. */
TFQ_INLINE void tfq_signs_of(const uint16_t *w, tfq_floats16 *signs)
{
    const tfq_ints16 bit = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};

    /* A comparison that holds is -1. */
    *signs = __builtin_convertvector(((w[1] & bit) != 0) - ((w[0] & bit) != 0), tfq_floats16);
}

/* Blocks of fewer filters have zeros for the others, and all sums have their place. */
TFQ_APART void tfq_sum_signs(const float *x, const uint16_t *w, int32_t count, int32_t lanes, int32_t windows, float *sums)
{
    int32_t k, p;

    (void)lanes;
    if (windows == TFQ_WINDOWS) {
        tfq_floats16 a = {0}, b = {0}, c = {0}, d = {0};
        for (k = 0; k < count; k++, x++, w += 2) {
            tfq_floats16 signs;
            tfq_signs_of(w, &signs);
            a += signs * x[0];
            b += signs * x[count];
            c += signs * x[2 * count];
            d += signs * x[3 * count];
        }
        TFQ_16(tfq_floats16, sums) = a;
        TFQ_16(tfq_floats16, sums + TFQ_LANES) = b;
        TFQ_16(tfq_floats16, sums + 2 * TFQ_LANES) = c;
        TFQ_16(tfq_floats16, sums + 3 * TFQ_LANES) = d;
        return;
    }
    for (k = 0; k < count; k++, w += 2) {
        tfq_floats16 signs;
        tfq_signs_of(w, &signs);
        for (p = 0; p < windows; p++)
            TFQ_16(tfq_floats16, sums + p * TFQ_LANES) += signs * x[p * count + k];
    }
}

#else

TFQ_APART void tfq_sum_signs(const float *x, const uint16_t *w, int32_t count, int32_t lanes, int32_t windows, float *sums)
{
    int32_t k, l, p;

    for (k = 0; k < count; k++, w += 2) {
        float signs[TFQ_LANES];
        for (l = 0; l < TFQ_LANES; l++)
            signs[l] = (float)((w[0] >> l & 1) - (w[1] >> l & 1));
        for (p = 0; p < windows; p++)
            for (l = 0; l < lanes; l++)
                sums[p * TFQ_LANES + l] += x[p * count + k] * signs[l];
    }
}

#endif
