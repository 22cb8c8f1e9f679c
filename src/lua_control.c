/*
 * core.control: glue for control.c (the agent's socket) and control_client.c (the command line's end).
 *
 *   listen{path=, on_line=fn(conn, line), on_input_end=fn(conn), on_close=fn(conn), on_refused=fn(uid)} → server | nil, err
 *     on_input_end: the client sends no more and still reads; close the connection once all is answered
 *   server:close()            conn:send(line) → true | nil, "closed"
 *   conn:close()              conn:peer() → {pid, uid}
 *   connect(path) → client | nil, err (blocking)
 *   client:send(line) → true | nil, err     client:receive([timeout_ms]) → line | nil, "timeout"|"closed"
 *   client:close()
 *
 * A connection is one userdata from its first line to its on_close, so that it can be a table's key. It may be used
 * until on_close has returned; later use raises.
 */
#include "control.h"
#include "control_client.h"
#include "core_modules.h"
#include "loop.h"
#include "lua_handle.h"
#include "script.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char server_class[] = "core.control.server";
static const char conn_class[] = "core.control.connection";
static const char client_class[] = "core.control.client";
static struct handle_table servers, conns, clients;

struct lua_server {
    struct control_server *server;
    struct handle handle;
    lua_State *L;
    int on_line, on_input_end, on_close, on_refused; /* LUA_NOREF where there is none */
};

struct lua_conn {
    struct control_conn *conn;
    struct handle handle;
    int userdata; /* reference */
};

struct lua_client {
    struct control_client *client;
    struct handle handle;
};

/* ---- from C into Lua: each event is a C function called through script_call, since making values may raise ---- */

struct event {
    struct lua_server *server;
    struct control_conn *conn;
    const char *line;
    size_t length;
    uid_t uid;
};

static void raise_event(struct event *event, lua_CFunction function, const char *what)
{
    lua_State *L = event->server->L;
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, event);
    (void)script_call(L, 1, 0, what);
}

/* Pushes the connection's userdata, made at its first line. */
static void push_conn(lua_State *L, struct control_conn *conn)
{
    struct lua_conn *object = control_conn_data(conn);
    if (object) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, object->userdata);
        return;
    }
    struct handle *handle = lua_handle_new(L, conn_class);
    lua_pushvalue(L, -1);
    int reference = luaL_ref(L, LUA_REGISTRYINDEX);
    object = calloc(1, sizeof *object);
    struct handle added = object ? handle_add(&conns, object) : (struct handle){0};
    if (added.generation == 0) {
        free(object);
        luaL_unref(L, LUA_REGISTRYINDEX, reference);
        luaL_error(L, "core.control: out of memory");
        return;
    }
    *object = (struct lua_conn){.conn = conn, .handle = added, .userdata = reference};
    *handle = added;
    control_conn_set_data(conn, object);
}

static int call_on_line(lua_State *L)
{
    const struct event *event = lua_touserdata(L, 1);
    script_push(L, event->server->on_line);
    push_conn(L, event->conn);
    lua_pushlstring(L, event->line, event->length);
    lua_call(L, 2, 0);
    return 0;
}

static int call_on_close(lua_State *L)
{
    const struct event *event = lua_touserdata(L, 1);
    script_push(L, event->server->on_close);
    push_conn(L, event->conn);
    lua_call(L, 1, 0);
    return 0;
}

static int call_on_input_end(lua_State *L)
{
    const struct event *event = lua_touserdata(L, 1);
    script_push(L, event->server->on_input_end);
    push_conn(L, event->conn);
    lua_call(L, 1, 0);
    return 0;
}

static int call_on_refused(lua_State *L)
{
    const struct event *event = lua_touserdata(L, 1);
    script_push(L, event->server->on_refused);
    lua_pushinteger(L, (lua_Integer)event->uid);
    lua_call(L, 1, 0);
    return 0;
}

static void on_line(struct control_conn *conn, const char *line, size_t length, void *data)
{
    struct event event = {.server = data, .conn = conn, .line = line, .length = length};
    if (event.server->on_line != LUA_NOREF)
        raise_event(&event, call_on_line, "control: on_line");
}

/* A connection that never sent a line was never shown to Lua, and its end is not either. */
static void on_close(struct control_conn *conn, void *data)
{
    struct event event = {.server = data, .conn = conn};
    struct lua_conn *object = control_conn_data(conn);
    if (!object)
        return;
    if (event.server->on_close != LUA_NOREF)
        raise_event(&event, call_on_close, "control: on_close");
    handle_drop(&conns, object->handle);
    luaL_unref(event.server->L, LUA_REGISTRYINDEX, object->userdata);
    free(object);
}

/* Nobody waits for an answer where nothing was asked, and nobody else can say when all is answered. */
static void on_input_end(struct control_conn *conn, void *data)
{
    struct event event = {.server = data, .conn = conn};
    if (event.server->on_input_end != LUA_NOREF && control_conn_data(conn))
        raise_event(&event, call_on_input_end, "control: on_input_end");
    else
        control_conn_close(conn);
}

static void on_refused(uid_t uid, void *data)
{
    struct event event = {.server = data, .uid = uid};
    if (event.server->on_refused != LUA_NOREF)
        raise_event(&event, call_on_refused, "control: on_refused");
}

static void release_callbacks(struct lua_server *object)
{
    script_release(object->L, &object->on_line);
    script_release(object->L, &object->on_input_end);
    script_release(object->L, &object->on_close);
    script_release(object->L, &object->on_refused);
}

static void on_end(void *data)
{
    struct lua_server *object = data;
    release_callbacks(object);
    handle_drop(&servers, object->handle);
    free(object);
}

/* ---- listen ---- */

static const char *check_path_field(lua_State *L)
{
    if (lua_getfield(L, 1, "path") != LUA_TSTRING)
        luaL_error(L, "core.control.listen: path must be a string");
    return lua_tostring(L, -1);
}

/* Looked at before anything is kept, so that a refused call leaves nothing behind. */
static void check_callback(lua_State *L, const char *name)
{
    int type = lua_getfield(L, 1, name);
    if (type != LUA_TNIL && type != LUA_TFUNCTION)
        luaL_error(L, "core.control.listen: %s must be a function", name);
    lua_pop(L, 1);
}

static int keep_callback(lua_State *L, const char *name)
{
    int type = lua_getfield(L, 1, name);
    int reference = type == LUA_TNIL ? LUA_NOREF : script_keep(L, -1);
    lua_pop(L, 1);
    return reference;
}

static int listen_on(lua_State *L)
{
    static const struct control_callbacks callbacks = {on_line, on_input_end, on_close, on_refused, on_end};
    char error[PATH_MAX + 256] = "out of memory";

    luaL_checktype(L, 1, LUA_TTABLE);
    const char *path = check_path_field(L);
    check_callback(L, "on_line");
    check_callback(L, "on_input_end");
    check_callback(L, "on_close");
    check_callback(L, "on_refused");
    struct handle *handle = lua_handle_new(L, server_class);
    struct lua_server own = {.L = script_main_thread(L),
                             .on_line = keep_callback(L, "on_line"),
                             .on_input_end = keep_callback(L, "on_input_end"),
                             .on_close = keep_callback(L, "on_close"),
                             .on_refused = keep_callback(L, "on_refused")};
    struct lua_server *object = malloc(sizeof *object);
    own.handle = object ? handle_add(&servers, object) : (struct handle){0};
    if (own.handle.generation != 0) {
        *object = own;
        object->server = control_listen(loop_uv(), path, &callbacks, object, error, sizeof error);
        if (object->server) {
            *handle = own.handle;
            return 1;
        }
        handle_drop(&servers, own.handle);
    }
    free(object);
    release_callbacks(&own);
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

static int server_close(lua_State *L)
{
    struct lua_server *object = handle_get(&servers, lua_handle_read(L, 1, server_class));
    if (object)
        control_server_close(object->server);
    return 0;
}

/* ---- connections ---- */

static struct control_conn *check_conn(lua_State *L)
{
    struct lua_conn *object = lua_handle_check(L, 1, conn_class, &conns, "control connection", "is closed");
    return object->conn;
}

static const char *check_line(lua_State *L, size_t *length)
{
    const char *line = luaL_checklstring(L, 2, length);
    luaL_argcheck(L, !memchr(line, '\n', *length), 2, "a line holds no newline");
    return line;
}

static int push_error(lua_State *L, const char *error)
{
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

static int conn_send(lua_State *L)
{
    size_t length;
    struct control_conn *conn = check_conn(L);
    const char *line = check_line(L, &length);
    if (!control_conn_send(conn, line, length))
        return push_error(L, "closed");
    lua_pushboolean(L, 1);
    return 1;
}

static int conn_close(lua_State *L)
{
    struct lua_conn *object = handle_get(&conns, lua_handle_read(L, 1, conn_class));
    if (object)
        control_conn_close(object->conn);
    return 0;
}

static int conn_peer(lua_State *L)
{
    struct control_peer peer = control_conn_peer(check_conn(L));
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, peer.pid);
    lua_setfield(L, -2, "pid");
    lua_pushinteger(L, (lua_Integer)peer.uid);
    lua_setfield(L, -2, "uid");
    return 1;
}

/* ---- the blocking client ---- */

static int connect_to(lua_State *L)
{
    char error[PATH_MAX + 256] = "out of memory";
    const char *path = luaL_checkstring(L, 1);
    struct handle *handle = lua_handle_new(L, client_class);
    struct lua_client *object = calloc(1, sizeof *object);
    if (!object)
        return push_error(L, error);
    object->handle = handle_add(&clients, object);
    if (object->handle.generation != 0)
        object->client = control_client_connect(path, error, sizeof error);
    if (!object->client) {
        handle_drop(&clients, object->handle);
        free(object);
        return push_error(L, error);
    }
    *handle = object->handle;
    return 1;
}

static void end_client(struct lua_client *object)
{
    handle_drop(&clients, object->handle);
    control_client_close(object->client);
    free(object);
}

static struct control_client *check_client(lua_State *L)
{
    struct lua_client *object = lua_handle_check(L, 1, client_class, &clients, "control client", "is closed");
    return object->client;
}

static int client_send(lua_State *L)
{
    size_t length;
    struct control_client *client = check_client(L);
    const char *line = check_line(L, &length);
    int result = control_client_send(client, line, length);
    if (result < 0)
        return push_error(L, strerror(-result));
    lua_pushboolean(L, 1);
    return 1;
}

static int client_receive(lua_State *L)
{
    struct control_client *client = check_client(L);
    lua_Integer timeout_ms = luaL_optinteger(L, 2, -1);
    const char *line;
    size_t length;
    switch (control_client_receive(client, timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms, &line, &length)) {
    case CONTROL_LINE:
        lua_pushlstring(L, line, length);
        return 1;
    case CONTROL_TIMEOUT:
        return push_error(L, "timeout");
    default:
        return push_error(L, "closed");
    }
}

static int client_close(lua_State *L)
{
    struct lua_client *object = handle_get(&clients, lua_handle_read(L, 1, client_class));
    if (object)
        end_client(object);
    return 0;
}

/* ---- module ---- */

/* The loop's shutdown, which comes next, runs the closing callbacks; they find no Lua function any more. */
static void abandon_server(struct lua_server *object)
{
    release_callbacks(object);
    handle_drop(&servers, object->handle);
    control_server_abandon(object->server);
}

void lua_control_shutdown(lua_State *L)
{
    void *object;
    (void)L;
    while ((object = handle_any(&servers)))
        abandon_server(object);
    while ((object = handle_any(&clients)))
        end_client(object);
    handle_table_free(&servers);
    handle_table_free(&conns);
    handle_table_free(&clients);
}

int lua_control_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"connect", connect_to}, {"listen", listen_on}, {NULL, NULL}};
    static const luaL_Reg server_methods[] = {{"close", server_close}, {NULL, NULL}};
    static const luaL_Reg conn_methods[] = {
        {"close", conn_close}, {"peer", conn_peer}, {"send", conn_send}, {NULL, NULL}};
    static const luaL_Reg client_methods[] = {
        {"close", client_close}, {"receive", client_receive}, {"send", client_send}, {NULL, NULL}};

    lua_handle_class(L, server_class, server_methods);
    lua_handle_class(L, conn_class, conn_methods);
    lua_handle_class(L, client_class, client_methods);
    luaL_newlib(L, functions);
    return 1;
}
