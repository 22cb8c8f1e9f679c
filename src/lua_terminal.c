/*
 * core.terminal: glue for terminal.c. For the command line's processes; it blocks.
 *
 *   readline(prompt) → line | nil at the end of input | nil, "interrupted" after Ctrl-C
 *   set_completer(fn | nil)     fn(text up to the cursor) → {words…}, position of the byte in text from which they count
 *   add_history(entry)          entries may hold several lines
 *   load_history(path), save_history(path) → true | nil, err
 *   is_terminal(fd) → boolean   width() → columns
 */
#include "core_modules.h"
#include "script.h"
#include "terminal.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int completer = LUA_NOREF;

static int readline(lua_State *L)
{
    const char *line;
    size_t length;
    switch (terminal_readline(luaL_optstring(L, 1, ""), &line, &length)) {
    case TERMINAL_LINE:
        lua_pushlstring(L, line, length);
        return 1;
    case TERMINAL_INTERRUPTED:
        lua_pushnil(L);
        lua_pushliteral(L, "interrupted");
        return 2;
    default:
        lua_pushnil(L);
        return 1;
    }
}

/* ---- completion: libedit calls us in the middle of a line, so no error may pass through ---- */

struct question {
    const char *text;
    size_t length;
    struct terminal_candidates *answer;
};

/* Copies the array of words at index 1; what is no string is left out. */
static void copy_words(lua_State *L, struct terminal_candidates *answer)
{
    lua_Integer count = luaL_len(L, 1);
    answer->words = calloc((size_t)(count > 0 ? count : 1), sizeof *answer->words);
    for (lua_Integer i = 1; answer->words && i <= count; i++) {
        char *word = lua_geti(L, 1, i) == LUA_TSTRING ? strdup(lua_tostring(L, -1)) : NULL;
        if (word)
            answer->words[answer->count++] = word;
        lua_pop(L, 1);
    }
}

static int ask(lua_State *L)
{
    const struct question *question = lua_touserdata(L, 1);
    lua_settop(L, 0);
    script_push(L, completer);
    lua_pushlstring(L, question->text, question->length);
    lua_call(L, 1, 2);
    if (!lua_istable(L, 1))
        return 0;
    lua_Integer from = luaL_optinteger(L, 2, (lua_Integer)question->length + 1);
    if (from < 1 || from > (lua_Integer)question->length + 1)
        return 0;
    question->answer->from = (size_t)from - 1;
    copy_words(L, question->answer);
    return 0;
}

static void complete(const char *text, size_t length, struct terminal_candidates *out, void *data)
{
    lua_State *L = data;
    struct question question = {text, length, out};
    lua_pushcfunction(L, ask);
    lua_pushlightuserdata(L, &question);
    (void)script_call(L, 1, 0, "completion");
}

static int set_completer(lua_State *L)
{
    bool is_given = !lua_isnoneornil(L, 1);
    int reference = is_given ? script_keep(L, 1) : LUA_NOREF;
    script_release(L, &completer);
    completer = reference;
    terminal_set_completer(is_given ? complete : NULL, script_main_thread(L));
    return 0;
}

/* ---- history and the rest ---- */

static int add_history(lua_State *L)
{
    terminal_add_history(luaL_checkstring(L, 1));
    return 0;
}

static int push_result(lua_State *L, const char *path, int result)
{
    if (result == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(-result));
    return 2;
}

static int load_history(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return push_result(L, path, terminal_load_history(path));
}

static int save_history(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return push_result(L, path, terminal_save_history(path));
}

static int is_terminal(lua_State *L)
{
    lua_Integer fd = luaL_checkinteger(L, 1);
    lua_pushboolean(L, fd >= 0 && fd <= INT_MAX && isatty((int)fd));
    return 1;
}

static int width(lua_State *L)
{
    lua_pushinteger(L, terminal_width());
    return 1;
}

void lua_terminal_shutdown(lua_State *L)
{
    script_release(L, &completer);
    terminal_shutdown();
}

int lua_terminal_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"add_history", add_history}, {"is_terminal", is_terminal}, {"load_history", load_history},
        {"readline", readline}, {"save_history", save_history}, {"set_completer", set_completer},
        {"width", width}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
