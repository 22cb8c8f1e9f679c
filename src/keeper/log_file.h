/* One file of output: what pipes hold is written to it, it is rotated by size and count, and beside it lies an index of when
 * what was written.
 *
 * Nothing is lost when the process is killed: bytes leave their pipe only after they were written (tee(2) shows them before).
 * Killed in between, the next logger writes them again: lines may stand twice, none is missing. The pipe is not locked
 * meanwhile, as splice(2) into a file would do: a disk that hangs must not hold the application in its write.
 *
 * Rotation is between lines; only a line longer than a whole file is cut.
 *
 * The index, PATH.index, has an entry of 16 bytes for a second in which something was written: milliseconds of unix time and
 * the offset it was written at, both little endian. The longer it grows, the farther its entries lie apart.
 */
#ifndef APPMGR_KEEPER_LOG_FILE_H
#define APPMGR_KEEPER_LOG_FILE_H

#include "../wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

/* How a file is kept. */
struct log_terms {
    uint64_t max_bytes;    /* 0: it is never rotated */
    uint32_t files;        /* with the one that is written to */
    bool waits;            /* when it cannot be written, its writers wait; else their output is dropped */
};

/* Shared by all runs that write to it. Others only read the fields up to `path`. */
struct log_file {
    LIST_ENTRY(log_file) in_all, by_path;
    unsigned users;
    struct log_terms terms;
    enum wire_output state;
    int error;             /* why it is not well: an errno */
    uint64_t dropped;      /* bytes since it was well */
    uint64_t retry_ms;     /* when to try again */
    int fd;                /* -1: nothing was written yet, or it could not be opened */
    uint64_t size;
    uint64_t index_due_ms; /* no entry before */
    uint32_t index_count;
    /* what the keeper was told; used by logger.c alone */
    enum wire_output told_state;
    uint64_t told_dropped, tell_ms;
    char path[];
};

/* The terms that a frame holds: those it lacks are no limit, two files, and dropping. */
struct log_terms log_terms_read(const struct wire_message *message);
void log_terms_put(struct wire_writer *writer, const struct log_terms *terms);

enum log_take { LOG_TOOK, LOG_EMPTY, LOG_ENDED, LOG_STUCK };

/* The file of a path, until the last user leaves; `terms` replace those it had. What writes nothing costs no file: it is
 * opened for the first byte. Returns NULL without memory. */
struct log_file *log_file_use(const char *path, const struct log_terms *terms);
/* Other terms from now on. What waits or is dropped by the old ones is tried again at once. */
void log_file_change(struct log_file *file, struct log_terms terms);
void log_file_leave(struct log_file *file);

/* All files; and whether any of them is not well. */
LIST_HEAD(log_files, log_file);
extern struct log_files log_files;
bool log_file_any_trouble(void);

/* Takes what a pipe has, or a good part of it. `in_line` is whether its last line has not ended. LOG_STUCK: its writers wait;
 * try again at `retry_ms`. */
enum log_take log_file_take(struct log_file *file, int pipe_fd, bool *in_line);

/* Tries to write again after a refusal: at `retry_ms`, whether or not there is something to write. */
void log_file_retry(struct log_file *file);

/* Ends a line that its writer did not end. */
void log_file_end_line(struct log_file *file);

#endif
