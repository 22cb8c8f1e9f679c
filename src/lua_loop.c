/*
 * core.loop: glue for loop.c.
 *
 *   run()                    until stop(); raises inside of a turn
 *   stop()
 *   step([timeout_ms=0])     one turn that waits at most so long
 *   defer(fn)                fn() in the next turn
 *   on_signal(name, fn|nil)  "TERM", "INT" or "HUP"
 */
#include "core_modules.h"
#include "loop.h"
#include "script.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct callback {
    lua_State *L;
    int reference;
    struct callback *next; /* deferred ones, so that shutdown finds them */
};

static const struct {
    const char *name;
    int number;
} known_signals[] = {{"TERM", SIGTERM}, {"INT", SIGINT}, {"HUP", SIGHUP}};

enum { SIGNAL_COUNT = sizeof known_signals / sizeof known_signals[0] };

static struct callback on_signals[SIGNAL_COUNT]; /* L is NULL when unused */
static struct callback *deferred;

static int run(lua_State *L)
{
    if (loop_run() != 0)
        return luaL_error(L, "core.loop.run: the loop is running already");
    return 0;
}

static int stop(lua_State *L)
{
    (void)L;
    loop_stop();
    return 0;
}

static int step(lua_State *L)
{
    lua_Integer timeout_ms = luaL_optinteger(L, 1, 0);

    luaL_argcheck(L, timeout_ms >= 0 && timeout_ms <= 3600000, 1, "expected 0 to 3600000 ms");
    if (loop_step((unsigned)timeout_ms) != 0)
        return luaL_error(L, "core.loop.step: the loop is running already");
    return 0;
}

static void unlink_callback(struct callback *callback)
{
    for (struct callback **at = &deferred; *at; at = &(*at)->next) {
        if (*at == callback) {
            *at = callback->next;
            return;
        }
    }
}

static void run_deferred(void *data)
{
    struct callback *callback = data;
    lua_State *L = callback->L;

    unlink_callback(callback);
    script_push(L, callback->reference);
    script_release(L, &callback->reference);
    free(callback);
    (void)script_call(L, 0, 0, "deferred function");
}

static int defer(lua_State *L)
{
    int reference = script_keep(L, 1);
    struct callback *callback = malloc(sizeof *callback);

    if (callback) {
        *callback = (struct callback){script_main_thread(L), reference, deferred};
        if (loop_defer(run_deferred, callback) == 0) {
            deferred = callback;
            return 0;
        }
        free(callback);
    }
    script_release(L, &reference);
    return luaL_error(L, "core.loop.defer: out of memory");
}

static void run_on_signal(int number, void *data)
{
    struct callback *callback = data;

    (void)number;
    script_push(callback->L, callback->reference);
    (void)script_call(callback->L, 0, 0, "signal handler");
}

static int find_signal(lua_State *L, const char *name)
{
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (strcmp(known_signals[i].name, name) == 0)
            return i;
    return luaL_argerror(L, 1, "expected TERM, INT or HUP");
}

static int on_signal(lua_State *L)
{
    int which = find_signal(L, luaL_checkstring(L, 1));
    struct callback *callback = &on_signals[which];
    int reference = lua_isnoneornil(L, 2) ? LUA_NOREF : script_keep(L, 2);
    bool wanted = reference != LUA_NOREF;

    int status = loop_on_signal(known_signals[which].number, wanted ? run_on_signal : NULL, callback);
    if (status != 0) {
        script_release(L, &reference);
        return luaL_error(L, "core.loop.on_signal: %s", uv_strerror(status));
    }
    if (callback->L)
        script_release(L, &callback->reference);
    *callback = (struct callback){wanted ? script_main_thread(L) : NULL, reference, NULL};
    return 0;
}

void lua_loop_shutdown(lua_State *L)
{
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        if (on_signals[i].L)
            script_release(L, &on_signals[i].reference);
        on_signals[i] = (struct callback){0};
    }
    while (deferred) {
        struct callback *callback = deferred;
        unlink_callback(callback);
        loop_undefer(run_deferred, callback);
        script_release(L, &callback->reference);
        free(callback);
    }
    loop_shutdown();
}

int lua_loop_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"run", run}, {"stop", stop},           {"step", step},
        {"defer", defer}, {"on_signal", on_signal}, {NULL, NULL},
    };

    luaL_newlib(L, functions);
    return 1;
}
