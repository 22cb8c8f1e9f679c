#include "output.h"
#include "spawn.h"
#include "tell.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOGGER_RESTART_MS = 1000, FINISH_MS = 3000 };

struct stream {
    struct stream *next, *previous;
    uint64_t number, max_bytes;
    int fd;
    bool begun, sent;
    const char *path;
    char id[];
};

static struct stream *streams;
static uint64_t last_number;
static unsigned unsent;         /* how many that have begun are not with the logger */
static pid_t logger;
static uint64_t logger_started_ms;
static int null_fd;

static void remove_stream(struct stream *stream)
{
    *(stream->previous ? &stream->previous->next : &streams) = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
    unsent -= stream->begun && !stream->sent;
    close(stream->fd);
    free(stream);
}

static void handle_message(const struct wire_message *message)
{
    uint64_t number = wire_number(message, WIRE_TAG_STREAM, 0);
    struct stream *stream = streams;

    while (stream && stream->number != number)
        stream = stream->next;
    if (!stream)
        return;
    if (message->type == WIRE_OUTPUT_ERROR && wire_has(message, WIRE_TAG_ERROR))
        tell_error(stream->id, "%s", wire_text(message, WIRE_TAG_ERROR));
    else if (message->type == WIRE_OUTPUT_DONE)
        remove_stream(stream);
}

/* Returns false when there is nothing to receive now, or ever: *ended says which. */
static bool receive(int fd, bool *ended)
{
    static uint8_t buffer[8 << 10];
    struct wire_frame frame;
    struct wire_message message;
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);

    *ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (got <= 0)
        return false;
    if (wire_find(buffer, (size_t)got, &frame) == got && wire_decode(&frame, &message) == 0)
        handle_message(&message);
    return true;
}

static void disconnect(struct watch *watch)
{
    int fd = watch->fd;

    if (fd < 0)
        return;
    watch_remove(watch);
    close(fd);
}

static void socket_ready(struct watch *watch, uint32_t events)
{
    bool ended = false;

    (void)events;
    for (int left = 64; left > 0 && receive(watch->fd, &ended); left--)
        ;
    if (ended)
        disconnect(watch); /* its exit is noticed by itself */
}

static struct watch connection = {socket_ready, -1};

static void start_logger(void)
{
    char *const arguments[] = {(char[]){"appmgr-keeper"}, (char[]){"--logger"}, NULL};
    struct spawn_request request = {.argv = arguments, .environment = environ, .output_fd = null_fd};
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

void output_start(int null)
{
    null_fd = null;
    start_logger();
}

int output_open(const char *id, const char *path, uint64_t max_bytes, struct stream **stream, int *write_fd)
{
    struct stream *made = malloc(sizeof *made + strlen(id) + strlen(path) + 2);
    int pair[2];

    if (!made)
        return ENOMEM;
    if (pipe2(pair, O_CLOEXEC) != 0) {
        free(made);
        return errno;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    *made = (struct stream){.next = streams, .number = ++last_number, .max_bytes = max_bytes, .fd = pair[0]};
    made->path = stpcpy(made->id, id) + 1;
    strcpy(made->id + strlen(id) + 1, path);
    if (streams)
        streams->previous = made;
    streams = made;
    *stream = made;
    *write_fd = pair[1];
    return 0;
}

static int hand_over(struct stream *stream)
{
    uint8_t buffer[PATH_MAX + 256];
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {.iov_base = buffer};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control.space};

    wire_begin(&writer, WIRE_OUTPUT_OPEN);
    wire_put_number(&writer, WIRE_TAG_STREAM, stream->number);
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, stream->path);
    wire_put_number(&writer, WIRE_TAG_MAX_OUTPUT_BYTES, stream->max_bytes);
    wire_end(&writer);
    part.iov_len = writer.size;
    memcpy(CMSG_DATA(&control.header), &stream->fd, sizeof stream->fd);
    return sendmsg(connection.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void output_begin(struct stream *stream, bool started)
{
    if (!started) {
        remove_stream(stream);
        return;
    }
    stream->begun = true;
    unsent++;
}

bool output_logger_ended(pid_t pid)
{
    if (pid != logger)
        return false;
    logger = 0;
    disconnect(&connection);
    for (struct stream *stream = streams; stream; stream = stream->next) {
        unsent += stream->sent;
        stream->sent = false;
    }
    return true;
}

static void hand_over_all(void)
{
    for (struct stream *stream = streams; stream && unsent > 0; stream = stream->next) {
        if (!stream->begun || stream->sent)
            continue;
        if (hand_over(stream) != 0)
            break;
        stream->sent = true;
        unsent--;
    }
    watch_change(&connection, unsent > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
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
    bool ended = connection.fd < 0;

    while (!ended && watch_now_ms() < until_ms) {
        if (unsent > 0)
            hand_over_all();
        if (unsent == 0)
            shutdown(connection.fd, SHUT_WR);
        poll(&state, 1, unsent > 0 ? 10 : (int)(until_ms - watch_now_ms()));
        while (receive(connection.fd, &ended))
            ;
    }
    if (!ended && logger)
        kill(logger, SIGKILL);
    if (logger)
        waitpid(logger, NULL, 0);
    disconnect(&connection);
}
