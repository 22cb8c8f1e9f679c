/*
 * core.survey: glue for survey.c.
 *
 *   begin({{pid=, cgroup=, cpu_us=}, …}) → survey   cgroup: its directory; cpu_us: what the last survey said
 *   survey:step(budget_ms) → nil while there is more to look at, then an array in the order of the list:
 *     {memory_bytes, cpu_us}                       of the whole process tree
 *     {is_unchanged=true, cpu_us}                  it has used no processor time since; its memory was not looked at
 *     false                                        there is no such process
 *   cgroup_cpu_us(cgroup) → what all below it have used, nil when there is no such cgroup
 *
 * A survey is done after that, and raises when it is used again.
 */
#include "core_modules.h"
#include "survey.h"

#include <lauxlib.h>
#include <limits.h>

static const char class_name[] = "core.survey.survey";

static struct survey **new_box(lua_State *L)
{
    struct survey **box = lua_newuserdatauv(L, sizeof *box, 0);

    *box = NULL;
    luaL_setmetatable(L, class_name);
    *box = survey_new();
    if (!*box)
        luaL_error(L, "core.survey: out of memory");
    return box;
}

static void add_tree(lua_State *L, struct survey *survey, int tree)
{
    luaL_checktype(L, tree, LUA_TTABLE);
    lua_getfield(L, tree, "pid");
    lua_getfield(L, tree, "cgroup");
    lua_getfield(L, tree, "cpu_us");
    lua_Integer pid = luaL_checkinteger(L, -3), cpu_us = luaL_optinteger(L, -1, 0);
    luaL_argcheck(L, pid > 0 && pid <= INT_MAX, 1, "pid is none");
    if (survey_add(survey, (pid_t)pid, luaL_optstring(L, -2, NULL), (uint64_t)cpu_us) != 0)
        luaL_error(L, "core.survey: out of memory");
    lua_pop(L, 3);
}

static int begin(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct survey **box = new_box(L);
    lua_Integer count = luaL_len(L, 1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, i);
        add_tree(L, *box, lua_gettop(L));
        lua_pop(L, 1);
    }
    return 1;
}

static void push_usage(lua_State *L, const struct survey_usage *usage)
{
    if (!usage->is_known) {
        lua_pushboolean(L, 0);
        return;
    }
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)usage->cpu_us);
    lua_setfield(L, -2, "cpu_us");
    if (usage->is_unchanged)
        lua_pushboolean(L, 1);
    else
        lua_pushinteger(L, (lua_Integer)usage->memory_bytes);
    lua_setfield(L, -2, usage->is_unchanged ? "is_unchanged" : "memory_bytes");
}

static int cgroup_cpu_us(lua_State *L)
{
    uint64_t cpu_us;

    if (survey_cgroup_cpu(luaL_checkstring(L, 1), &cpu_us))
        lua_pushinteger(L, (lua_Integer)cpu_us);
    else
        lua_pushnil(L);
    return 1;
}

static int finish(lua_State *L)
{
    struct survey **box = luaL_checkudata(L, 1, class_name);

    survey_free(*box);
    *box = NULL;
    return 0;
}

static int step(lua_State *L)
{
    struct survey **box = luaL_checkudata(L, 1, class_name);
    lua_Number budget_ms = luaL_checknumber(L, 2);

    luaL_argcheck(L, *box, 1, "the survey is done");
    luaL_argcheck(L, budget_ms >= 0 && budget_ms <= 1000, 2, "no budget");
    if (!survey_step(*box, (uint64_t)(budget_ms * 1000))) {
        lua_pushnil(L);
        return 1;
    }
    size_t count = survey_count(*box);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_usage(L, survey_get(*box, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    finish(L);
    return 1;
}

int lua_survey_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"begin", begin}, {"cgroup_cpu_us", cgroup_cpu_us}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"step", step}, {NULL, NULL}};

    luaL_newmetatable(L, class_name);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, finish);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
