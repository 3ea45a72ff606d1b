/* Maximum or mean over windows, cut off at the edges. */

TFQ_FUNCTION void tfq_pool(const tfq_windows *s, int32_t is_mean, const float *x, const tfq_pooled *to)
{
    float *target = to->target;
    int32_t y, xx, c, i, j, position = 0;

    for (y = 0; y < s->out_height; y++)
        for (xx = 0; xx < s->out_width; xx++, target += to->step, position++) {
            const int32_t y0 = y * s->stride_y - s->top, x0 = xx * s->stride_x - s->left;
            const int32_t top = tfq_larger(y0, 0), bottom = tfq_smaller(y0 + s->kernel_height, s->height);
            const int32_t left = tfq_larger(x0, 0), right = tfq_smaller(x0 + s->kernel_width, s->width);
            const float count = (float)((bottom - top) * (right - left));
            for (i = top; i < bottom; i++)
                for (j = left; j < right; j++) {
                    const float *from = x + ((size_t)i * (size_t)s->width + (size_t)j) * (size_t)s->channels;
                    const int32_t is_first = i == top && j == left;
                    for (c = 0; c < s->channels; c++) {
                        if (is_first)
                            target[c] = from[c];
                        else if (is_mean)
                            target[c] += from[c];
                        else
                            target[c] = target[c] > from[c] ? target[c] : from[c];
                    }
                }
            if (is_mean)
                for (c = 0; c < s->channels; c++)
                    target[c] /= count;
            if (to->packing)
                for (c = 0; c < s->channels; c += TFQ_LANES)
                    tfq_put(to->packing, to->packed, position, c, tfq_smaller(TFQ_LANES, s->channels - c), target + c);
        }
}
