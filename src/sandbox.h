/*
 * sandbox: runs Lua code that may be wrong, or hostile, within limits of time and memory.
 *
 * Who owns what: a call owns nothing beyond its return. The function, its arguments and its results are Lua values
 * of the caller's state; coroutines that the function leaves behind are harmless and ended by the collector.
 *
 * What it does not do: it cannot interrupt a C function (a pattern that backtracks for ever, a huge sort of equal
 * values by a C comparison). Where that matters the code runs in a process that can be killed (see planner.h).
 */
#ifndef APPMGR_SANDBOX_H
#define APPMGR_SANDBOX_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

enum sandbox_outcome {
    SANDBOX_OK,
    SANDBOX_ERROR, /* it raised, or yielded where nobody resumes it */
    SANDBOX_TIMEOUT, /* it ran past its deadline or used up its instructions */
    SANDBOX_NO_MEMORY, /* it went past its memory limit, or the system has no more */
};

struct sandbox_limits {
    int64_t deadline_ms; /* how much of the processor's time it may take; 0 without limit */
    int64_t instructions; /* how many VM instructions, counted in steps of 100; 0 without limit */
    int64_t memory_bytes; /* by how much it may make the state grow; 0 without limit */
    /*
     * How much of the processor's time passes before its instructions are counted and its deadline is looked at,
     * which makes it two to four times as fast; 0 from the beginning. For calls that are many and short.
     */
    int64_t head_start_ms;
};

/* Takes over SIGPROF, for head starts. To be called before anything is run. */
void sandbox_init(void);

/* "ok", "error", "timeout", "no_memory" */
const char *sandbox_outcome_name(enum sandbox_outcome outcome);

/*
 * Calls the function that lies below `arguments` topmost values, in a coroutine of its own, and replaces them all
 * by its results (SANDBOX_OK), or by a message and a traceback. Past a limit every further instruction raises, in
 * every coroutine, so that pcall cannot swallow it. Calls nest; an inner call has what is left to the outer one.
 * Raises only without memory for the coroutine itself, before anything ran.
 */
enum sandbox_outcome sandbox_call(lua_State *L, int arguments, const struct sandbox_limits *limits);

/*
 * A job is a call that runs in slices: between two of them the loop does other work. Only the function's own
 * coroutine can be paused, and not while a C function calls back (a comparison of table.sort, a replacement of
 * string.gsub): there a slice lasts longer, up to the deadline, which counts from the making of the job.
 *
 * sandbox_job_push replaces the function and its arguments by a userdata (the caller gives it a metatable); the
 * collector frees it, whether it ended or not.
 */
void sandbox_job_push(lua_State *L, int arguments, const struct sandbox_limits *limits);

/*
 * Runs the job at `index` for about slice_ms. False: it is paused, nothing is pushed. True: it has ended, *outcome
 * says how, and what sandbox_call would leave is pushed. Raises when the job has ended before.
 */
bool sandbox_job_step(lua_State *L, int index, int64_t slice_ms, enum sandbox_outcome *outcome);

/*
 * Replacements for coroutine.resume, .wrap and .close and for xpcall, as Lua C functions, for the environment of
 * code that is not trusted. A coroutine that went past the limit takes its resumer with it at once (else each of a
 * thousand nested ones would run on for a hundred instructions), and no handler or variable to be closed runs where
 * Lua has the hook switched off. With the originals, hostile code can run on for ever; careless code cannot.
 */
int sandbox_resume(lua_State *L);
int sandbox_wrap(lua_State *L);
int sandbox_close(lua_State *L);
int sandbox_xpcall(lua_State *L);

#endif
