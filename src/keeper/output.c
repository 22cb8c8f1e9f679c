#include "output.h"
#include "pass.h"
#include "proc.h"
#include "server.h"
#include "spawn.h"
#include "table.h"
#include "tell.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOGGER_RESTART_MS = 1000, FINISH_MS = 3000, REAP_TRIES = 300, REAP_LOOK_MS = 1, TAKE_TRIES = 2, BUCKETS = 1024 };

struct stream {
    LIST_ENTRY(stream) in_all, by_number;
    struct pass_stream pass;
    uint64_t pipe;          /* its inode */
    bool begun, sent;
    char path[];
};

static LIST_HEAD(streams, stream) streams, by_number[BUCKETS];
static uint64_t last_number;
static unsigned unsent;         /* how many that have begun are not with the logger */
static pid_t logger;
static uint64_t logger_started_ms;
static const char *directory;
static bool all_are_known;      /* no logger before ours reads a pipe that is not in `streams` */
static int listener_fd = -1;

static uint64_t inode_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) ? status.st_ino : 0;
}

static struct streams *chain_of(uint64_t number)
{
    return &by_number[number % BUCKETS];
}

static struct stream *add_stream(const struct pass_stream *pass)
{
    struct stream *stream = malloc(sizeof *stream + strlen(pass->path) + 1);

    if (!stream)
        return NULL;
    *stream = (struct stream){.pass = *pass};
    stream->pass.path = strcpy(stream->path, pass->path);
    stream->pass.number = ++last_number;
    stream->pass.fd = spawn_set_aside(pass->fd);
    stream->pipe = inode_of(stream->pass.fd);
    LIST_INSERT_HEAD(&streams, stream, in_all);
    LIST_INSERT_HEAD(chain_of(last_number), stream, by_number);
    return stream;
}

static void remove_stream(struct stream *stream)
{
    LIST_REMOVE(stream, in_all);
    LIST_REMOVE(stream, by_number);
    unsent -= stream->begun && !stream->sent;
    close(stream->pass.fd);
    free(stream);
}

/* --- the logger --- */

/* Whose output it is; NULL when it has been forgotten since. */
static struct child *owner_of(const struct stream *stream)
{
    struct child *child = table_first();

    while (child && !(child->spec->output_path && strcmp(child->spec->output_path, stream->path) == 0))
        child = child->next;
    return child;
}

void output_is_well(struct child *child)
{
    if (child->output_state == WIRE_OUTPUT_WELL)
        return;
    child->output_state = WIRE_OUTPUT_WELL;
    tell_event(child, WIRE_OUTPUT);
}

static void note_state(const struct stream *stream, const struct wire_message *message)
{
    struct child *child = owner_of(stream);

    if (!child)
        return;
    child->output_state = (enum wire_output)wire_number(message, WIRE_TAG_OUTPUT_STATE, WIRE_OUTPUT_WELL);
    child->output_errno = (uint32_t)wire_number(message, WIRE_TAG_OUTPUT_ERRNO, 0);
    child->output_dropped = wire_number(message, WIRE_TAG_OUTPUT_DROPPED, 0);
    tell_event(child, WIRE_OUTPUT);
}

static void handle_message(const struct wire_message *message)
{
    uint64_t number = wire_number(message, WIRE_TAG_STREAM, 0);
    struct stream *stream;

    LIST_FOREACH(stream, chain_of(number), by_number)
        if (stream->pass.number == number)
            break;
    if (!stream)
        return;
    if (message->type == WIRE_OUTPUT_STATE)
        note_state(stream, message);
    else if (message->type == WIRE_OUTPUT_DONE)
        remove_stream(stream);
}

/* Returns false when there is nothing to receive now, or ever: *ended says which. */
static bool receive(int socket, bool *ended)
{
    struct wire_message message;
    int fd, got = pass_receive(socket, MSG_DONTWAIT, &message, &fd);

    *ended = got <= 0 && got != -EAGAIN && got != -EINTR && got != -EPROTO;
    if (got > 0)
        handle_message(&message);
    if (fd >= 0)
        close(fd);
    return got > 0;
}

static void socket_ready(struct watch *watch, uint32_t events)
{
    bool ended = false;

    (void)events;
    for (int left = 64; left > 0 && receive(watch->fd, &ended); left--)
        ;
    if (ended)
        watch_close(watch); /* its exit is noticed by itself */
}

static struct watch connection = {.ready = socket_ready, .fd = -1};

static void start_logger(void)
{
    /* The directory is there for people: whose logger this is. */
    char *const arguments[] = {(char[]){"appmgr-keeper"}, (char[]){"--logger"}, (char[]){"--state-dir"},
                               (char *)(uintptr_t)directory, NULL};
    struct spawn_request request = {.argv = arguments, .environment = environ, .output_fd = listener_fd};
    struct spawn_result result;
    int pair[2];

    logger_started_ms = watch_now_ms();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return;
    request.program = "/proc/self/exe";
    request.input_fd = pair[1];
    getrlimit(RLIMIT_NOFILE, &request.files);
    if (spawn_process(&request, &result) != 0 || watch_add(&connection, pair[0], EPOLLIN) != 0)
        close(pair[0]);
    close(pair[1]);
    logger = result.pid;
}

/* --- the logger of the keeper before --- */

static bool take_streams(int socket)
{
    struct wire_message message;
    struct pass_stream pass;
    int fd;

    while (pass_receive(socket, 0, &message, &fd) == 1) {
        struct stream *stream = pass_read_stream(&message, fd, &pass) && fd >= 0 ? add_stream(&pass) : NULL;

        if (message.type == WIRE_LIST_END)
            return pass_say(socket, WIRE_BYE) == 0;
        if (!stream && fd >= 0)
            close(fd);
        if (!stream)
            return false;
        stream->begun = true;
        unsent++;
    }
    return false;
}

/* A logger that cannot hand all over keeps all, and goes on writing by itself. */
static bool take_over(int socket)
{
    const struct timeval patience = {.tv_sec = FINISH_MS / 1000};
    char end;

    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (pass_say(socket, WIRE_HELLO) == 0 && take_streams(socket)) {
        (void)!recv(socket, &end, 1, 0); /* it has ended: from here on nobody but us reads them */
        return true;
    }
    while (!LIST_EMPTY(&streams))
        remove_stream(LIST_FIRST(&streams));
    return false;
}

/* Asks again, since one that was killed at it keeps nothing, and refuses the next time. */
static void take_over_all(int directory_fd)
{
    for (int left = TAKE_TRIES; left > 0 && !all_are_known; left--) {
        int before = server_connect(directory_fd, "logger.sock", SOCK_SEQPACKET);

        all_are_known = before < 0 || take_over(before);
        if (before >= 0)
            close(before);
    }
}

int output_start(int directory_fd, const char *path)
{
    directory = path;
    take_over_all(directory_fd);
    listener_fd = server_listen(directory_fd, "logger.sock", SOCK_SEQPACKET);
    if (listener_fd < 0)
        return listener_fd;
    start_logger();
    return 0;
}

/* --- streams --- */

int output_open(const char *path, const struct log_terms *terms, struct stream **stream, uint64_t *pipe, int *child_fd)
{
    int read_end;

    *child_fd = proc_pipe(&read_end);
    if (*child_fd < 0)
        return -*child_fd;
    *stream = add_stream(&(struct pass_stream){.terms = *terms, .fd = read_end, .path = path});
    if (*stream) {
        *pipe = (*stream)->pipe;
        return 0;
    }
    close(read_end);
    close(*child_fd);
    return ENOMEM;
}

static void hand_over_all(void)
{
    struct stream *stream;

    LIST_FOREACH(stream, &streams, in_all) {
        if (unsent == 0)
            break;
        if (!stream->begun || stream->sent)
            continue;
        if (pass_send_stream(connection.fd, &stream->pass) != 0)
            break;
        stream->sent = true;
        unsent--;
    }
    watch_change(&connection, unsent > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void output_begin(struct stream *stream, bool started)
{
    if (!started) {
        remove_stream(stream);
        return;
    }
    stream->begun = true;
    unsent++;
    if (connection.fd >= 0)
        hand_over_all(); /* before the child is recorded: its output must not end with this keeper */
}

static bool is_known(uint64_t pipe)
{
    const struct stream *stream;

    LIST_FOREACH(stream, &streams, in_all)
        if (stream->pipe == pipe)
            return true;
    return false;
}

void output_recover(const struct child *child)
{
    if (!all_are_known || !child->spec->output_path || !child->pipe || is_known(child->pipe))
        return;
    for (int number = 1; number <= 2; number++) {
        int fd = proc_reopen(child->pid, number, O_RDONLY | O_NONBLOCK);
        struct stream *stream = NULL;

        if (fd >= 0 && inode_of(fd) == child->pipe)
            stream = add_stream(&(struct pass_stream){.terms = child->spec->output_terms, .fd = fd,
                                                      .path = child->spec->output_path});
        if (stream) {
            output_begin(stream, true);
            return;
        }
        if (fd >= 0)
            close(fd);
    }
}

static void send_terms(const struct stream *stream)
{
    uint8_t buffer[128];
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};

    wire_begin(&writer, WIRE_OUTPUT_TERMS);
    wire_put_number(&writer, WIRE_TAG_STREAM, stream->pass.number);
    log_terms_put(&writer, &stream->pass.terms);
    if (wire_end(&writer) == 0)
        (void)pass_send(connection.fd, &writer, -1); /* one that does not come through holds from the next run on */
}

void output_change(struct child *child, const struct wire_message *message)
{
    const char *path = child->spec->output_path;
    struct stream *stream;

    if (!path)
        return;
    child->spec->output_terms = log_terms_read(message);
    LIST_FOREACH(stream, &streams, in_all) {
        if (strcmp(stream->path, path) != 0)
            continue;
        stream->pass.terms = child->spec->output_terms;
        if (stream->sent && connection.fd >= 0)
            send_terms(stream);
    }
}

bool output_logger_ended(pid_t pid)
{
    struct stream *stream;

    if (pid != logger)
        return false;
    logger = 0;
    watch_close(&connection);
    LIST_FOREACH(stream, &streams, in_all) {
        unsent += stream->sent;
        stream->sent = false;
    }
    /* What it said last is over; the next one says what it finds. */
    for (struct child *child = table_first(); child; child = child->next)
        output_is_well(child);
    return true;
}

bool output_is_settled(void)
{
    return connection.fd >= 0 && unsent == 0;
}

void output_run(void)
{
    uint64_t due_ms = logger_started_ms + LOGGER_RESTART_MS;

    if (!logger) {
        if (watch_now_ms() >= due_ms)
            start_logger();
        else
            watch_wake_at(due_ms);
    }
    if (unsent > 0 && connection.fd >= 0)
        hand_over_all();
}

void output_finish(void)
{
    struct pollfd state = {.fd = connection.fd, .events = POLLIN};
    uint64_t until_ms = watch_now_ms() + FINISH_MS;
    bool ended = connection.fd < 0, said = false;

    for (uint64_t now_ms; !ended && (now_ms = watch_now_ms()) < until_ms;) {
        if (unsent > 0)
            hand_over_all();
        if (unsent == 0 && !said)
            said = pass_say(connection.fd, WIRE_BYE) == 0;
        poll(&state, 1, said ? (int)(until_ms - now_ms) : 10);
        while (receive(connection.fd, &ended))
            ;
    }
    if (!ended && logger)
        kill(logger, SIGKILL);
    /* One that a disk holds ends when that lets it. */
    for (int left = REAP_TRIES; logger && left > 0 && waitpid(logger, NULL, WNOHANG) == 0; left--)
        poll(NULL, 0, REAP_LOOK_MS);
    watch_close(&connection);
}
