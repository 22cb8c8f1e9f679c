#include "keeper_link.h"

#include "loop.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum {
    IN_FIRST = 4 << 10,
    IN_MAX = 64 << 10,          /* more than the largest frame that a keeper sends */
    QUEUE_MAX = 64 << 20,       /* what waits for a keeper that does not read */
    TOGETHER = 16 << 10,        /* what is sent without waiting for the end of the turn */
};

struct keeper_link {
    uv_pipe_t pipe;
    keeper_link_message_fn on_message;
    keeper_link_lost_fn on_lost;
    void *data;
    struct wire_writer writer;  /* frames of this turn that are not sent yet */
    uint8_t *in;
    size_t in_size, in_capacity;
    const char *broken;         /* why, once it cannot be used any more */
    int fd;                     /* the pipe's */
    pid_t pid;                  /* of the keeper */
};

/* --- lives --- */

static void on_closed(uv_handle_t *handle)
{
    struct keeper_link *link = handle->data;

    free(link->writer.data);
    free(link->in);
    free(link);
}

static void tell_lost(void *data)
{
    struct keeper_link *link = data;

    link->on_lost(link->broken, link->data);
}

/* Told on the next turn and not here: a request is no place to be called back from. */
static void break_link(struct keeper_link *link, const char *reason)
{
    if (link->broken)
        return;
    link->broken = reason;
    uv_read_stop((uv_stream_t *)&link->pipe);
    (void)loop_defer(tell_lost, link);
}

/* --- sending --- */

static void on_write_failed(uv_stream_t *stream, int uv_error)
{
    break_link(stream->data, uv_strerror(uv_error));
}

/* Hands over what was written in this turn: a thousand requests are some tens of writes then, and not a thousand. */
static void flush(void *data)
{
    struct keeper_link *link = data;
    struct wire_writer *writer = &link->writer;
    uv_stream_t *stream = (uv_stream_t *)&link->pipe;
    uv_buf_t part = uv_buf_init((char *)writer->data, (unsigned)writer->size);

    if (writer->size > 0 && !link->broken) {
        if (stream_queued(stream) > QUEUE_MAX)
            break_link(link, "the keeper does not read what it is sent");
        else if (stream_write(stream, &part, 1, on_write_failed) != 0)
            break_link(link, "the keeper cannot be written to");
    }
    writer->size = 0;
    if (writer->capacity > IN_MAX) { /* one large request is no reason to keep its memory */
        free(writer->data);
        writer->data = NULL;
        writer->capacity = 0;
    }
}

void keeper_link_close(struct keeper_link *link)
{
    if (loop_undefer(flush, link))
        flush(link);
    (void)loop_undefer(tell_lost, link);
    uv_close((uv_handle_t *)&link->pipe, on_closed);
}

bool keeper_link_is_unread(const struct keeper_link *link)
{
    int unread = 0;

    return link->writer.size > 0 || stream_queued((const uv_stream_t *)&link->pipe) > 0 ||
           (ioctl(link->fd, SIOCOUTQ, &unread) == 0 && unread > 0);
}

pid_t keeper_link_pid(const struct keeper_link *link)
{
    return link->pid;
}

/* --- in --- */

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct keeper_link *link = handle->data;

    (void)suggested;
    if (link->in_size == link->in_capacity && link->in_capacity < IN_MAX) {
        size_t wanted = link->in_capacity ? link->in_capacity * 2 : IN_FIRST;
        uint8_t *grown = realloc(link->in, wanted);

        link->in = grown ? grown : link->in;
        link->in_capacity = grown ? wanted : link->in_capacity;
    }
    *buffer = uv_buf_init((char *)link->in + link->in_size, (unsigned)(link->in_capacity - link->in_size));
}

/* Returns the bytes of the complete frames, or -1 when the link was closed or broken meanwhile. */
static long handle_frames(struct keeper_link *link)
{
    size_t used = 0;

    for (;;) {
        struct wire_frame frame;
        struct wire_message message;
        long size = wire_find(link->in + used, link->in_size - used, &frame);

        if (size == 0)
            return (long)used;
        if (size < 0 || wire_decode(&frame, &message) != 0) {
            break_link(link, "the keeper sent a malformed frame");
            return -1;
        }
        if (link->on_message(&message, link->data) != 0)
            return -1;
        used += (size_t)size;
    }
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct keeper_link *link = stream->data;
    long used;

    (void)buffer;
    if (got < 0) {
        break_link(link, got == UV_EOF ? "the keeper ended the connection" : uv_strerror((int)got));
        return;
    }
    link->in_size += (size_t)got;
    used = handle_frames(link);
    if (used < 0)
        return;
    memmove(link->in, link->in + used, link->in_size - (size_t)used);
    link->in_size -= (size_t)used;
}

/* --- out --- */

static int grow(struct wire_writer *writer, size_t bytes)
{
    size_t wanted = writer->capacity ? writer->capacity : 512;
    uint8_t *grown;

    while (wanted < writer->size + bytes)
        wanted *= 2;
    if (writer->size - writer->frame + bytes > WIRE_HEADER_SIZE + WIRE_PAYLOAD_MAX)
        return -1;
    grown = realloc(writer->data, wanted);
    if (!grown)
        return -1;
    writer->data = grown;
    writer->capacity = wanted;
    return 0;
}

struct wire_writer *keeper_link_begin(struct keeper_link *link, enum wire_type type)
{
    wire_begin(&link->writer, type);
    return &link->writer;
}

int keeper_link_end(struct keeper_link *link)
{
    struct wire_writer *writer = &link->writer;
    bool is_first = writer->frame == 0;
    int result = wire_end(writer) == 0 ? 0 : -E2BIG;

    if (writer->size >= TOGETHER || writer->capacity > IN_MAX) {
        (void)loop_undefer(flush, link);
        flush(link);
    } else if (is_first && writer->size > 0 && loop_defer(flush, link) != 0) {
        flush(link);
    }
    return result;
}

/* --- connecting --- */

/* Returns a connected descriptor, or -errno. */
static int dial(const char *state_dir, pid_t *pid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    int directory = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = fd;

    /* The directory by descriptor: its path may be longer than an address. */
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/keeper.sock", directory);
    if (directory < 0 || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        result = -errno;
    else if (peer.uid != 0 && peer.uid != geteuid())
        result = -EPERM;
    if (directory >= 0)
        close(directory);
    if (result < 0 && fd >= 0)
        close(fd);
    *pid = peer.pid;
    return result;
}

int keeper_link_open(const char *state_dir, keeper_link_message_fn on_message, keeper_link_lost_fn on_lost, void *data,
                     struct keeper_link **link)
{
    struct keeper_link *made;
    pid_t pid;
    int fd = dial(state_dir, &pid), result;

    if (fd < 0)
        return fd;
    made = calloc(1, sizeof *made);
    if (!made) {
        close(fd);
        return -ENOMEM;
    }
    made->on_message = on_message;
    made->on_lost = on_lost;
    made->data = data;
    made->writer.grow = grow;
    made->fd = fd;
    made->pid = pid;
    uv_pipe_init(loop_uv(), &made->pipe, 0);
    made->pipe.data = made;
    result = uv_pipe_open(&made->pipe, fd);
    if (result == 0)
        result = uv_read_start((uv_stream_t *)&made->pipe, give_buffer, on_read);
    else
        close(fd);
    if (result != 0) {
        keeper_link_close(made);
        return result;
    }
    *link = made;
    return 0;
}
