#include "newborn.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* No signal is sent at the end of either process until an execve(2) sets SIGCHLD, so that such a wait finds what has not
 * become a program, and nothing else. */
#define NO_PROGRAM ((int)__WCLONE)

#define SHARED (CLONE_VM | CLONE_FILES)

#if defined(NEWBORN_X86) || defined(NEWBORN_ARM)

/* A child of ours, and not of the helper. The kernel clears the word `here` when it leaves our memory. */
#define BORN (SHARED | CLONE_VFORK | CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

enum { HELPER_STACK = 4 << 10 };

/* glibc has no function for clone3 that gives the child a stack of its own, and its clone sets our errno, so the calls are
 * made here, per architecture. The kernel gives the child the registers of its parent, but for the stack and the result. So
 * the two part at the test below, and the child finds its function in a register. */
#if defined(NEWBORN_X86)

ON_FOREIGN_STACK static long part(long number, long a, long b, long c, long d, void (*run)(void *data), void *data)
{
    register long fourth __asm__("r10") = d;
    register void (*function)(void *) __asm__("r8") = run;
    register void *argument __asm__("r9") = data;
    long result;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %%r9, %%rdi\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%%r8\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(function), "r"(argument)
                     : "rcx", "r11", "cc", "memory");
    return result;
}

#else

ON_FOREIGN_STACK static long part(long number, long a, long b, long c, long d, void (*run)(void *data), void *data)
{
    register long which __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fifth __asm__("x4") = d; /* clone(2) has the two last the other way round here */
    register void (*function)(void *) __asm__("x5") = run;
    register void *argument __asm__("x6") = data;

    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x0, x6\n\t"
                     "mov x29, xzr\n\t"
                     "blr x5\n\t"
                     "brk #0\n"
                     "1:"
                     : "+r"(first)
                     : "r"(which), "r"(second), "r"(third), "r"(fifth), "r"(function), "r"(argument)
                     : "memory");
    return first;
}

#endif

/* --- in the helper --- */

ON_FOREIGN_STACK static long bear_in_cgroup(struct newborn *newborn, size_t stack_size)
{
    struct clone_args arguments = {
        .flags = BORN | CLONE_INTO_CGROUP, .stack = (uintptr_t)newborn->stack, .stack_size = stack_size,
        .parent_tid = (uintptr_t)&newborn->pid, .child_tid = (uintptr_t)&newborn->here, .cgroup = (unsigned)newborn->cgroup_fd,
    };

    return part(SYS_clone3, (long)&arguments, sizeof arguments, 0, 0, newborn->run, newborn->data);
}

ON_FOREIGN_STACK static long bear_here(struct newborn *newborn, size_t stack_size)
{
    return part(SYS_clone, BORN, (long)(newborn->stack + stack_size), (long)&newborn->pid, (long)&newborn->here,
                newborn->run, newborn->data);
}

ON_FOREIGN_STACK static int help(void *data)
{
    struct newborn *newborn = data;
    size_t stack_size = sizeof newborn->stack - HELPER_STACK;
    long result;

    /* It has our descriptors: our lock must not outlive us. */
    newborn_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (newborn_call(SYS_getppid, 0, 0, 0, 0, 0) != newborn->parent)
        return 0;
    result = newborn->cgroup_fd ? bear_in_cgroup(newborn, stack_size) : bear_here(newborn, stack_size);
    /* What a kernel says that does not know the call, an old one to an argument that is larger than it knows, and some
     * sandboxes. */
    if (newborn->cgroup_fd && (result == -ENOSYS || result == -E2BIG || result == -EINVAL || result == -EPERM)) {
        newborn->joins = true;
        result = bear_here(newborn, stack_size);
    }
    if (result < 0) {
        newborn->pid = (pid_t)result;
        __atomic_store_n(&newborn->here, 0, __ATOMIC_RELEASE);
        newborn_call(SYS_futex, (long)&newborn->here, FUTEX_WAKE, 1, 0, 0);
    }
    return 0;
}

/* --- in us --- */

void newborn_begin(struct newborn *newborn)
{
    newborn->joins = false;
    newborn->parent = getpid();
    newborn->pid = -EINTR; /* where the helper is killed before it has done anything */
    newborn->here = 1;
    newborn->helper = clone(help, newborn->stack + sizeof newborn->stack, SHARED, newborn);
    if (newborn->helper < 0) {
        newborn->pid = -errno;
        newborn->here = 0;
    }
}

static bool is_here(const struct newborn *newborn)
{
    return __atomic_load_n(&newborn->here, __ATOMIC_ACQUIRE) != 0;
}

/* Whether the helper was killed before there was a process, or before it could say that there is none. */
static bool is_lost(const struct newborn *newborn)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)newborn->helper, &info, WEXITED | WNOHANG | WNOWAIT | NO_PROGRAM) == 0 && info.si_pid != 0 &&
           newborn->pid < 0;
}

bool newborn_is_over(struct newborn *newborn, unsigned wait_ms)
{
    const struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = (long)(wait_ms % 1000) * 1000000};

    if (is_here(newborn) && wait_ms > 0)
        syscall(SYS_futex, &newborn->here, FUTEX_WAIT, 1, &wait, NULL, 0);
    return !is_here(newborn) || is_lost(newborn);
}

void newborn_kill(const struct newborn *newborn)
{
    pid_t pid = __atomic_load_n(&newborn->pid, __ATOMIC_ACQUIRE);

    if (pid > 0 && is_here(newborn))
        kill(pid, SIGKILL);
}

/* A helper that was killed has not waited. */
static void await(struct newborn *newborn)
{
    if (newborn->helper <= 0)
        return;
    while (waitpid(newborn->helper, NULL, NO_PROGRAM) < 0 && errno == EINTR)
        ;
    while (newborn->pid > 0 && is_here(newborn))
        syscall(SYS_futex, &newborn->here, FUTEX_WAIT, 1, NULL, NULL, 0);
}

#else

static int enter(void *data)
{
    const struct newborn *newborn = data;

    newborn->run(newborn->data);
    __builtin_unreachable();
}

void newborn_begin(struct newborn *newborn)
{
    newborn->joins = newborn->cgroup_fd != 0;
    newborn->helper = 0;
    newborn->pid = clone(enter, newborn->stack + sizeof newborn->stack, SHARED | CLONE_VFORK, newborn);
    if (newborn->pid < 0)
        newborn->pid = -errno;
}

/* The caller of clone has waited. */
bool newborn_is_over(struct newborn *newborn, unsigned wait_ms)
{
    (void)newborn;
    (void)wait_ms;
    return true;
}

void newborn_kill(const struct newborn *newborn)
{
    (void)newborn;
}

static void await(struct newborn *newborn)
{
    (void)newborn;
}

#endif

pid_t newborn_end(struct newborn *newborn)
{
    pid_t pid, ended;

    await(newborn);
    pid = newborn->pid;
    if (pid < 0)
        return pid;
    while ((ended = waitpid(pid, NULL, NO_PROGRAM)) < 0 && errno == EINTR)
        ;
    return ended == pid ? -EINTR : pid;
}
