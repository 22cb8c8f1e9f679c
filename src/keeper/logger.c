#include "logger.h"
#include "pass.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    RETRY_MS = 1000,       /* between tries to write to a file that refused */
    FAREWELL_MS = 2000,    /* how long pipes are read on after a keeper that ended */
    IDLE_MS = 10000,       /* how long it waits, without pipes, for the next keeper after one that was killed */
    HAND_OVER_MS = 3000,   /* how long the next keeper may take for anything */
    SOCKET = 0, LISTENER = 1,
};

/* A file, shared by all runs that write to it. */
struct file {
    struct file *next;
    unsigned users;
    int fd;                /* -1: could not be opened */
    uint64_t size, max_bytes;
    uint64_t dropped;      /* bytes since it last took some */
    int error;
    uint64_t retry_ms;
    char path[];
};

/* A pipe. */
struct source {
    struct watch watch;
    struct source *next, *previous;
    uint64_t number;
    struct file *file;
    bool in_line;          /* its last byte was no newline */
};

static void keeper_ready(struct watch *watch, uint32_t events);

static struct file *files;
static struct source *sources;
static struct watch keeper = {keeper_ready, -1};
static uint64_t until_ms = UINT64_MAX;     /* when it ends without a keeper */

/* --- to the keeper --- */

/* An error that the keeper does not take now is not worth waiting for; the end of a stream is, since the keeper holds
 * the pipe until then. It waits for nobody itself, so that it comes to read. */
static void say(enum wire_type type, const struct source *source, const char *error)
{
    uint8_t buffer[1024];
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};

    wire_begin(&writer, type);
    wire_put_number(&writer, WIRE_TAG_STREAM, source->number);
    wire_put_text(&writer, WIRE_TAG_ERROR, error);
    if (wire_end(&writer) != 0)
        return;
    while (keeper.fd >= 0 && pass_send(keeper.fd, &writer, -1) == -EAGAIN && type == WIRE_OUTPUT_DONE)
        poll(&(struct pollfd){.fd = keeper.fd, .events = POLLOUT}, 1, 1000);
}

/* --- files --- */

static void open_file(struct file *file)
{
    struct stat status;

    file->fd = open(file->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    file->error = file->fd < 0 ? errno : 0;
    if (file->fd < 0 || fstat(file->fd, &status) != 0)
        return;
    if (!S_ISREG(status.st_mode)) { /* a FIFO nobody reads would be worse than no output */
        close(file->fd);
        file->fd = -1;
        file->error = EINVAL;
        return;
    }
    file->size = (uint64_t)status.st_size;
}

static struct file *use_file(const char *path, uint64_t max_bytes)
{
    struct file *file = files;

    while (file && strcmp(file->path, path) != 0)
        file = file->next;
    if (!file) {
        file = calloc(1, sizeof *file + strlen(path) + 1);
        if (!file)
            return NULL;
        strcpy(file->path, path);
        file->next = files;
        files = file;
        open_file(file);
    }
    file->max_bytes = max_bytes;
    file->users++;
    return file;
}

static void leave_file(struct file *file)
{
    struct file **link = &files;

    if (--file->users > 0)
        return;
    while (*link != file)
        link = &(*link)->next;
    *link = file->next;
    if (file->fd >= 0)
        close(file->fd);
    free(file);
}

static bool write_bytes(struct file *file, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(file->fd, data, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            file->error = written < 0 ? errno : EIO;
            file->dropped += size;
            return false;
        }
        file->size += (uint64_t)written;
        data += written;
        size -= (size_t)written;
    }
    return true;
}

/* True when the file may be written to: after a refusal it is tried again now and then. */
static bool is_ready(struct file *file)
{
    uint64_t dropped = file->dropped;
    char note[160];
    int length;

    if (dropped == 0 && file->fd >= 0)
        return true;
    if (watch_now_ms() < file->retry_ms)
        return false;
    file->retry_ms = watch_now_ms() + RETRY_MS;
    length = snprintf(note, sizeof note, "\n[appmgr: %" PRIu64 " bytes of output were dropped here: %s]\n", dropped,
                      strerror(file->error));
    if (file->fd < 0)
        open_file(file);
    if (file->fd < 0)
        return false;
    file->dropped = 0;
    if (dropped > 0 && !write_bytes(file, note, (size_t)length)) {
        file->dropped = dropped;
        return false;
    }
    return true;
}

/* Returns false when the file stays as it is: better too large than lost. */
static bool rotate(struct file *file)
{
    char old[PATH_MAX + 4];

    snprintf(old, sizeof old, "%s.1", file->path);
    if (rename(file->path, old) != 0)
        return false;
    close(file->fd);
    file->size = 0;
    open_file(file);
    return true;
}

/* How much of the data goes to the file before it is rotated: whole lines, and the rest of one that has begun unless
 * that is a giant. */
static size_t fitting(const struct source *source, const char *data, size_t size)
{
    const struct file *file = source->file;
    size_t room = file->max_bytes > file->size ? (size_t)(file->max_bytes - file->size) : 0;
    const char *newline;

    if (file->max_bytes == 0 || size <= room)
        return size;
    newline = memrchr(data, '\n', room);
    if (!newline && file->size > 0 && (!source->in_line || file->size > 2 * file->max_bytes))
        return 0;
    if (!newline)
        newline = memchr(data, '\n', size);
    return newline ? (size_t)(newline + 1 - data) : size;
}

static void append(struct source *source, const char *data, size_t size)
{
    struct file *file = source->file;

    while (size > 0) {
        size_t part = fitting(source, data, size);

        if (!is_ready(file)) {
            file->dropped += size;
            return;
        }
        if (part == 0 && !rotate(file))
            part = size;
        if (part > 0)
            source->in_line = data[part - 1] != '\n';
        if (!write_bytes(file, data, part)) {
            file->dropped += size - part;
            return;
        }
        data += part;
        size -= part;
    }
}

static void write_output(struct source *source, const char *data, size_t size)
{
    struct file *file = source->file;
    int before = file->dropped > 0 ? file->error : 0;
    char text[PATH_MAX + 128];

    append(source, data, size);
    if (file->dropped > 0 && file->error != before) {
        snprintf(text, sizeof text, "output %.600s: %s; output is dropped until the file can be written again",
                 file->path, strerror(file->error));
        say(WIRE_OUTPUT_ERROR, source, text);
    }
}

/* --- pipes --- */

static void end_source(struct source *source)
{
    int fd = source->watch.fd;

    if (source->in_line)
        write_output(source, "\n", 1);
    say(WIRE_OUTPUT_DONE, source, NULL);
    watch_remove(&source->watch);
    close(fd);
    *(source->previous ? &source->previous->next : &sources) = source->next;
    if (source->next)
        source->next->previous = source->previous;
    leave_file(source->file);
    free(source);
}

static void source_ready(struct watch *watch, uint32_t events)
{
    static char buffer[64 << 10];
    struct source *source = (struct source *)watch;
    ssize_t got = 1;

    (void)events;
    /* Several reads for one look at epoll, but not so many that the others wait. */
    for (int left = 8; left > 0 && got > 0; left--) {
        got = read(watch->fd, buffer, sizeof buffer);
        if (got > 0)
            write_output(source, buffer, (size_t)got);
    }
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        end_source(source);
}

static void begin_source(const struct pass_stream *stream)
{
    struct source *source = calloc(1, sizeof *source);
    struct file *file = source && stream->fd >= 0 ? use_file(stream->path, stream->max_bytes) : NULL;

    if (!file) {
        say(WIRE_OUTPUT_ERROR, &(struct source){.number = stream->number}, "output: the logger is out of memory or descriptors");
        free(source);
        if (stream->fd >= 0)
            close(stream->fd);
        return;
    }
    *source = (struct source){.watch = {source_ready, -1}, .next = sources, .number = stream->number, .file = file,
                              .in_line = stream->in_line};
    if (sources)
        sources->previous = source;
    sources = source;
    watch_add(&source->watch, stream->fd, EPOLLIN);
}

/* --- the keeper after one that was killed or re-executed --- */

/* Gives all pipes to it. Returns true when it has them: nothing more may be read from them here. */
static bool hand_over(int socket)
{
    const struct timeval patience = {.tv_sec = HAND_OVER_MS / 1000};
    struct wire_message message;
    int fd, error = 0;

    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (const struct source *source = sources; source && !error; source = source->next) {
        const struct pass_stream stream = {.number = source->number, .max_bytes = source->file->max_bytes,
                                           .in_line = source->in_line, .fd = source->watch.fd,
                                           .path = source->file->path};

        error = pass_send_stream(socket, &stream);
    }
    return !error && pass_say(socket, WIRE_LIST_END) == 0 && pass_receive(socket, 0, &message, &fd) == 1 &&
           message.type == WIRE_BYE;
}

/* It is served once it has said who it is: one that says nothing costs nothing. */
static void keeper_asks(struct watch *watch, uint32_t events)
{
    struct wire_message message;
    int passed, fd = watch->fd, got = pass_receive(fd, MSG_DONTWAIT, &message, &passed);

    (void)events;
    if (got == -EAGAIN || got == -EINTR)
        return;
    if (got > 0 && message.type == WIRE_HELLO && hand_over(fd))
        exit(0);
    if (passed >= 0)
        close(passed);
    watch_remove(watch);
    close(fd); /* it did not live to take them: they are read on */
}

static struct watch asking = {keeper_asks, -1};

static void keeper_came(struct watch *watch, uint32_t events)
{
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC), before = asking.fd;

    (void)events;
    if (fd < 0)
        return;
    watch_remove(&asking);
    if (before >= 0)
        close(before);
    watch_add(&asking, fd, EPOLLIN);
}

static struct watch listener = {keeper_came, -1};

/* --- the keeper --- */

/* One that ends says so. After any other the next one is waited for, as long as there is output to write. */
static void keeper_went(bool said)
{
    if (said)
        until_ms = watch_now_ms() + FAREWELL_MS;
    else
        watch_add(&listener, LISTENER, EPOLLIN);
    watch_remove(&keeper);
}

static void keeper_ready(struct watch *watch, uint32_t events)
{
    struct wire_message message;
    struct pass_stream stream;
    int fd, got = pass_receive(watch->fd, MSG_DONTWAIT, &message, &fd);

    (void)events;
    if (got == -EAGAIN || got == -EINTR || got == -EPROTO)
        return;
    if (got <= 0 || message.type == WIRE_BYE)
        keeper_went(got > 0);
    else if (pass_read_stream(&message, fd, &stream))
        begin_source(&stream);
    else if (fd >= 0)
        close(fd);
}

/* True when nobody needs it any more. */
static bool is_over(void)
{
    if (keeper.fd >= 0)
        return false;
    if (listener.fd >= 0 && sources)
        until_ms = UINT64_MAX;
    else if (until_ms == UINT64_MAX)
        until_ms = watch_now_ms() + IDLE_MS;
    if ((listener.fd < 0 && !sources) || watch_now_ms() >= until_ms)
        return true;
    watch_wake_at(until_ms == UINT64_MAX ? 0 : until_ms);
    return false;
}

int logger_main(void)
{
    sigset_t all;

    prctl(PR_SET_NAME, "appmgr-logger", 0, 0, 0);
    /* It ends after the keeper and not by a signal to everyone. A file larger than allowed is an error to handle. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (watch_open() != 0 || watch_add(&keeper, SOCKET, EPOLLIN) != 0)
        return 1;
    while (!is_over())
        if (watch_turn(0) != 0)
            return 1;
    return 0;
}
