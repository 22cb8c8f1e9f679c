/* The keeper's socket: accepts clients of the same user, finds frames in what they send, queues what they are sent.
 *
 * A client that sends a malformed frame, or that does not read so that its queue is full, is disconnected; it gets
 * everything again when it comes back. Events never allocate: only a listing makes a queue grow.
 */
#ifndef APPMGR_KEEPER_SERVER_H
#define APPMGR_KEEPER_SERVER_H

#include "../wire.h"
#include "watch.h"

struct connection {
    struct watch watch;
    uint32_t pid;
    enum wire_role role;       /* 0 before its WIRE_HELLO */
    bool subscribed;           /* gets events */
    bool doomed;               /* is closed when its queue has been sent */
    uint8_t *in, *out;
    size_t in_size, in_capacity, out_start, out_end, out_capacity;
};

/* Connects to, or listens on, a socket of that name in the directory; who listens takes the place of one who has
 * gone. Returns a descriptor or -errno. */
int server_connect(int directory_fd, const char *name, int type);
int server_listen(int directory_fd, const char *name, int type);

/* Takes clients on a listening descriptor. Returns 0 or -errno. */
int server_open(int fd);

/* The descriptor given to server_open. */
int server_listener(void);

/* Queues a frame; a full queue ends the connection, unless it may grow. */
void server_send(struct connection *connection, const uint8_t *frame, size_t size, bool may_grow);

/* Queues a frame for everyone who has listed the children. */
void server_broadcast(const uint8_t *frame, size_t size);

/* The controller, or NULL. */
struct connection *server_controller(void);
bool server_has_clients(void);

/* Sends what is queued as far as it goes. To be called each turn. */
void server_flush(void);

/* Sends what is queued, waiting up to a second for each client, and closes all. */
void server_close(void);

/* In request.c: handles one decoded frame. Returns 0, or -1 when the connection must end. */
int request_handle(struct connection *connection, const struct wire_message *message);

#endif
