/*
 * beacon: an application that tells when it began to run, and then waits to be stopped.
 *
 *     beacon FIFO LABEL
 *
 * Writes "LABEL NANOSECONDS PID\n" (CLOCK_MONOTONIC, the clock of the benchmark) into the FIFO,
 * which the benchmark keeps open, and "LABEL.signal NANOSECONDS PID\n" each time it gets SIGUSR1. One small
 * write is never mixed with another's.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int fifo;

static int tell(const char *label, const char *what)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return dprintf(fifo, "%s%s %lld %d\n", label, what, (long long)now.tv_sec * 1000000000LL + now.tv_nsec, (int)getpid());
}

int main(int argc, char **argv)
{
    sigset_t wanted;
    int number;

    if (argc != 3)
        return 2;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    fifo = open(argv[1], O_WRONLY | O_CLOEXEC);
    if (fifo < 0 || tell(argv[2], "") < 0) {
        perror(argv[1]);
        return 1;
    }
    for (;;)
        if (sigwait(&wanted, &number) == 0)
            tell(argv[2], ".signal");
}
