/* uint8 pixels as a network takes them, in bytes: round(x factor + offset) of each channel, which count `known` each. */

TFQ_FUNCTION void tfq_pixels_int8(size_t count, int32_t channels, const float *factor, const float *offset, float known,
                                  const uint8_t *x, float *scale, int8_t *target)
{
    size_t i;
    int32_t c;

    for (i = 0; i < count; i++)
        for (c = 0; c < channels; c++, x++, target++) {
            const float value = (float)*x * factor[c];
            *target = tfq_to_int8(value + offset[c]);
        }
    *scale = known;
}
