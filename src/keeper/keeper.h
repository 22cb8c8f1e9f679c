/* The keeper: starts, signals and reaps children as the table in child.c says, until it is told to end.
 *
 * This file is where the world is: signals, deadlines, the turns of the loop. Reaping and signalling
 * allocate nothing.
 */
#ifndef APPMGR_KEEPER_KEEPER_H
#define APPMGR_KEEPER_KEEPER_H

#include "child.h"

struct keeper_options {
    const char *directory;  /* the state directory, absolute; borrowed */
    int directory_fd;
    int lock_fd, listen_fd; /* listen_fd: of the program before an upgrade, else -1 */
    uint64_t linger_ms;     /* ends when it had neither child nor client for so long */
    struct rlimit files;    /* RLIMIT_NOFILE as the keeper was given it: its children's too */
};

/* Takes up the records of the keeper before, and signals, socket and logger into use. Every signal stays blocked from
 * here on. Returns 0, or -1 with what failed, why, and what to do in `why`: nothing was touched then. */
int keeper_open(struct keeper_options *options, char *why, size_t size);

/* Works until it is to end. Returns 0: everything it started has ended; or -errno when it cannot go on: then all is left
 * to the next keeper, as if this one had been killed. */
int keeper_run(void);

/* Takes what is known of how the child's process ended; CHILD_EXITED is the caller's to handle. */
void keeper_note_exit(struct child *child, struct child_exit exit);

/* Stops all children, then ends. */
void keeper_shut_down(void);
bool keeper_is_ending(void);

/* The child effects that act on the world. */
extern const struct child_effects keeper_effects;

#endif
