
void ${name}_run_uint8(const uint8_t *input, float *output, void *arena)
{
$calls
    ${name}_layers(output, arena);
}
