/*
 * timer: deadlines on CLOCK_BOOTTIME.
 *
 * libuv's own timers stand still while the machine sleeps; a lease does not.
 * All timers share one timerfd, ordered in a heap. A struct timer is embedded
 * in its owner's object, which must stop it before freeing that object.
 * timer_stop() takes effect at once. Never allocates but for the heap.
 */
#ifndef APPMGR_TIMER_H
#define APPMGR_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer;
typedef void (*timer_fn)(struct timer *timer, void *data);

/* All zero is a stopped timer. The fields are timer.c's own. */
struct timer {
    uint64_t deadline_ns, interval_ns;
    timer_fn fn;
    void *data;
    size_t position; /* in the heap, from 1; 0 when stopped */
};

/* CLOCK_BOOTTIME in milliseconds, in nanoseconds. */
uint64_t timer_now_ms(void);
uint64_t timer_now_ns(void);
/* CLOCK_REALTIME in milliseconds: for times of the day, never for deadlines. */
uint64_t timer_wall_ms(void);

/*
 * Calls fn(timer, data) in delay_ms, then every interval_ms (0: once). A
 * started timer is started anew. Beats that were missed are skipped. Inside fn
 * the timer may be stopped, started and, when it is, its object freed.
 * Returns 0 or -errno (no memory, no timerfd).
 */
int timer_start(struct timer *timer, uint64_t delay_ms, uint64_t interval_ms, timer_fn fn, void *data);

/* Stops it; harmless when it is stopped. */
void timer_stop(struct timer *timer);

static inline bool timer_is_active(const struct timer *timer)
{
    return timer->position != 0;
}

/* Forgets all timers and closes the timerfd. */
void timer_shutdown(void);

#endif
