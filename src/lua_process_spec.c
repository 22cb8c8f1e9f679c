#include "lua_process_spec.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

const char *lua_process_text(lua_State *L, int table, const char *name)
{
    const char *text = NULL;
    size_t length;

    if (lua_getfield(L, table, name) != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "core.process: %s must be a string", name);
        text = lua_tolstring(L, -1, &length);
        if (strlen(text) != length)
            luaL_error(L, "core.process: %s holds a NUL", name);
    }
    lua_pop(L, 1);
    return text;
}

/* A number of at least 0; `found` may be NULL. */
static uint64_t number_field(lua_State *L, int table, const char *name, bool *found)
{
    lua_Integer number = 0;
    int is_integer = 1, type = lua_getfield(L, table, name);

    if (type != LUA_TNIL)
        number = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || number < 0)
        luaL_error(L, "core.process: %s must be a whole number of at least 0", name);
    lua_pop(L, 1);
    if (found)
        *found = type != LUA_TNIL;
    return (uint64_t)number;
}

/* The array in a field as C strings, NULL at the end; left on the stack so that it lives. */
static const char *const *texts_field(lua_State *L, int table, const char *name)
{
    if (lua_getfield(L, table, name) != LUA_TTABLE)
        luaL_error(L, "core.process: %s must be an array of strings", name);
    int array = lua_gettop(L);
    size_t count = lua_rawlen(L, array);
    const char **texts = lua_newuserdatauv(L, (count + 1) * sizeof *texts, 0);
    for (size_t i = 0; i < count; i++) {
        size_t length;
        if (lua_rawgeti(L, array, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "core.process: %s must be an array of strings", name);
        texts[i] = lua_tolstring(L, -1, &length);
        if (strlen(texts[i]) != length)
            luaL_error(L, "core.process: %s holds a NUL", name);
        lua_pop(L, 1);
    }
    texts[count] = NULL;
    return texts;
}

/* Returns NULL when there is no policy in the table. */
static const struct process_restart *restart_field(lua_State *L, int table, struct process_restart *restart)
{
    if (lua_getfield(L, table, "restart") == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    int policy = lua_gettop(L);
    lua_getfield(L, policy, "enabled");
    restart->enabled = lua_toboolean(L, -1);
    lua_pop(L, 1);
    restart->attempts = number_field(L, policy, "attempts", &restart->limited);
    restart->interval_ms = number_field(L, policy, "interval_ms", NULL);
    restart->delay_ms = number_field(L, policy, "delay_ms", NULL);
    restart->max_delay_ms = number_field(L, policy, "max_delay_ms", NULL);
    restart->reset_ms = number_field(L, policy, "reset_ms", NULL);
    lua_pop(L, 1);
    return restart;
}

static uint64_t limit_field(lua_State *L, int table, const char *name)
{
    bool found;
    uint64_t value = number_field(L, table, name, &found);

    return found ? value : PROCESS_NO_LIMIT;
}

/* Returns NULL when there are no limits in the table. */
static const struct process_limits *limits_field(lua_State *L, int table, struct process_limits *limits)
{
    if (lua_getfield(L, table, "limits") == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    int values = lua_gettop(L);
    *limits = (struct process_limits){
        .memory_bytes = limit_field(L, values, "memory_bytes"), .swap_bytes = limit_field(L, values, "swap_bytes"),
        .virtual_bytes = limit_field(L, values, "virtual_bytes"), .cpu_weight = limit_field(L, values, "cpu_weight"),
        .cpu_percent = limit_field(L, values, "cpu_percent"), .pids = limit_field(L, values, "pids"),
    };
    lua_pop(L, 1);
    return limits;
}

void lua_process_read_policy(lua_State *L, int table, struct process_spec *spec, struct lua_process_policy *policy)
{
    uint64_t stop_signal = number_field(L, table, "stop_signal", NULL);

    if (stop_signal > 64)
        luaL_error(L, "core.process: stop_signal is none");
    spec->stop_signal = (int)stop_signal;
    spec->tag = lua_process_text(L, table, "tag");
    spec->stop_timeout_ms = number_field(L, table, "stop_timeout_ms", &spec->has_stop_timeout);
    spec->lease_ms = number_field(L, table, "lease_ms", &spec->has_lease);
    spec->restart = restart_field(L, table, &policy->restart);
    spec->limits = limits_field(L, table, &policy->limits);
    spec->max_output_bytes = number_field(L, table, "max_output_bytes", NULL);
    spec->output_files = number_field(L, table, "output_files", NULL);
    lua_getfield(L, table, "output_waits");
    spec->output_waits = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

/* What of a process only a new one can have otherwise, beside its command. */
static void read_settings(lua_State *L, int table, struct process_spec *spec)
{
    lua_Integer nice = 0;
    int is_integer = 1;

    spec->has_nice = lua_getfield(L, table, "nice") != LUA_TNIL;
    if (spec->has_nice)
        nice = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || nice < -20 || nice > 19)
        luaL_error(L, "core.process: nice must be a whole number from -20 to 19");
    spec->nice = (int)nice;
    lua_getfield(L, table, "no_new_privs");
    spec->no_new_privs = lua_toboolean(L, -1);
    lua_getfield(L, table, "is_local");
    spec->is_local = lua_toboolean(L, -1);
    lua_pop(L, 3);
    spec->umask = number_field(L, table, "umask", &spec->has_umask);
    spec->open_files = number_field(L, table, "open_files", NULL);
    spec->capabilities = number_field(L, table, "capabilities", &spec->has_capabilities);
}

/* The same, or NULL where there is no such field. */
static const char *const *command_field(lua_State *L, int table, const char *name)
{
    int type = lua_getfield(L, table, name);

    lua_pop(L, 1);
    return type == LUA_TNIL ? NULL : texts_field(L, table, name);
}

static void read_phases(lua_State *L, int table, struct process_spec *spec)
{
    spec->init = command_field(L, table, "init_argv");
    spec->init_timeout_ms = number_field(L, table, "init_timeout_ms", NULL);
    spec->fini = command_field(L, table, "fini_argv");
    spec->fini_timeout_ms = number_field(L, table, "fini_timeout_ms", NULL);
    spec->ready_fd = number_field(L, table, "ready_fd", NULL);
    spec->run_timeout_ms = number_field(L, table, "run_timeout_ms", NULL);
}

void lua_process_read_spec(lua_State *L, int table, struct process_spec *spec, struct lua_process_policy *policy)
{
    spec->id = lua_process_text(L, table, "id");
    lua_process_read_policy(L, table, spec, policy);
    spec->arguments = texts_field(L, table, "argv");
    spec->environment = texts_field(L, table, "env");
    luaL_argcheck(L, spec->arguments[0], table, "argv is empty");
    spec->working_dir = lua_process_text(L, table, "working_dir");
    spec->user = lua_process_text(L, table, "user");
    spec->output_path = lua_process_text(L, table, "output_path");
    read_phases(L, table, spec);
    read_settings(L, table, spec);
}
