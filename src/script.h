/*
 * script: the only way from C into Lua.
 *
 * Adds the traceback, keeps the message, counts the error, and notices calls
 * that hold the loop. Callbacks are kept as references in the registry and
 * called on the main thread of the state, whichever coroutine registered them.
 * Never raises: what runs outside of a protected call may use it.
 */
#ifndef APPMGR_SCRIPT_H
#define APPMGR_SCRIPT_H

#include <lua.h>
#include <stdint.h>

enum { SCRIPT_SLOW_MS = 50 }; /* a callback that takes longer is logged and counted */

struct script_counters {
    uint64_t calls, errors, slow;
    uint64_t longest_ms; /* of one callback */
};

/*
 * Calls the function below the `arguments` topmost values of L as lua_call()
 * does. Returns 0 with `results` values pushed, or -1 with nothing pushed after
 * logging "<what>: <message and traceback>". `what` names the callback.
 */
int script_call(lua_State *L, int arguments, int results, const char *what);

/*
 * The same for the program itself: the time it takes is not watched, and its
 * error is not logged but left for script_error().
 */
int script_run(lua_State *L, int arguments, int results);

/* Message and traceback of the last failed call, "" when there was none. Valid until the next. */
const char *script_error(void);

/* Counts since the start. */
struct script_counters script_counters(void);

/* The main thread of the state that L belongs to. */
lua_State *script_main_thread(lua_State *L);

/* Keeps the function at the index (raises when it is none); returns its reference. */
int script_keep(lua_State *L, int index);

/* Pushes the function kept under the reference; needs one free stack slot, as any push. */
void script_push(lua_State *L, int reference);

/* Gives the reference back and sets it to LUA_NOREF; harmless when it is that already. */
void script_release(lua_State *L, int *reference);

/* Frees the kept message. */
void script_shutdown(void);

#endif
