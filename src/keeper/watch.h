/* The event loop of keeper and logger: descriptors in one epoll set, and one timer on CLOCK_BOOTTIME.
 *
 * A watch belongs to its owner and does not own its descriptor. Nothing is allocated. One loop a process.
 */
#ifndef APPMGR_KEEPER_WATCH_H
#define APPMGR_KEEPER_WATCH_H

#include <stdint.h>

struct watch {
    void (*ready)(struct watch *watch, uint32_t events);
    int fd; /* -1 while it is not watched */
    uint32_t events;
};

/* Makes epoll set and timer. Returns 0 or -errno. */
int watch_open(void);

/* Watches `fd` for EPOLL… `events`; `ready` is the caller's to set before. Returns 0 or -errno. */
int watch_add(struct watch *watch, int fd, uint32_t events);
void watch_change(struct watch *watch, uint32_t events);
void watch_remove(struct watch *watch);

/* Removes it and closes its descriptor, if it is watched. */
void watch_close(struct watch *watch);

/* Makes watch_turn return at `when_ms` at the latest; the earliest of several counts. Forgotten after each turn
 * in which it passed. */
void watch_wake_at(uint64_t when_ms);

/* Waits for events (or only looks for them) and calls whoever they are for. Returns 0 or -errno. */
int watch_turn(int only_look);

/* Milliseconds of CLOCK_BOOTTIME; microseconds of the wall clock. */
uint64_t watch_now_ms(void);
uint64_t watch_wall_us(void);

#endif
