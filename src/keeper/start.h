/* Starting children: the queue of those that are to be started, and what each needs until its program runs. A start
 * that takes long, because a file system hangs, holds up nothing else.
 */
#ifndef APPMGR_KEEPER_START_H
#define APPMGR_KEEPER_START_H

#include "child.h"

#include <sys/resource.h>

/* `files`: the children's RLIMIT_NOFILE; `reset_oom`: the keeper has an oom_score_adj that is not for them. Returns 0 or
 * -errno: /dev/null, which is their input, cannot be opened. */
int start_open(struct rlimit files, bool reset_oom);

/* The effects of the child table: into the queue, and out of it again. Returns false for a child whose start is under way: its
 * end is brought about, and comes as any start's. */
void start_enqueue(struct child *child);
bool start_unqueue(struct child *child);

/* True when start_run has something to do. */
bool start_is_due(void);

/* Starts the next few, and handles what has become of those under way. To be called each turn: between them signals and
 * clients get theirs. */
void start_run(void);

/* Handles what has become of those under way. To be called before ended processes are: they may be among them. */
void start_collect(void);

/* The id of a child whose start is under way, or NULL: none is. */
const char *start_under_way(void);

#endif
