/*
 * log: one line per event on stderr.
 *
 * The line is `2026-11-23 16:00:00.123 INFO  alpha: text`, in local time;
 * control characters in the text are escaped, so that a line stays a line.
 * Owns nothing but the stderr descriptor. Never blocks for long: a stderr
 * that is full or gone loses lines, which are counted and, when it takes
 * lines again, told. Never raises, never allocates.
 */
#ifndef APPMGR_LOG_H
#define APPMGR_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Lines below `level` are dropped from now on. The default is INFO. */
void log_set_level(enum log_level level);

/* Level of the name ("DEBUG", "INFO", "WARN", "ERROR"), or -1 when there is none. */
int log_level_from_name(const char *name);

/* Sets the node name that stands before the text (copied, cut at 255 bytes); "" for none. */
void log_set_name(const char *name);

/* Writes one line. A text of more than 16 KiB is cut. Safe in every context but signal handlers. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a text of `length` bytes that may hold any byte. */
void log_text(enum log_level level, const char *text, size_t length);

/* How many lines were lost since the start because stderr did not take them. */
uint64_t log_lost_lines(void);

#endif
