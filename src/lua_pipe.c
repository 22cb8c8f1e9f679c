/*
 * core.pipe: glue for the planner process's side of planner.h. Nowhere else is it of use.
 *
 *   read() → payload | nil at the end of input      write(payload)
 *   confine()    from now on no system call but for open descriptors, memory, time and ending; raises if it cannot be
 *
 * Reading and writing wait. What cannot be read or written raises: a planner whose pipes are broken has nothing left to do.
 */
#include "core_modules.h"
#include "planner.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static int pipe_read(lua_State *L)
{
    char *bytes;
    size_t length;
    int result = planner_read(&bytes, &length);
    if (result < 0)
        return luaL_error(L, "core.pipe: cannot read from the agent: %s", strerror(-result));
    if (result == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushlstring(L, bytes, length); /* raises without memory: then this process ends, and the copy with it */
    free(bytes);
    return 1;
}

static int pipe_write(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    int result = planner_write(bytes, length);
    if (result < 0)
        return luaL_error(L, "core.pipe: cannot write to the agent: %s", strerror(-result));
    return 0;
}

static int pipe_confine(lua_State *L)
{
    char error[256];
    if (planner_confine(error, sizeof error) != 0)
        return luaL_error(L, "core.pipe: %s", error);
    return 0;
}

int lua_pipe_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read", pipe_read}, {"write", pipe_write}, {"confine", pipe_confine}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
