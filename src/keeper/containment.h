/* What holds a child together, whatever it starts: a cgroup of its own where one may be made (cgroup.h), else its session
 * (sweep.h), or only its process group where /proc does not show its processes to the keeper. Limits go with the cgroup.
 */
#ifndef APPMGR_KEEPER_CONTAINMENT_H
#define APPMGR_KEEPER_CONTAINMENT_H

#include "child.h"

/* Takes cgroups into use where that can be, and where the children of the keeper before are; the mark of proc.h sets this keeper
 * apart on the machine. */
void containment_open(void);

/* Lets a service manager put the next keeper where the one before was. Returns NULL, or why it cannot. */
const char *containment_make_way(void);

/* Finds the cgroups of children again that an earlier keeper started; kills what is in those that belong to no child, and
 * removes them. */
void containment_adopt(void);

/* Removes all cgroups: every child has ended. */
void containment_close(void);

/* Makes the child's cgroup with its limits, and says in the request what the process is to be born with; where there can be
 * no cgroup the child goes without. Afterwards, started (as `pid`) or not (0): containment_begun. */
void containment_begin(struct child *child, struct spawn_request *request);
void containment_begun(struct child *child, struct spawn_request *request, pid_t pid);

/* The child's limits have changed: those that can be are brought into force at once. */
void containment_limit(struct child *child);

/* Sends a signal to the child's group, SIGKILL to all there is of it. Returns false when there is nothing to signal. */
bool containment_signal(struct child *child, int number);

/* Waits until nothing is left of the child, then says so (CHILD_EMPTY). What has left its group gets its stop signal now, while
 * there is time for it. */
void containment_drain(struct child *child);

/* True when the kernel has killed a process of the child at its memory limit since it was started. */
bool containment_ran_out_of_memory(const struct child *child);

/* What contains one that another keeper started, as /proc shows it: "cgroup", "session" or "group". */
const char *containment_level_seen(const struct child *child);

/* The directory of its cgroup; NULL: it is in none. Borrowed until the next call. */
const char *containment_cgroup(const struct child *child);

/* How its limits are kept, as limits_describe says; "" when it has none. Borrowed until the next call. */
const char *containment_limits(const struct child *child);

/* The child is being forgotten. */
void containment_forget(struct child *child);

#endif
