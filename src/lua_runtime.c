/*
 * core.runtime: glue for runtime.c and the counters of script.c and log.c.
 *
 *   version, executable, share_dir, keeper_path, pid
 *   working_dir                                                  where the program was started
 *   counters() → {calls, errors, slow_calls, longest_call_ms, lost_log_lines}     since the start
 */
#include "core_modules.h"
#include "log.h"
#include "runtime.h"
#include "script.h"

#include <lauxlib.h>
#include <limits.h>
#include <unistd.h>

static void set_count(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static int counters(lua_State *L)
{
    struct script_counters counted = script_counters();

    lua_createtable(L, 0, 5);
    set_count(L, "calls", counted.calls);
    set_count(L, "errors", counted.errors);
    set_count(L, "slow_calls", counted.slow);
    set_count(L, "longest_call_ms", counted.longest_ms);
    set_count(L, "lost_log_lines", log_lost_lines());
    return 1;
}

int lua_runtime_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"counters", counters}, {NULL, NULL}};
    const struct runtime_paths *paths = runtime_paths();
    char working_dir[PATH_MAX];

    luaL_newlib(L, functions);
    lua_pushliteral(L, APPMGR_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, paths->executable);
    lua_setfield(L, -2, "executable");
    lua_pushstring(L, paths->share_dir);
    lua_setfield(L, -2, "share_dir");
    lua_pushstring(L, paths->keeper_path);
    lua_setfield(L, -2, "keeper_path");
    /* A folder that was removed has no path; the root is where a daemon belongs anyway. */
    lua_pushstring(L, getcwd(working_dir, sizeof working_dir) ? working_dir : "/");
    lua_setfield(L, -2, "working_dir");
    lua_pushinteger(L, getpid());
    lua_setfield(L, -2, "pid");
    return 1;
}
