/* Exits that the controller has not acknowledged yet, oldest first, with the sequence numbers it acknowledges.
 *
 * A ring of fixed size, so that reaping never allocates: when it is full the oldest is dropped and counted. The records
 * hold a copy (records.h).
 */
#ifndef APPMGR_KEEPER_EXITS_H
#define APPMGR_KEEPER_EXITS_H

#include "child.h"

enum { EXITS_KEPT = 4096 };

/* Written to the records as it is. */
struct exit_record {
    uint64_t sequence;
    uint64_t child;         /* its number; it may have been forgotten since */
    uint64_t at_us, started_at_us, ran_ms, delay_ms;
    int32_t pid;
    uint32_t check;         /* used in records alone */
    uint8_t number, by_signal, known, timed, next_step, out_of_memory, unused[2];
};

/* Keeps the child's last exit and what follows it. Returns its sequence number. */
uint64_t exits_add(struct child *child);

/* Puts the child's last exit where the one with that number is kept: for one that a killed keeper could not note any more. */
void exits_put(const struct child *child, uint64_t sequence);

/* Drops what was kept up to and including `sequence`. */
void exits_acknowledge(uint64_t sequence);

/* Goes on after a keeper before this one: `sequence` was the oldest it kept, `newest` the last it gave. */
void exits_resume(uint64_t sequence, uint64_t newest);

/* The oldest kept sequence number, and the one after the newest: equal when none is kept. */
uint64_t exits_first(void);
uint64_t exits_end(void);

/* The record with that number, and which of the ring's EXITS_KEPT places it has. */
struct exit_record *exits_get(uint64_t sequence);
unsigned exits_place(uint64_t sequence);

/* How many were dropped because the ring was full, since this was last asked. */
uint64_t exits_take_lost(void);

#endif
