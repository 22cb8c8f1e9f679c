/*
 * host_parse: the text of the kernel's /proc files, turned into numbers.
 *
 * Pure functions: they are handed text and touch no file, so that tests can feed them the text of machines we
 * do not have. They never fail on odd input: what is missing stays at its stated default, what is malformed is
 * skipped. What they allocate belongs to the caller, who frees it with the matching function.
 */
#ifndef APPMGR_HOST_PARSE_H
#define APPMGR_HOST_PARSE_H

#include <stddef.h>
#include <stdint.h>

struct host_cpu {
    unsigned processors; /* logical processors; 0 when the text names none */
    unsigned cores;
    unsigned sockets;
};

struct host_memory {
    uint64_t total_bytes;
    uint64_t free_bytes;
    uint64_t available_bytes; /* free_bytes on kernels that do not tell */
    uint64_t swap_total_bytes;
    uint64_t swap_free_bytes;
};

struct host_load {
    double one, five, fifteen; /* averages over that many minutes */
};

/* What /proc/<pid>/stat says that we use. */
struct host_stat {
    int parent, session;
    uint64_t cpu_ticks; /* user and system time, in units of _SC_CLK_TCK */
    uint64_t reaped_cpu_ticks; /* the same of children that ended and were waited for, theirs included */
    uint64_t start_ticks; /* since boot: with the pid and the boot id it names a process for ever */
    uint64_t resident_pages;
};

struct host_mount {
    char *device;
    char *mount_point;
    char *type;
    unsigned major, minor;
};

struct host_mounts {
    struct host_mount *items;
    size_t count;
};

/*
 * /proc/cpuinfo. Architectures that name no sockets and cores (arm, riscv, some virtual machines) count each
 * processor as a core of one socket. Returns 0, or -ENOMEM.
 */
int host_parse_cpuinfo(const char *text, struct host_cpu *out);

/* /proc/meminfo. Fields that are missing are 0. */
void host_parse_meminfo(const char *text, struct host_memory *out);

/* /proc/loadavg. Returns 0, or -EINVAL with out all zero. */
int host_parse_loadavg(const char *text, struct host_load *out);

/*
 * /proc/<pid>/stat. The command's name may hold spaces, parentheses and newlines. Returns 0 or -EINVAL.
 */
int host_parse_stat(const char *text, struct host_stat *out);

/*
 * /proc/self/mountinfo, reduced to the filesystems that hold this machine's own data, one entry for each (bind
 * mounts and mounts that hide others are seen through). Never among them: network, cluster and user-space
 * filesystems, because asking them for their size may hang; kernel pseudo filesystems; read-only images, which
 * are always full. Returns 0 and an owned list (host_mounts_free), or -ENOMEM.
 */
int host_parse_mountinfo(const char *text, struct host_mounts *out);

void host_mounts_free(struct host_mounts *mounts);

#endif
