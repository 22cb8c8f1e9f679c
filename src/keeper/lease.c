#include "lease.h"
#include "table.h"
#include "watch.h"

static uint64_t renewed_ms;
static uint64_t next_ms = 1; /* when the next lease may end; 0: none runs. The first look is at what was taken over */

void lease_renew(uint64_t at_ms)
{
    uint64_t now_ms = watch_now_ms();

    at_ms = at_ms < now_ms ? at_ms : now_ms;
    renewed_ms = at_ms > renewed_ms ? at_ms : renewed_ms;
}

uint64_t lease_renewed_ms(void)
{
    return renewed_ms;
}

void lease_changed(const struct child *child)
{
    if (child->lease_ms)
        next_ms = 1;
}

bool lease_has_ended(const struct child *child)
{
    return child->lease_ms && renewed_ms + child->lease_ms <= watch_now_ms();
}

/* What runs, or will by itself: a stop that is under way needs no second. */
static bool is_held(const struct child *child)
{
    bool is_ending = child->state == CHILD_STOPPING || child->state == CHILD_KILLING ||
                     (child->state == CHILD_FINISHING && child->next_step == WIRE_NEXT_STOP);

    return child->lease_ms && !child_at_rest(child) && !is_ending;
}

void lease_run(void)
{
    uint64_t first_ms = 0;

    /* A renewal leaves `next_ms` as it is: it is too early then, and the look below finds the right one. */
    if (next_ms && watch_now_ms() >= next_ms) {
        for (struct child *child = table_first(); child; child = child->next) {
            if (is_held(child) && lease_has_ended(child))
                child_handle(child, CHILD_STOP);
            else if (is_held(child) && (!first_ms || renewed_ms + child->lease_ms < first_ms))
                first_ms = renewed_ms + child->lease_ms;
        }
        next_ms = first_ms;
    }
    watch_wake_at(next_ms);
}
