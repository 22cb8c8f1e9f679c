/* What a process notes in the records of its keeper before it becomes its program, so that what runs is on record before it
 * runs: its number and when it began.
 */
#ifndef APPMGR_KEEPER_BIRTH_H
#define APPMGR_KEEPER_BIRTH_H

#include "child.h"

/* From before the process is begun until it has left our memory, both of which the keeper does. */
struct birth {
    struct child child;         /* whose program it will be, as it was when that was begun */
    int file_fd;                /* -1: there is no record of the child to write to */
    uint64_t at, turn;          /* of the cell that comes next */
    uint64_t start_ticks;       /* of the process; 0: it did not come so far */
    long written;               /* how many bytes are in the file; 0: none were; -errno: the file took them not */
    bool is_noted;              /* it writes no more, and `child` is what the records are to say of it until it has begun */
};

/* In the keeper. */
bool birth_is_noted(const struct birth *birth);

/* In the new process (newborn.h). Returns 0, or -errno when it could not be known again: it may not run then. */
long birth_note(void *birth);

#endif
