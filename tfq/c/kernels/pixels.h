/* uint8 pixels as the network takes them: (x / 255 - mean) / deviation. */

TFQ_PLAIN_LOOPS void tfq_pixels(size_t count, int32_t channels, const float *mean, const float *deviation, const uint8_t *x,
                             float *target)
{
    size_t i;
    int32_t c;

    for (i = 0; i < count; i++)
        for (c = 0; c < channels; c++, x++, target++)
            *target = ((float)*x / 255.0f - mean[c]) / deviation[c];
}
