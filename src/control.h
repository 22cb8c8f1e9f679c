/*
 * control: the agent's end of its unix socket, lines in and lines out.
 *
 * Owns the socket, its file and the connections, all on the uv loop. Lets in root and our own user and nobody else.
 * Knows nothing of what the lines say. It never waits for a client: a client that sends an endless line, or does
 * not read what it asked for, loses its connection.
 *
 * A connection lives until on_close has returned for it; a server until on_end. Closing either is asynchronous:
 * the callbacks come from a later turn of the loop.
 */
#ifndef APPMGR_CONTROL_H
#define APPMGR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "control_socket.h"

enum {
    CONTROL_MAX_LINE = 1 << 20, /* bytes of a request, without its newline */
    CONTROL_MAX_QUEUE = 8 << 20, /* bytes that may wait for a client before it is dropped */
};

struct control_server;
struct control_conn;

struct control_callbacks {
    /* A whole line without its newline; borrowed for the call. May close the connection or the server. */
    void (*on_line)(struct control_conn *conn, const char *line, size_t length, void *data);
    /* The client sends no more but still reads: the owner closes the connection once it has answered. */
    void (*on_input_end)(struct control_conn *conn, void *data);
    /* The connection has ended, whoever ended it. Once for each; conn is gone afterwards. */
    void (*on_close)(struct control_conn *conn, void *data);
    /* Somebody else's user was turned away. */
    void (*on_refused)(uid_t uid, void *data);
    /* The server and all its connections are gone: the last use of data. */
    void (*on_end)(void *data);
};

/*
 * Listens (see control_socket_listen). The path is copied, the callbacks too; data is borrowed until on_end.
 * Returns the server, or NULL with a text for people; then no callback is ever called.
 */
struct control_server *control_listen(uv_loop_t *loop, const char *path, const struct control_callbacks *callbacks,
                                      void *data, char *error, size_t error_size);

/* Removes the socket, refuses new clients, ends all connections once what waits for them is written. */
void control_server_close(struct control_server *server);

/*
 * The same without waiting for clients that have not read yet; also for a server that is closing already. For the
 * end of the program: what the callbacks need must last until on_end, in the loop's next turn.
 */
void control_server_abandon(struct control_server *server);

/*
 * Queues a line and its newline. A line of any size is taken while nothing waits; a client for which more than
 * CONTROL_MAX_QUEUE would wait is dropped. False when the connection is ending or was dropped.
 */
bool control_conn_send(struct control_conn *conn, const char *line, size_t length);

/* Reads no more, writes what is queued (for at most 5 s) and ends. Harmless when repeated. */
void control_conn_close(struct control_conn *conn);

/* Who connected, as the kernel says. */
struct control_peer control_conn_peer(const struct control_conn *conn);

/* A pointer of the owner's, NULL at first. */
void control_conn_set_data(struct control_conn *conn, void *data);
void *control_conn_data(const struct control_conn *conn);

#endif
