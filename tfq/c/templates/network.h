/* $title
   Written by tfq $version. Any change is lost when it is written again. */

#ifndef ${upper}_H
#define ${upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Values of one input ($input_shape) and of its result ($output_shape). */
#define ${upper}_INPUTS $inputs
#define ${upper}_OUTPUTS $outputs

/* Memory that the network works in, aligned as an uint32_t is. It need not be kept from one call to the next. */
#define ${upper}_ARENA_BYTES $arena

/* Bytes of all constants. */
#define ${upper}_CONSTANT_BYTES $constant_bytes

/* Computes the result of one input. Any number of calls may run at once, each with an arena of its own. */
void ${name}_run(const float *input, float *output, void *arena);
$uint8_declaration$labels_declaration
#ifdef ${upper}_SELFTEST
/* Runs the network on the inputs that the file holds; returns how many of the results are wrong, 0 if all is well. */
int ${name}_selftest(void *arena);
#endif

#ifdef __cplusplus
}
#endif

#endif
