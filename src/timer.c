#include "timer.h"

#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const uint64_t ns_per_ms = 1000000, ns_per_s = 1000000000;

static struct {
    struct timer **heap; /* heap[0] is the earliest */
    size_t count, capacity;
    int fd; /* valid while poll is not NULL */
    uv_poll_t *poll;
} timers;

uint64_t timer_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * ns_per_s + (uint64_t)now.tv_nsec;
}

uint64_t timer_now_ms(void)
{
    return timer_now_ns() / ns_per_ms;
}

uint64_t timer_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / ns_per_ms;
}

/* ---- the heap ---- */

static void place(size_t index, struct timer *timer)
{
    timers.heap[index] = timer;
    timer->position = index + 1;
}

static void sift_up(size_t index, struct timer *timer)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (timers.heap[parent]->deadline_ns <= timer->deadline_ns)
            break;
        place(index, timers.heap[parent]);
        index = parent;
    }
    place(index, timer);
}

static void sift_down(size_t index, struct timer *timer)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= timers.count)
            break;
        if (child + 1 < timers.count &&
            timers.heap[child + 1]->deadline_ns < timers.heap[child]->deadline_ns)
            child++;
        if (timer->deadline_ns <= timers.heap[child]->deadline_ns)
            break;
        place(index, timers.heap[child]);
        index = child;
    }
    place(index, timer);
}

static int heap_add(struct timer *timer)
{
    if (timers.count == timers.capacity) {
        size_t capacity = timers.capacity ? 2 * timers.capacity : 16;
        struct timer **grown = reallocarray(timers.heap, capacity, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        timers.heap = grown;
        timers.capacity = capacity;
    }
    sift_up(timers.count++, timer);
    return 0;
}

static void heap_remove(struct timer *timer)
{
    size_t index = timer->position - 1;
    struct timer *last = timers.heap[--timers.count];

    timer->position = 0;
    if (last == timer)
        return;
    if (last->deadline_ns < timer->deadline_ns)
        sift_up(index, last);
    else
        sift_down(index, last);
}

/* ---- the timerfd ---- */

static void arm(void)
{
    uint64_t at = timers.heap[0]->deadline_ns;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at / ns_per_s), .tv_nsec = (long)(at % ns_per_s)},
    };

    timerfd_settime(timers.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void fire(struct timer *timer, uint64_t now)
{
    heap_remove(timer);
    if (timer->interval_ns) {
        uint64_t missed = (now - timer->deadline_ns) / timer->interval_ns;
        timer->deadline_ns += (missed + 1) * timer->interval_ns;
        (void)heap_add(timer); /* cannot fail: its place was just given back */
    }
    timer->fn(timer, timer->data);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    uint64_t expirations, now = timer_now_ns();

    (void)handle, (void)status, (void)events;
    if (read(timers.fd, &expirations, sizeof expirations) < 0 && errno == EAGAIN)
        return;
    while (timers.count > 0 && timers.heap[0]->deadline_ns <= now)
        fire(timers.heap[0], now);
    if (timers.count > 0 && timers.poll)
        arm();
}

static int open_timerfd(void)
{
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    uv_poll_t *handle = malloc(sizeof *handle);
    if (!handle) {
        close(fd);
        return -ENOMEM;
    }
    int status = uv_poll_init(loop_uv(), handle, fd);
    if (status != 0) {
        free(handle);
        close(fd);
        return status;
    }
    uv_poll_start(handle, UV_READABLE, on_readable); /* fails for a handle that is closing, no other */
    timers.fd = fd;
    timers.poll = handle;
    return 0;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void timer_shutdown(void)
{
    while (timers.count > 0)
        timers.heap[--timers.count]->position = 0;
    free(timers.heap);
    timers.heap = NULL;
    timers.capacity = 0;
    if (timers.poll) {
        uv_poll_stop(timers.poll);
        uv_close((uv_handle_t *)timers.poll, free_handle);
        timers.poll = NULL;
        close(timers.fd);
    }
}

/* ---- for owners ---- */

int timer_start(struct timer *timer, uint64_t delay_ms, uint64_t interval_ms, timer_fn fn, void *data)
{
    timer_stop(timer);
    if (!timers.poll) {
        int status = open_timerfd();
        if (status != 0)
            return status;
    }
    timer->deadline_ns = timer_now_ns() + delay_ms * ns_per_ms;
    timer->interval_ns = interval_ms * ns_per_ms;
    timer->fn = fn;
    timer->data = data;
    int status = heap_add(timer);
    if (status == 0 && timers.heap[0] == timer)
        arm();
    return status;
}

void timer_stop(struct timer *timer)
{
    if (timer->position)
        heap_remove(timer);
}
