/*
 * lua_process_spec: what the keeper is to run, from a Lua table to the wire.
 */
#ifndef APPMGR_LUA_PROCESS_SPEC_H
#define APPMGR_LUA_PROCESS_SPEC_H

#include "wire.h"

#include <lua.h>

/* The text of a field, or NULL where there is none. It lives as long as the table holds it. Raises, naming the field. */
const char *lua_process_text(lua_State *L, int table, const char *name);

/* Writes the fields of a WIRE_SPAWN, or those that a WIRE_UPDATE may change, from the table at index `table` (not relative to
 * the top). Raises on what makes no sense, naming the field; without a writer that is all it does: to be called first, since a
 * frame that has begun must be ended. */
void lua_process_put_spec(lua_State *L, int table, enum wire_type type, struct wire_writer *writer);

#endif
