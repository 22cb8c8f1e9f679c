/* A cgroup for each child: nothing that a child starts can leave it, whatever it does to become a daemon.
 *
 * Below the cgroup that the keeper itself is in, "appmgr-<name>" is made (cgroup_hold.h), and below that "app-<id>" for each child. The name
 * is the keeper's alone on the machine, and the id is all it takes to find a child's cgroup again: nothing is recorded.
 *
 * Only the unified hierarchy (v2) is used; where it may not be written the keeper does without, and cgroup_why() says
 * why. Controllers (memory, cpu, pids) are taken where they are to be had (cgroup_home.h). Signalling and killing allocate nothing. One hierarchy a process.
 */
#ifndef APPMGR_KEEPER_CGROUP_H
#define APPMGR_KEEPER_CGROUP_H

#include "watch.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Takes the keeper's own cgroup into use; `name` sets this keeper apart from all others on the machine. Returns 0, or
 * -errno: cgroup_why() says what is in the way, and every other function then finds nothing. */
int cgroup_open(const char *name);

/* The same where a keeper of this name has put the process, wherever this one is. -ENOENT: it did not. */
int cgroup_open_where(pid_t pid, const char *name);

/* The same in a directory of the caller's choice. */
int cgroup_open_in(const char *directory, const char *name);

/* What a keeper of this name has handed on is taken back, so that a service manager can start the next one in its place
 * (cgroup_home.h); no process is touched. Returns 0 or -errno: cgroup_why(). */
int cgroup_make_way(const char *name);

/* The directory that all are in; NULL where none can be used, as before a successful cgroup_open. */
const char *cgroup_base(void);

/* Why cgroups are not used; "" when they are. */
const char *cgroup_why(void);

/* Makes the cgroup of `id`; one that holds processes stays as it is. Returns a descriptor of its directory, which is the caller's, or -errno:
 * -ENOENT for an id that is too long to be a file name. */
int cgroup_make(const char *id);

/* The descriptor of one that there is, or -errno. */
int cgroup_directory(const char *id);

/* The absolute path of the cgroup of `id`. Returns 0, or -ENOENT when there is none. */
int cgroup_path(const char *id, char *path, size_t size);

/* True while a process is in it, or below it. */
bool cgroup_is_populated(const char *id);

/* Sends a signal to each process in it. */
void cgroup_signal(const char *id, int number);

/* Kills all that is in it and below. The second works on kernels before 5.14 as well: cgroup_kill uses it there. */
void cgroup_kill(const char *id);
void cgroup_kill_each(const char *id);

/* Watches it, if that is not so already: `ready` is called each time that it may have become empty, and closes the watch when
 * cgroup_is_empty says so. Returns 0; 1: it is empty now, and not watched; or -errno. */
int cgroup_wait(struct watch *watch, const char *id);
bool cgroup_is_empty(const struct watch *watch);

/* Removes it and what is below, as far as it is empty. Returns true when it has gone. */
bool cgroup_remove(const char *id);

/* Kills and removes the cgroups that an earlier keeper of this name left, but for those that `is_known` wants to keep; waits
 * a moment for the processes to end. */
void cgroup_tidy(bool (*is_known)(const char *id));

/* Removes what is empty and lets go of the hierarchy. */
void cgroup_close(void);

#endif
