/* Children that an earlier keeper started: are they still there, and how do they end?
 *
 * After an upgrade (the keeper executed itself anew) they are its own children still. After a keeper that was killed they
 * are strangers: known again by pid and start time, held, watched and signalled through pidfds. How a stranger ended is
 * read from /proc until its parent reaps it, and is told by the kernel afterwards (PIDFD_INFO_EXIT, Linux 6.15); where
 * neither works, and where it ended unwatched, that is unknown. Only a missing process or another start time says that one has ended: what cannot be held for any
 * other reason runs on, and is tried again.
 */
#ifndef APPMGR_KEEPER_ADOPT_H
#define APPMGR_KEEPER_ADOPT_H

#include "child.h"

/* Looks for the processes of all children in the table and goes on with each where it was. `upgraded`: this process was
 * their keeper all the time. */
void adopt_all(bool upgraded);

/* Sends a signal to the child's group, or to its process alone. Returns false when there is no such process. */
bool adopt_signal_group(const struct child *child, int number);
bool adopt_signal(const struct child *child, int number);

/* Lets go of the child's process: its pid may be another's soon. */
void adopt_release(struct child *child);

/* Tries again to hold what could not be held; takes as unknown the exits that the kernel does not tell in time. To be
 * called each turn. */
void adopt_run(void);

#endif
