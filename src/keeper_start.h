/*
 * keeper_start: starts a keeper that goes to the background, and says when clients can connect to it.
 *
 * The keeper inherits nothing but a few harmless variables, and survives the agent: it is not its child when this is
 * done. What it said when it could not start is kept and passed on. Owned by process.c.
 */
#ifndef APPMGR_KEEPER_START_H
#define APPMGR_KEEPER_START_H

#include <stddef.h>

struct keeper_start;

/* It listens (`failure` is NULL), or it could not start. The struct is freed after it. */
typedef void (*keeper_start_fn)(const char *failure, void *data);

/* Returns NULL with a text when not even a process could be made. */
struct keeper_start *keeper_start(const char *keeper_path, const char *state_dir, keeper_start_fn done, void *data,
                                  char *error, size_t error_size);

/* `done` is not called any more. The keeper is started all the same. */
void keeper_start_forget(struct keeper_start *start);

#endif
