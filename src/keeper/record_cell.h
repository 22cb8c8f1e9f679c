/* The layout of keeper.records (records.h says what it is for), and a child's state to and from a cell. */
#ifndef APPMGR_KEEPER_RECORD_CELL_H
#define APPMGR_KEEPER_RECORD_CELL_H

#include "child.h"
#include "exits.h"

enum {
    RECORD_CELL_SIZE = 1024,
    RECORD_COMMON_AT = RECORD_CELL_SIZE,        /* after the cell with whose it is: two cells */
    RECORD_RING_AT = 4096,
    RECORD_CHILDREN_AT = RECORD_RING_AT + EXITS_KEPT * sizeof(struct exit_record),
    RECORD_HEAD_SIZE = 64,                      /* all begins at multiples of this: a head is in one page */
    RECORD_FRAME_AT = RECORD_HEAD_SIZE + 2 * RECORD_CELL_SIZE,
};

/* One frame. `size` is that of the frame, `check` that of all after it. */
struct record_cell {
    uint32_t check, size;
    uint64_t turn;
    uint8_t frame[RECORD_CELL_SIZE - 16];
};

/* Zero throughout where no record follows. */
struct record_head {
    uint32_t magic, check;
    uint32_t frame_size, frame_check;
};

/* Sets size, turn and check around the frame. Returns how many bytes are to be written. */
size_t record_cell_seal(struct record_cell *cell, uint64_t turn);

/* The frame of the newer whole cell of `count`, decoded. Returns false when none is whole. */
bool record_cell_read(const uint8_t *cells, unsigned count, struct wire_message *message, uint64_t *turn);

struct record_head record_head_make(const uint8_t *frame, size_t size);

/* Returns the size of the frame after the head, 0 when the head is not valid or the frame not whole. `left`: bytes from
 * the head to the end of the file. */
size_t record_head_read(const uint8_t *record, size_t left);

/* The size of a record with a frame of that size. */
uint64_t record_size(size_t frame_size);

/* The child's state; not `used`: it has none any more. */
void record_state_write(const struct child *child, bool used, struct record_cell *cell);
bool record_state_read(struct child *child, const struct wire_message *message);

#endif
