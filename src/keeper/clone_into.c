#include "clone_into.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>

/* The kernel gives the child the registers of its parent, but for the stack and the result. So the two part at the test
 * below, and the child finds its function in a register. */
#if defined(__x86_64__) && !defined(__ILP32__)

static long clone3(const struct clone_args *arguments, int (*child)(void *unused))
{
    long result;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "xor %%edi, %%edi\n\t"
                     "call *%[child]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "0"(SYS_clone3), "D"(arguments), "S"(sizeof *arguments), [child] "d"(child)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

static long clone3(const struct clone_args *arguments, int (*child)(void *unused))
{
    register long number __asm__("x8") = SYS_clone3;
    register long result __asm__("x0") = (long)arguments;
    register long size __asm__("x1") = sizeof *arguments;
    register int (*function)(void *) __asm__("x2") = child;

    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "blr x2\n\t"
                     "brk #0\n"
                     "1:"
                     : "+r"(result)
                     : "r"(number), "r"(size), "r"(function)
                     : "memory");
    return result;
}

#else

static long clone3(const struct clone_args *arguments, int (*child)(void *unused))
{
    (void)arguments;
    (void)child;
    return -ENOSYS;
}

#endif

pid_t clone_into(int cgroup_fd, int (*child)(void *unused), void *stack, size_t size)
{
    struct clone_args arguments = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .stack = (uintptr_t)stack,
        .stack_size = size, .cgroup = (unsigned)cgroup_fd,
    };
    long result = clone3(&arguments, child);

    if (result >= 0)
        return (pid_t)result;
    /* What an old kernel says to an argument that is larger than it knows, and what some sandboxes say. */
    errno = result == -E2BIG || result == -EINVAL || result == -EPERM ? ENOSYS : (int)-result;
    return -1;
}
