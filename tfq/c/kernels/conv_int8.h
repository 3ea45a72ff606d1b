/* A convolution, or a product of matrices, of bytes: y = (sum x w) scale_x scale_w, with sums in 32 bits.

   Filters stand in blocks of 16, the last one as wide as it needs to be, as those of floats do; scale_w is that of the results. */

typedef struct {
    tfq_windows windows;
    int32_t filters, groups, count; /* weights of a filter */
    const int8_t *weights;
} tfq_int8;

enum { TFQ_INT8_WINDOWS = 4 };

TFQ_FUNCTION void tfq_gather_int8(const tfq_windows *at, const int8_t *x, int32_t position, int32_t first, int32_t channels,
                                  int8_t *window)
{
    int32_t i, j;

    for (i = 0; i < at->kernel_height; i++)
        for (j = 0; j < at->kernel_width; j++, window += channels) {
            const int32_t pixel = tfq_pixel(at, position, i, j);
            if (pixel < 0)
                memset(window, 0, (size_t)channels);
            else
                memcpy(window, x + (size_t)pixel * (size_t)at->channels + first, (size_t)channels);
        }
}

#if defined(TFQ_AVX512) && defined(__AVX512BW__)
/* Adds two weights of each of 16 filters, which are side by side, times those of four windows. */
TFQ_INLINE void tfq_add_pairs(const int8_t *x, int32_t count, int32_t is_pair, __m128i even, __m128i odd, __m512i *sums)
{
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(even, odd)), _mm_unpackhi_epi8(even, odd), 1);
    const __m512i weights = _mm512_cvtepi8_epi16(both);
    int32_t p;

    TFQ_UNROLL
    for (p = 0; p < TFQ_INT8_WINDOWS; p++) {
        int16_t pair = (int16_t)(uint8_t)x[p * count];
        if (is_pair)
            memcpy(&pair, x + p * count, 2);
        sums[p] = _mm512_add_epi32(sums[p], _mm512_madd_epi16(weights, _mm512_cvtepi8_epi16(_mm256_set1_epi16(pair))));
    }
}

/* Four windows and a whole block. */
TFQ_APART void tfq_sum_bytes_16(const int8_t *x, const int8_t *w, int32_t count, int32_t *sums)
{
    __m512i own[TFQ_INT8_WINDOWS] = {{0}, {0}, {0}, {0}};
    int32_t k, p;

    for (k = 0; k + 1 < count; k += 2, w += 2 * TFQ_LANES)
        tfq_add_pairs(x + k, count, 1, _mm_loadu_si128((const void *)w), _mm_loadu_si128((const void *)(w + TFQ_LANES)), own);
    if (k < count)
        tfq_add_pairs(x + k, count, 0, _mm_loadu_si128((const void *)w), _mm_setzero_si128(), own);
    TFQ_UNROLL
    for (p = 0; p < TFQ_INT8_WINDOWS; p++)
        _mm512_storeu_si512((void *)(sums + p * TFQ_LANES), own[p]);
}
#elif defined(TFQ_VECTORS)
TFQ_APART void tfq_sum_bytes_16(const int8_t *x, const int8_t *w, int32_t count, int32_t *sums)
{
    int32_t own[TFQ_INT8_WINDOWS * TFQ_LANES] = {0};
    int32_t k, l, p;

    for (k = 0; k < count; k++, w += TFQ_LANES) {
        TFQ_UNROLL
        for (p = 0; p < TFQ_INT8_WINDOWS; p++)
            for (l = 0; l < TFQ_LANES; l++)
                own[p * TFQ_LANES + l] += x[p * count + k] * w[l];
    }
    memcpy(sums, own, sizeof own);
}
#endif

/* Sums of some windows and the filters of a block. */
TFQ_APART void tfq_sum_bytes(const int8_t *x, const int8_t *w, int32_t count, int32_t lanes, int32_t windows, int32_t *sums)
{
    int32_t k, l, p;

#if defined(TFQ_VECTORS)
    if (lanes == TFQ_LANES && windows == TFQ_INT8_WINDOWS) {
        tfq_sum_bytes_16(x, w, count, sums);
        return;
    }
#endif
    for (p = 0; p < windows; p++, x += count)
        for (l = 0; l < lanes; l++) {
            int32_t sum = 0;
            for (k = 0; k < count; k++)
                sum += x[k] * w[k * lanes + l];
            sums[p * TFQ_LANES + l] = sum;
        }
}

TFQ_FUNCTION void tfq_conv_int8(const tfq_int8 *s, const tfq_results *results, const float *scale, const int8_t *x, int8_t *scratch,
                                const tfq_places *places)
{
    const int32_t total = s->windows.out_height * s->windows.out_width, channels = s->windows.channels / s->groups;
    const int32_t filters = s->filters / s->groups, count = s->count;
    int32_t begin, group, first, p, l;

    for (group = 0; group < s->groups; group++)
        for (begin = 0; begin < total; begin += TFQ_INT8_WINDOWS) {
            const int32_t windows = tfq_smaller(TFQ_INT8_WINDOWS, total - begin);
            for (p = 0; p < windows; p++)
                tfq_gather_int8(&s->windows, x, begin + p, group * channels, channels, scratch + (size_t)p * (size_t)count);
            for (first = 0; first < filters; first += TFQ_LANES) {
                const int32_t lanes = tfq_smaller(TFQ_LANES, filters - first);
                const size_t at = ((size_t)group * (size_t)filters + (size_t)first) * (size_t)count;
                int32_t sums[TFQ_INT8_WINDOWS * TFQ_LANES];
                float values[TFQ_INT8_WINDOWS * TFQ_LANES];
                tfq_sum_bytes(scratch, s->weights + at, count, lanes, windows, sums);
                for (p = 0; p < windows; p++)
                    for (l = 0; l < lanes; l++)
                        values[p * TFQ_LANES + l] = (float)sums[p * TFQ_LANES + l] * *scale;
                tfq_finish(results, places, begin, windows, group * filters + first, lanes, values);
            }
        }
}
