/* A pool of integer sums that are kept in 8 or 16 bits: what follows the sums is done as they are read.

   clamp(a scale + bias) of all sums a of a window, and their maximum or mean. */

TFQ_FUNCTION void tfq_pool_integers(const tfq_windows *s, int32_t is_mean, const tfq_results *f, const void *sums,
                                    const tfq_pooled *to)
{
    float *target = to->target;
    int32_t y, xx, c, i, j, position = 0;

    for (y = 0; y < s->out_height; y++)
        for (xx = 0; xx < s->out_width; xx++, target += to->step, position++) {
            const tfq_window cut = tfq_window_at(s, y, xx);
            for (i = cut.top; i < cut.bottom; i++)
                for (j = cut.left; j < cut.right; j++) {
                    const size_t first = ((size_t)i * (size_t)s->width + (size_t)j) * (size_t)s->channels;
                    const int32_t is_first = i == cut.top && j == cut.left;
                    for (c = 0; c < s->channels; c++) {
                        const size_t at = first + (size_t)c;
                        const int32_t sum = f->sum_step ? ((const uint8_t *)sums)[at] * f->sum_step - f->sum_offset
                                                        : ((const int16_t *)sums)[at];
                        float value = (float)sum * f->scale[c];
                        value = f->bias ? value + f->bias[c] : value;
                        if (f->low <= f->high) {
                            value = value > f->low ? value : f->low;
                            value = value < f->high ? value : f->high;
                        }
                        tfq_pool_value(target + c, value, is_first, is_mean);
                    }
                }
            tfq_pool_end(to, target, s->channels, position, cut, is_mean);
        }
}
