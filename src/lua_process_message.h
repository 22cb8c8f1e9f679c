/*
 * lua_process_message: what the keeper says, as Lua tables.
 *
 * A table has the fields that the message has, under names of ours. Making one may raise (memory): call it from inside
 * script_call. Never keeps a message.
 */
#ifndef APPMGR_LUA_PROCESS_MESSAGE_H
#define APPMGR_LUA_PROCESS_MESSAGE_H

#include "wire.h"

#include <lua.h>

/* Pushes the fields of a message as they are. Borrows the message. */
void lua_process_push_fields(lua_State *L, const struct wire_message *message);

/* Pushes what is known of a child; how its last run ended stands in `last_exit`. Borrows the message. */
void lua_process_push_record(lua_State *L, const struct wire_message *message);

/* Pushes an event, with its `type` as a word. Borrows the message. */
void lua_process_push_event(lua_State *L, const struct wire_message *message);

#endif
