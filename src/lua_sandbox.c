/*
 * core.sandbox: glue for sandbox.c, and the list of what code in a sandbox may be given.
 *
 *   call(fn, {deadline_ms=, instructions=, memory_mb=, head_start_ms=}, …) → "ok", results…
 *       | "error", message, traceback | "timeout", message, traceback | "no_memory", message, ""
 *   start(fn, {as above}, …) → job                      nothing runs yet; the deadline counts from here
 *   job:step(slice_ms) → nil while there is more to do, then what call returns
 *   load(source, chunkname, env) → fn | nil, err        text only, never bytecode
 *   environment{"string.format", "math.*", …} → table   fresh copies; a name not on the list raises
 *   names() → sorted array of all names on the list
 *
 * "library.*" stands for the library's functions that always answer the same to the same question; what depends on
 * time or chance must be named. Not on the list, whoever asks: whatever reaches files, processes, modules, other
 * code's values or bytecode (io, os.execute, require, load, debug, string.dump, collectgarbage, _G …).
 */
#include "core_modules.h"
#include "sandbox.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct allowed {
    const char *library; /* "_G" for the basic functions */
    const char *name;
    bool impure; /* depends on time or chance: not part of "library.*" */
    lua_CFunction replacement; /* NULL: the function itself */
};

static int guarded_getmetatable(lua_State *L);
static int guarded_setmetatable(lua_State *L);

/* Sorted by library and name. */
static const struct allowed list[] = {
    {"_G", "_VERSION", false, NULL},
    {"_G", "assert", false, NULL},
    {"_G", "error", false, NULL},
    {"_G", "getmetatable", false, guarded_getmetatable},
    {"_G", "ipairs", false, NULL},
    {"_G", "next", false, NULL},
    {"_G", "pairs", false, NULL},
    {"_G", "pcall", false, NULL},
    {"_G", "rawequal", false, NULL},
    {"_G", "rawget", false, NULL},
    {"_G", "rawlen", false, NULL},
    {"_G", "rawset", false, NULL},
    {"_G", "select", false, NULL},
    {"_G", "setmetatable", false, guarded_setmetatable},
    {"_G", "tonumber", false, NULL},
    {"_G", "tostring", false, NULL},
    {"_G", "type", false, NULL},
    {"_G", "xpcall", false, sandbox_xpcall},
    {"coroutine", "close", false, sandbox_close},
    {"coroutine", "create", false, NULL},
    {"coroutine", "isyieldable", false, NULL},
    {"coroutine", "resume", false, sandbox_resume},
    {"coroutine", "running", false, NULL},
    {"coroutine", "status", false, NULL},
    {"coroutine", "wrap", false, sandbox_wrap},
    {"coroutine", "yield", false, NULL},
    {"math", "abs", false, NULL},
    {"math", "acos", false, NULL},
    {"math", "asin", false, NULL},
    {"math", "atan", false, NULL},
    {"math", "ceil", false, NULL},
    {"math", "cos", false, NULL},
    {"math", "deg", false, NULL},
    {"math", "exp", false, NULL},
    {"math", "floor", false, NULL},
    {"math", "fmod", false, NULL},
    {"math", "huge", false, NULL},
    {"math", "log", false, NULL},
    {"math", "max", false, NULL},
    {"math", "maxinteger", false, NULL},
    {"math", "min", false, NULL},
    {"math", "mininteger", false, NULL},
    {"math", "modf", false, NULL},
    {"math", "pi", false, NULL},
    {"math", "rad", false, NULL},
    {"math", "random", true, NULL},
    {"math", "sin", false, NULL},
    {"math", "sqrt", false, NULL},
    {"math", "tan", false, NULL},
    {"math", "tointeger", false, NULL},
    {"math", "type", false, NULL},
    {"math", "ult", false, NULL},
    {"os", "clock", true, NULL},
    {"os", "date", true, NULL},
    {"os", "difftime", false, NULL},
    {"os", "time", true, NULL},
    {"string", "byte", false, NULL},
    {"string", "char", false, NULL},
    {"string", "find", false, NULL},
    {"string", "format", false, NULL},
    {"string", "gmatch", false, NULL},
    {"string", "gsub", false, NULL},
    {"string", "len", false, NULL},
    {"string", "lower", false, NULL},
    {"string", "match", false, NULL},
    {"string", "pack", false, NULL},
    {"string", "packsize", false, NULL},
    {"string", "rep", false, NULL},
    {"string", "reverse", false, NULL},
    {"string", "sub", false, NULL},
    {"string", "unpack", false, NULL},
    {"string", "upper", false, NULL},
    {"table", "concat", false, NULL},
    {"table", "insert", false, NULL},
    {"table", "move", false, NULL},
    {"table", "pack", false, NULL},
    {"table", "remove", false, NULL},
    {"table", "sort", false, NULL},
    {"table", "unpack", false, NULL},
    {"utf8", "char", false, NULL},
    {"utf8", "charpattern", false, NULL},
    {"utf8", "codepoint", false, NULL},
    {"utf8", "codes", false, NULL},
    {"utf8", "len", false, NULL},
    {"utf8", "offset", false, NULL},
};

enum { LIST_COUNT = sizeof list / sizeof *list };

static bool is_basic(const struct allowed *entry)
{
    return strcmp(entry->library, "_G") == 0;
}

/* ---- replacements ---- */

/* Pushes a field of a loaded library. */
static void push_original(lua_State *L, const char *library, const char *name)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, library);
    lua_getfield(L, -1, name);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Calls the basic function of that name with all arguments. */
static int call_original(lua_State *L, const char *name)
{
    push_original(L, "_G", name);
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* All strings of the process share one metatable: who can get it can change it for everyone. */
static int guarded_getmetatable(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING)
        return call_original(L, "getmetatable");
    lua_pushnil(L);
    return 1;
}

/* Finalizers run whenever the collector pleases, out of reach of every limit. */
static int guarded_setmetatable(lua_State *L)
{
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a metatable with __gc is not allowed here");
        lua_pop(L, 1);
    }
    return call_original(L, "setmetatable");
}

/* ---- environment ---- */

/* Puts the entry into the environment on top of the stack. */
static void add_entry(lua_State *L, const struct allowed *entry)
{
    if (is_basic(entry))
        lua_pushvalue(L, -1);
    else
        luaL_getsubtable(L, -1, entry->library);
    if (entry->replacement)
        lua_pushcfunction(L, entry->replacement);
    else
        push_original(L, entry->library, entry->name);
    lua_setfield(L, -2, entry->name);
    lua_pop(L, 1);
}

/* Does the name ("pairs", "string.format", "math.*") stand for this entry? */
static bool names_entry(const char *name, const struct allowed *entry)
{
    size_t length = strlen(entry->library);
    if (is_basic(entry))
        return strcmp(name, entry->name) == 0;
    if (strncmp(name, entry->library, length) != 0 || name[length] != '.')
        return false;
    const char *rest = name + length + 1;
    return strcmp(rest, "*") == 0 ? !entry->impure : strcmp(rest, entry->name) == 0;
}

static void add_name(lua_State *L, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < LIST_COUNT; i++) {
        if (!names_entry(name, &list[i]))
            continue;
        add_entry(L, &list[i]);
        found = true;
    }
    if (!found)
        luaL_error(L, "\"%s\" is not allowed in a sandbox", name);
}

static int environment(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer count = luaL_len(L, 1);
    lua_newtable(L);
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_geti(L, 1, i) != LUA_TSTRING)
            return luaL_error(L, "core.sandbox.environment: name %d is no string", (int)i);
        const char *name = lua_tostring(L, -1);
        lua_insert(L, 2); /* keeps the name alive below the environment */
        add_name(L, name);
        lua_remove(L, 2);
    }
    return 1;
}

static int names(lua_State *L)
{
    lua_createtable(L, LIST_COUNT, 0);
    for (size_t i = 0; i < LIST_COUNT; i++) {
        if (is_basic(&list[i]))
            lua_pushstring(L, list[i].name);
        else
            lua_pushfstring(L, "%s.%s", list[i].library, list[i].name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* ---- load and call ---- */

static int load_text(lua_State *L)
{
    size_t length;
    const char *source = luaL_checklstring(L, 1, &length);
    const char *chunkname = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    if (luaL_loadbufferx(L, source, length, chunkname, "t") != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushvalue(L, 3);
    lua_setupvalue(L, -2, 1); /* a chunk's only upvalue is _ENV */
    return 1;
}

static int64_t limit_field(lua_State *L, const char *name)
{
    int is_integer = 1;
    lua_Integer value = lua_getfield(L, 2, name) == LUA_TNIL ? 0 : lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || value < 0)
        luaL_error(L, "core.sandbox.call: %s must be a positive integer", name);
    lua_pop(L, 1);
    return value;
}

/* Reads the function and its limits, and leaves the function and its arguments. */
static struct sandbox_limits take_limits(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TTABLE);
    int64_t memory_mb = limit_field(L, "memory_mb");
    struct sandbox_limits limits = {
        .deadline_ms = limit_field(L, "deadline_ms"),
        .instructions = limit_field(L, "instructions"),
        .memory_bytes = (memory_mb < 1 << 30 ? memory_mb : 1 << 30) << 20,
        .head_start_ms = limit_field(L, "head_start_ms"),
    };
    lua_remove(L, 2);
    return limits;
}

static int call(lua_State *L)
{
    const struct sandbox_limits limits = take_limits(L);
    enum sandbox_outcome outcome = sandbox_call(L, lua_gettop(L) - 1, &limits);
    lua_pushstring(L, sandbox_outcome_name(outcome));
    lua_insert(L, 1);
    return lua_gettop(L);
}

static const char JOB_CLASS[] = "core.sandbox.job";

static int start(lua_State *L)
{
    const struct sandbox_limits limits = take_limits(L);
    sandbox_job_push(L, lua_gettop(L) - 1, &limits);
    luaL_setmetatable(L, JOB_CLASS);
    return 1;
}

static int job_step(lua_State *L)
{
    enum sandbox_outcome outcome;
    luaL_checkudata(L, 1, JOB_CLASS);
    lua_Integer slice_ms = luaL_checkinteger(L, 2);
    luaL_argcheck(L, slice_ms > 0, 2, "a slice is a positive number of milliseconds");
    lua_settop(L, 2);
    if (!sandbox_job_step(L, 1, slice_ms, &outcome))
        return 0;
    lua_pushstring(L, sandbox_outcome_name(outcome));
    lua_insert(L, 3);
    return lua_gettop(L) - 2;
}

static void make_job_class(lua_State *L)
{
    static const luaL_Reg methods[] = {{"step", job_step}, {NULL, NULL}};
    luaL_newmetatable(L, JOB_CLASS);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "a sandbox's job");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

int lua_sandbox_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"call", call}, {"environment", environment}, {"load", load_text}, {"names", names},
        {"start", start}, {NULL, NULL}};
    sandbox_init();
    make_job_class(L);
    luaL_newlib(L, functions);
    return 1;
}
