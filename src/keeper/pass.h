/* Frames with a descriptor between keeper and logger, over a socket that keeps their bounds (SOCK_SEQPACKET). */
#ifndef APPMGR_KEEPER_PASS_H
#define APPMGR_KEEPER_PASS_H

#include "log_file.h"

#include <limits.h>
#include <sys/types.h>

enum { PASS_FRAME_MAX = PATH_MAX + 256 };

/* A pipe of a child's output, as keeper and logger hand it to each other. */
struct pass_stream {
    uint64_t number;
    struct log_terms terms;
    bool in_line;           /* the last byte that was written was no newline */
    int fd;                 /* its read end */
    const char *path;
};

/* Sends one frame and, if not negative, a descriptor; waits as the socket does. Returns 0 or -errno. */
int pass_send(int socket, const struct wire_writer *writer, int fd);

/* Sends a frame of that type alone. */
int pass_say(int socket, enum wire_type type);

/* Sends WIRE_OUTPUT_OPEN. */
int pass_send_stream(int socket, const struct pass_stream *stream);

/* Receives one frame into a buffer of its own. Returns 1; 0 at the end of the connection; -errno, -EPROTO for what is no
 * frame. A descriptor that came along is in `fd` (else -1) and the caller's. */
int pass_receive(int socket, int flags, struct wire_message *message, int *fd);

/* Reads a WIRE_OUTPUT_OPEN; the path is borrowed from the message. Returns false when it is none; `fd` is -1 where there was
 * no room for its descriptor. */
bool pass_read_stream(const struct wire_message *message, int fd, struct pass_stream *stream);

#endif
