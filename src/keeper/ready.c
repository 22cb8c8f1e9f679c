#include "ready.h"
#include "proc.h"
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

void ready_close(struct child *child)
{
    watch_close(&child->ready_watch);
}

static void pipe_ready(struct watch *watch, uint32_t events)
{
    struct child *child = (struct child *)(void *)((char *)watch - offsetof(struct child, ready_watch));
    char text[256];
    ssize_t got;

    (void)events;
    start_collect(); /* its CHILD_STARTED comes first */
    got = read(watch->fd, text, sizeof text);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0 && !memchr(text, '\n', (size_t)got))
        return;
    ready_close(child);
    if (got <= 0)
        return;
    child->ready = true;
    child->effects->record(child);
    child->effects->tell(child, WIRE_READY);
}

/* The child may have put something else there. */
static bool is_pipe(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

void ready_reopen(struct child *child)
{
    int fd;

    if (child->ready || child->phase != CHILD_MAIN || !child->spec->ready_fd || child->ready_watch.fd >= 0)
        return;
    fd = proc_reopen(child->pid, child->spec->ready_fd, O_RDONLY | O_NONBLOCK);
    child->ready_watch.ready = pipe_ready;
    if (fd >= 0 && (!is_pipe(fd) || watch_add(&child->ready_watch, fd, EPOLLIN) != 0))
        close(fd);
}

int ready_open(struct child *child)
{
    int read_end, child_fd = proc_pipe(&read_end), error;

    ready_close(child);
    if (child_fd < 0)
        return child_fd;
    child->ready_watch.ready = pipe_ready;
    error = watch_add(&child->ready_watch, read_end, EPOLLIN);
    if (!error)
        return child_fd;
    close(read_end);
    close(child_fd);
    return error;
}
