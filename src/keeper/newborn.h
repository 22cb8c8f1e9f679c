/* A process that runs in our memory until it becomes its program (CLONE_VM): nothing is copied, and several can be on their
 * way at a time while we go on.
 *
 * So its code may not touch what is ours: it runs on a stack of its own, allocates nothing, changes nothing that we read
 * meanwhile, and calls the system through newborn_call, which leaves errno alone. Every signal is blocked.
 */
#ifndef APPMGR_KEEPER_NEWBORN_H
#define APPMGR_KEEPER_NEWBORN_H

#include <stddef.h>
#include <sys/types.h>

#if !(defined(__x86_64__) && !defined(__ILP32__)) && !defined(__aarch64__)
#include <errno.h>
#include <unistd.h>
#endif

/* A stack that address sanitizer does not know. */
#define ON_FOREIGN_STACK __attribute__((no_sanitize("address")))

/* Returns what the kernel does: a result, or -errno. */
ON_FOREIGN_STACK static inline long newborn_call(long number, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__) && !defined(__ILP32__)
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long which __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    register long fifth __asm__("x4") = e;

    __asm__ volatile("svc #0" : "+r"(first) : "r"(which), "r"(second), "r"(third), "r"(fourth), "r"(fifth) : "memory");
    return first;
#else
    long result = syscall(number, a, b, c, d, e); /* newborn_start waits here: nobody else needs errno */

    return result < 0 ? -errno : result;
#endif
}

/* Starts a process that calls `child`, which must not return, on `stack` (its lowest address). `cgroup_fd`: the directory of
 * the cgroup that it is born in, which is free of races and, unlike moving it afterwards, needs no lock of the whole machine
 * (a move took 6 ms where this took none); 0: that of its parent. `*here` is 1 until it has left our memory (newborn_wait). It has our
 * descriptors, the very same, until it parts from them.
 *
 * Returns a pid or -errno: ENOSYS for a cgroup where that is not known, in the kernel (before 5.7) or here. */
pid_t newborn_start(int cgroup_fd, void (*child)(void *data), void *data, void *stack, size_t size, int *here);

/* Waits until the process has become its program or has ended. */
void newborn_wait(int *here);

#endif
