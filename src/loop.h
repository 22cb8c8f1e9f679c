/*
 * loop: the one libuv loop of the process.
 *
 * Owns the loop, the signal watchers and the list of deferred calls. Others
 * put their own handles on loop_uv() and close them themselves. Never calls
 * Lua. Everything here belongs to the main thread.
 */
#ifndef APPMGR_LOOP_H
#define APPMGR_LOOP_H

#include <stdbool.h>
#include <uv.h>

/* The loop; made on first use. Borrowed. Ends the process when it cannot be made. */
uv_loop_t *loop_uv(void);

/* Runs until loop_stop(). Returns 0, or -EBUSY from inside a turn of the loop. */
int loop_run(void);

/* Runs one turn, waiting at most timeout_ms for something to do. 0, or -EBUSY as above. */
int loop_step(unsigned timeout_ms);

/* Makes loop_run() return after this turn. */
void loop_stop(void);

typedef void (*loop_fn)(void *data);

/* Calls fn(data) once in the next turn. Returns 0, or -ENOMEM. */
int loop_defer(loop_fn fn, void *data);

/* Removes the first waiting call of fn(data); true if there was one. */
bool loop_undefer(loop_fn fn, void *data);

typedef void (*loop_signal_fn)(int number, void *data);

/* Calls fn on every delivery of the signal; fn NULL stops that. One watcher a signal. 0 or -errno. */
int loop_on_signal(int number, loop_signal_fn fn, void *data);

/*
 * Closes what is left on the loop and frees it. Handles of others are closed
 * without their close callbacks; call it last.
 */
void loop_shutdown(void);

#endif
