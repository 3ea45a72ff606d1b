/* A convolution, or a product of matrices, in float, of inputs as they are or quantized to whole numbers.

   Filters stand in blocks of 16, the last one as wide as it needs to be; weight k of filter l of a block of `lanes` filters is
   w[k * lanes + l]. Weights are float, whole numbers of 8 or 16 bits, or 16 signs in two words: which are 1, and which are -1. */

enum { TFQ_FLOATS = 0, TFQ_INT8 = 1, TFQ_INT16 = 2, TFQ_SIGNS = 3 };

typedef struct {
    tfq_windows windows;
    int32_t filters, groups, count; /* weights of a filter */
    int32_t quantizer, kind;
    float fill;
    const void *weights;
} tfq_floats;

enum { TFQ_WINDOWS = 4 };

/* Defines the sums of some windows and the filters of a block; with HAS_BLOCK, TFQ_WINDOWS of them and 16 filters by themselves. */
#define TFQ_DEFINE_FLOATS(NAME, TYPE, HAS_BLOCK)                                                                                 \
    TFQ_INLINE void NAME##_lanes(const float *x, const TYPE *w, int32_t count, int32_t lanes, int32_t windows, float *sums)      \
    {                                                                                                                            \
        int32_t k, l, p;                                                                                                         \
        for (k = 0; k < count; k++, w += lanes) {                                                                                \
            TFQ_UNROLL                                                                                                           \
            for (p = 0; p < windows; p++) {                                                                                      \
                const float value = x[p * count + k];                                                                            \
                for (l = 0; l < lanes; l++)                                                                                      \
                    sums[p * TFQ_LANES + l] += value * (float)w[l];                                                              \
            }                                                                                                                    \
        }                                                                                                                        \
    }                                                                                                                            \
                                                                                                                                 \
    TFQ_APART void NAME(const float *x, const TYPE *w, int32_t count, int32_t lanes, int32_t windows, float *sums)               \
    {                                                                                                                            \
        if (HAS_BLOCK && lanes == TFQ_LANES && windows == TFQ_WINDOWS) {                                                         \
            float own[TFQ_WINDOWS * TFQ_LANES] = {0};                                                                            \
            NAME##_lanes(x, w, count, TFQ_LANES, TFQ_WINDOWS, own);                                                              \
            memcpy(sums, own, sizeof own);                                                                                       \
        } else {                                                                                                                 \
            int32_t p;                                                                                                           \
            for (p = 0; p < windows; p++)                                                                                        \
                NAME##_lanes(x + p * count, w, count, lanes, 1, sums + p * TFQ_LANES);                                           \
        }                                                                                                                        \
    }

#if defined(TFQ_VECTORS)
TFQ_DEFINE_FLOATS(tfq_sum_floats, float, 0)
#else
TFQ_DEFINE_FLOATS(tfq_sum_floats, float, 1)
#endif
TFQ_DEFINE_FLOATS(tfq_sum_int8, int8_t, 1)
TFQ_DEFINE_FLOATS(tfq_sum_int16, int16_t, 1)

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
#endif

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

TFQ_APART void tfq_gather_floats(const tfq_floats *s, const float *x, int32_t position, int32_t first, int32_t channels,
                                    float *window)
{
    const tfq_windows *at = &s->windows;
    int32_t i, j, c;

    for (i = 0; i < at->kernel_height; i++)
        for (j = 0; j < at->kernel_width; j++, window += channels) {
            const int32_t pixel = tfq_pixel(at, position, i, j);
            const float *from = x + (size_t)tfq_larger(pixel, 0) * (size_t)at->channels + first;
            for (c = 0; c < channels; c++)
                window[c] = pixel < 0 ? s->fill : tfq_quantized(from[c], s->quantizer);
        }
}

TFQ_FUNCTION void tfq_conv_floats(const tfq_floats *s, const tfq_results *results, const float *x, float *scratch,
                                  const tfq_places *places)
{
    const int32_t total = s->windows.out_height * s->windows.out_width, channels = s->windows.channels / s->groups;
    const int32_t filters = s->filters / s->groups, count = s->count;
    int32_t begin, group, first, p;

    for (group = 0; group < s->groups; group++)
        for (begin = 0; begin < total; begin += TFQ_WINDOWS) {
            const int32_t windows = tfq_smaller(TFQ_WINDOWS, total - begin);
            for (p = 0; p < windows; p++)
                tfq_gather_floats(s, x, begin + p, group * channels, channels, scratch + (size_t)p * (size_t)count);
            for (first = 0; first < filters; first += TFQ_LANES) {
                const int32_t lanes = tfq_smaller(TFQ_LANES, filters - first);
                const size_t at = ((size_t)group * (size_t)filters + (size_t)first) * (size_t)count;
                const size_t blocks = (size_t)group * (size_t)((filters + TFQ_LANES - 1) / TFQ_LANES) + (size_t)(first / TFQ_LANES);
                float sums[TFQ_WINDOWS * TFQ_LANES] = {0};
#if defined(TFQ_VECTORS)
                if (s->kind == TFQ_FLOATS && lanes == TFQ_LANES && windows == TFQ_WINDOWS)
                    tfq_sum_floats_16(scratch, (const float *)s->weights + at, count, sums);
                else
#endif
                if (s->kind == TFQ_FLOATS)
                    tfq_sum_floats(scratch, (const float *)s->weights + at, count, lanes, windows, sums);
                else if (s->kind == TFQ_INT8)
                    tfq_sum_int8(scratch, (const int8_t *)s->weights + at, count, lanes, windows, sums);
                else if (s->kind == TFQ_INT16)
                    tfq_sum_int16(scratch, (const int16_t *)s->weights + at, count, lanes, windows, sums);
                else
                    tfq_sum_signs(scratch, (const uint16_t *)s->weights + blocks * (size_t)count * 2, count, lanes, windows, sums);
                tfq_finish(results, places, begin, windows, group * filters + first, lanes, sums);
            }
        }
}
