
#ifdef ${upper}_SELFTEST
$constants

/* Floats differ in their last bits from machine to machine. These inputs are some whose results hardly move with them. */
int ${name}_selftest(void *arena)
{
    static float output[${upper}_OUTPUTS];
    int wrong = 0;
    int32_t i, k;

    for (i = 0; i < $count; i++) {
        const float *expected = $expected + (size_t)i * ${upper}_OUTPUTS;
        float largest = 0.0f, difference = 0.0f;
        ${name}_run$suffix($inputs + (size_t)i * ${upper}_INPUTS, output, arena);
        for (k = 0; k < ${upper}_OUTPUTS; k++) {
            const float apart = output[k] > expected[k] ? output[k] - expected[k] : expected[k] - output[k];
            const float size = expected[k] < 0.0f ? -expected[k] : expected[k];
            difference = apart > difference || apart != apart ? apart : difference;
            largest = size > largest ? size : largest;
        }
        wrong += !(difference <= ${tolerance}f * largest + 1e-6f);
    }
    return wrong;
}
#endif
