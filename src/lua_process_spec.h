/*
 * lua_process_spec: what the keeper is to run, read from a Lua table.
 *
 * Raises on what makes no sense, naming the field. What is read is borrowed from the table and from the stack, where
 * some of it is left: use it before the calling C function returns.
 */
#ifndef APPMGR_LUA_PROCESS_SPEC_H
#define APPMGR_LUA_PROCESS_SPEC_H

#include "process.h"

#include <lua.h>

/* What a spec points to; the caller's, and as long-lived as the spec. */
struct lua_process_policy {
    struct process_restart restart;
    struct process_limits limits;
};

/* The text of a field, or NULL where there is none. It lives as long as the table holds it. */
const char *lua_process_text(lua_State *L, int table, const char *name);

/* Reads all of a spec from the table at index `table` (not relative to the top). */
void lua_process_read_spec(lua_State *L, int table, struct process_spec *spec, struct lua_process_policy *policy);

/* Reads what an update may change. */
void lua_process_read_policy(lua_State *L, int table, struct process_spec *spec, struct lua_process_policy *policy);

#endif
