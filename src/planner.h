/*
 * planner: the process in which policies run, seen from its parent and from inside. The leader has one, and so have commands
 * that look at the cluster; the workbench, where policies are tried, is another process of the same kind.
 *
 * The parent's side owns the process and both pipes, all on the uv loop. A planner is this same program, spawned
 * without copying the parent's memory; what goes through the pipes are frames (u32 length, little endian, then the
 * payload), about whose contents nothing is known here. It is expected to fail: whatever it does (hang, crash,
 * write garbage), it is killed or has died, is reaped, and its end is told once. No descriptor but its three standard
 * ones is passed on.
 *
 * The other side, planner_enter(), planner_confine() and the blocking frames, is for the planner process alone.
 */
#ifndef APPMGR_PLANNER_H
#define APPMGR_PLANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

enum {
    PLANNER_MAX_FRAME = 256 << 20, /* bytes of a payload; a longer one counts as garbage */
    PLANNER_MAX_QUEUE = 512 << 20, /* bytes that may wait for a planner that does not read */
};

/* ---- the parent's side ---- */

struct planner;

struct planner_callbacks {
    /* A frame's payload, borrowed for the call. May kill the planner. */
    void (*on_message)(struct planner *planner, const char *bytes, size_t length, void *data);
    /* The process has been reaped, for the reason given ("exited with code 3"). Once; planner is gone afterwards. */
    void (*on_exit)(struct planner *planner, const char *reason, void *data);
};

struct planner_options {
    const char *executable; /* NULL: this program */
    const char *role; /* which one it is, the first of its arguments; NULL: "planner" */
    unsigned memory_mb; /* address space; 0 without limit */
    unsigned cpu_s; /* processor time over its whole life; 0 without limit */
};

/*
 * Starts a planner. The options are read before it returns; data is borrowed until on_exit. Returns the planner, or
 * NULL with a text for people; then no callback is ever called.
 */
struct planner *planner_start(uv_loop_t *loop, const struct planner_options *options,
                              const struct planner_callbacks *callbacks, void *data, char *error, size_t error_size);

/*
 * Sends a frame; what the pipe does not take is copied and queued. Returns 0; -EPIPE when the planner is ending,
 * -EMSGSIZE for more than PLANNER_MAX_FRAME, -ENOBUFS when too much waits already.
 */
int planner_send(struct planner *planner, const char *bytes, size_t length);

/* Kills it. No message is delivered any more; on_exit comes from a later turn of the loop. Harmless when repeated. */
void planner_kill(struct planner *planner);

pid_t planner_pid(const struct planner *planner);

/*
 * Kills it and waits for its end (it cannot refuse), without calling back. For the end of the program; planner is
 * gone afterwards, but for what the loop's next turn frees.
 */
void planner_destroy(struct planner *planner);

/* ---- the planner process ---- */

/*
 * Makes this process a planner, before Lua starts: dies with its parent, lives within the limits in the arguments
 * (<role> <parent's pid> <memory_mb> <cpu_s>, as planner_start passes them), starts no process, and keeps the two
 * pipes for frames alone: what prints to stdout lands on stderr. Returns 0, or -1 with a text for people.
 */
int planner_enter(int count, char **arguments, char *error, size_t error_size);

/*
 * Gives up, for good, every system call but those for open descriptors, memory, time and ending: any other kills this
 * process with SIGSYS (planner_filter.c has the list). For when all its own code is loaded. Not under AddressSanitizer, which
 * needs more. Returns 0, or -1 with a text for people.
 */
int planner_confine(char *error, size_t error_size);

/*
 * Waits for a frame. Returns 1 with an owned payload (free) of *length bytes; 0 at the end of input; -EMSGSIZE for a
 * frame that is too long, -EPIPE for one that is cut, -ENOMEM, or another -errno.
 */
int planner_read(char **bytes, size_t *length);

/* Writes a frame, waiting for the parent to take it. Returns 0 or -errno. */
int planner_write(const char *bytes, size_t length);

#endif
