/* Starting children: the queue of those that are to be started, and what each needs until its program runs.
 */
#ifndef APPMGR_KEEPER_START_H
#define APPMGR_KEEPER_START_H

#include "child.h"

#include <sys/resource.h>

/* `files`: the children's RLIMIT_NOFILE; `reset_oom`: the keeper has an oom_score_adj that is not for them. Returns 0 or
 * -errno: /dev/null, which is their input, cannot be opened. */
int start_open(struct rlimit files, bool reset_oom);

/* The effects of the child table: into the queue, and out of it again. */
void start_enqueue(struct child *child);
void start_unqueue(struct child *child);

/* True when start_run has something to do. */
bool start_is_due(void);

/* Starts the next few. To be called each turn: between them signals and clients get theirs. */
void start_run(void);

#endif
