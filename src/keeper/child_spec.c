/* What a client asks for, read from its message: a child's specification, and what of it may change while it runs. */
#include "child.h"
#include "proc.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct wire_message read_frame(const uint8_t *data, size_t size)
{
    struct wire_message message = {0};
    struct wire_frame frame;

    if (wire_find(data, size, &frame) > 0)
        wire_decode(&frame, &message);
    return message;
}

/* Points to the texts of a field, NULL at the end, from `array` on. Returns where the next array begins. */
static char **list_texts(char **array, const struct wire_message *message, enum wire_tag tag)
{
    const char *text = NULL;

    while ((text = wire_next_text(message, tag, text)))
        *array++ = (char *)(uintptr_t)text; /* as exec wants them; nobody writes to them */
    *array = NULL;
    return array + 1;
}

/* Returns why the message asks for settings that are none, or NULL. */
static const char *read_settings(const struct wire_message *message, struct spawn_settings *settings)
{
    uint64_t nice = wire_number(message, WIRE_TAG_NICE, WIRE_NICE_BIAS);
    uint64_t mask = wire_number(message, WIRE_TAG_UMASK, 022);

    if (nice >= 2 * WIRE_NICE_BIAS)
        return "has a nice value that is none";
    if (mask > 0777)
        return "has a umask that is none";
    *settings = (struct spawn_settings){
        .has_nice = wire_has(message, WIRE_TAG_NICE), .nice = (int)nice - WIRE_NICE_BIAS,
        .has_umask = wire_has(message, WIRE_TAG_UMASK), .umask = (mode_t)mask,
        .open_files = wire_number(message, WIRE_TAG_OPEN_FILES, 0),
        .no_new_privs = wire_number(message, WIRE_TAG_NO_NEW_PRIVS, 0) != 0,
        .has_capabilities = wire_has(message, WIRE_TAG_CAPABILITIES),
        .capabilities = wire_number(message, WIRE_TAG_CAPABILITIES, 0),
    };
    return NULL;
}

/* Times beyond a century are no different from one, and their sums do not overflow. */
static uint64_t duration(const struct wire_message *message, enum wire_tag tag, uint64_t otherwise)
{
    uint64_t limit = 100ULL * 366 * 86400 * 1000, value = wire_number(message, tag, otherwise);

    return value < limit ? value : limit;
}

static const enum wire_tag command_tags[CHILD_PHASE_COUNT] = {
    WIRE_TAG_ARGUMENT, WIRE_TAG_INIT_ARGUMENT, WIRE_TAG_FINI_ARGUMENT,
};

/* How many pointers commands and environment need, their NULLs and the two marks with them. */
static size_t pointer_count(const struct wire_message *message)
{
    size_t count = message->field[WIRE_TAG_ENVIRONMENT].count + 3;

    for (unsigned i = 0; i < CHILD_PHASE_COUNT; i++)
        count += message->field[command_tags[i]].count + 1;
    return count;
}

static char **list_commands(struct child_spec *spec, char **array, const struct wire_message *message)
{
    for (unsigned i = 0; i < CHILD_PHASE_COUNT; i++) {
        spec->command[i] = wire_has(message, command_tags[i]) ? array : NULL;
        if (spec->command[i])
            array = list_texts(array, message, command_tags[i]);
    }
    return array;
}

static const char *id_of(const struct wire_message *message)
{
    const char *id = wire_text(message, WIRE_TAG_ID);

    return id ? id : "";
}

struct child_spec *child_spec_new(const struct wire_message *message, const char *marker, const char **why)
{
    size_t frame_size = WIRE_HEADER_SIZE + (size_t)(message->end - message->begin);
    size_t marks_size = strlen(marker) + 1 + sizeof PROC_ID_MARK + strlen(id_of(message));
    uint64_t ready_fd = wire_number(message, WIRE_TAG_READY_FD, 0);
    struct wire_writer writer = {.capacity = frame_size};
    struct spawn_settings settings;
    struct wire_message own;
    struct child_spec *spec;
    char **array, *marks;

    *why = !wire_has(message, WIRE_TAG_ARGUMENT) ? "has no command" : read_settings(message, &settings);
    if (!*why && ready_fd != 0 && (ready_fd < 3 || ready_fd > INT_MAX))
        *why = "has a readiness descriptor that is none";
    if (!*why && message->field[WIRE_TAG_OUTPUT_PATH].length > PATH_MAX)
        *why = "has an output path that is too long";
    if (*why)
        return NULL;
    spec = malloc(sizeof *spec + pointer_count(message) * sizeof(char *) + marks_size + frame_size);
    if (!spec) {
        *why = "does not fit in the keeper's memory";
        return NULL;
    }
    array = (char **)(void *)spec->room;
    marks = (char *)(array + pointer_count(message));
    writer.data = (uint8_t *)marks + marks_size;
    wire_begin(&writer, WIRE_SPAWN);
    wire_put_fields(&writer, message, NULL);
    wire_end(&writer);
    own = read_frame(writer.data, writer.size);
    spec->frame = writer.data;
    spec->frame_size = (uint32_t)writer.size;
    array = list_commands(spec, array, &own);
    spec->environment = array;
    spec->environment[0] = marks;
    spec->environment[1] = stpcpy(marks, marker) + 1;
    stpcpy(stpcpy(spec->environment[1], PROC_ID_MARK), id_of(message));
    list_texts(array + 2, &own, WIRE_TAG_ENVIRONMENT);
    spec->working_dir = wire_text(&own, WIRE_TAG_WORKING_DIR);
    spec->user = wire_text(&own, WIRE_TAG_USER);
    spec->output_path = wire_text(&own, WIRE_TAG_OUTPUT_PATH);
    spec->output_terms = log_terms_read(message);
    spec->timeout_ms[CHILD_MAIN] = duration(message, WIRE_TAG_RUN_TIMEOUT_MS, 0);
    spec->timeout_ms[CHILD_INIT] = duration(message, WIRE_TAG_INIT_TIMEOUT_MS, 60000);
    spec->timeout_ms[CHILD_FINI] = duration(message, WIRE_TAG_FINI_TIMEOUT_MS, 60000);
    spec->ready_fd = (int)ready_fd;
    spec->settings = settings;
    spec->is_local = wire_number(message, WIRE_TAG_LOCAL, 0) != 0;
    return spec;
}

static const enum wire_tag restart_tags[] = {
    WIRE_TAG_RESTART_ATTEMPTS, WIRE_TAG_RESTART_INTERVAL_MS, WIRE_TAG_RESTART_DELAY_MS, WIRE_TAG_RESTART_MAX_DELAY_MS,
    WIRE_TAG_RESTART_RESET_MS, WIRE_TAG_NONE,
};

static const enum wire_tag limit_tags[LIMIT_COUNT + 1] = {
    [LIMIT_MEMORY] = WIRE_TAG_MEMORY_BYTES, [LIMIT_SWAP] = WIRE_TAG_SWAP_BYTES,
    [LIMIT_VIRTUAL] = WIRE_TAG_VIRTUAL_BYTES, [LIMIT_CPU_WEIGHT] = WIRE_TAG_CPU_WEIGHT,
    [LIMIT_CPU_MAX] = WIRE_TAG_CPU_PERCENT, [LIMIT_PIDS] = WIRE_TAG_PIDS, [LIMIT_COUNT] = WIRE_TAG_NONE,
};

static const enum wire_tag output_tags[] = {WIRE_TAG_OUTPUT_FILES, WIRE_TAG_OUTPUT_WAITS, WIRE_TAG_NONE};

static void update_restart(struct child_restart *restart, const struct wire_message *message)
{
    restart->enabled = wire_number(message, WIRE_TAG_RESTART_ENABLED, 0) != 0;
    restart->attempts = wire_number(message, WIRE_TAG_RESTART_ATTEMPTS, UINT64_MAX);
    restart->interval_ms = duration(message, WIRE_TAG_RESTART_INTERVAL_MS, 0);
    restart->delay_ms = larger(duration(message, WIRE_TAG_RESTART_DELAY_MS, 1000), 1);
    restart->max_delay_ms = larger(duration(message, WIRE_TAG_RESTART_MAX_DELAY_MS, 60000), restart->delay_ms);
    restart->reset_ms = duration(message, WIRE_TAG_RESTART_RESET_MS, 10000);
}

static void update_limits(struct limits *limits, const struct wire_message *message)
{
    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        limits->value[i] = wire_number(message, limit_tags[i], LIMIT_NONE);
}

static void set_frame(struct child *child, const uint8_t *frame, uint32_t size)
{
    struct wire_message message = read_frame(frame, size);

    /* What runs often has the same specification each time. */
    child->is_written = child->is_written && size == child->frame_size && memcmp(frame, child->frame, size) == 0;
    child->frame = frame;
    child->frame_size = size;
    child->label = wire_text(&message, WIRE_TAG_LABEL);
}

/* Which fields a message replaces: of those that come together the ones that it lacks, too. */
static struct wire_message replaced_by(const struct wire_message *message)
{
    static const struct {
        enum wire_tag said;
        const enum wire_tag *tags;
    } groups[] = {
        {WIRE_TAG_RESTART_ENABLED, restart_tags}, {WIRE_TAG_LIMITS, limit_tags}, {WIRE_TAG_MAX_OUTPUT_BYTES, output_tags},
    };
    struct wire_message replaced = *message;

    for (unsigned i = 0; i < sizeof groups / sizeof *groups; i++)
        for (const enum wire_tag *tag = groups[i].tags; wire_has(message, groups[i].said) && *tag != WIRE_TAG_NONE; tag++)
            replaced.field[*tag].count = 1;
    return replaced;
}

/* Makes the child's frame what it is with the fields of the message. Returns false where that does not fit. */
static bool update_frame(struct child *child, const struct wire_message *message)
{
    struct wire_message before = read_frame(child->frame, child->frame_size), replaced = replaced_by(message);
    struct wire_writer writer = {.capacity = (size_t)(message->end - message->begin) + child->frame_size + WIRE_HEADER_SIZE};

    writer.data = malloc(writer.capacity);
    if (!writer.data)
        return false;
    wire_begin(&writer, WIRE_SPAWN);
    wire_put_fields(&writer, &before, &replaced);
    wire_put_fields(&writer, message, NULL);
    if (wire_end(&writer) != 0) {
        free(writer.data);
        return false;
    }
    set_frame(child, writer.data, (uint32_t)writer.size);
    free(child->updated_frame);
    child->updated_frame = writer.data;
    return true;
}

const char *child_update(struct child *child, const struct wire_message *message)
{
    uint64_t stop_signal = wire_number(message, WIRE_TAG_STOP_SIGNAL, (uint64_t)child->stop_signal);

    if (stop_signal < 1 || stop_signal >= _NSIG)
        return "has a stop signal that is none";
    if (message->field[WIRE_TAG_LABEL].length > WIRE_LABEL_MAX + 1)
        return "has a tag that is too long";
    /* Readiness is said of a run, and no part of what was asked for. */
    if (message->type == WIRE_UPDATE && !wire_has(message, WIRE_TAG_READY) && !update_frame(child, message))
        return "does not fit in the keeper's memory";
    child->stop_signal = (int)stop_signal;
    child->stop_timeout_ms = duration(message, WIRE_TAG_STOP_TIMEOUT_MS, child->stop_timeout_ms);
    child->lease_ms = duration(message, WIRE_TAG_LEASE_MS, child->lease_ms);
    if (wire_has(message, WIRE_TAG_RESTART_ENABLED))
        update_restart(&child->restart, message);
    if (wire_has(message, WIRE_TAG_LIMITS))
        update_limits(&child->limits, message);
    /* Said of one run: by now it may be another. */
    if (wire_number(message, WIRE_TAG_READY, 0) == child->starts && child->state == CHILD_RUNNING)
        child->ready = true;
    return NULL;
}

const char *child_configure(struct child *child, const struct wire_message *message)
{
    const char *why = NULL;
    struct child_spec *spec = child_spec_new(message, proc_mark(), &why);

    if (!spec)
        return why;
    why = child_update(child, message);
    if (why) {
        free(spec);
        return why;
    }
    set_frame(child, spec->frame, spec->frame_size);
    free(child->spec);
    free(child->updated_frame);
    child->spec = spec;
    child->updated_frame = NULL;
    child->user_known = false;
    return NULL;
}
