/* What runs before main on a Cortex-M4 or M7: vectors, memory, floats. Input and output are newlib's, by semihosting. */

#include <stdint.h>
#include <stdlib.h>

extern uint32_t data_source[], data_start[], data_end[], bss_start[], bss_end[], stack_end[];
extern void initialise_monitor_handles(void);
extern int main(void);

volatile uint32_t systick_wraps;

static void systick(void) { systick_wraps++; }

static void fault(void)
{
    static const uint32_t error[2] = {0x20024, 1}; /* a run-time error, exit status 1 */

    /* SYS_EXIT_EXTENDED. */
    __asm volatile("mov r0, #0x20\n\tmov r1, %0\n\tbkpt 0xAB" : : "r"(error) : "r0", "r1", "memory");
    for (;;)
        ;
}

void reset(void)
{
    uint32_t *from = data_source, *to = data_start;

    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* coprocessors 10 and 11: the floats */
    __asm volatile("dsb\n\tisb");
    while (to < data_end)
        *to++ = *from++;
    for (to = bss_start; to < bss_end; to++)
        *to = 0;
    initialise_monitor_handles();
    exit(main());
}

static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors __attribute__((section(".vectors"), used)) = {
    stack_end,
    {reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, systick},
};

/* newlib's exit calls these where programs have constructors. */
void _init(void) {}
void _fini(void) {}
