/* Operations on each value by itself; the target may be where the source is. */

/* clamp(x [scale + shift]), or a quantizer with its values in [-1, 1]. Where low is above high, nothing is clamped. */
TFQ_FUNCTION void tfq_map(int32_t pixels, int32_t channels, const float *scale, const float *shift, float low, float high,
                          int32_t quantizer, const float *x, float *target)
{
    int32_t position, c;

    for (position = 0; position < pixels; position++, x += channels, target += channels)
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

TFQ_FUNCTION void tfq_add(size_t size, const float *a, const float *b, float *target)
{
    size_t i;

    for (i = 0; i < size; i++)
        target[i] = a[i] + b[i];
}
