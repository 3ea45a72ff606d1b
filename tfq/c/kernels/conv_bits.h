/* A convolution, or a product of matrices, of bits.

   For signs x and w of n weights, sum x w = n - 2 popcount(x ^ w). Levels and weights of several bits are pairs of planes, each
   counted 2^shift times. Sums are base - (popcounts). */

enum { TFQ_OUTSIDE_0 = 0, TFQ_OUTSIDE_1 = 1, TFQ_OUTSIDE_LEFT_OUT = 2 };

typedef struct {
    tfq_windows windows;
    int32_t filters, words, input_words, input_planes, plane;
    int32_t outside;
    int32_t of_all; /* what one tap with all its channels that is left out counts in `base`, where no weight is 0 */
    int32_t pairs;
    const uint8_t *pair; /* plane of the inputs, plane of the weights, shift */
    const uint32_t *weights, *masks;
    const int32_t *base;
    const int32_t *outside_sums; /* what each tap outside adds, a row a tap; or NULL */
} tfq_bits;

/* Ors the bits of one pixel into a window, from bit `at` on. */
TFQ_INLINE void tfq_insert(uint32_t *window, int32_t at, const uint32_t *pixel, int32_t words, int32_t channels)
{
    const int32_t shift = at % 32;
    int32_t k, rest = channels;

    window += at / 32;
    for (k = 0; k < words; k++, rest -= 32) {
        window[k] |= pixel[k] << shift;
        if (shift && tfq_smaller(rest, 32) + shift > 32)
            window[k + 1] |= pixel[k] >> (32 - shift);
    }
}

/* Sets `count` bits, 1 or more. */
TFQ_FUNCTION void tfq_set(uint32_t *window, int32_t at, int32_t count)
{
    const int32_t last = at + count - 1;
    const uint32_t head = 0xffffffffu << at % 32, tail = 0xffffffffu >> (31 - last % 32);
    int32_t k;

    if (at / 32 == last / 32) {
        window[at / 32] |= head & tail;
        return;
    }
    window[at / 32] |= head;
    for (k = at / 32 + 1; k < last / 32; k++)
        window[k] = 0xffffffffu;
    window[last / 32] |= tail;
}

/* Copies the bits of one window, and those of the taps that lie inside to `valid`; returns the number of taps outside. */
TFQ_FUNCTION int32_t tfq_gather_bits(const tfq_bits *s, const uint32_t *x, int32_t position, uint32_t *window, uint32_t *valid)
{
    const tfq_windows *at = &s->windows;
    const int32_t channels = at->channels, words = s->input_words;
    const int32_t top = position / at->out_width * at->stride_y - at->top;
    const int32_t left = position % at->out_width * at->stride_x - at->left;
    const int32_t inside = top >= 0 && left >= 0 && top + (at->kernel_height - 1) * at->dilation_y < at->height &&
                           left + (at->kernel_width - 1) * at->dilation_x < at->width;
    int32_t i, j, outside = 0, bit = 0;

    if (inside && channels % 32 == 0 && at->dilation_x == 1) {
        const int32_t row = at->kernel_width * words;
        for (i = 0; i < at->kernel_height; i++) {
            const uint32_t *from = x + ((size_t)(top + i * at->dilation_y) * (size_t)at->width + (size_t)left) * (size_t)words;
            for (j = 0; j < row; j++)
                window[i * row + j] = from[j];
        }
        if (valid)
            memset(valid, 255, (size_t)s->words * 4);
        return 0;
    }
    memset(window, 0, (size_t)s->words * 4);
    if (inside && channels == 16 && at->dilation_x == 1) {
        for (i = 0; i < at->kernel_height; i++) {
            const uint32_t *from = x + (size_t)(top + i * at->dilation_y) * (size_t)at->width + (size_t)left;
            for (j = 0; j < at->kernel_width; j++, bit += 16)
                window[bit / 32] |= from[j] << bit % 32;
        }
        if (valid)
            memset(valid, 255, (size_t)s->words * 4);
        return 0;
    }
    if (valid)
        memset(valid, 0, (size_t)s->words * 4);
    for (i = 0; i < at->kernel_height; i++)
        for (j = 0; j < at->kernel_width; j++, bit += channels) {
            const int32_t pixel = tfq_pixel(at, position, i, j);
            if (pixel >= 0)
                tfq_insert(window, bit, x + (size_t)pixel * (size_t)words, words, channels);
            else if (s->outside == TFQ_OUTSIDE_1)
                tfq_set(window, bit, channels);
            if (valid && pixel >= 0)
                tfq_set(valid, bit, channels);
            outside += pixel < 0;
        }
    return outside;
}

TFQ_FUNCTION void tfq_conv_bits(const tfq_bits *s, const tfq_results *results, const uint32_t *x, uint32_t *scratch,
                                const tfq_places *places)
{
    const int32_t total = s->windows.out_height * s->windows.out_width, words = s->words;
    uint32_t *const valid = scratch + (size_t)s->input_planes * TFQ_POSITIONS * (size_t)words;
    const int32_t leaves_out = s->outside == TFQ_OUTSIDE_LEFT_OUT;
    int32_t begin, first, p, l, i;

    for (begin = 0; begin < total; begin += TFQ_POSITIONS) {
        const int32_t positions = tfq_smaller(TFQ_POSITIONS, total - begin);
        int32_t outside[TFQ_POSITIONS] = {0}, any = 0;
        for (p = 0; p < positions; p++) {
            for (i = 0; i < s->input_planes; i++)
                outside[p] = tfq_gather_bits(s, x + (size_t)i * (size_t)s->plane, begin + p,
                                             scratch + ((size_t)i * TFQ_POSITIONS + (size_t)p) * (size_t)words,
                                             leaves_out && i == 0 ? valid + (size_t)p * (size_t)words : NULL);
            any |= outside[p];
        }
        any = any && leaves_out;
        for (first = 0; first < s->filters; first += TFQ_LANES) {
            const int32_t lanes = tfq_smaller(TFQ_LANES, s->filters - first);
            int32_t sums[TFQ_POSITIONS * TFQ_LANES] = {0};
            for (i = 0; i < s->pairs; i++) {
                const uint8_t *pair = s->pair + (size_t)i * 3;
                const size_t at = ((size_t)pair[1] * (size_t)s->filters + (size_t)first) * (size_t)words;
                tfq_dot(scratch + (size_t)pair[0] * TFQ_POSITIONS * (size_t)words, any ? valid : NULL, s->weights + at,
                        s->masks ? s->masks + at : NULL, words, lanes, positions, pair[2], sums);
            }
            for (p = 0; p < positions; p++) {
                int32_t *sum = sums + p * TFQ_LANES;
                const int32_t less = any ? outside[p] * s->of_all : 0;
                if (any && s->masks)
                    for (l = 0; l < lanes; l++)
                        sum[l] = -sum[l];
                else if (lanes == TFQ_LANES)
                    tfq_subtract(s->base + first, less, sum);
                else
                    for (l = 0; l < lanes; l++)
                        sum[l] = s->base[first + l] - less - sum[l];
                if (s->outside_sums)
                    tfq_add_outside(&s->windows, s->outside_sums + first, s->filters, begin + p, lanes, sum);
                tfq_finish_integers(results, places, begin + p, first, lanes, sum);
            }
        }
    }
}
