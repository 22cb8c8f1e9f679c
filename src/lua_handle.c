#include "lua_handle.h"

static int handle_tostring(lua_State *L)
{
    const struct handle *handle = lua_touserdata(L, 1);

    luaL_getmetafield(L, 1, "__name");
    lua_pushfstring(L, "%s: %d.%d", lua_tostring(L, -1), (int)handle->slot, (int)handle->generation);
    return 1;
}

void lua_handle_class(lua_State *L, const char *name, const luaL_Reg *methods)
{
    luaL_newmetatable(L, name);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, handle_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "handle");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

struct handle *lua_handle_new(lua_State *L, const char *name)
{
    struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);

    *handle = (struct handle){0};
    luaL_setmetatable(L, name);
    return handle;
}

struct handle lua_handle_read(lua_State *L, int index, const char *name)
{
    return *(struct handle *)luaL_checkudata(L, index, name);
}

void *lua_handle_check(lua_State *L, int index, const char *name, const struct handle_table *table,
                       const char *noun, const char *ended)
{
    void *object = handle_get(table, lua_handle_read(L, index, name));

    if (!object)
        luaL_error(L, "%s %s", noun, ended);
    return object;
}
