/*
 * appmgr: makes the Lua state, gives it the core modules, and hands over to
 * lua/appmgr/main.lua (or, in a process in which policies run, to the main file of its role).
 * All that is decided is decided there.
 */
#include "core_modules.h"
#include "planner.h"
#include "runtime.h"
#include "script.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct arguments {
    int count;
    char **values; /* without the program's name */
};

/* Memory that a large answer took goes back to the system when it is freed. */
static void tune_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

/* A descriptor opened later must never be taken for stdin, stdout or stderr. */
static void occupy_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static void set_package_path(lua_State *L)
{
    const char *share = runtime_paths()->share_dir;

    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s/lua/?.lua;%s/lua/?/init.lua;%s", share, share, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pop(L, 2);
}

static void push_arguments(lua_State *L, const struct arguments *arguments)
{
    lua_createtable(L, arguments->count, 0);
    for (int i = 0; i < arguments->count; i++) {
        lua_pushstring(L, arguments->values[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

/* The module of a process in which policies run (planner.h), named by its first argument; NULL for every other. */
static const char *confined_module(const struct arguments *arguments)
{
    static const char *const roles[][2] = {
        {"planner", "appmgr.planner.main"}, {"workbench", "appmgr.workbench.main"}};
    for (size_t i = 0; arguments->count > 0 && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(arguments->values[0], roles[i][0]) == 0)
            return roles[i][1];
    return NULL;
}

/* Runs protected; the argument is a light struct arguments, the result what main returned. */
static int start(lua_State *L)
{
    const struct arguments *arguments = lua_touserdata(L, 1);
    luaL_openlibs(L);
    /* The planner's model is large and lives long. The agent does its collecting in small steps: it must answer, and its
     * memory is what an idle node shows. */
    const char *confined = confined_module(arguments);
    if (confined)
        lua_gc(L, LUA_GCGEN, 0, 0);
    else
        lua_gc(L, LUA_GCINC, 130, 200, 0);
    core_modules_preload(L);
    set_package_path(L);
    lua_getglobal(L, "require");
    lua_pushstring(L, confined ? confined : "appmgr.main");
    lua_call(L, 1, 1);
    push_arguments(L, arguments);
    lua_call(L, 1, 1);
    return 1;
}

/* What main returned as an exit code: nothing or true is 0, false is 1. */
static int exit_code(lua_State *L)
{
    if (lua_isinteger(L, -1))
        return (int)lua_tointeger(L, -1);
    return lua_isboolean(L, -1) && !lua_toboolean(L, -1) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_program(struct arguments *arguments)
{
    int code = EXIT_FAILURE;
    lua_State *L = luaL_newstate();

    if (!L) {
        fputs("appmgr: not enough memory to start\n", stderr);
        return EXIT_FAILURE;
    }
    lua_pushcfunction(L, start);
    lua_pushlightuserdata(L, arguments);
    if (script_run(L, 1, 1) == 0)
        code = exit_code(L);
    else
        fprintf(stderr, "appmgr: %s\n", script_error());
    core_modules_shutdown(L);
    lua_close(L);
    return code;
}

int main(int argc, char **argv)
{
    char error[2200];
    struct arguments arguments = {argc > 1 ? argc - 1 : 0, argv + 1};

    tune_memory();
    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    if (runtime_find(error, sizeof error) != 0 ||
        (confined_module(&arguments) && planner_enter(arguments.count, arguments.values, error, sizeof error) != 0)) {
        fprintf(stderr, "appmgr: %s\n", error);
        return EXIT_FAILURE;
    }
    return run_program(&arguments);
}
