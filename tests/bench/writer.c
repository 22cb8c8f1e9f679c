/*
 * writer: an application that writes lines at a steady rate, each with one write(2).
 *
 *     writer LINES_PER_SECOND
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    long rate = argc == 2 ? atol(argv[1]) : 0;
    struct timespec next;
    char line[80];

    if (rate < 1)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (long number = 0;; number++) {
        int length = snprintf(line, sizeof line, "%012ld the quick brown fox jumps over the lazy dog and so on\n", number);

        if (write(1, line, (size_t)length) < 0)
            return 1;
        next.tv_nsec += 1000000000L / rate;
        if (next.tv_nsec >= 1000000000L) {
            next.tv_sec++;
            next.tv_nsec -= 1000000000L;
        }
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) != 0)
            ;
    }
}
