/* Quantizes a tensor of floats, after an optional scale and shift, into bits or bytes. */

TFQ_FUNCTION void tfq_pack(const tfq_packing *s, int32_t pixels, const float *x, void *packed)
{
    int32_t position, first;

    for (position = 0; position < pixels; position++)
        for (first = 0; first < s->channels; first += TFQ_LANES) {
            const float *values = x + (size_t)position * (size_t)s->channels + first;
            if (s->channels - first >= TFQ_LANES)
                tfq_put(s, packed, position, first, TFQ_LANES, values);
            else
                tfq_put(s, packed, position, first, s->channels - first, values);
        }
}
