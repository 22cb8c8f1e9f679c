#include "record_cell.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct record_cell) == RECORD_CELL_SIZE, "cells are written as they are");
_Static_assert(sizeof(struct exit_record) == 64, "exits are written as they are");

static const uint32_t head_magic = 0x4b636572;

size_t record_cell_seal(struct record_cell *cell, uint64_t turn)
{
    struct wire_frame frame;
    long size = wire_find(cell->frame, sizeof cell->frame, &frame);

    cell->size = (uint32_t)size;
    cell->turn = turn;
    cell->check = wire_checksum(&cell->size, offsetof(struct record_cell, frame) - sizeof cell->check + cell->size);
    return offsetof(struct record_cell, frame) + cell->size;
}

bool record_cell_read(const uint8_t *cells, unsigned count, struct wire_message *message, uint64_t *turn)
{
    const uint8_t *newest = NULL;
    struct wire_frame frame;

    for (; count-- > 0; cells += RECORD_CELL_SIZE) {
        struct record_cell cell;

        memcpy(&cell, cells, sizeof cell);
        if (cell.size == 0 || cell.size > sizeof cell.frame || (newest && cell.turn < *turn) ||
            cell.check != wire_checksum(&cell.size, offsetof(struct record_cell, frame) - sizeof cell.check + cell.size))
            continue;
        newest = cells + offsetof(struct record_cell, frame);
        *turn = cell.turn;
    }
    return newest && wire_find(newest, sizeof((struct record_cell){0}.frame), &frame) > 0 && wire_decode(&frame, message) == 0;
}

struct record_head record_head_make(const uint8_t *frame, size_t size)
{
    struct record_head head = {head_magic, 0, (uint32_t)size, wire_checksum(frame, size)};

    head.check = wire_checksum(&head, sizeof head);
    return head;
}

size_t record_head_read(const uint8_t *record, size_t left)
{
    struct record_head head;
    uint32_t check;

    if (left < RECORD_FRAME_AT)
        return 0;
    memcpy(&head, record, sizeof head);
    check = head.check;
    head.check = 0;
    if (head.magic != head_magic || check != wire_checksum(&head, sizeof head) ||
        head.frame_size > left - RECORD_FRAME_AT ||
        head.frame_check != wire_checksum(record + RECORD_FRAME_AT, head.frame_size))
        return 0;
    return head.frame_size;
}

uint64_t record_size(size_t frame_size)
{
    return (RECORD_FRAME_AT + frame_size + RECORD_HEAD_SIZE - 1) / RECORD_HEAD_SIZE * RECORD_HEAD_SIZE;
}

/* --- a child's state --- */

/* The numbers in the order of `tags`, read from the child or set in it. */
struct field {
    enum wire_tag tag;
    size_t offset;
};

#define FIELD(tag, name) {tag, offsetof(struct child, name)}

static const struct field numbers[] = {
    FIELD(WIRE_TAG_NUMBER, number), FIELD(WIRE_TAG_START_TICKS, start_ticks), FIELD(WIRE_TAG_DEADLINE_MS, deadline_ms),
    FIELD(WIRE_TAG_STARTED_MS, started_ms), FIELD(WIRE_TAG_STARTED_AT_US, started_at_us), FIELD(WIRE_TAG_STARTS, starts),
    FIELD(WIRE_TAG_BACKOFF_MS, backoff_ms), FIELD(WIRE_TAG_DELAY_MS, delay_ms), FIELD(WIRE_TAG_WINDOW_MS, window_ms),
    FIELD(WIRE_TAG_WINDOW_RESTARTS, window_restarts), FIELD(WIRE_TAG_SEQUENCE, exit_sequence),
    FIELD(WIRE_TAG_EXIT_AT_US, last_exit.at_us), FIELD(WIRE_TAG_RAN_MS, last_exit.ran_ms), FIELD(WIRE_TAG_PIPE, pipe),
};

static const struct field flags[] = {
    FIELD(WIRE_TAG_ENDED, ended), FIELD(WIRE_TAG_OVERRAN, overran), FIELD(WIRE_TAG_READY, ready),
    FIELD(WIRE_TAG_GIVES_UP, gives_up), FIELD(WIRE_TAG_BORN, born),
    FIELD(WIRE_TAG_OUT_OF_MEMORY, last_exit.out_of_memory),
};

enum { NUMBERS = sizeof numbers / sizeof *numbers, FLAGS = sizeof flags / sizeof *flags };

static void put_exit(struct wire_writer *writer, const struct child_exit *exit, enum wire_tag code, enum wire_tag signal)
{
    if (exit->known)
        wire_put_number(writer, exit->by_signal ? signal : code, exit->number);
}

static void read_exit(struct child_exit *exit, const struct wire_message *message, enum wire_tag code, enum wire_tag signal)
{
    exit->by_signal = wire_has(message, signal);
    exit->known = exit->by_signal || wire_has(message, code);
    exit->number = (uint8_t)wire_number(message, exit->by_signal ? signal : code, 0);
}

/* What is zero is left out. A failure that is too long is cut, and is the only thing that can be. */
void record_state_write(const struct child *child, bool used, struct record_cell *cell)
{
    struct wire_writer writer = {.data = cell->frame, .capacity = sizeof cell->frame};
    char failure[RECORD_CELL_SIZE / 3];

    wire_begin(&writer, WIRE_RECORD_CHILD);
    for (unsigned i = 0; i < NUMBERS && used; i++) {
        uint64_t value;

        memcpy(&value, (const uint8_t *)child + numbers[i].offset, sizeof value);
        if (value)
            wire_put_number(&writer, numbers[i].tag, value);
    }
    for (unsigned i = 0; i < FLAGS && used; i++)
        if (*(const bool *)((const uint8_t *)child + flags[i].offset))
            wire_put_number(&writer, flags[i].tag, 1);
    if (used) {
        wire_put_number(&writer, WIRE_TAG_STATE, child->state);
        wire_put_number(&writer, WIRE_TAG_PHASE, child->phase);
        wire_put_number(&writer, WIRE_TAG_PID, (uint64_t)child->pid);
        wire_put_number(&writer, WIRE_TAG_NEXT, child->next_step);
        put_exit(&writer, &child->last_exit, WIRE_TAG_EXIT_CODE, WIRE_TAG_EXIT_SIGNAL);
        put_exit(&writer, &child->phase_exit, WIRE_TAG_PHASE_CODE, WIRE_TAG_PHASE_SIGNAL);
        if (child->failure[0]) {
            size_t length = strnlen(child->failure, sizeof failure - 1);

            memcpy(failure, child->failure, length);
            failure[length] = '\0';
            wire_put_text(&writer, WIRE_TAG_STEP, child->failure_step);
            wire_put_text(&writer, WIRE_TAG_ERROR, failure);
        }
    }
    wire_end(&writer);
}

static void keep_text(char *to, size_t size, const struct wire_message *message, enum wire_tag tag)
{
    snprintf(to, size, "%s", wire_has(message, tag) ? wire_text(message, tag) : "");
}

bool record_state_read(struct child *child, const struct wire_message *message)
{
    uint64_t state = wire_number(message, WIRE_TAG_STATE, CHILD_STATE_COUNT);
    uint64_t phase = wire_number(message, WIRE_TAG_PHASE, CHILD_MAIN), pid = wire_number(message, WIRE_TAG_PID, 0);

    if (state >= CHILD_STATE_COUNT || phase >= CHILD_PHASE_COUNT || pid > INT32_MAX)
        return false;
    for (unsigned i = 0; i < NUMBERS; i++) {
        uint64_t value = wire_number(message, numbers[i].tag, 0);

        memcpy((uint8_t *)child + numbers[i].offset, &value, sizeof value);
    }
    for (unsigned i = 0; i < FLAGS; i++)
        *(bool *)((uint8_t *)child + flags[i].offset) = wire_number(message, flags[i].tag, 0) != 0;
    child->state = (enum child_state)state;
    child->phase = (enum child_phase)phase;
    child->next_step = (enum wire_next)wire_number(message, WIRE_TAG_NEXT, WIRE_NEXT_NONE);
    read_exit(&child->last_exit, message, WIRE_TAG_EXIT_CODE, WIRE_TAG_EXIT_SIGNAL);
    read_exit(&child->phase_exit, message, WIRE_TAG_PHASE_CODE, WIRE_TAG_PHASE_SIGNAL);
    child->last_exit.timed = wire_has(message, WIRE_TAG_RAN_MS);
    keep_text(child->failure_step, sizeof child->failure_step, message, WIRE_TAG_STEP);
    keep_text(child->failure, sizeof child->failure, message, WIRE_TAG_ERROR);
    return true;
}
