#include "logger.h"
#include "../wire.h"
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
#include <unistd.h>

enum {
    RETRY_MS = 1000,       /* between tries to write to a file that refused */
    FAREWELL_MS = 2000,    /* how long pipes are read on after the keeper's end */
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

static struct file *files;
static struct source *sources;
static bool keeper_gone;

/* --- to the keeper --- */

/* An error that the keeper does not take now is not worth waiting for; the end of a stream is, since the keeper holds
 * the pipe until then. It waits for nobody itself, so that it comes to read. */
static void say(enum wire_type type, uint64_t number, const char *error)
{
    uint8_t buffer[1024];
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};

    wire_begin(&writer, type);
    wire_put_number(&writer, WIRE_TAG_STREAM, number);
    wire_put_text(&writer, WIRE_TAG_ERROR, error);
    if (wire_end(&writer) != 0 || keeper_gone)
        return;
    while (send(0, buffer, writer.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EAGAIN && type == WIRE_OUTPUT_DONE)
        poll(&(struct pollfd){.fd = 0, .events = POLLOUT}, 1, 1000);
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
        say(WIRE_OUTPUT_ERROR, source->number, text);
    }
}

/* --- pipes --- */

static void end_source(struct source *source)
{
    int fd = source->watch.fd;

    if (source->in_line)
        write_output(source, "\n", 1);
    say(WIRE_OUTPUT_DONE, source->number, NULL);
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

static void begin_source(const struct wire_message *message, int fd)
{
    uint64_t number = wire_number(message, WIRE_TAG_STREAM, 0);
    struct source *source = calloc(1, sizeof *source);
    struct file *file = source && wire_has(message, WIRE_TAG_OUTPUT_PATH)
                            ? use_file(wire_text(message, WIRE_TAG_OUTPUT_PATH),
                                       wire_number(message, WIRE_TAG_MAX_OUTPUT_BYTES, 0))
                            : NULL;

    if (!file || fd < 0) {
        say(WIRE_OUTPUT_ERROR, number, "output: the logger is out of memory or descriptors");
        if (file)
            leave_file(file);
        free(source);
        if (fd >= 0)
            close(fd);
        return;
    }
    *source = (struct source){.watch = {source_ready, -1}, .next = sources, .number = number, .file = file};
    if (sources)
        sources->previous = source;
    sources = source;
    watch_add(&source->watch, fd, EPOLLIN);
}

/* --- the keeper --- */

static ssize_t receive(void *buffer, size_t size, int *fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control.space};
    ssize_t got = recvmsg(0, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    *fd = -1;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return got;
}

static void keeper_ready(struct watch *watch, uint32_t events)
{
    static uint8_t buffer[PATH_MAX + 256];
    struct wire_frame frame;
    struct wire_message message;
    int fd;
    ssize_t got = receive(buffer, sizeof buffer, &fd);

    (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        watch_remove(watch);
        keeper_gone = true;
        return;
    }
    if (wire_find(buffer, (size_t)got, &frame) == got && wire_decode(&frame, &message) == 0 &&
        message.type == WIRE_OUTPUT_OPEN)
        begin_source(&message, fd);
    else if (fd >= 0)
        close(fd);
}

int logger_main(void)
{
    struct watch keeper = {keeper_ready, -1};
    uint64_t until_ms = 0;
    sigset_t all;

    prctl(PR_SET_NAME, "appmgr-logger", 0, 0, 0);
    /* It ends after the keeper and not by a signal to everyone. A file larger than allowed is an error to handle. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (watch_open() != 0 || watch_add(&keeper, 0, EPOLLIN) != 0)
        return 1;
    while (!keeper_gone || (sources && watch_now_ms() < until_ms)) {
        if (watch_turn(0) != 0)
            return 1;
        if (keeper_gone && !until_ms) {
            until_ms = watch_now_ms() + FAREWELL_MS;
            watch_wake_at(until_ms);
        }
    }
    return 0;
}
