/* Weights of -1, 0 and 1, as two words of 16 bits. */

#define TFQ_HAS_SIGNS

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
