/* Numbers as bytes from -127 to 127, each `scale` of them. */

/* The nearest whole number, ties to even, from -127 to 127; see tfq_level. NaN gives -127. */
TFQ_INLINE int8_t tfq_to_int8(float x)
{
    x = x > -127.0f ? x : -127.0f;
    x = x < 127.0f ? x : 127.0f;
    x = x + 12582912.0f;
    x = x - 12582912.0f;
    return (int8_t)x;
}

/* round(x 127 / m), where m is the largest |x|; the scale is m / 127. */
TFQ_FUNCTION void tfq_quantize_int8(size_t size, const float *x, float *scale, int8_t *target)
{
    float largest = 0.0f, inverse;
    size_t i;

    for (i = 0; i < size; i++) {
        const float value = x[i] < 0.0f ? -x[i] : x[i];
        largest = value > largest ? value : largest;
    }
    inverse = largest > 1e-30f ? 127.0f / largest : 0.0f;
    for (i = 0; i < size; i++)
        target[i] = tfq_to_int8(x[i] * inverse);
    *scale = largest / 127.0f;
}
