/* Readiness that a child tells itself: it gets a descriptor and writes a newline to it, as s6's notification-fd.
 *
 * The descriptor is a pipe that the child has open for reading as well: a keeper that is killed before the child is ready
 * then breaks nothing, and its successor can open the pipe anew through /proc. Nothing is allocated.
 */
#ifndef APPMGR_KEEPER_READY_H
#define APPMGR_KEEPER_READY_H

#include "child.h"

/* Makes the pipe of a run and watches it: a newline makes the child ready and tells WIRE_READY. Returns the child's
 * end, for the caller to hand over and close, or -errno. */
int ready_open(struct child *child);

/* Opens the pipe of a run that an earlier keeper started, unless it is ready or has none. */
void ready_reopen(struct child *child);

/* The run is over, or has not begun. */
void ready_close(struct child *child);

#endif
