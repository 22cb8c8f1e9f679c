/*
 * core.planner: glue for planner.c.
 *
 *   start{on_message=fn(payload), on_exit=fn(reason), memory_mb=1024, cpu_s=nil, role="planner"} → handle | nil, err
 *       role: "planner", or "workbench" (see main.c)
 *   handle:send(payload) → true | nil, err      handle:pid() → integer
 *   handle:kill()                               on_exit is still called, once, from a later turn of the loop
 *
 * A handle may be used until on_exit; later use raises, but for kill(), which is harmless then.
 */
#include "core_modules.h"
#include "loop.h"
#include "lua_handle.h"
#include "planner.h"
#include "script.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MEMORY_MB = 1024 };

static const char class_name[] = "core.planner.handle";
static struct handle_table live;

struct lua_planner {
    struct planner *planner;
    struct handle handle;
    lua_State *L;
    int on_message, on_exit;
};

/* An event on its way into Lua: making its string may raise, so that happens inside script_call. */
struct event {
    int function;
    const char *bytes;
    size_t length;
};

static int call_with_bytes(lua_State *L)
{
    const struct event *event = lua_touserdata(L, 1);
    script_push(L, event->function);
    lua_pushlstring(L, event->bytes, event->length);
    lua_call(L, 1, 0);
    return 0;
}

static void raise_event(lua_State *L, struct event event, const char *what)
{
    lua_pushcfunction(L, call_with_bytes);
    lua_pushlightuserdata(L, &event);
    (void)script_call(L, 1, 0, what);
}

static void on_message(struct planner *planner, const char *bytes, size_t length, void *data)
{
    struct lua_planner *object = data;
    (void)planner;
    raise_event(object->L, (struct event){object->on_message, bytes, length}, "planner: on_message");
}

static void end(struct lua_planner *object)
{
    handle_drop(&live, object->handle);
    script_release(object->L, &object->on_message);
    script_release(object->L, &object->on_exit);
    free(object);
}

static void on_exit_told(struct planner *planner, const char *reason, void *data)
{
    struct lua_planner *object = data;
    (void)planner;
    handle_drop(&live, object->handle); /* stale already for what on_exit does */
    raise_event(object->L, (struct event){object->on_exit, reason, strlen(reason)}, "planner: on_exit");
    end(object);
}

/* ---- start ---- */

static unsigned limit_field(lua_State *L, const char *name, unsigned otherwise)
{
    int is_integer = 1;
    lua_Integer value = lua_getfield(L, 1, name) == LUA_TNIL ? otherwise : lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || value < 0 || value > INT_MAX)
        luaL_error(L, "core.planner.start: %s must be a positive integer", name);
    lua_pop(L, 1);
    return (unsigned)value;
}

static const char *role_field(lua_State *L)
{
    if (lua_getfield(L, 1, "role") != LUA_TNIL && lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "core.planner.start: role must be a string");
    const char *role = lua_tostring(L, -1);
    lua_pop(L, 1);
    return role;
}

/* Pushes the field, a function. */
static void push_callback(lua_State *L, const char *name)
{
    if (lua_getfield(L, 1, name) != LUA_TFUNCTION)
        luaL_error(L, "core.planner.start: %s must be a function", name);
}

static int start(lua_State *L)
{
    static const struct planner_callbacks callbacks = {on_message, on_exit_told};
    char error[256] = "planner: out of memory";

    luaL_checktype(L, 1, LUA_TTABLE);
    const struct planner_options options = {
        .role = role_field(L), /* the string stays in the table */
        .memory_mb = limit_field(L, "memory_mb", DEFAULT_MEMORY_MB),
        .cpu_s = limit_field(L, "cpu_s", 0),
    };
    push_callback(L, "on_message");
    push_callback(L, "on_exit");
    struct handle *handle = lua_handle_new(L, class_name);
    struct lua_planner own = {.L = script_main_thread(L), .on_message = script_keep(L, -3), .on_exit = script_keep(L, -2)};
    struct lua_planner *object = malloc(sizeof *object);
    own.handle = object ? handle_add(&live, object) : (struct handle){0};
    if (own.handle.generation != 0) {
        *object = own;
        object->planner = planner_start(loop_uv(), &options, &callbacks, object, error, sizeof error);
        if (object->planner) {
            *handle = own.handle;
            return 1;
        }
        handle_drop(&live, own.handle);
    }
    free(object);
    script_release(L, &own.on_message);
    script_release(L, &own.on_exit);
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

/* ---- methods ---- */

static struct planner *check(lua_State *L)
{
    struct lua_planner *object = lua_handle_check(L, 1, class_name, &live, "planner", "has ended");
    return object->planner;
}

static int send_frame(lua_State *L)
{
    size_t length;
    struct planner *planner = check(L);
    const char *bytes = luaL_checklstring(L, 2, &length);
    int result = planner_send(planner, bytes, length);
    if (result == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "planner: takes no more: %s", strerror(-result));
    return 2;
}

static int kill_process(lua_State *L)
{
    struct lua_planner *object = handle_get(&live, lua_handle_read(L, 1, class_name));
    if (object)
        planner_kill(object->planner);
    return 0;
}

static int process_id(lua_State *L)
{
    lua_pushinteger(L, planner_pid(check(L)));
    return 1;
}

void lua_planner_shutdown(lua_State *L)
{
    struct lua_planner *object;
    (void)L;
    while ((object = handle_any(&live))) {
        planner_destroy(object->planner);
        end(object);
    }
    handle_table_free(&live);
}

int lua_planner_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", start}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"kill", kill_process}, {"pid", process_id}, {"send", send_frame}, {NULL, NULL}};

    lua_handle_class(L, class_name, methods);
    luaL_newlib(L, functions);
    return 1;
}
