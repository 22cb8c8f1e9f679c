/* The keeper: starts, signals and reaps children as the table in child.c says, until it is told to end.
 *
 * This file is where the world is: signals, the queue of children to be spawned, deadlines. Reaping and signalling
 * allocate nothing.
 */
#ifndef APPMGR_KEEPER_KEEPER_H
#define APPMGR_KEEPER_KEEPER_H

#include "child.h"

struct keeper_options {
    int directory_fd;       /* the state directory */
    uint64_t linger_ms;     /* ends when it had neither child nor client for so long */
};

/* Takes signals, socket and logger into use. Every signal stays blocked from here on. Returns 0, or -errno with the
 * name of what failed in `what`. */
int keeper_open(const struct keeper_options *options, const char **what);

/* Works until it is to end. Everything it started has ended then. */
void keeper_run(void);

/* Stops all children, then ends. */
void keeper_shut_down(void);
bool keeper_is_ending(void);

/* The child effects that act on the world, and the marker that all children get in their environment. */
extern const struct child_effects keeper_effects;
const char *keeper_marker(void);

#endif
