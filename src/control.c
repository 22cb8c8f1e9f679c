#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

enum { LINGER_MS = 5000, READ_SIZE = 64 * 1024, FIRST_LINE_SIZE = 4096 };

struct control_server {
    uv_pipe_t pipe;
    struct control_callbacks callbacks;
    void *data;
    char *path;
    struct control_socket_file file;
    struct control_conn *conns;
    unsigned references; /* the listening pipe and each connection hold one */
    bool closing;
};

struct control_conn {
    uv_pipe_t pipe;
    uv_timer_t linger; /* ends a closing connection whose client does not read */
    uv_shutdown_t shutdown;
    struct control_server *server;
    struct control_conn *next, *previous;
    struct control_peer peer;
    void *data;
    char *line; /* the start of a line whose end has not come yet */
    size_t used, capacity;
    unsigned open_handles;
    bool closing; /* reads and takes no more */
    bool ended;
};

/* ---- lives ---- */

static void server_release(struct control_server *server)
{
    if (--server->references > 0)
        return;
    server->callbacks.on_end(server->data);
    free(server->path);
    free(server);
}

static void on_conn_handle_closed(uv_handle_t *handle)
{
    struct control_conn *conn = handle->data;
    if (--conn->open_handles > 0)
        return;
    struct control_server *server = conn->server;
    server->callbacks.on_close(conn, server->data);
    *(conn->previous ? &conn->previous->next : &server->conns) = conn->next;
    if (conn->next)
        conn->next->previous = conn->previous;
    free(conn->line);
    free(conn);
    server_release(server);
}

static void conn_end(struct control_conn *conn)
{
    if (conn->ended)
        return;
    conn->ended = conn->closing = true;
    uv_close((uv_handle_t *)&conn->pipe, on_conn_handle_closed);
    uv_close((uv_handle_t *)&conn->linger, on_conn_handle_closed);
}

static void on_linger(uv_timer_t *timer)
{
    conn_end(timer->data);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)status;
    conn_end(request->handle->data);
}

void control_conn_close(struct control_conn *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    uv_read_stop((uv_stream_t *)&conn->pipe);
    bool waits = stream_queued((uv_stream_t *)&conn->pipe) > 0;
    if (!waits || uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->pipe, on_shutdown) < 0)
        conn_end(conn);
    else
        uv_timer_start(&conn->linger, on_linger, LINGER_MS, 0);
}

/* ---- writing ---- */

static void on_write_failed(uv_stream_t *stream, int uv_error)
{
    (void)uv_error;
    conn_end(stream->data);
}

bool control_conn_send(struct control_conn *conn, const char *line, size_t length)
{
    if (conn->closing)
        return false;
    uv_stream_t *stream = (uv_stream_t *)&conn->pipe;
    size_t queued = stream_queued(stream);
    bool too_slow = queued > 0 && queued + length + 1 > CONTROL_MAX_QUEUE;
    uv_buf_t parts[] = {{.base = (char *)(uintptr_t)line, .len = length}, {.base = (char[]){'\n'}, .len = 1}};
    if (!too_slow && stream_write(stream, parts, 2, on_write_failed) == 0)
        return true;
    conn_end(conn);
    return false;
}

/* ---- reading ---- */

static void refuse_line(struct control_conn *conn)
{
    char text[128];
    int length = snprintf(text, sizeof text, "{\"error\":{\"code\":\"too_large\",\"message\":\"a line holds at most %d bytes\"}}",
                          CONTROL_MAX_LINE);
    control_conn_send(conn, text, (size_t)length);
    control_conn_close(conn);
}

/* Keeps the start of a line. False when the line grows too long, or memory ends. */
static bool keep_part(struct control_conn *conn, const char *part, size_t length)
{
    if (length > CONTROL_MAX_LINE - conn->used)
        return false;
    if (conn->used + length > conn->capacity) {
        size_t capacity = conn->capacity ? conn->capacity : FIRST_LINE_SIZE;
        while (capacity < conn->used + length)
            capacity *= 2;
        char *larger = realloc(conn->line, capacity);
        if (!larger)
            return false;
        conn->line = larger;
        conn->capacity = capacity;
    }
    memcpy(conn->line + conn->used, part, length);
    conn->used += length;
    return true;
}

static void deliver(struct control_conn *conn, const char *line, size_t length)
{
    struct control_server *server = conn->server;
    server->callbacks.on_line(conn, line, length, server->data);
}

/* Delivers the line that is complete now, from the kept start and this part. */
static bool finish_line(struct control_conn *conn, const char *part, size_t length)
{
    if (conn->used == 0 && length <= CONTROL_MAX_LINE) {
        deliver(conn, part, length);
        return true;
    }
    if (!keep_part(conn, part, length))
        return false;
    deliver(conn, conn->line, conn->used);
    conn->used = conn->capacity = 0;
    free(conn->line); /* requests are small and rare: an idle connection holds no buffer */
    conn->line = NULL;
    return true;
}

static void take_bytes(struct control_conn *conn, const char *bytes, size_t length)
{
    bool fits = true;
    while (length > 0 && fits && !conn->closing) {
        const char *newline = memchr(bytes, '\n', length);
        size_t part = newline ? (size_t)(newline - bytes) : length;
        fits = newline ? finish_line(conn, bytes, part) : keep_part(conn, bytes, part);
        bytes += part + (newline ? 1 : 0);
        length -= part + (newline ? 1 : 0);
    }
    if (!fits)
        refuse_line(conn);
}

/* One buffer serves all connections: what was read is used up before the next read. */
static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    static char bytes[READ_SIZE];
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

/* True when the peer has only said that it sends no more (`printf … | nc -U`), false when it is gone. */
static bool peer_still_reads(struct control_conn *conn)
{
    struct pollfd peer = {.fd = -1};
    uv_fileno((uv_handle_t *)&conn->pipe, &peer.fd);
    return poll(&peer, 1, 0) == 0;
}

static void end_of_input(struct control_conn *conn)
{
    if (!peer_still_reads(conn)) {
        control_conn_close(conn);
        return;
    }
    uv_read_stop((uv_stream_t *)&conn->pipe);
    conn->server->callbacks.on_input_end(conn, conn->server->data);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct control_conn *conn = stream->data;
    if (count > 0)
        take_bytes(conn, buffer->base, (size_t)count);
    else if (count == UV_EOF)
        end_of_input(conn);
    else if (count < 0)
        conn_end(conn);
}

/* ---- accepting ---- */

static struct control_conn *conn_new(struct control_server *server)
{
    struct control_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->server = server;
    conn->open_handles = 2;
    uv_pipe_init(server->pipe.loop, &conn->pipe, 0);
    uv_timer_init(server->pipe.loop, &conn->linger);
    conn->pipe.data = conn->linger.data = conn;
    conn->next = server->conns;
    if (conn->next)
        conn->next->previous = conn;
    server->conns = conn;
    server->references++;
    return conn;
}

static bool is_allowed(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct control_server *server = stream->data;
    struct control_conn *conn = status == 0 ? conn_new(server) : NULL;
    uv_os_fd_t fd;

    if (!conn)
        return;
    if (uv_accept(stream, (uv_stream_t *)&conn->pipe) < 0 || uv_fileno((uv_handle_t *)&conn->pipe, &fd) < 0 ||
        control_socket_peer(fd, &conn->peer) < 0) {
        conn_end(conn);
        return;
    }
    if (!is_allowed(conn->peer.uid)) {
        conn_end(conn);
        server->callbacks.on_refused(conn->peer.uid, server->data);
        return;
    }
    if (uv_read_start((uv_stream_t *)&conn->pipe, give_buffer, on_read) < 0)
        conn_end(conn);
}

/* ---- the server ---- */

static void on_server_closed(uv_handle_t *handle)
{
    server_release(handle->data);
}

static void ignore_end(void *data)
{
    (void)data;
}

struct control_server *control_listen(uv_loop_t *loop, const char *path, const struct control_callbacks *callbacks,
                                      void *data, char *error, size_t error_size)
{
    struct control_server *server = calloc(1, sizeof *server);
    char *own_path = strdup(path);
    int fd = -1;

    if (!server || !own_path)
        snprintf(error, error_size, "%s: out of memory", path);
    else
        fd = control_socket_listen(path, &server->file, error, error_size);
    if (fd < 0) {
        free(own_path);
        free(server);
        return NULL;
    }
    *server = (struct control_server){
        .callbacks = *callbacks, .data = data, .path = own_path, .file = server->file, .references = 1};
    uv_pipe_init(loop, &server->pipe, 0);
    server->pipe.data = server;
    int result = uv_pipe_open(&server->pipe, fd);
    if (result < 0)
        close(fd);
    else
        result = uv_listen((uv_stream_t *)&server->pipe, SOMAXCONN, on_connection);
    if (result == 0)
        return server;

    snprintf(error, error_size, "%s: cannot listen: %s", path, uv_strerror(result));
    server->callbacks.on_end = ignore_end;
    control_server_close(server);
    return NULL;
}

/* Takes no new clients; the file goes at once, so that a successor can listen. */
static void stop_listening(struct control_server *server)
{
    if (server->closing)
        return;
    server->closing = true;
    control_socket_remove(server->path, &server->file);
    uv_close((uv_handle_t *)&server->pipe, on_server_closed);
}

void control_server_close(struct control_server *server)
{
    stop_listening(server);
    for (struct control_conn *conn = server->conns; conn; conn = conn->next)
        control_conn_close(conn);
}

void control_server_abandon(struct control_server *server)
{
    stop_listening(server);
    for (struct control_conn *conn = server->conns; conn; conn = conn->next)
        conn_end(conn);
}

/* ---- what a connection knows ---- */

struct control_peer control_conn_peer(const struct control_conn *conn)
{
    return conn->peer;
}

void control_conn_set_data(struct control_conn *conn, void *data)
{
    conn->data = data;
}

void *control_conn_data(const struct control_conn *conn)
{
    return conn->data;
}
