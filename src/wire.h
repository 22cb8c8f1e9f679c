/* What agent, keeper and logger say to each other: binary frames of tagged fields.
 *
 * A frame is: u32 payload length, u16 type, u16 zero, payload. The payload is fields: u16 tag, u16 zero,
 * u32 length, value. All integers are little endian; a number is a value of 8 bytes; a text is a value that
 * ends with its only NUL, so that a received text is used in place as a C string.
 *
 * Later versions add tags and types. An unknown tag is skipped, an unknown type is the receiver's to refuse;
 * everything else that is not as described here is malformed and ends the connection.
 *
 * This module owns no memory: writers fill a buffer of the caller's, decoded messages point into the buffer
 * that was decoded. It never allocates, reads or writes descriptors.
 */
#ifndef APPMGR_WIRE_H
#define APPMGR_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_VERSION = 1,              /* what this program speaks */
    WIRE_OLDEST = 1,               /* the oldest it understands */
    WIRE_HEADER_SIZE = 8,
    WIRE_FIELD_HEADER_SIZE = 8,
    WIRE_PAYLOAD_MAX = 4 << 20,    /* more than execve(2) takes */
    WIRE_ID_MAX = 255,             /* bytes of an instance id, without its NUL */
    WIRE_LABEL_MAX = 16 << 10,     /* bytes of an opaque tag */
    WIRE_NICE_BIAS = 20,
};

enum wire_type {
    /* to the keeper */
    WIRE_HELLO = 1, WIRE_LIST, WIRE_SPAWN, WIRE_UPDATE, WIRE_STOP, WIRE_FORGET, WIRE_ACKNOWLEDGE, WIRE_SIGNAL,
    WIRE_SHUTDOWN, WIRE_END_RUN, WIRE_RENEW, WIRE_UPGRADE,
    /* from the keeper */
    WIRE_WELCOME = 64, WIRE_CHILD, WIRE_LIST_END, WIRE_STARTED, WIRE_EXITED, WIRE_SPAWN_FAILED, WIRE_STOPPING,
    WIRE_STOPPED, WIRE_GAVE_UP, WIRE_ERROR, WIRE_BYE, WIRE_PHASE, WIRE_READY, WIRE_UPGRADE_FAILED,
    WIRE_LIMITED, WIRE_OUTPUT,
    /* keeper and logger */
    WIRE_OUTPUT_OPEN = 128, WIRE_OUTPUT_DONE, WIRE_OUTPUT_STATE, WIRE_OUTPUT_TERMS,
    /* in the keeper's records */
    WIRE_RECORD_FILE = 192, WIRE_RECORD_CHILD, WIRE_RECORD_COMMON,
};

/* The numbers are the protocol: append only. WIRE_TAG_LIMITS says that limits are given: those whose tags are missing are
 * none then. WIRE_TAG_CGROUP is the directory of the cgroup that a child is in; without one it is contained by its
 * session, or with WIRE_TAG_GROUP by its process group alone.
 * WIRE_TAG_NICE is the nice value plus WIRE_NICE_BIAS: no number is negative. */
enum wire_tag {
    WIRE_TAG_NONE,
    WIRE_TAG_VERSION, WIRE_TAG_OLDEST, WIRE_TAG_ROLE, WIRE_TAG_PID, WIRE_TAG_INSTANCE, WIRE_TAG_ID,
    WIRE_TAG_LABEL, WIRE_TAG_ARGUMENT, WIRE_TAG_ENVIRONMENT, WIRE_TAG_WORKING_DIR, WIRE_TAG_USER,
    WIRE_TAG_STOP_SIGNAL, WIRE_TAG_STOP_TIMEOUT_MS, WIRE_TAG_OUTPUT_PATH, WIRE_TAG_MAX_OUTPUT_BYTES,
    WIRE_TAG_RESTART_ENABLED, WIRE_TAG_RESTART_ATTEMPTS, WIRE_TAG_RESTART_INTERVAL_MS,
    WIRE_TAG_RESTART_DELAY_MS, WIRE_TAG_RESTART_MAX_DELAY_MS, WIRE_TAG_RESTART_RESET_MS, WIRE_TAG_STATE,
    WIRE_TAG_STARTED_AT_US, WIRE_TAG_STARTS, WIRE_TAG_DELAY_MS, WIRE_TAG_SEQUENCE, WIRE_TAG_EXIT_CODE,
    WIRE_TAG_EXIT_SIGNAL, WIRE_TAG_EXIT_AT_US, WIRE_TAG_NEXT, WIRE_TAG_STEP, WIRE_TAG_ERROR, WIRE_TAG_SIGNAL,
    WIRE_TAG_STREAM, WIRE_TAG_NICE, WIRE_TAG_UMASK, WIRE_TAG_OPEN_FILES, WIRE_TAG_NO_NEW_PRIVS,
    WIRE_TAG_RAN_MS, WIRE_TAG_INIT_ARGUMENT, WIRE_TAG_INIT_TIMEOUT_MS, WIRE_TAG_FINI_ARGUMENT, WIRE_TAG_FINI_TIMEOUT_MS,
    WIRE_TAG_READY_FD, WIRE_TAG_READY, WIRE_TAG_RUN_TIMEOUT_MS, WIRE_TAG_PHASE,
    WIRE_TAG_LEASE_MS, WIRE_TAG_RENEWED_MS, WIRE_TAG_LOCAL, WIRE_TAG_IN_LINE,
    /* in the keeper's records alone */
    WIRE_TAG_BOOT_ID, WIRE_TAG_DIRECTORY, WIRE_TAG_NUMBER, WIRE_TAG_START_TICKS, WIRE_TAG_STARTED_MS, WIRE_TAG_DEADLINE_MS,
    WIRE_TAG_BACKOFF_MS, WIRE_TAG_WINDOW_MS, WIRE_TAG_WINDOW_RESTARTS, WIRE_TAG_ENDED, WIRE_TAG_GIVES_UP, WIRE_TAG_OVERRAN,
    WIRE_TAG_BORN, WIRE_TAG_PIPE, WIRE_TAG_PHASE_CODE, WIRE_TAG_PHASE_SIGNAL,
    WIRE_TAG_LIMITS, WIRE_TAG_MEMORY_BYTES, WIRE_TAG_SWAP_BYTES, WIRE_TAG_VIRTUAL_BYTES, WIRE_TAG_CPU_WEIGHT,
    WIRE_TAG_CPU_PERCENT, WIRE_TAG_PIDS, WIRE_TAG_CAPABILITIES, WIRE_TAG_CGROUP, WIRE_TAG_ENFORCED, WIRE_TAG_OUT_OF_MEMORY,
    /* how output is kept, and how that goes */
    WIRE_TAG_OUTPUT_FILES, WIRE_TAG_OUTPUT_WAITS, WIRE_TAG_OUTPUT_STATE, WIRE_TAG_OUTPUT_ERRNO, WIRE_TAG_OUTPUT_DROPPED,
    WIRE_TAG_GROUP,
    WIRE_TAG_RECORDS_END, /* in the keeper's records alone: where the last one ends */
    WIRE_TAG_NEXT_START_AT_US, /* of one that waits for its next start */
    WIRE_TAG_LIMIT
};

/* What a connection may ask for, the value of WIRE_TAG_ROLE. There is one controller at a time. */
enum wire_role { WIRE_ROLE_READER = 1, WIRE_ROLE_CONTROLLER = 2, WIRE_ROLE_OPERATOR = 3 };

/* The value of WIRE_TAG_NEXT: what the keeper does after an exit or a failed start. */
enum wire_next { WIRE_NEXT_NONE = 1, WIRE_NEXT_RESTART = 2, WIRE_NEXT_STOP = 3 };

/* The value of WIRE_TAG_PHASE: what runs is the command before the application, or the one after it. */
enum wire_phase { WIRE_PHASE_INIT = 1, WIRE_PHASE_FINI = 2 };

/* The value of WIRE_TAG_OUTPUT_STATE: output reaches its file, is dropped, or its writers wait. */
enum wire_output { WIRE_OUTPUT_WELL, WIRE_OUTPUT_DROPPING, WIRE_OUTPUT_WAITING };

/* The value of WIRE_TAG_STATE. */
enum wire_state {
    WIRE_STATE_STARTING = 1, WIRE_STATE_RUNNING, WIRE_STATE_BACKOFF, WIRE_STATE_STOPPING, WIRE_STATE_STOPPED,
    WIRE_STATE_FAILED, WIRE_STATE_GAVE_UP, WIRE_STATE_LIMIT
};

/* Writes frames one after the other into `data`. Zero but for data, capacity and grow before the first frame. */
struct wire_writer {
    uint8_t *data;
    size_t capacity;
    size_t size;      /* bytes of complete frames, and of the one being written */
    size_t frame;     /* where the frame being written begins */
    bool overflow;    /* the frame being written does not fit */
    /* NULL, or makes room for `bytes` more and returns 0. */
    int (*grow)(struct wire_writer *writer, size_t bytes);
};

/* A frame as found in a buffer. */
struct wire_frame {
    uint16_t type;
    const uint8_t *payload;
    size_t length;
};

/* A decoded frame. `count` is 0 for a field that is absent; only arguments (of the three commands) and environment may repeat, then
 * `data` is the first and wire_next_text goes on from there. */
struct wire_message {
    uint16_t type;
    const uint8_t *begin, *end;
    struct {
        const uint8_t *data;
        uint32_t length;
        uint32_t count;
    } field[WIRE_TAG_LIMIT];
};

/* Begins a frame of `type`; wire_put_* add to it and wire_end closes it. */
void wire_begin(struct wire_writer *writer, enum wire_type type);
void wire_put_number(struct wire_writer *writer, enum wire_tag tag, uint64_t value);
/* `text` may be NULL: nothing is written then. */
void wire_put_text(struct wire_writer *writer, enum wire_tag tag, const char *text);
/* Adds all fields of `message`, as they came, but those that `but` (NULL: nothing) has too. */
void wire_put_fields(struct wire_writer *writer, const struct wire_message *message, const struct wire_message *but);
/* Returns 0, or -1 when the frame did not fit (capacity or WIRE_PAYLOAD_MAX): the writer is then as it was
 * before wire_begin. */
int wire_end(struct wire_writer *writer);

/* Looks for a frame at the start of `data`. Returns its whole size when it is complete, 0 when more bytes are
 * needed, -1 when no valid frame can follow. */
long wire_find(const uint8_t *data, size_t size, struct wire_frame *frame);

/* Decodes the payload of `frame` into `message`, which borrows it. Returns 0, or -1 when it is malformed. */
int wire_decode(const struct wire_frame *frame, struct wire_message *message);

/* The value of a field, or `otherwise` when it is absent. */
uint64_t wire_number(const struct wire_message *message, enum wire_tag tag, uint64_t otherwise);
const char *wire_text(const struct wire_message *message, enum wire_tag tag);
static inline bool wire_has(const struct wire_message *message, enum wire_tag tag)
{
    return message->field[tag].count > 0;
}

/* Goes through the texts of a repeated field: `previous` is NULL for the first. Returns NULL after the last. */
const char *wire_next_text(const struct wire_message *message, enum wire_tag tag, const char *previous);

/* FNV-1a: of what is kept in records, and for tables. */
uint32_t wire_checksum(const void *data, size_t size);

/* The name of a state ("running"), of what follows ("restart"), of a phase ("init"); NULL for a number that is none. */
const char *wire_state_name(uint64_t state);
const char *wire_next_name(uint64_t next);
const char *wire_output_name(uint64_t state);
const char *wire_phase_name(uint64_t phase);

#endif
