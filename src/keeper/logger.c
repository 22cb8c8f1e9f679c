#include "logger.h"
#include "log_file.h"
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
    TELL_MS = 1000,        /* between two words about the same file */
    FAREWELL_MS = 2000,    /* how long pipes are read on after a keeper that ended */
    IDLE_MS = 10000,       /* how long it waits, without pipes, for the next keeper after one that was killed */
    HAND_OVER_MS = 3000,   /* how long the next keeper may take for anything */
    SOCKET = 0, LISTENER = 1,
};

/* A pipe. */
struct source {
    struct watch watch;
    LIST_ENTRY(source) in_all;
    uint64_t number;
    struct log_file *file;
    bool in_line;          /* its last byte was no newline */
    int fd;                /* also while it is not watched, because its file takes nothing now */
};

static void keeper_ready(struct watch *watch, uint32_t events);

static unsigned told_trouble;              /* how many files the keeper takes for not well */
static LIST_HEAD(sources, source) sources;
static struct watch keeper = {.ready = keeper_ready, .fd = -1};
static uint64_t until_ms = UINT64_MAX;     /* when it ends without a keeper */

/* --- to the keeper --- */

/* What the keeper does not take now is not worth waiting for; the end of a stream is, since the keeper holds the pipe until
 * then. It waits for nobody itself, so that it comes to read. */
static void say(struct wire_writer *writer, bool must)
{
    if (wire_end(writer) != 0)
        return;
    while (keeper.fd >= 0 && pass_send(keeper.fd, writer, -1) == -EAGAIN && must)
        poll(&(struct pollfd){.fd = keeper.fd, .events = POLLOUT}, 1, 1000);
}

static void say_done(const struct source *source)
{
    uint8_t buffer[64];
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};

    wire_begin(&writer, WIRE_OUTPUT_DONE);
    wire_put_number(&writer, WIRE_TAG_STREAM, source->number);
    say(&writer, true);
}

static void say_state(uint64_t number, enum wire_output state, int error, uint64_t dropped)
{
    uint8_t buffer[128];
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};

    wire_begin(&writer, WIRE_OUTPUT_STATE);
    wire_put_number(&writer, WIRE_TAG_STREAM, number);
    wire_put_number(&writer, WIRE_TAG_OUTPUT_STATE, state);
    wire_put_number(&writer, WIRE_TAG_OUTPUT_ERRNO, (uint64_t)error);
    wire_put_number(&writer, WIRE_TAG_OUTPUT_DROPPED, dropped);
    say(&writer, false);
}

/* --- files that take nothing --- */

/* Says how a file is, where that is news: its state at once, the count of what is dropped now and then. */
static void tell(struct source *source)
{
    struct log_file *file = source->file;
    uint64_t now_ms = watch_now_ms();

    if (file->state == file->told_state && (file->dropped == file->told_dropped || now_ms < file->tell_ms))
        return;
    told_trouble -= file->told_state != WIRE_OUTPUT_WELL;
    told_trouble += file->state != WIRE_OUTPUT_WELL;
    file->told_state = file->state;
    file->told_dropped = file->dropped;
    file->tell_ms = now_ms + TELL_MS;
    say_state(source->number, file->state, file->error, file->dropped);
}

/* Tries to write to what refused, also where nobody has anything to write: it is said when it is over. */
static void retry_files(void)
{
    struct log_file *file;
    struct source *source;

    if (!log_file_any_trouble() && told_trouble == 0)
        return;
    LIST_FOREACH(file, &log_files, in_all) {
        log_file_retry(file);
        if (file->state != WIRE_OUTPUT_WELL)
            watch_wake_at(file->retry_ms);
    }
    LIST_FOREACH(source, &sources, in_all) {
        tell(source);
        if (source->watch.fd < 0 && source->file->state == WIRE_OUTPUT_WELL)
            watch_add(&source->watch, source->fd, EPOLLIN);
    }
}

/* --- pipes --- */

static void end_source(struct source *source)
{
    if (source->in_line)
        log_file_end_line(source->file);
    say_done(source);
    watch_remove(&source->watch);
    close(source->fd);
    LIST_REMOVE(source, in_all);
    told_trouble -= source->file->users == 1 && source->file->told_state != WIRE_OUTPUT_WELL;
    log_file_leave(source->file);
    free(source);
}

static void source_ready(struct watch *watch, uint32_t events)
{
    struct source *source = (struct source *)watch;
    enum log_take take = LOG_TOOK;

    (void)events;
    /* Several looks at it for one at epoll, but not so many that the others wait. */
    for (int left = 8; left > 0 && take == LOG_TOOK; left--)
        take = log_file_take(source->file, source->fd, &source->in_line);
    tell(source);
    if (take == LOG_STUCK)
        watch_remove(&source->watch);
    else if (take == LOG_ENDED)
        end_source(source);
}

static void begin_source(const struct pass_stream *stream)
{
    struct source *source = calloc(1, sizeof *source);
    struct log_file *file = source && stream->fd >= 0 ? log_file_use(stream->path, &stream->terms) : NULL;

    if (!file) {
        say_state(stream->number, WIRE_OUTPUT_DROPPING, stream->fd < 0 ? EMFILE : ENOMEM, 0);
        free(source);
        if (stream->fd >= 0)
            close(stream->fd);
        return;
    }
    *source = (struct source){.watch = {.ready = source_ready, .fd = -1}, .number = stream->number, .file = file,
                              .in_line = stream->in_line, .fd = stream->fd};
    LIST_INSERT_HEAD(&sources, source, in_all);
    watch_add(&source->watch, stream->fd, EPOLLIN);
}

static void change_terms(const struct wire_message *message)
{
    uint64_t number = wire_number(message, WIRE_TAG_STREAM, 0);
    struct source *source;

    LIST_FOREACH(source, &sources, in_all)
        if (source->number == number)
            log_file_change(source->file, log_terms_read(message));
}

/* --- the keeper after one that was killed or re-executed --- */

/* Gives all pipes to it. Returns true when it has them: nothing more may be read from them here. */
static bool hand_over(int socket)
{
    const struct timeval patience = {.tv_sec = HAND_OVER_MS / 1000};
    const struct source *source;
    struct wire_message message;
    int fd, error = 0;

    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    LIST_FOREACH(source, &sources, in_all) {
        const struct pass_stream stream = {.number = source->number, .terms = source->file->terms,
                                           .in_line = source->in_line, .fd = source->fd,
                                           .path = source->file->path};

        error = pass_send_stream(socket, &stream);
        if (error)
            break;
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
    watch_close(watch); /* it did not live to take them: they are read on */
}

static struct watch asking = {.ready = keeper_asks, .fd = -1};

static void keeper_came(struct watch *watch, uint32_t events)
{
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    if (fd < 0)
        return;
    watch_close(&asking);
    watch_add(&asking, fd, EPOLLIN);
}

static struct watch listener = {.ready = keeper_came, .fd = -1};

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
    else if (message.type == WIRE_OUTPUT_TERMS)
        change_terms(&message);
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
    if (listener.fd >= 0 && !LIST_EMPTY(&sources))
        until_ms = UINT64_MAX;
    else if (until_ms == UINT64_MAX)
        until_ms = watch_now_ms() + IDLE_MS;
    if ((listener.fd < 0 && LIST_EMPTY(&sources)) || watch_now_ms() >= until_ms)
        return true;
    watch_wake_at(until_ms == UINT64_MAX ? 0 : until_ms);
    return false;
}

int logger_main(void)
{
    sigset_t all;

    /* It ends after the keeper and not by a signal to everyone. A file larger than allowed is an error to handle. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "appmgr-logger", 0, 0, 0); /* who finds it by its name finds it deaf */
    if (watch_open() != 0 || watch_add(&keeper, SOCKET, EPOLLIN) != 0)
        return 1;
    while (!is_over()) {
        if (watch_turn(0) != 0)
            return 1;
        retry_files();
    }
    return 0;
}
