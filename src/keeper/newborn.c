#include "newborn.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel clears the word and wakes who waits for it when the process leaves our memory: see set_tid_address(2). */
#define SHARED (CLONE_VM | CLONE_FILES | CLONE_CHILD_CLEARTID)

/* glibc has no function for clone3 that gives the child a stack of its own, so the call is made here, per architecture. The
 * kernel gives the child the registers of its parent, but for the stack and the result. So the two part at the test below, and
 * the child finds its function in a register. */
#if defined(__x86_64__) && !defined(__ILP32__)

enum { WAITS_FOR_CHILD = 0 };

static long clone3(const struct clone_args *arguments, void (*child)(void *data), void *data)
{
    long result;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %[data], %%rdi\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%[child]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "0"(SYS_clone3), "D"(arguments), "S"(sizeof *arguments), [child] "d"(child), [data] "r"(data)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

enum { WAITS_FOR_CHILD = 0 };

static long clone3(const struct clone_args *arguments, void (*child)(void *data), void *data)
{
    register long number __asm__("x8") = SYS_clone3;
    register long result __asm__("x0") = (long)arguments;
    register long size __asm__("x1") = sizeof *arguments;
    register void (*function)(void *) __asm__("x2") = child;
    register void *argument __asm__("x3") = data;

    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x0, x3\n\t"
                     "mov x29, xzr\n\t"
                     "blr x2\n\t"
                     "brk #0\n"
                     "1:"
                     : "+r"(result)
                     : "r"(number), "r"(size), "r"(function), "r"(argument)
                     : "memory");
    return result;
}

#else

enum { WAITS_FOR_CHILD = CLONE_VFORK };

static long clone3(const struct clone_args *arguments, void (*child)(void *data), void *data)
{
    (void)arguments;
    (void)child;
    (void)data;
    return -ENOSYS;
}

#endif

static pid_t start_in(int cgroup_fd, void (*child)(void *data), void *data, void *stack, size_t size, int *here)
{
    struct clone_args arguments = {
        .flags = SHARED | CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .stack = (uintptr_t)stack, .stack_size = size,
        .child_tid = (uintptr_t)here, .cgroup = (unsigned)cgroup_fd,
    };
    long result = clone3(&arguments, child, data);

    /* What an old kernel says to an argument that is larger than it knows, and what some sandboxes say. */
    return result == -E2BIG || result == -EINVAL || result == -EPERM ? -ENOSYS : (pid_t)result;
}

struct entry {
    void (*child)(void *data);
    void *data;
};

ON_FOREIGN_STACK static int enter(void *at)
{
    const struct entry *entry = at;

    entry->child(entry->data);
    __builtin_unreachable();
}

/* As glibc can. */
static pid_t start_here(void (*child)(void *data), void *data, void *stack, size_t size, int *here)
{
    /* Below the stack's end: it must outlive this call. */
    struct entry *entry = (struct entry *)(void *)((char *)stack + size) - 4;
    pid_t pid;

    *entry = (struct entry){child, data};
    pid = clone(enter, entry, SHARED | WAITS_FOR_CHILD | SIGCHLD, entry, NULL, NULL, here);
    return pid < 0 ? -errno : pid;
}

pid_t newborn_start(int cgroup_fd, void (*child)(void *data), void *data, void *stack, size_t size, int *here)
{
    pid_t pid;

    *here = 1;
    pid = cgroup_fd ? start_in(cgroup_fd, child, data, stack, size, here) : start_here(child, data, stack, size, here);
    if (pid < 0)
        *here = 0;
    return pid;
}

void newborn_wait(int *here)
{
    while (__atomic_load_n(here, __ATOMIC_ACQUIRE) != 0)
        syscall(SYS_futex, here, FUTEX_WAIT, 1, NULL, NULL, 0);
}
