/*
 * process: the agent's connection to its keeper.
 *
 * Connects to the keeper of a state directory, starts one where none listens (or waits for it), shakes hands, lists what runs, and then
 * passes on what happens. When the connection is lost it starts over by itself, with a growing delay, and lists
 * everything again: the owner compares that with what it wants. One that keeps the connection and does not read is told
 * of, and waited for. The keeper and its children stay when the client is closed. It keeps no record of children: the keeper does.
 */
#ifndef APPMGR_PROCESS_H
#define APPMGR_PROCESS_H

#include "wire.h"

#include <sys/types.h>

struct process_client;

/*
 * What the client says; none may be NULL. They run on the loop and may use and close the client. Messages are
 * borrowed for the call.
 */
struct process_callbacks {
    void (*on_child)(const struct wire_message *child, void *data);  /* WIRE_CHILD, for each before on_ready */
    void (*on_ready)(const struct wire_message *end, void *data);    /* WIRE_LIST_END */
    void (*on_event)(const struct wire_message *event, void *data);  /* WIRE_STARTED … WIRE_GAVE_UP, WIRE_PHASE, WIRE_READY, WIRE_ERROR */
    void (*on_lost)(const char *reason, void *data);                 /* each new reason once */
    void (*on_ended)(void *data);                                    /* after process_shutdown: the keeper has ended */
    /* After process_upgrade: `failure` is NULL when the keeper runs its new program and has been listed again. */
    void (*on_upgraded)(const char *failure, void *data);
    /* The keeper `pid` has not read for seconds what it is sent: it is stopped, or hangs. 0: that is over. */
    void (*on_silent)(pid_t pid, void *data);
};

/*
 * Opens a client. The strings are copied, `callbacks` too; nothing is called before the loop turns. Returns NULL with
 * a text when the state directory or the keeper's program cannot be used. `awaits_keeper`: somebody else starts the keeper and
 * starts it again, so where none listens it is waited for.
 */
struct process_client *process_open(const char *keeper_path, const char *state_dir, bool awaits_keeper,
                                    const struct process_callbacks *callbacks, void *data, char *error,
                                    size_t error_size);

/* Requests return 0, or -ENOTCONN (before on_ready, or lost), -E2BIG (larger than a frame), -ENOMEM. This one is a WIRE_SPAWN or
 * WIRE_UPDATE of that id: process_begin, wire_put_* for its fields, process_end. NULL: not connected. */
struct wire_writer *process_begin(struct process_client *client, enum wire_type type, const char *id);
int process_end(struct process_client *client);

/* One with a number beside its id, or none (WIRE_TAG_NONE): WIRE_STOP; WIRE_FORGET; WIRE_SIGNAL with WIRE_TAG_SIGNAL; WIRE_UPDATE
 * with WIRE_TAG_READY: the run of that number is ready, where something else than the application knows; without an id
 * WIRE_ACKNOWLEDGE with WIRE_TAG_SEQUENCE; WIRE_RENEW with WIRE_TAG_RENEWED_MS: the owner was in touch then (CLOCK_BOOTTIME),
 * leases run from that moment on. */
int process_request(struct process_client *client, enum wire_type type, const char *id, enum wire_tag tag, uint64_t value);

/* Ends a run: the keeper goes on as if it had ended by itself, stop signal and timeout are as for a stop. `why` is what its
 * record shows as error until it runs again. */
int process_end_run(struct process_client *client, const char *id, const char *why);

/* Has the keeper execute its program, as it is on the disk now, in its place. Returns 0 or -ENOTCONN. */
int process_upgrade(struct process_client *client);

/* Stops everything and ends the keeper; on_ended is called when it is gone, connected or not. One that was killed is
 * followed by another first, which ends what is left; that it cannot be started is told to on_lost. */
void process_shutdown(struct process_client *client);

/* Disconnects and frees the client; no callback is called any more. */
void process_close(struct process_client *client);

#endif
