/* A convolution of each channel by itself, in float: weight t of filter f is w[t * filters + f]. */

typedef struct {
    tfq_windows windows;
    int32_t filters, quantizer, kind;
    float fill;
    const void *weights;
} tfq_depthwise;

TFQ_FUNCTION void tfq_conv_depthwise(const tfq_depthwise *s, const tfq_results *results, const float *x, const tfq_places *places)
{
    const tfq_windows *at = &s->windows;
    const int32_t total = at->out_height * at->out_width, of_channel = s->filters / at->channels;
    int32_t position, first, i, j, l;

    for (position = 0; position < total; position++)
        for (first = 0; first < s->filters; first += TFQ_LANES) {
            const int32_t lanes = tfq_smaller(TFQ_LANES, s->filters - first);
            float sums[TFQ_LANES] = {0};
            for (i = 0; i < at->kernel_height; i++)
                for (j = 0; j < at->kernel_width; j++) {
                    const int32_t pixel = tfq_pixel(at, position, i, j);
                    const float *from = x + (size_t)tfq_larger(pixel, 0) * (size_t)at->channels;
                    const size_t w = (size_t)(i * at->kernel_width + j) * (size_t)s->filters + (size_t)first;
                    for (l = 0; l < lanes; l++) {
                        const float value = pixel < 0 ? s->fill : tfq_quantized(from[(first + l) / of_channel], s->quantizer);
                        if (s->kind == TFQ_FLOATS)
                            sums[l] += value * ((const float *)s->weights)[w + (size_t)l];
                        else if (s->kind == TFQ_INT8)
                            sums[l] += value * (float)((const int8_t *)s->weights)[w + (size_t)l];
                        else
                            sums[l] += value * (float)((const int16_t *)s->weights)[w + (size_t)l];
                    }
                }
            tfq_finish(results, places, position, 1, first, lanes, sums);
        }
}
