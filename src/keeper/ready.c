#include "ready.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

void ready_close(struct child *child)
{
    int fd = child->ready_watch.fd;

    watch_remove(&child->ready_watch);
    if (fd >= 0)
        close(fd);
}

static void pipe_ready(struct watch *watch, uint32_t events)
{
    struct child *child = (struct child *)(void *)((char *)watch - offsetof(struct child, ready_watch));
    char text[256];
    ssize_t got = read(watch->fd, text, sizeof text);

    (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0 && !memchr(text, '\n', (size_t)got))
        return;
    ready_close(child);
    if (got <= 0)
        return;
    child->ready = true;
    child->effects->tell(child, WIRE_READY);
}

/* A descriptor of the same pipe that both reads and writes. */
static int open_both(int fd)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

int ready_open(struct child *child)
{
    int ends[2], both, error;

    ready_close(child);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    both = open_both(ends[1]);
    error = both < 0 ? -errno : 0;
    close(ends[1]);
    child->ready_watch.ready = pipe_ready;
    if (!error)
        error = watch_add(&child->ready_watch, ends[0], EPOLLIN);
    if (!error)
        return both;
    close(ends[0]);
    if (both >= 0)
        close(both);
    return error;
}
