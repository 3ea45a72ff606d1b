/* Runs $name once, and its self-test where ${upper}_SELFTEST is defined:

   $build */

#include "$name.h"

#include <stdio.h>

static $input_type input[${upper}_INPUTS];
static float output[${upper}_OUTPUTS];
static uint32_t arena[(${upper}_ARENA_BYTES + 3) / 4 + 1];

int main(void)
{
    int best = 0, k;

    /* Fill `input` here: $input_shape, $input_meaning. */
    ${name}_run$suffix(input, output, arena);
    for (k = 1; k < ${upper}_OUTPUTS; k++)
        if (output[k] > output[best])
            best = k;
    printf("largest of %d results: number %d, %g\n", (int)${upper}_OUTPUTS, best, (double)output[best]);
#ifdef ${upper}_SELFTEST
    {
        const int wrong = ${name}_selftest(arena);
        printf("self-test: %s\n", wrong ? "FAILED" : "passed");
        return wrong != 0;
    }
#else
    return 0;
#endif
}
