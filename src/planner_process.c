/* The planner's own side of planner.h: what the process does to itself, and frames over blocking pipes. */
#include "planner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HEADER_SIZE = 4, FIRST_SIZE = 64 * 1024 };

static int frames_in = STDIN_FILENO, frames_out = STDOUT_FILENO;

/* ---- becoming a planner ---- */

static int parse_number(const char *text, unsigned *value)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    *value = (unsigned)number;
    return errno == 0 && end != text && *end == '\0' && number <= INT32_MAX ? 0 : -1;
}

/* A limit that is lower already stays. */
static int limit(int resource, rlim_t value)
{
    struct rlimit limits;
    if (getrlimit((__rlimit_resource_t)resource, &limits) != 0)
        return -1;
    limits.rlim_cur = limits.rlim_max = value < limits.rlim_max ? value : limits.rlim_max;
    return setrlimit((__rlimit_resource_t)resource, &limits);
}

/* AddressSanitizer reserves terabytes of address space: no limit on it can be set beside that. */
#if defined(__SANITIZE_ADDRESS__)
enum { CAN_LIMIT_MEMORY = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { CAN_LIMIT_MEMORY = 0 };
#else
enum { CAN_LIMIT_MEMORY = 1 };
#endif
#else
enum { CAN_LIMIT_MEMORY = 1 };
#endif

static int set_limits(unsigned memory_mb, unsigned cpu_s)
{
    if (memory_mb > 0 && CAN_LIMIT_MEMORY && limit(RLIMIT_AS, (rlim_t)memory_mb << 20) != 0)
        return -1;
    if (cpu_s > 0 && limit(RLIMIT_CPU, cpu_s) != 0)
        return -1;
    return limit(RLIMIT_CORE, 0) != 0 || limit(RLIMIT_NPROC, 0) != 0 || limit(RLIMIT_NOFILE, 32) != 0 ? -1 : 0;
}

/* A planner that computes for ever would not notice that nobody waits for it any more. */
static int die_with_parent(unsigned parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return -1;
    if ((unsigned)getppid() == parent)
        return 0;
    errno = ESRCH; /* it went before we asked */
    return -1;
}

/* Moves the pipes away from the numbers that printf, print and io.read use. */
static int keep_pipes(void)
{
    frames_in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    frames_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (frames_in < 0 || frames_out < 0 || null < 0)
        return -1;
    int result = dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ? -1 : 0;
    close(null);
    return result;
}

int planner_enter(int count, char **arguments, char *error, size_t error_size)
{
    unsigned parent, memory_mb, cpu_s;
    if (count != 4 || parse_number(arguments[1], &parent) != 0 || parse_number(arguments[2], &memory_mb) != 0 ||
        parse_number(arguments[3], &cpu_s) != 0) {
        snprintf(error, error_size, "planner: is started by an agent, not by hand");
        return -1;
    }
    signal(SIGPIPE, SIG_IGN);
    if (die_with_parent(parent) == 0 && keep_pipes() == 0 && set_limits(memory_mb, cpu_s) == 0)
        return 0;
    snprintf(error, error_size, "planner: cannot set itself up: %s", strerror(errno));
    return -1;
}

/* ---- frames ---- */

/* Reads exactly that much. Returns what was read, less only at the end of input; -errno. */
static ssize_t read_fully(char *to, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t got = read(frames_in, to + done, length - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* Reads a payload into memory that grows with what arrives. */
static int read_payload(size_t length, char **bytes)
{
    size_t done = 0, capacity = 0;
    *bytes = NULL;
    do {
        size_t size = capacity ? 2 * capacity : FIRST_SIZE;
        capacity = size < length ? size : length + 1; /* never nothing */
        char *larger = realloc(*bytes, capacity);
        if (!larger)
            return -ENOMEM;
        *bytes = larger;
        size_t part = (capacity < length ? capacity : length) - done;
        ssize_t got = read_fully(*bytes + done, part);
        if (got < 0)
            return (int)got;
        if ((size_t)got < part)
            return -EPIPE;
        done += part;
    } while (done < length);
    return 0;
}

int planner_read(char **bytes, size_t *length)
{
    unsigned char header[HEADER_SIZE];
    ssize_t got = read_fully((char *)header, sizeof header);
    if (got <= 0)
        return (int)got;
    if (got < HEADER_SIZE)
        return -EPIPE;
    *length = (size_t)header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16 | (size_t)header[3] << 24;
    if (*length > PLANNER_MAX_FRAME)
        return -EMSGSIZE;
    int result = read_payload(*length, bytes);
    if (result == 0)
        return 1;
    free(*bytes);
    *bytes = NULL;
    return result;
}

static int write_fully(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(frames_out, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

int planner_write(const char *bytes, size_t length)
{
    char header[HEADER_SIZE];
    if (length > PLANNER_MAX_FRAME)
        return -EMSGSIZE;
    for (unsigned i = 0; i < HEADER_SIZE; i++)
        header[i] = (char)(length >> (8 * i) & 0xff);
    int result = write_fully(header, sizeof header);
    return result < 0 ? result : write_fully(bytes, length);
}
