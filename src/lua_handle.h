/*
 * lua_handle: userdata that carries a handle, for the glue files.
 *
 * The userdata owns nothing and has no finalizer: an object lives until it is
 * closed, whoever still holds it. Using a stale one raises.
 */
#ifndef APPMGR_LUA_HANDLE_H
#define APPMGR_LUA_HANDLE_H

#include "handle.h"

#include <lua.h>
#include <lauxlib.h>

/* Makes the class `name` (for example "core.timer.handle") with these methods. */
void lua_handle_class(lua_State *L, const char *name, const luaL_Reg *methods);

/*
 * Pushes a new userdata of the class, still stale; fill in what is returned
 * once the object exists. Call it first: it may raise, and the object that
 * would be lost then must not exist yet.
 */
struct handle *lua_handle_new(lua_State *L, const char *name);

/* The handle in the argument; raises when it is no userdata of the class. */
struct handle lua_handle_read(lua_State *L, int index, const char *name);

/*
 * The object behind the argument; raises "<noun> <ended>" (as in "timer was
 * cancelled") when it is gone.
 */
void *lua_handle_check(lua_State *L, int index, const char *name, const struct handle_table *table,
                       const char *noun, const char *ended);

#endif
