#include "wire.h"

#include <string.h>

enum kind { KIND_NUMBER, KIND_TEXT, KIND_TEXTS };

static enum kind kind_of(unsigned tag)
{
    switch (tag) {
    case WIRE_TAG_ARGUMENT:
    case WIRE_TAG_INIT_ARGUMENT:
    case WIRE_TAG_FINI_ARGUMENT:
    case WIRE_TAG_ENVIRONMENT:
        return KIND_TEXTS;
    case WIRE_TAG_ID:
    case WIRE_TAG_LABEL:
    case WIRE_TAG_WORKING_DIR:
    case WIRE_TAG_USER:
    case WIRE_TAG_OUTPUT_PATH:
    case WIRE_TAG_STEP:
    case WIRE_TAG_ERROR:
    case WIRE_TAG_BOOT_ID:
    case WIRE_TAG_DIRECTORY:
    case WIRE_TAG_CGROUP:
    case WIRE_TAG_ENFORCED:
        return KIND_TEXT;
    default:
        return KIND_NUMBER;
    }
}

static uint64_t load(const uint8_t *data, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | data[bytes];
    return value;
}

static void store(uint8_t *data, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++, value >>= 8)
        data[i] = (uint8_t)value;
}

/* Room for `bytes` more in the current frame, or NULL. */
static uint8_t *claim(struct wire_writer *writer, size_t bytes)
{
    if (!writer->overflow && bytes > writer->capacity - writer->size)
        writer->overflow = !writer->grow || writer->grow(writer, bytes) != 0;
    if (writer->overflow)
        return NULL;
    writer->size += bytes;
    return writer->data + writer->size - bytes;
}

void wire_begin(struct wire_writer *writer, enum wire_type type)
{
    uint8_t *header;

    writer->frame = writer->size;
    writer->overflow = false;
    header = claim(writer, WIRE_HEADER_SIZE);
    if (header) {
        store(header + 4, 2, type);
        store(header + 6, 2, 0);
    }
}

static uint8_t *put_field(struct wire_writer *writer, enum wire_tag tag, size_t length)
{
    uint8_t *field = length <= WIRE_PAYLOAD_MAX ? claim(writer, WIRE_FIELD_HEADER_SIZE + length) : NULL;

    if (!field) {
        writer->overflow = true;
        return NULL;
    }
    store(field, 2, tag);
    store(field + 2, 2, 0);
    store(field + 4, 4, length);
    return field + WIRE_FIELD_HEADER_SIZE;
}

void wire_put_number(struct wire_writer *writer, enum wire_tag tag, uint64_t value)
{
    uint8_t *place = put_field(writer, tag, 8);

    if (place)
        store(place, 8, value);
}

void wire_put_text(struct wire_writer *writer, enum wire_tag tag, const char *text)
{
    size_t length;
    uint8_t *place;

    if (!text)
        return;
    length = strlen(text) + 1;
    place = put_field(writer, tag, length);
    if (place)
        memcpy(place, text, length);
}

void wire_put_fields(struct wire_writer *writer, const struct wire_message *message, const struct wire_message *but)
{
    const uint8_t *at = message->begin;

    while (at < message->end) {
        size_t size = WIRE_FIELD_HEADER_SIZE + (size_t)load(at + 4, 4);
        uint64_t tag = load(at, 2);
        uint8_t *place = but && tag < WIRE_TAG_LIMIT && wire_has(but, (enum wire_tag)tag) ? NULL : claim(writer, size);

        if (place)
            memcpy(place, at, size);
        at += size;
    }
}

int wire_end(struct wire_writer *writer)
{
    size_t payload = writer->size - writer->frame - WIRE_HEADER_SIZE;

    if (writer->overflow || payload > WIRE_PAYLOAD_MAX) {
        writer->size = writer->frame;
        return -1;
    }
    store(writer->data + writer->frame, 4, payload);
    return 0;
}

long wire_find(const uint8_t *data, size_t size, struct wire_frame *frame)
{
    uint64_t length;

    if (size < WIRE_HEADER_SIZE)
        return 0;
    length = load(data, 4);
    if (length > WIRE_PAYLOAD_MAX || load(data + 6, 2) != 0)
        return -1;
    if (size - WIRE_HEADER_SIZE < length)
        return 0;
    *frame = (struct wire_frame){(uint16_t)load(data + 4, 2), data + WIRE_HEADER_SIZE, (size_t)length};
    return (long)(WIRE_HEADER_SIZE + length);
}

static bool is_valid(enum kind kind, const uint8_t *value, size_t length)
{
    if (kind == KIND_NUMBER)
        return length == 8;
    return length > 0 && memchr(value, 0, length) == value + length - 1;
}

static int take_field(struct wire_message *message, unsigned tag, const uint8_t *value, uint32_t length)
{
    enum kind kind = kind_of(tag);

    if (tag == WIRE_TAG_NONE)
        return -1;
    if (tag >= WIRE_TAG_LIMIT)
        return 0;
    if (!is_valid(kind, value, length))
        return -1;
    if (message->field[tag].count++ > 0)
        return kind == KIND_TEXTS ? 0 : -1;
    message->field[tag].data = value;
    message->field[tag].length = length;
    return 0;
}

int wire_decode(const struct wire_frame *frame, struct wire_message *message)
{
    const uint8_t *at = frame->payload;
    size_t left = frame->length;

    memset(message, 0, sizeof *message);
    message->type = frame->type;
    message->begin = at;
    message->end = at + left;
    while (left > 0) {
        uint32_t length;

        if (left < WIRE_FIELD_HEADER_SIZE || load(at + 2, 2) != 0)
            return -1;
        length = (uint32_t)load(at + 4, 4);
        if (length > left - WIRE_FIELD_HEADER_SIZE)
            return -1;
        if (take_field(message, (unsigned)load(at, 2), at + WIRE_FIELD_HEADER_SIZE, length) != 0)
            return -1;
        at += WIRE_FIELD_HEADER_SIZE + length;
        left -= WIRE_FIELD_HEADER_SIZE + length;
    }
    return 0;
}

uint64_t wire_number(const struct wire_message *message, enum wire_tag tag, uint64_t otherwise)
{
    return wire_has(message, tag) ? load(message->field[tag].data, 8) : otherwise;
}

const char *wire_text(const struct wire_message *message, enum wire_tag tag)
{
    return (const char *)message->field[tag].data;
}

const char *wire_next_text(const struct wire_message *message, enum wire_tag tag, const char *previous)
{
    const uint8_t *at;

    if (!previous)
        return wire_text(message, tag);
    /* The decoder has checked every field up to `end`, so that walking their lengths stays inside. */
    at = (const uint8_t *)previous + strlen(previous) + 1;
    while (at < message->end) {
        if (load(at, 2) == (uint64_t)tag)
            return (const char *)at + WIRE_FIELD_HEADER_SIZE;
        at += WIRE_FIELD_HEADER_SIZE + load(at + 4, 4);
    }
    return NULL;
}

uint32_t wire_checksum(const void *data, size_t size)
{
    const uint8_t *at = data;
    uint32_t hash = 2166136261u;

    while (size-- > 0)
        hash = (hash ^ *at++) * 16777619u;
    return hash;
}

const char *wire_state_name(uint64_t state)
{
    static const char *const names[WIRE_STATE_LIMIT] = {
        NULL, "starting", "running", "backoff", "stopping", "stopped", "failed", "gave_up",
    };

    return state < WIRE_STATE_LIMIT ? names[state] : NULL;
}

const char *wire_next_name(uint64_t next)
{
    static const char *const names[] = {NULL, "none", "restart", "stop"};

    return next < sizeof names / sizeof *names ? names[next] : NULL;
}

const char *wire_phase_name(uint64_t phase)
{
    static const char *const names[] = {NULL, "init", "fini"};

    return phase < sizeof names / sizeof *names ? names[phase] : NULL;
}

const char *wire_output_name(uint64_t state)
{
    static const char *const names[] = {"well", "dropping", "waiting"};

    return state < sizeof names / sizeof *names ? names[state] : NULL;
}
