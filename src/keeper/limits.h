/* What a child and all it starts may use together: kept by its cgroup where that has the controllers, else by rlimits as far
 * as those can. What is in force is told for each limit, and why not where it is not.
 */
#ifndef APPMGR_KEEPER_LIMITS_H
#define APPMGR_KEEPER_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum limit {
    LIMIT_MEMORY,       /* bytes */
    LIMIT_SWAP,         /* bytes */
    LIMIT_VIRTUAL,      /* bytes of address space, of each process (RLIMIT_AS) */
    LIMIT_CPU_WEIGHT,   /* 1 to 10000, 100 where nothing is said */
    LIMIT_CPU_MAX,      /* percent of one processor */
    LIMIT_PIDS,         /* processes and threads */
    LIMIT_COUNT
};

#define LIMIT_NONE UINT64_MAX

struct limits {
    uint64_t value[LIMIT_COUNT]; /* LIMIT_NONE: no limit */
};

/* No limits at all. */
void limits_clear(struct limits *limits);

/* Writes all limits that a cgroup can keep into its directory; LIMIT_NONE lifts one. Returns the set (1 << enum limit) of
 * those that are in force there. */
unsigned limits_apply(const struct limits *limits, int cgroup_fd);

/* What is to be a process's RLIMIT_NPROC; LIMIT_NONE: as it is. `in_cgroup` is the set of limits_apply; `is_root`: it runs as
 * root, whose processes the kernel does not count. */
uint64_t limits_processes(const struct limits *limits, unsigned in_cgroup, bool is_root);

/* Sets that, and RLIMIT_AS, of a process that runs already; what it starts from now on inherits them. One that is lifted stays for the life
 * of the process. */
void limits_set(const struct limits *limits, unsigned in_cgroup, bool is_root, pid_t pid);

/* How each limit is kept, a line each: "memory_mb cgroup\npids not enforced: no pids controller here\n". */
void limits_describe(const struct limits *limits, unsigned in_cgroup, bool is_root, char *text, size_t size);

/* How many processes of a cgroup the kernel has killed because its memory was used up. */
uint64_t limits_oom_kills(int cgroup_fd);

#endif
