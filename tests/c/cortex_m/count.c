/* How many instructions one image takes. Under QEMU's `-icount shift=0` each takes the same time, and a loop of known length tells how many
   are a tick of SysTick. */

#include "net.h"

#include <stdio.h>

#define SYSTICK ((volatile uint32_t *)0xE000E010u) /* control, reload, value */
#define WRAP 0x1000000u
#define LOOPS 4000000u

extern volatile uint32_t systick_wraps;

static uint8_t pixels[NET_INPUTS];
static float output[NET_OUTPUTS];
static uint32_t arena[(NET_ARENA_BYTES + 3) / 4];

static uint64_t ticks(void) { return (uint64_t)systick_wraps * WRAP + (WRAP - 1 - SYSTICK[2]); }

/* Two instructions each time. */
static void loop(uint32_t count) { __asm volatile("1: subs %0, #1\n\tbne 1b" : "+l"(count) : : "cc"); }

int main(void)
{
    uint64_t start, between, end;
    int32_t i;

    for (i = 0; i < NET_INPUTS; i++)
        pixels[i] = (uint8_t)(i * 7919);
    SYSTICK[1] = WRAP - 1;
    SYSTICK[2] = 0;
    SYSTICK[0] = 7; /* enabled, with interrupts, by the processor's clock */
    while (SYSTICK[2] == 0)
        ;
    start = ticks();
    loop(LOOPS);
    between = ticks();
    net_run_uint8(pixels, output, arena);
    end = ticks();
    printf("a tick: %lu instructions\n", (unsigned long)(2 * LOOPS / (between - start)));
    printf("instructions: %lu\n", (unsigned long)((end - between) * 2 * LOOPS / (between - start)));
    return 0;
}
