/*
 * core.timer: glue for timer.c.
 *
 *   now_ms() → integer            CLOCK_BOOTTIME
 *   wall_ms() → integer           CLOCK_REALTIME: unix time, which may be set
 *   after(delay_ms, fn) → timer   once; lives until it fires, kept or not
 *   every(interval_ms, fn) → timer
 *   timer:cancel()                harmless when it has fired or was cancelled
 */
#include "core_modules.h"
#include "lua_handle.h"
#include "script.h"
#include "timer.h"

#include <lauxlib.h>
#include <stdlib.h>

static const char class_name[] = "core.timer.handle";
static const lua_Integer longest_ms = 366LL * 24 * 3600 * 1000;

struct lua_timer {
    struct timer timer;
    struct handle handle;
    lua_State *L;
    int reference;
};

static struct handle_table live;

static void end(struct lua_timer *object)
{
    timer_stop(&object->timer);
    handle_drop(&live, object->handle);
    script_release(object->L, &object->reference);
    free(object);
}

/* The function is pushed first: it may cancel its own timer. */
static void on_fire(struct timer *timer, void *data)
{
    struct lua_timer *object = data;
    lua_State *L = object->L;

    script_push(L, object->reference);
    if (!timer_is_active(timer))
        end(object);
    (void)script_call(L, 0, 0, "timer");
}

static int start(lua_State *L, lua_Integer delay_ms, lua_Integer interval_ms)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct handle *handle = lua_handle_new(L, class_name);
    int reference = script_keep(L, 2);
    struct lua_timer *object = calloc(1, sizeof *object);

    if (!object)
        goto failed;
    object->L = script_main_thread(L);
    object->reference = reference;
    object->handle = handle_add(&live, object);
    if (object->handle.generation == 0 ||
        timer_start(&object->timer, (uint64_t)delay_ms, (uint64_t)interval_ms, on_fire, object) != 0)
        goto failed;
    *handle = object->handle;
    return 1;
failed:
    if (object)
        handle_drop(&live, object->handle);
    free(object);
    script_release(L, &reference);
    return luaL_error(L, "core.timer: out of memory or file descriptors");
}

static int after(lua_State *L)
{
    lua_Integer delay_ms = luaL_checkinteger(L, 1);

    luaL_argcheck(L, delay_ms >= 0 && delay_ms <= longest_ms, 1, "expected 0 ms to 366 days");
    return start(L, delay_ms, 0);
}

static int every(lua_State *L)
{
    lua_Integer interval_ms = luaL_checkinteger(L, 1);

    luaL_argcheck(L, interval_ms > 0 && interval_ms <= longest_ms, 1, "expected 1 ms to 366 days");
    return start(L, interval_ms, interval_ms);
}

static int now_ms(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)timer_now_ms());
    return 1;
}

static int wall_ms(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)timer_wall_ms());
    return 1;
}

static int cancel(lua_State *L)
{
    struct lua_timer *object = handle_get(&live, lua_handle_read(L, 1, class_name));

    if (object)
        end(object);
    return 0;
}

void lua_timer_shutdown(lua_State *L)
{
    struct lua_timer *object;

    (void)L;
    while ((object = handle_any(&live)))
        end(object);
    handle_table_free(&live);
    timer_shutdown();
}

int lua_timer_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"after", after}, {"every", every}, {"now_ms", now_ms}, {"wall_ms", wall_ms}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"cancel", cancel}, {NULL, NULL}};

    lua_handle_class(L, class_name, methods);
    luaL_newlib(L, functions);
    return 1;
}
