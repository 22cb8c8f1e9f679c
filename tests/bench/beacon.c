/*
 * beacon: an application that tells when it began to run, and then waits to be stopped.
 *
 *     beacon FIFO LABEL
 *
 * Writes "LABEL NANOSECONDS\n" (CLOCK_MONOTONIC, the clock of the benchmark) into the FIFO,
 * which the benchmark keeps open. One small write is never mixed with another's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc != 3)
        return 2;
    int fd = open(argv[1], O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dprintf(fd, "%s %lld\n", argv[2], (long long)now.tv_sec * 1000000000LL + now.tv_nsec) < 0) {
        perror(argv[1]);
        return 1;
    }
    close(fd);
    for (;;)
        pause();
}
