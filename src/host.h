/*
 * host: what this machine is and how it is doing.
 *
 * Reads /proc, /etc/machine-id and the interfaces' addresses when asked; keeps what seldom changes until it does (how many
 * processors there are, which filesystems are mounted, the addresses: host_changes.h), because it is asked each report and
 * what it would read is long on large machines. Owns nothing else, runs no program, resolves no name, and never asks a
 * network or user-space filesystem anything: those may hang.
 */
#ifndef APPMGR_HOST_H
#define APPMGR_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host_parse.h"

#define HOST_ID_SIZE 40 /* room for a machine id (32 digits) or a boot id (36 characters), and its end */

struct host_filesystem {
    char *device;
    char *mount_point;
    uint64_t size_bytes;
    uint64_t used_bytes;
    double usage; /* used share of the size, 0..1 */
};

struct host_address {
    char *interface;
    char *address; /* as text, without prefix length */
    bool ipv4;
};

struct host_resource {
    struct host_cpu cpu;
    struct host_memory memory;
    struct host_load load;
    struct host_filesystem *filesystems;
    size_t filesystem_count;
    struct host_address *addresses; /* of interfaces that are up, without the loopback */
    size_t address_count;
};

/* The host name into name. Returns 0 or -errno. */
int host_name(char *name, size_t size);

/* The id of this installation (32 lower-case digits). Returns 0; -ENOENT when the machine has none. */
int host_machine_id(char id[HOST_ID_SIZE]);

/* The id of this boot (a UUID). Returns 0 or -errno. */
int host_boot_id(char id[HOST_ID_SIZE]);

/* When a process started, in clock ticks since boot. Returns 0; -ESRCH when there is no such process. */
int host_start_ticks(pid_t pid, uint64_t *ticks);

/*
 * All of the above that a node reports. A part that cannot be read is left empty and does not make the rest fail.
 * Returns 0 with out owned by the caller (host_resource_free), or -ENOMEM with nothing to free.
 */
int host_resource_read(struct host_resource *out);

void host_resource_free(struct host_resource *resource);

#endif
