/* The keeper's side of the children's output: one pipe a run, whose read end the logger gets and the keeper keeps too
 * until the logger has read it to its end, so that it can be handed to the next logger when one dies.
 * Owns the logger process and the pipes' read ends; never reads or writes output itself.
 */
#ifndef APPMGR_KEEPER_OUTPUT_H
#define APPMGR_KEEPER_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stream;

/* Starts the logger. */
void output_start(int null_fd);

/* Makes a pipe for a run of `id` into the file `path`. Returns 0, a stream and the end to write to (the caller's
 * to close), or an errno. */
int output_open(const char *id, const char *path, uint64_t max_bytes, struct stream **stream, int *write_fd);

/* Hands the stream to the logger, or drops it where the child could not be started. */
void output_begin(struct stream *stream, bool started);

/* True when `pid` was the logger: another one will be started. */
bool output_logger_ended(pid_t pid);

/* Starts the logger again when it is time, hands over what it does not have. To be called each turn. */
void output_run(void);

/* Lets the logger read what is left, and waits for its end, three seconds at most. */
void output_finish(void);

#endif
