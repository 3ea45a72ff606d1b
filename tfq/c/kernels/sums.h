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

/* Defines the sums of some windows and the filters of a block; TFQ_WINDOWS of them and 16 filters by themselves. */
#define TFQ_DEFINE_FLOATS(NAME, TYPE)                                                                                            \
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
        if (lanes == TFQ_LANES && windows == TFQ_WINDOWS) {                                                                      \
            float own[TFQ_WINDOWS * TFQ_LANES] = {0};                                                                            \
            NAME##_lanes(x, w, count, TFQ_LANES, TFQ_WINDOWS, own);                                                              \
            memcpy(sums, own, sizeof own);                                                                                       \
        } else {                                                                                                                 \
            int32_t p;                                                                                                           \
            for (p = 0; p < windows; p++)                                                                                        \
                NAME##_lanes(x + p * count, w, count, lanes, 1, sums + p * TFQ_LANES);                                           \
        }                                                                                                                        \
    }
