/* What is left of a session: looks through /proc for processes of children whose own process has ended, asks or kills them
 * as is due, and says so (CHILD_EMPTY) when none is left. What left the session as a daemon became a child of the keeper, and is
 * known by the marks in its environment. One look serves all children that
 * wait for it, and looks are spaced so that they take a small part of the time. Nothing is allocated. Where /proc hides a child's
 * processes from the keeper, those of its process group are all that can be found.
 */
#ifndef APPMGR_KEEPER_SWEEP_H
#define APPMGR_KEEPER_SWEEP_H

#include "child.h"

/* The child's session is looked for until it is empty. */
void sweep_add(struct child *child);

/* Looks if somebody waits and it is time. To be called each turn. */
void sweep_run(void);

#endif
