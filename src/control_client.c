#include "control_client.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control_socket.h"

static const size_t first_size = 64 * 1024;
static const size_t max_size = (size_t)256 << 20;

struct control_client {
    int fd;
    char *buffer;
    size_t capacity;
    size_t start, end; /* what was read and not taken */
    size_t searched; /* up to here there is no newline */
};

struct control_client *control_client_connect(const char *path, char *error, size_t error_size)
{
    struct control_client *client = calloc(1, sizeof *client);
    if (!client) {
        snprintf(error, error_size, "%s: out of memory", path);
        return NULL;
    }
    client->fd = control_socket_connect(path, error, error_size);
    if (client->fd >= 0)
        return client;
    free(client);
    return NULL;
}

static int send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -errno;
        bytes += sent;
        length -= (size_t)sent;
    }
    return 0;
}

int control_client_send(struct control_client *client, const char *line, size_t length)
{
    int result = send_all(client->fd, line, length);
    return result < 0 ? result : send_all(client->fd, "\n", 1);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* 1: readable, 0: the deadline passed, -1: cannot be waited for. A negative deadline never passes. */
static int wait_readable(int fd, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms < 0 ? -1 : deadline_ms - now_ms();
        if (deadline_ms >= 0 && left < 0)
            left = 0;
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        int ready = poll(&entry, 1, (int)left);
        if (ready >= 0 || errno != EINTR)
            return ready;
    }
}

/* Makes room behind what is kept. False without memory, or when the line is too long. */
static int make_room(struct control_client *client)
{
    if (client->start > 0) {
        memmove(client->buffer, client->buffer + client->start, client->end - client->start);
        client->end -= client->start;
        client->searched -= client->start;
        client->start = 0;
    }
    if (client->end < client->capacity)
        return 1;
    size_t capacity = client->capacity ? 2 * client->capacity : first_size;
    char *larger = capacity <= max_size ? realloc(client->buffer, capacity) : NULL;
    if (!larger)
        return 0;
    client->buffer = larger;
    client->capacity = capacity;
    return 1;
}

static int take_line(struct control_client *client, const char **line, size_t *length)
{
    size_t fresh = client->end - client->searched;
    char *newline = fresh > 0 ? memchr(client->buffer + client->searched, '\n', fresh) : NULL;
    client->searched = client->end;
    if (!newline)
        return 0;
    *line = client->buffer + client->start;
    *length = (size_t)(newline - *line);
    client->start = client->searched = (size_t)(newline + 1 - client->buffer);
    return 1;
}

enum control_received control_client_receive(struct control_client *client, int timeout_ms, const char **line,
                                             size_t *length)
{
    int64_t deadline_ms = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
    while (!take_line(client, line, length)) {
        if (!make_room(client))
            return CONTROL_CLOSED;
        int ready = wait_readable(client->fd, deadline_ms);
        if (ready <= 0)
            return ready == 0 ? CONTROL_TIMEOUT : CONTROL_CLOSED;
        ssize_t got = read(client->fd, client->buffer + client->end, client->capacity - client->end);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return CONTROL_CLOSED;
        client->end += got > 0 ? (size_t)got : 0;
    }
    return CONTROL_LINE;
}

void control_client_close(struct control_client *client)
{
    close(client->fd);
    free(client->buffer);
    free(client);
}
