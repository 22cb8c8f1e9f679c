#include "exits.h"

static struct exit_record ring[EXITS_KEPT];
static uint64_t first = 1, end = 1, lost;
static uint64_t origin = 1; /* the sequence number in ring[0] */

static struct exit_record *record_of(uint64_t sequence)
{
    return &ring[(sequence - origin) % EXITS_KEPT];
}

uint64_t exits_add(struct child *child)
{
    struct child_exit *last = &child->last_exit;

    if (first == end)
        origin = first = end; /* begin again in front: an idle keeper touches one page of the ring */
    if (end - first == EXITS_KEPT) {
        first++;
        lost++;
    }
    *record_of(end) = (struct exit_record){
        .child = child, .at_us = last->at_us, .started_at_us = child->started_at_us, .ran_ms = last->ran_ms,
        .delay_ms = child->delay_ms, .pid = child->pid, .number = last->number, .by_signal = last->by_signal,
        .out_of_memory = last->out_of_memory, .next_step = (uint8_t)child->next_step,
    };
    return end++;
}

void exits_acknowledge(uint64_t sequence)
{
    if (sequence >= end)
        first = end;
    else if (sequence >= first)
        first = sequence + 1;
}

void exits_drop_child(const struct child *child)
{
    for (uint64_t sequence = first; sequence < end; sequence++)
        if (record_of(sequence)->child == child)
            record_of(sequence)->child = NULL;
}

uint64_t exits_first(void)
{
    return first;
}

uint64_t exits_end(void)
{
    return end;
}

const struct exit_record *exits_get(uint64_t sequence)
{
    return record_of(sequence);
}

uint64_t exits_take_lost(void)
{
    uint64_t taken = lost;

    lost = 0;
    return taken;
}
