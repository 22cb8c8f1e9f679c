/*
 * A server for the tests of http: a thread that accepts connections on a free
 * loopback port and answers each request with the next of its replies.
 *
 * What it was sent is kept, so that a test can look at it once it has stopped.
 */
#ifndef APPMGR_TEST_SOCKET_SERVER_H
#define APPMGR_TEST_SOCKET_SERVER_H

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum after { KEEP, CLOSE, RESET, HOLD };

struct reply {
    const char *bytes;
    enum after after; /* what becomes of the connection */
    size_t length;    /* 0: strlen(bytes) */
};

struct server {
    const struct reply *replies;
    int count, served, connections;
    int listener, port;
    char received[8192];
    size_t received_length;
    atomic_bool stop;
    pthread_t thread;
};

/* Reads one request with its body; false when the peer is gone or the test ends. */
static inline bool server_read_request(struct server *server, int fd)
{
    char request[sizeof server->received] = "";
    size_t length = 0;

    while (!server->stop) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (poll(&waiting, 1, 10) == 0)
            continue;
        ssize_t n = read(fd, request + length, sizeof request - 1 - length);
        if (n <= 0)
            return false;
        length += (size_t)n;
        request[length] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        const char *body_length = strstr(request, "Content-Length: ");
        size_t expected = body_length ? (size_t)atol(body_length + 16) : 0;
        if (!end || length < (size_t)(end + 4 - request) + expected)
            continue;
        size_t room = sizeof server->received - 1 - server->received_length;
        size_t kept = length < room ? length : room;
        memcpy(server->received + server->received_length, request, kept);
        server->received_length += kept;
        return true;
    }
    return false;
}

static inline void server_hold(struct server *server)
{
    while (!server->stop)
        usleep(5000);
}

static inline void server_serve(struct server *server, int fd)
{
    while (server->served < server->count && server_read_request(server, fd)) {
        const struct reply *reply = &server->replies[server->served++];
        size_t length = reply->length ? reply->length : strlen(reply->bytes);
        (void)!send(fd, reply->bytes, length, MSG_NOSIGNAL);
        if (reply->after == HOLD)
            server_hold(server);
        if (reply->after == RESET) {
            struct linger hard = {.l_onoff = 1};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        if (reply->after != KEEP)
            return;
    }
    if (server->served == server->count)
        server_hold(server); /* the last connection stays until the test is over */
}

static inline void *server_run(void *data)
{
    struct server *server = data;

    while (!server->stop) {
        struct pollfd waiting = {.fd = server->listener, .events = POLLIN};
        if (poll(&waiting, 1, 10) <= 0)
            continue;
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            continue;
        server->connections++;
        server_serve(server, fd);
        close(fd);
    }
    return NULL;
}

/* A socket on a free loopback port that does not listen: nobody is there, and nobody else comes as long as it is open. */
static inline int server_reserve(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&address, size) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        perror("test server");
        abort();
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* A listening socket on a free loopback port, with room for all that connect at once. */
static inline int server_listen(int *port)
{
    int fd = server_reserve(port);

    if (listen(fd, 128) != 0) {
        perror("test server");
        abort();
    }
    return fd;
}

static inline void server_start(struct server *server, const struct reply *replies, int count)
{
    memset(server, 0, sizeof *server);
    server->replies = replies;
    server->count = count;
    server->listener = server_listen(&server->port);
    pthread_create(&server->thread, NULL, server_run, server);
}

static inline void server_stop(struct server *server)
{
    server->stop = true;
    pthread_join(server->thread, NULL);
    close(server->listener);
}

#endif
