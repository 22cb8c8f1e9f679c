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

static char *keep_text(char **at, const char *text)
{
    char *kept = *at;

    if (!text)
        return NULL;
    *at = stpcpy(kept, text) + 1;
    return kept;
}

/* Keeps the texts of a field, NULL at the end, from `array` on. Returns where the next array begins. */
static char **keep_texts(char **array, char **at, const struct wire_message *message, enum wire_tag tag)
{
    const char *text = NULL;
    size_t left = message->field[tag].count;

    for (; left > 0; left--) {
        text = wire_next_text(message, tag, text);
        *array++ = keep_text(at, text);
    }
    *array = NULL;
    return array + 1;
}

static size_t text_size(const struct wire_message *message, enum wire_tag tag)
{
    return message->field[tag].length;
}

static size_t texts_size(const struct wire_message *message, enum wire_tag tag)
{
    const char *text = NULL;
    size_t left, size = 0;

    for (left = message->field[tag].count; left > 0; left--) {
        text = wire_next_text(message, tag, text);
        size += strlen(text) + 1;
    }
    return size;
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

static size_t commands_size(const struct wire_message *message)
{
    size_t size = 0;

    for (unsigned i = 0; i < CHILD_PHASE_COUNT; i++)
        size += texts_size(message, command_tags[i]);
    return size;
}

static char **keep_commands(struct child_spec *spec, char **array, char **at, const struct wire_message *message)
{
    for (unsigned i = 0; i < CHILD_PHASE_COUNT; i++) {
        spec->command[i] = message->field[command_tags[i]].count > 0 ? array : NULL;
        if (spec->command[i])
            array = keep_texts(array, at, message, command_tags[i]);
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
    size_t size = commands_size(message) + texts_size(message, WIRE_TAG_ENVIRONMENT) +
                  text_size(message, WIRE_TAG_WORKING_DIR) + text_size(message, WIRE_TAG_USER) +
                  text_size(message, WIRE_TAG_OUTPUT_PATH) + strlen(marker) + 1 +
                  sizeof PROC_ID_MARK + strlen(id_of(message));
    uint64_t ready_fd = wire_number(message, WIRE_TAG_READY_FD, 0);
    struct spawn_settings settings;
    struct child_spec *spec;
    char **array, *at;

    *why = message->field[WIRE_TAG_ARGUMENT].count == 0 ? "has no command" : read_settings(message, &settings);
    if (!*why && ready_fd != 0 && (ready_fd < 3 || ready_fd > INT_MAX))
        *why = "has a readiness descriptor that is none";
    if (!*why && text_size(message, WIRE_TAG_OUTPUT_PATH) > PATH_MAX)
        *why = "has an output path that is too long";
    if (*why)
        return NULL;
    spec = malloc(sizeof *spec + pointer_count(message) * sizeof(char *) + size);
    if (!spec) {
        *why = "does not fit in the keeper's memory";
        return NULL;
    }
    array = (char **)(void *)spec->text;
    at = (char *)(array + pointer_count(message));
    array = keep_commands(spec, array, &at, message);
    spec->environment = array;
    spec->environment[0] = keep_text(&at, marker);
    spec->environment[1] = at;
    at = stpcpy(stpcpy(at, PROC_ID_MARK), id_of(message)) + 1;
    keep_texts(spec->environment + 2, &at, message, WIRE_TAG_ENVIRONMENT);
    spec->working_dir = keep_text(&at, wire_text(message, WIRE_TAG_WORKING_DIR));
    spec->user = keep_text(&at, wire_text(message, WIRE_TAG_USER));
    spec->output_path = keep_text(&at, wire_text(message, WIRE_TAG_OUTPUT_PATH));
    spec->output_terms = log_terms_read(message);
    spec->timeout_ms[CHILD_MAIN] = duration(message, WIRE_TAG_RUN_TIMEOUT_MS, 0);
    spec->timeout_ms[CHILD_INIT] = duration(message, WIRE_TAG_INIT_TIMEOUT_MS, 60000);
    spec->timeout_ms[CHILD_FINI] = duration(message, WIRE_TAG_FINI_TIMEOUT_MS, 60000);
    spec->ready_fd = (int)ready_fd;
    spec->settings = settings;
    spec->is_local = wire_number(message, WIRE_TAG_LOCAL, 0) != 0;
    return spec;
}

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
    static const enum wire_tag tags[LIMIT_COUNT] = {
        [LIMIT_MEMORY] = WIRE_TAG_MEMORY_BYTES, [LIMIT_SWAP] = WIRE_TAG_SWAP_BYTES,
        [LIMIT_VIRTUAL] = WIRE_TAG_VIRTUAL_BYTES, [LIMIT_CPU_WEIGHT] = WIRE_TAG_CPU_WEIGHT,
        [LIMIT_CPU_MAX] = WIRE_TAG_CPU_PERCENT, [LIMIT_PIDS] = WIRE_TAG_PIDS,
    };

    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        limits->value[i] = wire_number(message, tags[i], LIMIT_NONE);
}

const char *child_update(struct child *child, const struct wire_message *message)
{
    uint64_t stop_signal = wire_number(message, WIRE_TAG_STOP_SIGNAL, (uint64_t)child->stop_signal);
    char *label = NULL;

    if (stop_signal < 1 || stop_signal >= _NSIG)
        return "has a stop signal that is none";
    if (text_size(message, WIRE_TAG_LABEL) > WIRE_LABEL_MAX + 1)
        return "has a tag that is too long";
    if (wire_has(message, WIRE_TAG_LABEL)) {
        label = strdup(wire_text(message, WIRE_TAG_LABEL));
        if (!label)
            return "does not fit in the keeper's memory";
        free(child->label);
        child->label = label;
    }
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
