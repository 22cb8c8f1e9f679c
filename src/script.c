#include "script.h"

#include "log.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct script_counters counters;
static char *last_error;

static uint64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Message handler: whatever was raised becomes text with a traceback. */
static int add_traceback(lua_State *L)
{
    if (!lua_isstring(L, 1) && luaL_callmeta(L, 1, "__tostring") == 0)
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    else if (lua_isstring(L, 1))
        lua_pushvalue(L, 1);
    const char *message = lua_tostring(L, -1);
    luaL_traceback(L, L, message ? message : "(error object has no text)", 1);
    return 1;
}

static void keep_error(const char *message)
{
    char *copy = strdup(message ? message : "(no message)");

    if (copy) {
        free(last_error);
        last_error = copy;
    }
    counters.errors++;
}

/* Calls, and on failure moves the message into last_error. */
static int protected_call(lua_State *L, int arguments, int results)
{
    int function = lua_gettop(L) - arguments;

    counters.calls++;
    lua_pushcfunction(L, add_traceback); /* a light function: allocates nothing */
    lua_insert(L, function);
    int status = lua_pcall(L, arguments, results, function);
    lua_remove(L, function);
    if (status == LUA_OK)
        return 0;
    keep_error(lua_tostring(L, -1));
    lua_pop(L, 1);
    return -1;
}

int script_call(lua_State *L, int arguments, int results, const char *what)
{
    uint64_t begun = monotonic_ms();
    int status = protected_call(L, arguments, results);
    uint64_t taken = monotonic_ms() - begun;

    if (status != 0)
        log_write(LOG_LEVEL_ERROR, "%s: %s", what, script_error());
    if (taken > counters.longest_ms)
        counters.longest_ms = taken;
    if (taken > SCRIPT_SLOW_MS) {
        counters.slow++;
        log_write(LOG_LEVEL_WARN, "%s held the loop for %llu ms", what, (unsigned long long)taken);
    }
    return status;
}

int script_run(lua_State *L, int arguments, int results)
{
    return protected_call(L, arguments, results);
}

const char *script_error(void)
{
    return last_error ? last_error : "";
}

struct script_counters script_counters(void)
{
    return counters;
}

lua_State *script_main_thread(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main_thread = lua_tothread(L, -1);
    lua_pop(L, 1);
    return main_thread;
}

int script_keep(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TFUNCTION);
    lua_pushvalue(L, index);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void script_push(lua_State *L, int reference)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
}

void script_release(lua_State *L, int *reference)
{
    luaL_unref(L, LUA_REGISTRYINDEX, *reference);
    *reference = LUA_NOREF;
}

void script_shutdown(void)
{
    free(last_error);
    last_error = NULL;
}
