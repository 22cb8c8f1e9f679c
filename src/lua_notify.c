/* core.notify: glue for notify.c. */
#include "core_modules.h"
#include "notify.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* send(state) → true; false without a service manager; nil, "NOTIFY_SOCKET: reason" */
static int send_state(lua_State *L)
{
    const char *state = luaL_checkstring(L, 1);
    const char *path = getenv("NOTIFY_SOCKET");
    int result;

    if (!path || !*path) {
        lua_pushboolean(L, 0);
        return 1;
    }
    result = notify_send(path, state);
    if (result < 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "NOTIFY_SOCKET %s: %s", path, strerror(-result));
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

int lua_notify_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"send", send_state}, {NULL, NULL}};

    luaL_newlib(L, functions);
    return 1;
}
