/* Windows of a pool, and where its results go: a pixel is `step` floats behind the one before, or in its place where the next one
   follows once it is packed. */

typedef struct {
    int32_t step;
    float *target;
    const tfq_packing *packing;
    void *packed;
} tfq_pooled;

typedef struct {
    int32_t top, bottom, left, right;
} tfq_window;

TFQ_FUNCTION tfq_window tfq_window_at(const tfq_windows *s, int32_t y, int32_t x)
{
    const int32_t y0 = y * s->stride_y - s->top, x0 = x * s->stride_x - s->left;
    tfq_window cut;
    cut.top = tfq_larger(y0, 0), cut.bottom = tfq_smaller(y0 + s->kernel_height, s->height);
    cut.left = tfq_larger(x0, 0), cut.right = tfq_smaller(x0 + s->kernel_width, s->width);
    return cut;
}

TFQ_FUNCTION void tfq_pool_value(float *target, float value, int32_t is_first, int32_t is_mean)
{
    if (is_first)
        *target = value;
    else if (is_mean)
        *target += value;
    else
        *target = *target > value ? *target : value;
}

#if defined(TFQ_VECTORS)
/* The same of 16. */
TFQ_INLINE void tfq_pool_16(float *target, const float *from, int32_t is_first, int32_t is_mean)
{
    tfq_floats16 value = TFQ_OF_16(tfq_floats16, from);

    if (!is_first) {
        const tfq_floats16 before = TFQ_OF_16(tfq_floats16, target);
        if (is_mean)
            value = before + value;
        else
            value = TFQ_CHOOSE(before > value, before, value);
    }
    TFQ_16(tfq_floats16, target) = value;
}
#endif

TFQ_PLAIN_LOOPS void tfq_pool_end(const tfq_pooled *to, float *target, int32_t channels, int32_t position, tfq_window cut, int32_t is_mean)
{
    int32_t c;
    const float count = (float)((cut.bottom - cut.top) * (cut.right - cut.left));

    if (is_mean) {
        c = 0;
#if defined(TFQ_VECTORS)
        for (; c + TFQ_LANES <= channels; c += TFQ_LANES)
            TFQ_16(tfq_floats16, target + c) = TFQ_OF_16(tfq_floats16, target + c) / count;
#endif
        for (; c < channels; c++)
            target[c] /= count;
    }
    if (to->packing)
        for (c = 0; c < channels; c += TFQ_LANES)
            tfq_put(to->packing, to->packed, position, c, tfq_smaller(TFQ_LANES, channels - c), target + c);
}
