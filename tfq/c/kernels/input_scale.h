/* K of XNOR-Net: the mean of |x| over the channels of a pixel, and its mean over each window, where outside counts `fill`. */

TFQ_FUNCTION void tfq_input_scale(const tfq_windows *s, float fill, const float *x, float *means, float *target)
{
    const int32_t pixels = s->height * s->width, total = s->out_height * s->out_width;
    const float share = 1.0f / (float)(s->kernel_height * s->kernel_width);
    int32_t position, i, j, c;

    for (position = 0; position < pixels; position++) {
        float sum = 0.0f;
        for (c = 0; c < s->channels; c++) {
            const float value = x[(size_t)position * (size_t)s->channels + (size_t)c];
            sum += value < 0.0f ? -value : value;
        }
        means[position] = sum / (float)s->channels;
    }
    for (position = 0; position < total; position++) {
        float sum = 0.0f;
        for (i = 0; i < s->kernel_height; i++)
            for (j = 0; j < s->kernel_width; j++) {
                const int32_t pixel = tfq_pixel(s, position, i, j);
                sum += pixel < 0 ? fill : means[pixel];
            }
        target[position] = sum * share;
    }
}
