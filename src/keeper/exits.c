#include "exits.h"
#include "records.h"

static struct exit_record ring[EXITS_KEPT];
static uint64_t first = 1, end = 1, lost;
static uint64_t origin = 1; /* the sequence number in ring[0] */

unsigned exits_place(uint64_t sequence)
{
    return (unsigned)((sequence - origin) % EXITS_KEPT);
}

struct exit_record *exits_get(uint64_t sequence)
{
    return &ring[exits_place(sequence)];
}

void exits_put(const struct child *child, uint64_t sequence)
{
    const struct child_exit *last = &child->last_exit;

    *exits_get(sequence) = (struct exit_record){
        .sequence = sequence, .child = child->number, .at_us = last->at_us, .started_at_us = child->started_at_us,
        .ran_ms = last->ran_ms, .delay_ms = child->delay_ms, .pid = child->pid, .number = last->number,
        .by_signal = last->by_signal, .out_of_memory = last->out_of_memory, .known = last->known, .timed = last->timed, .next_step = (uint8_t)child->next_step,
    };
}

uint64_t exits_add(struct child *child)
{
    if (first == end)
        origin = end; /* begin again in front: an idle keeper touches one page of the ring */
    if (end - first == EXITS_KEPT) {
        first++;
        lost++;
    }
    exits_put(child, end);
    child->exit_sequence = end;
    return end++;
}

void exits_acknowledge(uint64_t sequence)
{
    if (sequence < first)
        return;
    first = sequence >= end ? end : sequence + 1;
    records_note_agent();
}

void exits_resume(uint64_t sequence, uint64_t newest)
{
    origin = first = sequence;
    end = newest + 1;
}

uint64_t exits_first(void)
{
    return first;
}

uint64_t exits_end(void)
{
    return end;
}

uint64_t exits_take_lost(void)
{
    uint64_t taken = lost;

    lost = 0;
    return taken;
}
