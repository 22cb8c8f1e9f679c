/* Exits that the controller has not acknowledged yet, oldest first, with the sequence numbers it acknowledges.
 *
 * A ring of fixed size, so that reaping never allocates: when it is full the oldest is dropped and counted. Borrows
 * the children; exits_drop_child makes it let go of one.
 */
#ifndef APPMGR_KEEPER_EXITS_H
#define APPMGR_KEEPER_EXITS_H

#include "child.h"

enum { EXITS_KEPT = 4096 };

struct exit_record {
    struct child *child;    /* NULL: it was forgotten since */
    uint64_t at_us, started_at_us, ran_ms, delay_ms;
    pid_t pid;
    uint8_t number;
    bool by_signal, out_of_memory;
    uint8_t next_step;      /* enum wire_next */
};

/* Keeps the child's last exit and what follows it. Returns its sequence number. */
uint64_t exits_add(struct child *child);

/* Drops what was kept up to and including `sequence`. */
void exits_acknowledge(uint64_t sequence);
void exits_drop_child(const struct child *child);

/* The oldest kept sequence number, and the one after the newest: equal when none is kept. */
uint64_t exits_first(void);
uint64_t exits_end(void);
const struct exit_record *exits_get(uint64_t sequence);

/* How many were dropped because the ring was full, since this was last asked. */
uint64_t exits_take_lost(void);

#endif
