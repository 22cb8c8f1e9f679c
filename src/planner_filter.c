/*
 * The planner's seccomp filter (planner.h): what is left to a process in which scripts run that operators wrote.
 *
 * An allow-list: reading and writing what is open already, memory, time, and ending. Everything else ends the process
 * with SIGSYS at once; whoever started it tells people what that signal means. Only what Lua, glibc's malloc and
 * stdio were seen to use, with the arguments they use, stands on the list.
 */
#include "planner.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* AddressSanitizer looks into /proc, and its leak check starts a process. */
#if defined(__SANITIZE_ADDRESS__)
enum { CAN_FILTER = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { CAN_FILTER = 0 };
#else
enum { CAN_FILTER = 1 };
#endif
#else
enum { CAN_FILTER = 1 };
#endif

/* Whatever the arguments are. None of them takes a path, a process or an address of a peer. */
static const int allowed[] = {
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(setitimer), /* sandbox.c */
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(getrusage),
    SCMP_SYS(getrandom), /* json-c seeds its tables */
    SCMP_SYS(futex), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall),
    SCMP_SYS(exit), SCMP_SYS(exit_group),
};

enum { ALLOWED_COUNT = sizeof allowed / sizeof allowed[0] };

/* Memory, but none that can be executed, and none that stands for a file. */
static int allow_memory(scmp_filter_ctx filter)
{
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (result == 0)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                                  SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    return result;
}

static int fill(scmp_filter_ctx filter)
{
    int result = allow_memory(filter);
    for (size_t i = 0; i < ALLOWED_COUNT && result == 0; i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    return result;
}

/* What glibc does when something is first used, while it still may. */
static void prepare(void)
{
    tzset(); /* reads /etc/localtime */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    setvbuf(stderr, NULL, _IONBF, 0);
}

int planner_confine(char *error, size_t error_size)
{
    if (!CAN_FILTER)
        return 0;
    prepare();
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int result = filter ? fill(filter) : -ENOMEM;
    if (result == 0)
        result = seccomp_load(filter); /* sets no_new_privs as well */
    seccomp_release(filter);
    if (result == 0)
        return 0;
    snprintf(error, error_size, "planner: its system calls cannot be filtered: %s", strerror(-result));
    return -1;
}
