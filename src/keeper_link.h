/*
 * keeper_link: one connection to a keeper's socket, frames in and frames out.
 *
 * Finds and decodes what the keeper sends, encodes and queues what it is sent. Owned by process.c, which opens a new
 * one after each loss. Never reconnects.
 */
#ifndef APPMGR_KEEPER_LINK_H
#define APPMGR_KEEPER_LINK_H

#include "wire.h"

#include <stdbool.h>
#include <sys/types.h>

struct keeper_link;

/* A message has come; borrowed. Returns -1 when the link was closed meanwhile. */
typedef int (*keeper_link_message_fn)(const struct wire_message *message, void *data);
/* The connection has ended or cannot be used any more; the receiver closes the link. */
typedef void (*keeper_link_lost_fn)(const char *reason, void *data);

/* Connects to <state_dir>/keeper.sock, whose owner must be this user or root. Returns 0 or -errno: -ECONNREFUSED and
 * -ENOENT when no keeper listens. */
int keeper_link_open(const char *state_dir, keeper_link_message_fn on_message, keeper_link_lost_fn on_lost, void *data,
                     struct keeper_link **link);

/* Closes and frees it, with what was to be sent sent; neither callback is called any more. */
void keeper_link_close(struct keeper_link *link);

/* Whether the keeper has not read yet all that it was sent. */
bool keeper_link_is_unread(const struct keeper_link *link);

/* Whose socket it is. */
pid_t keeper_link_pid(const struct keeper_link *link);

/* Begins a frame in the link's writer, which takes any number of fields; keeper_link_end sends it, at the end of this turn of
 * the loop at the latest. */
struct wire_writer *keeper_link_begin(struct keeper_link *link, enum wire_type type);

/* Returns 0, or -E2BIG when the frame is larger than the protocol takes, or -ENOMEM. A loss is told on the loop. */
int keeper_link_end(struct keeper_link *link);

#endif
