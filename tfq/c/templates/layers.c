/* All but what reads the input. */
static void ${name}_layers(float *output, void *arena)
{
$calls
}

