/* How windows lie over a tensor (height, width, channels). `top` and `left` are rows and columns that windows reach beyond it. */

typedef struct {
    int32_t height, width, channels;
    int32_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x;
    int32_t top, left, out_height, out_width;
} tfq_windows;

/* Where tap (i, j) of window `position` lies: the number of its pixel, or -1 outside. */
TFQ_INLINE int32_t tfq_pixel(const tfq_windows *s, int32_t position, int32_t i, int32_t j)
{
    const int32_t y = position / s->out_width * s->stride_y - s->top + i * s->dilation_y;
    const int32_t x = position % s->out_width * s->stride_x - s->left + j * s->dilation_x;

    return y < 0 || y >= s->height || x < 0 || x >= s->width ? -1 : y * s->width + x;
}

/* Adds to the sums of a window what each of its taps outside adds: `values` has a row of `step` numbers a tap. */
TFQ_PLAIN_LOOPS void tfq_add_outside(const tfq_windows *s, const int32_t *values, int32_t step, int32_t position, int32_t lanes,
                                  int32_t *sums)
{
    const int32_t top = position / s->out_width * s->stride_y - s->top, left = position % s->out_width * s->stride_x - s->left;
    int32_t i, j, l;

    for (i = 0; i < s->kernel_height; i++) {
        const int32_t y = top + i * s->dilation_y, is_outside = y < 0 || y >= s->height;
        for (j = 0; j < s->kernel_width; j++, values += step) {
            const int32_t x = left + j * s->dilation_x;
            if (!is_outside && x >= 0 && x < s->width)
                continue;
#if defined(TFQ_VECTORS)
            if (lanes == TFQ_LANES) {
                TFQ_16(tfq_ints16, sums) += TFQ_OF_16(tfq_ints16, values);
                continue;
            }
#endif
            TFQ_ROLLED
            for (l = 0; l < lanes; l++)
                sums[l] += values[l];
        }
    }
}
