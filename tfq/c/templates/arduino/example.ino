/* Runs $name once a second and prints the largest result.

   For the self-test, put #define ${upper}_SELFTEST at the top of src/$header. */

#include <$header>

static $input_type input[${upper}_INPUTS];
static float output[${upper}_OUTPUTS];
static uint32_t arena[(${upper}_ARENA_BYTES + 3) / 4];

void setup()
{
    Serial.begin(115200);
    while (!Serial && millis() < 3000)
        ;
#ifdef ${upper}_SELFTEST
    Serial.println(${name}_selftest(arena) ? "self-test: FAILED" : "self-test: passed");
#endif
}

void loop()
{
    int best = 0;
    unsigned long start;

    /* Fill `input` here: $input_shape, $input_meaning. */
    start = micros();
    ${name}_run$suffix(input, output, arena);
    start = micros() - start;
    for (int k = 1; k < ${upper}_OUTPUTS; k++)
        if (output[k] > output[best])
            best = k;
    Serial.print("number ");
    Serial.print(best);
    Serial.print(", ");
    Serial.print(output[best], 4);
    Serial.print(", microseconds ");
    Serial.println(start);
    delay(1000);
}
