/*
 * core.http: glue for http.c.
 *
 *   request(options, fn) → request
 *     options: url, method="GET", headers={"Name: value", …}, body, timeout_ms=60000,
 *       connect_timeout_ms=3000, max_body_bytes=64 MiB, unix_socket, verify=true,
 *       fresh=false (a connection of its own, closed afterwards), connect_only=false (done with status 0 when it is
 *       connected: nothing is asked), compressed=false (the answer may be: worth it where that is large),
 *       ca_file, cert_file, key_file, tls_server_name; others raise
 *     fn({status, headers={lowercase=value}, body}) or fn(nil, {code, message}); the
 *       codes are in http_failure_name()
 *   request:cancel()     fn is not called any more; harmless when it was
 */
#include "core_modules.h"
#include "http.h"
#include "lua_handle.h"
#include "script.h"

#include <ctype.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char class_name[] = "core.http.handle";

struct request {
    struct http *http;
    struct handle handle;
    lua_State *L;
    int reference;
};

static struct handle_table live;

/* ---- the answer ---- */

/* Adds to the table on top; a header that came twice is joined with ", ". */
static void set_header(lua_State *L, const char *name, const char *value)
{
    luaL_Buffer lower;

    luaL_buffinit(L, &lower);
    for (; *name; name++)
        luaL_addchar(&lower, (char)tolower((unsigned char)*name));
    luaL_pushresult(&lower);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TSTRING) {
        lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), value);
        lua_remove(L, -2);
    } else {
        lua_pop(L, 1);
        lua_pushstring(L, value);
    }
    lua_rawset(L, -3);
}

static void push_response(lua_State *L, struct http *http, const struct http_result *result)
{
    void *cursor = NULL;
    const char *name, *value;

    lua_createtable(L, 0, 3);
    lua_pushinteger(L, result->status);
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, result->body, result->body_length);
    lua_setfield(L, -2, "body");
    lua_newtable(L);
    while (http_next_header(http, &cursor, &name, &value))
        set_header(L, name, value);
    lua_setfield(L, -2, "headers");
}

static void push_error(lua_State *L, const struct http_result *result)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, http_failure_name(result->failure));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, result->message);
    lua_setfield(L, -2, "message");
}

struct answer {
    struct http *http;
    const struct http_result *result;
};

/* Runs protected: callback, light struct answer. Making the tables may raise. */
static int deliver(lua_State *L)
{
    const struct answer *answer = lua_touserdata(L, 2);

    lua_settop(L, 1);
    if (answer->result->failure == HTTP_OK) {
        push_response(L, answer->http, answer->result);
        lua_call(L, 1, 0);
    } else {
        lua_pushnil(L);
        push_error(L, answer->result);
        lua_call(L, 2, 0);
    }
    return 0;
}

static void drop(struct request *request)
{
    handle_drop(&live, request->handle);
    script_release(request->L, &request->reference);
    free(request);
}

/* The handle goes stale first: the callback may well cancel "its" request. */
static void on_done(struct http *http, const struct http_result *result, void *data)
{
    struct request *request = data;
    struct answer answer = {http, result};
    lua_State *L = request->L;

    lua_pushcfunction(L, deliver);
    script_push(L, request->reference);
    lua_pushlightuserdata(L, &answer);
    drop(request);
    (void)script_call(L, 2, 0, "http answer");
}

/* ---- the options ---- */

static const char *const option_names[] = {
    "method",  "url",       "headers",  "body",            "timeout_ms", "connect_timeout_ms", "max_body_bytes",
    "ca_file", "cert_file", "key_file", "tls_server_name", "verify",     "unix_socket",        "connect_only",
    "fresh",   "compressed", NULL,
};

static void check_names(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        const char *const *known = option_names;
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
        while (*known && strcmp(*known, name) != 0)
            known++;
        if (!*known)
            luaL_error(L, "core.http.request: unknown option \"%s\"", name);
    }
}

/*
 * Pushes the option, so that its bytes stay, and returns it; NULL when it is
 * not set. read_options() has reserved the stack for all of them.
 */
static const char *text_option(lua_State *L, const char *name, size_t *length)
{
    int type = lua_getfield(L, 1, name);

    if (type == LUA_TNIL)
        return NULL;
    if (type != LUA_TSTRING)
        luaL_error(L, "core.http.request: %s must be a string, not a %s", name, lua_typename(L, type));
    const char *text = lua_tolstring(L, -1, length);
    if (!length && strlen(text) != lua_rawlen(L, -1))
        luaL_error(L, "core.http.request: %s holds a zero byte", name);
    return text;
}

static lua_Integer number_option(lua_State *L, const char *name, lua_Integer fallback)
{
    int is_integer = 1, type = lua_getfield(L, 1, name);
    lua_Integer value = type == LUA_TNIL ? fallback : lua_tointegerx(L, -1, &is_integer);

    if (!is_integer || value <= 0 || value > INT_MAX)
        luaL_error(L, "core.http.request: %s must be an integer from 1 to %d", name, INT_MAX);
    lua_pop(L, 1);
    return value;
}

static bool flag_option(lua_State *L, const char *name, bool otherwise)
{
    bool set = lua_getfield(L, 1, name) == LUA_TNIL ? otherwise : lua_toboolean(L, -1);

    lua_pop(L, 1);
    return set;
}

static const char *check_method(lua_State *L, const char *method)
{
    if (!method)
        return "GET";
    if (!*method || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(method))
        luaL_error(L, "core.http.request: method must be capital letters, as \"GET\"");
    return method;
}

/* Pushes an array for C whose strings belong to the table of headers below it. */
static const char *const *header_option(lua_State *L)
{
    int type = lua_getfield(L, 1, "headers");

    if (type == LUA_TNIL)
        return NULL;
    if (type != LUA_TTABLE)
        luaL_error(L, "core.http.request: headers must be an array of \"Name: value\"");
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    const char **lines = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *lines, 0);
    for (lua_Integer i = 0; i < count; i++) {
        const char *line = lua_rawgeti(L, -2, i + 1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        if (!line || strlen(line) != lua_rawlen(L, -1) || strpbrk(line, "\r\n") || !strchr(line, ':'))
            luaL_error(L, "core.http.request: header %d is not one line of \"Name: value\"", (int)i + 1);
        lines[i] = line;
        lua_pop(L, 1);
    }
    lines[count] = NULL;
    return lines;
}

static struct http_options read_options(lua_State *L)
{
    struct http_options options = {0};

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstack(L, 32, "request");
    check_names(L);
    options.method = check_method(L, text_option(L, "method", NULL));
    options.url = text_option(L, "url", NULL);
    if (!options.url)
        luaL_error(L, "core.http.request: url is missing");
    options.headers = header_option(L);
    options.body = text_option(L, "body", &options.body_length);
    options.timeout_ms = (unsigned)number_option(L, "timeout_ms", HTTP_TIMEOUT_MS);
    options.connect_timeout_ms = (unsigned)number_option(L, "connect_timeout_ms", HTTP_CONNECT_TIMEOUT_MS);
    options.max_body_bytes = (size_t)number_option(L, "max_body_bytes", HTTP_BODY_LIMIT);
    options.ca_file = text_option(L, "ca_file", NULL);
    options.cert_file = text_option(L, "cert_file", NULL);
    options.key_file = text_option(L, "key_file", NULL);
    options.tls_server_name = text_option(L, "tls_server_name", NULL);
    options.unix_socket = text_option(L, "unix_socket", NULL);
    options.verify = flag_option(L, "verify", true);
    options.fresh = flag_option(L, "fresh", false);
    options.compressed = flag_option(L, "compressed", false);
    options.connect_only = flag_option(L, "connect_only", false);
    return options;
}

/* ---- functions ---- */

static int start(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct http_options options = read_options(L);
    struct handle *handle = lua_handle_new(L, class_name);
    int reference = script_keep(L, 2);
    struct request *request = calloc(1, sizeof *request);

    if (!request)
        goto failed;
    *request = (struct request){.L = script_main_thread(L), .reference = reference};
    request->handle = handle_add(&live, request);
    if (request->handle.generation != 0)
        request->http = http_start(&options, on_done, request);
    if (!request->http)
        goto failed;
    *handle = request->handle;
    return 1;
failed:
    if (request)
        handle_drop(&live, request->handle);
    free(request);
    script_release(L, &reference);
    return luaL_error(L, "core.http.request: out of memory");
}

static void end(struct request *request)
{
    http_cancel(request->http);
    drop(request);
}

static int cancel(lua_State *L)
{
    struct request *request = handle_get(&live, lua_handle_read(L, 1, class_name));

    if (request)
        end(request);
    return 0;
}

void lua_http_shutdown(lua_State *L)
{
    struct request *request;

    (void)L;
    while ((request = handle_any(&live)))
        end(request);
    handle_table_free(&live);
    http_shutdown();
}

int lua_http_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"request", start}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"cancel", cancel}, {NULL, NULL}};

    lua_handle_class(L, class_name, methods);
    luaL_newlib(L, functions);
    return 1;
}
