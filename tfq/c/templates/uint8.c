
void ${name}_run_uint8(const uint8_t *input, float *output, void *arena)
{
    float *const decoded = TFQ_AT(float, $offset);

    tfq_pixels($pixels, $channels, $mean, $deviation, input, decoded);
    ${name}_run(decoded, output, arena);
}
