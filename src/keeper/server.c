#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONNECTIONS = 8,
    IN_SMALL = 4 << 10,
    OUT_SMALL = 256 << 10, /* touched only as far as it is used */
    OUT_MAX = 32 << 20,
};

static void accept_client(struct watch *watch, uint32_t events);

static struct watch listener = {.ready = accept_client, .fd = -1};
static struct connection connections[CONNECTIONS];

static void drop(struct connection *connection)
{
    watch_close(&connection->watch);
    free(connection->in);
    free(connection->out);
    memset(connection, 0, sizeof *connection);
    connection->watch.fd = -1;
}

/* --- receiving --- */

/* Makes room for a frame that has begun; what one frame needed is given back once it is handled. */
static int fit_input(struct connection *connection)
{
    size_t wanted = IN_SMALL;
    uint8_t *grown;

    if (connection->in_size >= 4) {
        uint32_t length;

        memcpy(&length, connection->in, sizeof length);
        length = le32toh(length);
        if (length <= WIRE_PAYLOAD_MAX && length + WIRE_HEADER_SIZE > wanted)
            wanted = length + WIRE_HEADER_SIZE;
    }
    if (wanted == connection->in_capacity || connection->in_size > wanted)
        return 0;
    grown = realloc(connection->in, wanted);
    if (!grown)
        return -1;
    connection->in = grown;
    connection->in_capacity = wanted;
    return 0;
}

static int handle_frames(struct connection *connection)
{
    size_t used = 0;

    while (!connection->doomed) {
        struct wire_frame frame;
        struct wire_message message;
        long size = wire_find(connection->in + used, connection->in_size - used, &frame);

        if (size < 0)
            return -1;
        if (size == 0)
            break;
        if (wire_decode(&frame, &message) != 0 || request_handle(connection, &message) != 0)
            return -1;
        used += (size_t)size;
    }
    memmove(connection->in, connection->in + used, connection->in_size - used);
    connection->in_size -= used;
    return fit_input(connection);
}

static int receive(struct connection *connection)
{
    ssize_t got = recv(connection->watch.fd, connection->in + connection->in_size,
                       connection->in_capacity - connection->in_size, MSG_DONTWAIT);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (got == 0)
        return -1;
    connection->in_size += (size_t)got;
    return handle_frames(connection);
}

/* --- sending --- */

static int flush(struct connection *connection)
{
    while (connection->out_start < connection->out_end) {
        ssize_t sent = send(connection->watch.fd, connection->out + connection->out_start,
                            connection->out_end - connection->out_start, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        connection->out_start += (size_t)sent;
    }
    connection->out_start = connection->out_end = 0;
    if (connection->out_capacity > OUT_SMALL) {
        free(connection->out);
        connection->out = malloc(OUT_SMALL);
        connection->out_capacity = OUT_SMALL;
    }
    return connection->doomed || !connection->out ? -1 : 0;
}

static void connection_ready(struct watch *watch, uint32_t events)
{
    struct connection *connection = (struct connection *)watch;

    /* A client that has gone may have left requests: they are read before its end is seen. */
    if (connection->doomed ? (events & (EPOLLERR | EPOLLHUP)) != 0
                           : (events & ~(uint32_t)EPOLLOUT) && receive(connection) != 0 && !connection->doomed)
        drop(connection);
}

static bool make_room(struct connection *connection, size_t size, bool may_grow)
{
    size_t used = connection->out_end - connection->out_start, wanted = connection->out_capacity;
    uint8_t *grown;

    if (connection->out_start > 0 && size > connection->out_capacity - connection->out_end) {
        memmove(connection->out, connection->out + connection->out_start, used);
        connection->out_start = 0;
        connection->out_end = used;
    }
    if (size <= connection->out_capacity - connection->out_end)
        return true;
    while (wanted < used + size)
        wanted *= 2;
    if (!may_grow || wanted > OUT_MAX)
        return false;
    grown = realloc(connection->out, wanted);
    if (!grown)
        return false;
    connection->out = grown;
    connection->out_capacity = wanted;
    return true;
}

void server_send(struct connection *connection, const uint8_t *frame, size_t size, bool may_grow)
{
    if (connection->watch.fd < 0 || connection->doomed)
        return;
    if (!make_room(connection, size, may_grow)) {
        connection->subscribed = false;
        connection->doomed = true;
        connection->out_start = connection->out_end = 0;
        return;
    }
    memcpy(connection->out + connection->out_end, frame, size);
    connection->out_end += size;
}

void server_broadcast(const uint8_t *frame, size_t size)
{
    for (struct connection *connection = connections; connection < connections + CONNECTIONS; connection++)
        if (connection->subscribed)
            server_send(connection, frame, size, false);
}

void server_flush(void)
{
    for (struct connection *connection = connections; connection < connections + CONNECTIONS; connection++) {
        if (connection->watch.fd < 0 || (connection->out_end == 0 && !connection->doomed))
            continue;
        if (flush(connection) != 0)
            drop(connection);
        else
            watch_change(&connection->watch, connection->out_end > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

void server_close(void)
{
    for (struct connection *connection = connections; connection < connections + CONNECTIONS; connection++) {
        struct pollfd writable = {.fd = connection->watch.fd, .events = POLLOUT};

        while (connection->watch.fd >= 0 && connection->out_end > 0 && poll(&writable, 1, 1000) > 0)
            if (flush(connection) != 0)
                break;
        drop(connection);
    }
    if (listener.fd >= 0)
        close(listener.fd);
}

/* --- accepting --- */

static void accept_client(struct watch *watch, uint32_t events)
{
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *connection = connections;
    struct ucred peer;
    socklen_t size = sizeof peer;

    (void)events;
    if (fd < 0)
        return;
    while (connection < connections + CONNECTIONS && connection->watch.fd >= 0)
        connection++;
    if (connection == connections + CONNECTIONS || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        (peer.uid != 0 && peer.uid != geteuid())) {
        close(fd);
        return;
    }
    *connection = (struct connection){.watch = {.ready = connection_ready, .fd = -1}, .pid = (uint32_t)peer.pid};
    connection->in = malloc(IN_SMALL);
    connection->out = malloc(OUT_SMALL);
    connection->in_capacity = IN_SMALL;
    connection->out_capacity = OUT_SMALL;
    if (!connection->in || !connection->out || watch_add(&connection->watch, fd, EPOLLIN) != 0) {
        connection->watch.fd = fd;
        drop(connection);
    }
}

/* The directory by descriptor: its path may be longer than an address. */
static struct sockaddr_un address_of(int directory_fd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory_fd, name);
    return address;
}

int server_connect(int directory_fd, const char *name, int type)
{
    struct sockaddr_un address = address_of(directory_fd, name);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), error;

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    error = -errno;
    if (fd >= 0)
        close(fd);
    return error;
}

int server_listen(int directory_fd, const char *name, int type)
{
    struct sockaddr_un address = address_of(directory_fd, name);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    mode_t mask = umask(0177);

    unlinkat(directory_fd, name, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0)
        error = -errno;
    umask(mask);
    if (error && fd >= 0)
        close(fd);
    return error ? error : fd;
}

int server_open(int fd)
{
    for (int i = 0; i < CONNECTIONS; i++)
        connections[i].watch.fd = -1;
    return watch_add(&listener, fd, EPOLLIN);
}

int server_listener(void)
{
    return listener.fd;
}

struct connection *server_controller(void)
{
    for (struct connection *connection = connections; connection < connections + CONNECTIONS; connection++)
        if (connection->watch.fd >= 0 && connection->role == WIRE_ROLE_CONTROLLER && !connection->doomed)
            return connection;
    return NULL;
}

bool server_has_clients(void)
{
    for (const struct connection *connection = connections; connection < connections + CONNECTIONS; connection++)
        if (connection->watch.fd >= 0)
            return true;
    return false;
}
