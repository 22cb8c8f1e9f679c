/*
 * core_modules: what C gives to Lua, the modules core.*.
 *
 * Each glue file exports an opener and, when its mechanism holds resources, a
 * function that lets go of them. The list in core_modules.c is the only place
 * that knows all of them.
 */
#ifndef APPMGR_CORE_MODULES_H
#define APPMGR_CORE_MODULES_H

#include <lua.h>

/* Puts every core.* opener into package.preload. */
void core_modules_preload(lua_State *L);

/*
 * Ends what the modules still hold, last module first, then the loop. The
 * state must still be open: callbacks are released.
 */
void core_modules_shutdown(lua_State *L);

/* The openers, one for each glue file: push the module's table. */
int lua_codec_open(lua_State *L);
int lua_control_open(lua_State *L);
int lua_file_open(lua_State *L);
int lua_file_watch_open(lua_State *L);
int lua_host_open(lua_State *L);
int lua_survey_open(lua_State *L);
int lua_http_open(lua_State *L);
int lua_json_open(lua_State *L);
int lua_log_open(lua_State *L);
int lua_loop_open(lua_State *L);
int lua_notify_open(lua_State *L);
int lua_pipe_open(lua_State *L);
int lua_planner_open(lua_State *L);
int lua_process_open(lua_State *L);
int lua_runtime_open(lua_State *L);
int lua_sandbox_open(lua_State *L);
int lua_terminal_open(lua_State *L);
int lua_timer_open(lua_State *L);

/* What some of them must let go of. */
void lua_control_shutdown(lua_State *L);
void lua_file_shutdown(lua_State *L);
void lua_file_watch_shutdown(lua_State *L);
void lua_host_shutdown(lua_State *L);
void lua_http_shutdown(lua_State *L);
void lua_loop_shutdown(lua_State *L);
void lua_planner_shutdown(lua_State *L);
void lua_process_shutdown(lua_State *L);
void lua_terminal_shutdown(lua_State *L);
void lua_timer_shutdown(lua_State *L);

#endif
