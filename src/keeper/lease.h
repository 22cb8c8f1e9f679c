/* The lease on which children run that must not outlive their agent's word.
 *
 * The agent says, in one message for all, when it last knew that it was in touch. A child with a lease is stopped
 * that long after the moment of the newest message, whether there is an agent or not, and is not started again
 * before it is told to be. Moments are CLOCK_BOOTTIME, which agent and keeper share: time that a machine slept counts.
 *
 * Nothing is allocated. This module decides; stopping is the child's.
 */
#ifndef APPMGR_KEEPER_LEASE_H
#define APPMGR_KEEPER_LEASE_H

#include "child.h"

/* The agent was in touch at `at_ms`. Only a later moment than the known one counts, and none in the future. */
void lease_renew(uint64_t at_ms);

/* The moment that counts, to be handed on to a successor; 0: none is known. */
uint64_t lease_renewed_ms(void);

/* A child may have got a lease, or another one: its own is looked at, soon. */
void lease_changed(const struct child *child);

/* True when `child` has a lease and it has ended. */
bool lease_has_ended(const struct child *child);

/* Stops the children whose lease has ended, and has the loop woken when the next one ends. Once in each turn. */
void lease_run(void);

#endif
