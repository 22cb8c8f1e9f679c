/*
 * core.log: glue for log.c.
 *
 *   debug(text) info(text) warn(text) error(text)
 *   set_level("DEBUG"|"INFO"|"WARN"|"ERROR")
 *   set_name(node)     stands before the text from now on; nil: nothing does
 */
#include "core_modules.h"
#include "log.h"

#include <lauxlib.h>

static int log_at(lua_State *L, enum log_level level)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);

    log_text(level, text, length);
    return 0;
}

static int write_debug(lua_State *L)
{
    return log_at(L, LOG_LEVEL_DEBUG);
}

static int write_info(lua_State *L)
{
    return log_at(L, LOG_LEVEL_INFO);
}

static int write_warn(lua_State *L)
{
    return log_at(L, LOG_LEVEL_WARN);
}

static int write_error(lua_State *L)
{
    return log_at(L, LOG_LEVEL_ERROR);
}

static int set_level(lua_State *L)
{
    int level = log_level_from_name(luaL_checkstring(L, 1));

    luaL_argcheck(L, level >= 0, 1, "expected DEBUG, INFO, WARN or ERROR");
    log_set_level((enum log_level)level);
    return 0;
}

static int set_name(lua_State *L)
{
    log_set_name(luaL_optstring(L, 1, ""));
    return 0;
}

int lua_log_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"debug", write_debug}, {"info", write_info},       {"warn", write_warn},
        {"error", write_error}, {"set_level", set_level}, {"set_name", set_name},
        {NULL, NULL},
    };

    luaL_newlib(L, functions);
    return 1;
}
