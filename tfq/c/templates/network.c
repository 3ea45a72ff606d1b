/* $title
   Written by tfq $version. Any change is lost when it is written again.

   C99, without any library. Options are below: TFQ_WORD, TFQ_POPCOUNT, TFQ_SCALAR, ${upper}_SELFTEST. */

#include "$header"

$kernels

/* A part of the arena. */
#define TFQ_AT(TYPE, OFFSET) ((TYPE *)(void *)((unsigned char *)arena + (OFFSET)))

/* Weights and tables. */

$constants

${layers}void ${name}_run(const float *input, float *output, void *arena)
{
    (void)arena;
$calls
}
$uint8$labels$selftest
