#include "watch.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int set = -1;
static uint64_t armed_ms; /* 0: not armed */
static struct epoll_event *pending; /* of the turn that runs */
static int pending_count;

static void timer_ready(struct watch *watch, uint32_t events)
{
    uint64_t expirations;

    (void)events;
    if (read(watch->fd, &expirations, sizeof expirations) > 0)
        armed_ms = 0;
}

static struct watch timer = {.ready = timer_ready, .fd = -1};

int watch_open(void)
{
    int fd;

    set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0)
        return -errno;
    fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return fd < 0 ? -errno : watch_add(&timer, fd, EPOLLIN);
}

static int control(struct watch *watch, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    watch->events = events;
    return epoll_ctl(set, operation, watch->fd, &event) != 0 ? -errno : 0;
}

int watch_add(struct watch *watch, int fd, uint32_t events)
{
    int error;

    watch->fd = fd;
    error = control(watch, EPOLL_CTL_ADD, events);
    if (error)
        watch->fd = -1;
    return error;
}

void watch_change(struct watch *watch, uint32_t events)
{
    if (watch->fd >= 0 && watch->events != events)
        control(watch, EPOLL_CTL_MOD, events);
}

void watch_remove(struct watch *watch)
{
    if (watch->fd >= 0)
        control(watch, EPOLL_CTL_DEL, 0);
    watch->fd = -1;
    /* Its owner may be freed before its turn comes. */
    for (int i = 0; i < pending_count; i++)
        if (pending[i].data.ptr == watch)
            pending[i].data.ptr = NULL;
}

void watch_close(struct watch *watch)
{
    int fd = watch->fd;

    watch_remove(watch);
    if (fd >= 0)
        close(fd);
}

void watch_wake_at(uint64_t when_ms)
{
    struct itimerspec spec = {.it_value = {.tv_sec = (time_t)(when_ms / 1000),
                                           .tv_nsec = (long)(when_ms % 1000) * 1000000}};

    if (when_ms == 0 || (armed_ms != 0 && armed_ms <= when_ms))
        return;
    armed_ms = when_ms;
    timerfd_settime(timer.fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

int watch_turn(int only_look)
{
    static struct epoll_event events[64];
    int count = epoll_wait(set, events, 64, only_look ? 0 : -1);

    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    pending = events;
    pending_count = count;
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;

        if (watch) /* else it has been removed by one before it */
            watch->ready(watch, events[i].events);
    }
    pending_count = 0;
    return 0;
}

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t watch_now_ms(void)
{
    return clock_us(CLOCK_BOOTTIME) / 1000;
}

uint64_t watch_wall_us(void)
{
    return clock_us(CLOCK_REALTIME);
}
