/* A convolution, or a product of matrices, of levels of up to 8 bits and whole weights: sums = factor (sum x w) + offset (sum x).

   Weights stand filter by filter. Where a weight is 2 w + 1 with w in a byte, factor is 2 and offset is 1. */

typedef struct {
    tfq_windows windows;
    int32_t filters, count, fill, factor, offset;
    const int8_t *weights;
    const int32_t *outside_sums; /* what each tap outside adds, a row a tap; or NULL */
} tfq_bytes;

TFQ_FUNCTION void tfq_conv_bytes(const tfq_bytes *s, const tfq_results *results, const uint8_t *x, uint8_t *window,
                                 const tfq_places *places)
{
    const tfq_windows *at = &s->windows;
    const int32_t total = at->out_height * at->out_width, channels = at->channels;
    int32_t position, first, i, j, l, k;

    for (position = 0; position < total; position++) {
        int32_t of_window = 0;
        uint8_t *to = window;
        for (i = 0; i < at->kernel_height; i++)
            for (j = 0; j < at->kernel_width; j++, to += channels) {
                const int32_t pixel = tfq_pixel(at, position, i, j);
                if (pixel < 0)
                    memset(to, s->fill, (size_t)channels);
                else
                    memcpy(to, x + (size_t)pixel * (size_t)channels, (size_t)channels);
            }
        if (s->offset)
            for (k = 0; k < s->count; k++)
                of_window += window[k];
        for (first = 0; first < s->filters; first += TFQ_LANES) {
            const int32_t lanes = tfq_smaller(TFQ_LANES, s->filters - first);
            int32_t sums[TFQ_LANES];
            for (l = 0; l < lanes; l++) {
                const int8_t *w = s->weights + (size_t)(first + l) * (size_t)s->count;
                int32_t sum = 0;
                for (k = 0; k < s->count; k++)
                    sum += window[k] * w[k];
                sums[l] = s->factor * sum + s->offset * of_window;
            }
            if (s->outside_sums)
                tfq_add_outside(at, s->outside_sums + first, s->filters, position, lanes, sums);
            tfq_finish_integers(results, places, position, 1, first, lanes, sums);
        }
    }
}
