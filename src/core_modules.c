#include "core_modules.h"

#include "script.h"

#include <lauxlib.h>
#include <stddef.h>

struct core_module {
    const char *name;
    lua_CFunction open;
    void (*shutdown)(lua_State *L); /* or NULL */
};

/* A module stands after those whose mechanism it uses. */
static const struct core_module modules[] = {
    {"core.runtime", lua_runtime_open, NULL},
    {"core.log", lua_log_open, NULL},
    {"core.json", lua_json_open, NULL},
    {"core.codec", lua_codec_open, NULL},
    {"core.file", lua_file_open, lua_file_shutdown},
    {"core.loop", lua_loop_open, lua_loop_shutdown},
    {"core.timer", lua_timer_open, lua_timer_shutdown},
    {"core.file_watch", lua_file_watch_open, lua_file_watch_shutdown},
    {"core.http", lua_http_open, lua_http_shutdown},
    {"core.host", lua_host_open, lua_host_shutdown},
    {"core.survey", lua_survey_open, NULL},
    {"core.process", lua_process_open, lua_process_shutdown},
    {"core.notify", lua_notify_open, NULL},
    {"core.control", lua_control_open, lua_control_shutdown},
    {"core.sandbox", lua_sandbox_open, NULL},
    {"core.planner", lua_planner_open, lua_planner_shutdown},
    {"core.pipe", lua_pipe_open, NULL},
    {"core.terminal", lua_terminal_open, lua_terminal_shutdown},
};

enum { MODULE_COUNT = sizeof modules / sizeof modules[0] };

void core_modules_preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (size_t i = 0; i < MODULE_COUNT; i++) {
        lua_pushcfunction(L, modules[i].open);
        lua_setfield(L, -2, modules[i].name);
    }
    lua_pop(L, 1);
}

void core_modules_shutdown(lua_State *L)
{
    for (size_t i = MODULE_COUNT; i-- > 0;)
        if (modules[i].shutdown)
            modules[i].shutdown(L);
    script_shutdown();
}
