/* A process that runs in our memory until it becomes its program (CLONE_VM): nothing is copied, and several can be on their
 * way at a time while we go on.
 *
 * To the kernel each is as of a vfork(2), whose caller waits. Only such a process has an oom_score_adj of its own while it
 * shares our memory, and only such a one is passed over when its cgroup is out of memory: of any other that is killed there,
 * all that share its memory are killed as well, which is us. So that we need not wait, a helper does: one more process in our
 * memory, that does this and ends. It may be for long: a file system that hangs does not answer who opens a program there.
 *
 * The code of both may not touch what is ours: it runs on a stack of its own, allocates nothing, changes nothing that we read
 * meanwhile, and calls the system through newborn_call, which leaves errno alone. Every signal is blocked.
 */
#ifndef APPMGR_KEEPER_NEWBORN_H
#define APPMGR_KEEPER_NEWBORN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#if defined(__x86_64__) && !defined(__ILP32__)
#define NEWBORN_X86 1
#elif defined(__aarch64__)
#define NEWBORN_ARM 1
#else
#include <errno.h>
#include <unistd.h>
#endif

/* A stack that address sanitizer does not know. */
#define ON_FOREIGN_STACK __attribute__((no_sanitize("address")))

/* Returns what the kernel does: a result, or -errno. */
ON_FOREIGN_STACK static inline long newborn_call(long number, long a, long b, long c, long d, long e)
{
#if defined(NEWBORN_X86)
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(NEWBORN_ARM)
    register long which __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    register long fifth __asm__("x4") = e;

    __asm__ volatile("svc #0" : "+r"(first) : "r"(which), "r"(second), "r"(third), "r"(fourth), "r"(fifth) : "memory");
    return first;
#else
    long result = syscall(number, a, b, c, d, e); /* newborn_begin waits here: nobody else needs errno */

    return result < 0 ? -errno : result;
#endif
}

/* One on its way: the caller keeps it from newborn_begin to newborn_end. */
struct newborn {
    void (*run)(void *data);    /* called in the process; must not return */
    void *data;
    int cgroup_fd;              /* the directory of the cgroup that it is born in, which is free of races and, unlike moving it
                                 * afterwards, needs no lock of the whole machine (a move took 6 ms where this took none); 0:
                                 * that of its parent */
    bool joins;                 /* for `run`: it could not be born there (before Linux 5.7) and has to go there by itself */
    pid_t pid;                  /* these are newborn.c's */
    pid_t helper, parent;
    int here;                   /* 0: it has left our memory, or it never came */
    char stack[20 << 10] __attribute__((aligned(64)));
};

/* Begins to start a process that calls `run`. It has our descriptors, the very same, until it parts from them. */
void newborn_begin(struct newborn *newborn);

/* Waits, `wait_ms` at most, until it has become its program or has ended. Returns whether that is so. */
bool newborn_is_over(struct newborn *newborn, unsigned wait_ms);

/* Ends it, if it has not become its program. Whether it can be ended is the kernel's to say, and when. */
void newborn_kill(const struct newborn *newborn);

/* Waits until it has become its program, or has ended: it is reaped then. Returns its pid or -errno; EINTR: it was killed
 * before it was so far. */
pid_t newborn_end(struct newborn *newborn);

#endif
