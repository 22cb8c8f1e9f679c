/*
 * core.file_watch: glue for file_watch.c.
 *
 *   start(path, fn) → watch | nil, "path: reason"     fn() when the file was written, replaced or removed, maybe
 *                                                     several times for one change; its folder must exist
 *   watch:close()                                     harmless when repeated
 */
#include "core_modules.h"
#include "file_watch.h"
#include "loop.h"
#include "lua_handle.h"
#include "script.h"

#include <lauxlib.h>
#include <stdlib.h>

static const char class_name[] = "core.file_watch.handle";
static struct handle_table live;

struct lua_watch {
    struct file_watch *watch;
    struct handle handle;
    lua_State *L;
    int reference;
};

static void end(struct lua_watch *object)
{
    file_watch_close(object->watch);
    handle_drop(&live, object->handle);
    script_release(object->L, &object->reference);
    free(object);
}

static void on_change(void *data)
{
    struct lua_watch *object = data;
    lua_State *L = object->L;

    script_push(L, object->reference);
    (void)script_call(L, 0, 0, "file watch");
}

static int refuse(lua_State *L, const char *path, int status)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s: its folder cannot be watched: %s", path, uv_strerror(status));
    return 2;
}

static int start(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct handle *handle = lua_handle_new(L, class_name);
    int reference = script_keep(L, 2), status = UV_ENOMEM;
    struct lua_watch *object = calloc(1, sizeof *object);

    if (!object)
        goto failed;
    *object = (struct lua_watch){.L = script_main_thread(L), .reference = reference, .handle = handle_add(&live, object)};
    if (object->handle.generation == 0)
        goto failed;
    status = file_watch_start(loop_uv(), path, on_change, object, &object->watch);
    if (status != 0)
        goto failed;
    *handle = object->handle;
    return 1;
failed:
    if (object)
        handle_drop(&live, object->handle);
    free(object);
    script_release(L, &reference);
    return refuse(L, path, status);
}

static int close_watch(lua_State *L)
{
    struct lua_watch *object = handle_get(&live, lua_handle_read(L, 1, class_name));

    if (object)
        end(object);
    return 0;
}

void lua_file_watch_shutdown(lua_State *L)
{
    struct lua_watch *object;

    (void)L;
    while ((object = handle_any(&live)))
        end(object);
    handle_table_free(&live);
}

int lua_file_watch_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"start", start}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"close", close_watch}, {NULL, NULL}};

    lua_handle_class(L, class_name, methods);
    luaL_newlib(L, functions);
    return 1;
}
