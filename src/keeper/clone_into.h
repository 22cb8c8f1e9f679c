/* clone(2) into a cgroup: the child is born there, which is free of races and, unlike moving it afterwards, needs no lock of
 * the whole machine (a move took 6 ms where this took none).
 *
 * glibc has no function for it that gives the child a stack of its own, so the call is made here, per architecture.
 */
#ifndef APPMGR_KEEPER_CLONE_INTO_H
#define APPMGR_KEEPER_CLONE_INTO_H

#include <stddef.h>
#include <sys/types.h>

/* Starts `child` as clone(2) with CLONE_VM | CLONE_VFORK | CLONE_FILES does, on `stack` (its lowest address), in the cgroup whose directory
 * `cgroup_fd` is. It must not return. Returns a pid, or -1 with errno: ENOSYS where this is not known, in the kernel
 * (before 5.7) or here. */
pid_t clone_into(int cgroup_fd, int (*child)(void *unused), void *stack, size_t size);

#endif
