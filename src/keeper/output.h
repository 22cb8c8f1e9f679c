/* The keeper's side of the children's output: one pipe a run, whose read end the logger gets and the keeper keeps too
 * until the logger has read it to its end, so that it can be handed to the next logger when one dies. A logger that
 * outlived its keeper hands its pipes to the next keeper, which then starts its own.
 * Owns the logger process and the pipes' read ends; never reads or writes output itself.
 */
#ifndef APPMGR_KEEPER_OUTPUT_H
#define APPMGR_KEEPER_OUTPUT_H

#include "child.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stream;

/* Takes the pipes of a logger that is left, and starts one. `directory` is for its command line alone. Returns 0, or
 * -errno when logger.sock cannot be listened on. */
int output_start(int directory_fd, const char *directory);

/* Makes a pipe for a run into the file `path`. Returns 0, a stream, the pipe's inode and the child's end (the caller's to
 * close), or an errno. The child's end reads as well: without keeper and logger its writes wait, and do not fail. */
int output_open(const char *path, const struct log_terms *terms, struct stream **stream, uint64_t *pipe, int *child_fd);

/* Opens the pipe of a child that runs, where keeper and logger were both killed and nobody else has it. */
void output_recover(const struct child *child);

/* Hands the stream to the logger, or drops it where the child could not be started. */
void output_begin(struct stream *stream, bool started);

/* Other terms for what runs and all that follows. */
void output_change(struct child *child, const struct wire_message *message);

/* Forgets what was said of a child's output: it begins to write anew. */
void output_is_well(struct child *child);

/* True when `pid` was the logger: another one will be started. */
bool output_logger_ended(pid_t pid);

/* True when the logger has every pipe: none is lost when the keeper is executed anew. */
bool output_is_settled(void);

/* Starts the logger again when it is time, hands over what it does not have. To be called each turn. */
void output_run(void);

/* Lets the logger read what is left, and waits for its end, a little more than three seconds at most. */
void output_finish(void);

#endif
