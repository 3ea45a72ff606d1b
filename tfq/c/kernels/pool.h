/* Maximum or mean over windows, cut off at the edges. */

TFQ_PLAIN_LOOPS void tfq_pool(const tfq_windows *s, int32_t is_mean, const float *x, const tfq_pooled *to)
{
    float *target = to->target;
    int32_t y, xx, c, i, j, position = 0;

    for (y = 0; y < s->out_height; y++)
        for (xx = 0; xx < s->out_width; xx++, target += to->step, position++) {
            const tfq_window cut = tfq_window_at(s, y, xx);
            for (i = cut.top; i < cut.bottom; i++)
                for (j = cut.left; j < cut.right; j++) {
                    const float *from = x + ((size_t)i * (size_t)s->width + (size_t)j) * (size_t)s->channels;
                    const int32_t is_first = i == cut.top && j == cut.left;
                    c = 0;
#if defined(TFQ_VECTORS)
                    for (; c + TFQ_LANES <= s->channels; c += TFQ_LANES)
                        tfq_pool_16(target + c, from + c, is_first, is_mean);
#endif
                    for (; c < s->channels; c++)
                        tfq_pool_value(target + c, from[c], is_first, is_mean);
                }
            tfq_pool_end(to, target, s->channels, position, cut, is_mean);
        }
}
