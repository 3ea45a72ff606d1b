/* Answers each line, a number of calls, with the nanoseconds of the fastest of them. */

#define _POSIX_C_SOURCE 199309L

#include <stdio.h>
#include <time.h>

#include ADAPTER

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(void)
{
    int calls;

    start();
    while (scanf("%d", &calls) == 1) {
        long long fastest = -1;
        while (calls-- > 0) {
            long long taken = now();
            run();
            taken = now() - taken;
            if (fastest < 0 || taken < fastest)
                fastest = taken;
        }
        printf("%lld\n", fastest);
        fflush(stdout);
    }
    return 0;
}
