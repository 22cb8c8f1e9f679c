#include "lua_process_spec.h"

#include <lauxlib.h>
#include <string.h>

/* How a field is read. It is said where it is there. */
enum look {
    TEXT,
    TEXTS,
    ARGUMENTS,  /* texts that have to be there */
    NUMBER,
    NOT_ZERO,   /* a number; 0 is not said */
    SIGNAL,     /* the same */
    NICE,
    CHOICE,     /* true or false */
    ALWAYS,     /* the same, and false where it is not there */
};

struct field {
    const char *name;
    enum wire_tag tag;
    enum look look;
};

/* What an update may change; beside these the tables `restart` and `limits`. */
static const struct field policy[] = {
    {"tag", WIRE_TAG_LABEL, TEXT},
    {"stop_signal", WIRE_TAG_STOP_SIGNAL, SIGNAL},
    {"stop_timeout_ms", WIRE_TAG_STOP_TIMEOUT_MS, NUMBER},
    {"lease_ms", WIRE_TAG_LEASE_MS, NUMBER},
    {"max_output_bytes", WIRE_TAG_MAX_OUTPUT_BYTES, NOT_ZERO},
    {"output_files", WIRE_TAG_OUTPUT_FILES, NOT_ZERO},
    {"output_waits", WIRE_TAG_OUTPUT_WAITS, CHOICE},
};

static const struct field restart[] = {
    {"enabled", WIRE_TAG_RESTART_ENABLED, ALWAYS},
    {"attempts", WIRE_TAG_RESTART_ATTEMPTS, NUMBER},
    {"interval_ms", WIRE_TAG_RESTART_INTERVAL_MS, NOT_ZERO},
    {"delay_ms", WIRE_TAG_RESTART_DELAY_MS, NOT_ZERO},
    {"max_delay_ms", WIRE_TAG_RESTART_MAX_DELAY_MS, NOT_ZERO},
    {"reset_ms", WIRE_TAG_RESTART_RESET_MS, NOT_ZERO},
};

static const struct field limits[] = {
    {"memory_bytes", WIRE_TAG_MEMORY_BYTES, NUMBER}, {"swap_bytes", WIRE_TAG_SWAP_BYTES, NUMBER},
    {"virtual_bytes", WIRE_TAG_VIRTUAL_BYTES, NUMBER}, {"cpu_weight", WIRE_TAG_CPU_WEIGHT, NUMBER},
    {"cpu_percent", WIRE_TAG_CPU_PERCENT, NUMBER}, {"pids", WIRE_TAG_PIDS, NUMBER},
};

/* What only a new process can have otherwise. */
static const struct field process[] = {
    {"argv", WIRE_TAG_ARGUMENT, ARGUMENTS},
    {"env", WIRE_TAG_ENVIRONMENT, ARGUMENTS},
    {"working_dir", WIRE_TAG_WORKING_DIR, TEXT},
    {"user", WIRE_TAG_USER, TEXT},
    {"output_path", WIRE_TAG_OUTPUT_PATH, TEXT},
    {"init_argv", WIRE_TAG_INIT_ARGUMENT, TEXTS},
    {"init_timeout_ms", WIRE_TAG_INIT_TIMEOUT_MS, NOT_ZERO},
    {"fini_argv", WIRE_TAG_FINI_ARGUMENT, TEXTS},
    {"fini_timeout_ms", WIRE_TAG_FINI_TIMEOUT_MS, NOT_ZERO},
    {"ready_fd", WIRE_TAG_READY_FD, NOT_ZERO},
    {"run_timeout_ms", WIRE_TAG_RUN_TIMEOUT_MS, NOT_ZERO},
    {"nice", WIRE_TAG_NICE, NICE},
    {"umask", WIRE_TAG_UMASK, NUMBER},
    {"open_files", WIRE_TAG_OPEN_FILES, NOT_ZERO},
    {"no_new_privs", WIRE_TAG_NO_NEW_PRIVS, CHOICE},
    {"capabilities", WIRE_TAG_CAPABILITIES, NUMBER},
    {"is_local", WIRE_TAG_LOCAL, CHOICE},
};

/* --- the value on top of the stack --- */

static const char *check_text(lua_State *L, const char *name, const char *wanted)
{
    const char *text;
    size_t length;

    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "core.process: %s must be %s", name, wanted);
    text = lua_tolstring(L, -1, &length);
    if (strlen(text) != length)
        luaL_error(L, "core.process: %s holds a NUL", name);
    return text;
}

static void put_texts(lua_State *L, const struct field *field, struct wire_writer *writer)
{
    const char *wanted = "an array of strings";

    if (!lua_istable(L, -1))
        luaL_error(L, "core.process: %s must be %s", field->name, wanted);
    for (size_t i = 1; i <= lua_rawlen(L, -1); i++) {
        const char *text;

        lua_rawgeti(L, -1, (lua_Integer)i);
        text = check_text(L, field->name, wanted);
        if (writer)
            wire_put_text(writer, field->tag, text);
        lua_pop(L, 1);
    }
}

static uint64_t check_number(lua_State *L, const struct field *field)
{
    int is_integer;
    lua_Integer number = lua_tointegerx(L, -1, &is_integer);

    if (field->look == NICE && (!is_integer || number < -20 || number > 19))
        luaL_error(L, "core.process: nice must be a whole number from -20 to 19");
    if (field->look != NICE && (!is_integer || number < 0))
        luaL_error(L, "core.process: %s must be a whole number of at least 0", field->name);
    if (field->look == SIGNAL && number > 64)
        luaL_error(L, "core.process: %s is none", field->name);
    return (uint64_t)(field->look == NICE ? number + WIRE_NICE_BIAS : number);
}

static void put_value(lua_State *L, const struct field *field, struct wire_writer *writer)
{
    bool is_there = !lua_isnil(L, -1), is_said = is_there || field->look == ALWAYS;
    const char *text = NULL;
    uint64_t number = 0;

    if (field->look == ARGUMENTS || (field->look == TEXTS && is_there)) {
        put_texts(L, field, writer);
        return;
    }
    if (field->look == TEXT && is_there)
        text = check_text(L, field->name, "a string");
    else if (field->look == CHOICE || field->look == ALWAYS)
        number = (uint64_t)lua_toboolean(L, -1);
    else if (is_there)
        number = check_number(L, field);
    if (field->look == NOT_ZERO || field->look == SIGNAL)
        is_said = number != 0;
    if (writer && text)
        wire_put_text(writer, field->tag, text);
    else if (writer && is_said)
        wire_put_number(writer, field->tag, number);
}

/* --- tables --- */

static void put_all(lua_State *L, int table, const struct field *fields, size_t count, struct wire_writer *writer)
{
    for (const struct field *field = fields; field < fields + count; field++) {
        lua_getfield(L, table, field->name);
        put_value(L, field, writer);
        lua_pop(L, 1);
    }
}

/* Returns false where there is no such table in the table; else leaves it on the stack. */
static bool enter(lua_State *L, int table, const char *name)
{
    if (lua_getfield(L, table, name) != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        return true;
    }
    lua_pop(L, 1);
    return false;
}

#define COUNT(fields) (sizeof(fields) / sizeof *(fields))

void lua_process_put_spec(lua_State *L, int table, enum wire_type type, struct wire_writer *writer)
{
    put_all(L, table, policy, COUNT(policy), writer);
    if (enter(L, table, "restart")) {
        put_all(L, lua_gettop(L), restart, COUNT(restart), writer);
        lua_pop(L, 1);
    }
    if (enter(L, table, "limits")) {
        if (writer)
            wire_put_number(writer, WIRE_TAG_LIMITS, 1);
        put_all(L, lua_gettop(L), limits, COUNT(limits), writer);
        lua_pop(L, 1);
    }
    if (type != WIRE_SPAWN)
        return;
    put_all(L, table, process, COUNT(process), writer);
    lua_getfield(L, table, "argv");
    luaL_argcheck(L, lua_rawlen(L, -1) > 0, table, "argv is empty");
    lua_pop(L, 1);
}

const char *lua_process_text(lua_State *L, int table, const char *name)
{
    const char *text = lua_getfield(L, table, name) == LUA_TNIL ? NULL : check_text(L, name, "a string");

    lua_pop(L, 1);
    return text;
}
