/* Operations on each value by itself; the target may be where the source is. */

/* clamp(x [scale + shift]), or a quantizer with its values in [-1, 1]. Where low is above high, nothing is clamped. */
TFQ_INLINE void tfq_map_few(int32_t channels, const float *scale, const float *shift, float low, float high, int32_t quantizer,
                            const float *x, float *target)
{
    int32_t c;

    for (c = 0; c < channels; c++) {
        float value = scale ? x[c] * scale[c] + shift[c] : x[c];
        if (low <= high) {
            value = value > low ? value : low;
            value = value < high ? value : high;
        }
        if (quantizer != TFQ_NO_QUANTIZER)
            value = tfq_quantized(value, quantizer) / (float)(quantizer == TFQ_SIGN ? 1 : (1 << quantizer) - 1);
        target[c] = value;
    }
}

#if defined(TFQ_VECTORS)
TFQ_INLINE void tfq_map_16(const float *scale, const float *shift, float low, float high, int32_t quantizer, const float *x,
                           float *target)
{
    const tfq_floats16 zero = {0};
    tfq_floats16 value = TFQ_OF_16(tfq_floats16, x);

    if (scale)
        value = value * TFQ_OF_16(tfq_floats16, scale) + TFQ_OF_16(tfq_floats16, shift);
    if (low <= high) {
        value = TFQ_CHOOSE(value > low, value, zero + low);
        value = TFQ_CHOOSE(value < high, value, zero + high);
    }
    if (quantizer != TFQ_NO_QUANTIZER) {
        tfq_quantize_16(&value, quantizer);
        value = value / (float)(quantizer == TFQ_SIGN ? 1 : (1 << quantizer) - 1);
    }
    TFQ_16(tfq_floats16, target) = value;
}
#endif

TFQ_PLAIN_LOOPS void tfq_map(int32_t pixels, int32_t channels, const float *scale, const float *shift, float low, float high,
                             int32_t quantizer, const float *x, float *target)
{
    int32_t position, c;

    for (position = 0; position < pixels; position++, x += channels, target += channels) {
        c = 0;
#if defined(TFQ_VECTORS)
        for (; c + TFQ_LANES <= channels; c += TFQ_LANES)
            tfq_map_16(scale ? scale + c : scale, scale ? shift + c : shift, low, high, quantizer, x + c, target + c);
#endif
        tfq_map_few(channels - c, scale ? scale + c : scale, scale ? shift + c : shift, low, high, quantizer, x + c, target + c);
    }
}

TFQ_FUNCTION void tfq_add(size_t size, const float *a, const float *b, float *target)
{
    size_t i;

    for (i = 0; i < size; i++)
        target[i] = a[i] + b[i];
}
