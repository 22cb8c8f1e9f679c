#include "child.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void set_deadline(struct child *child, uint64_t delay_ms)
{
    child->deadline_ms = child->effects->now_ms() + delay_ms;
    child->effects->arm(child);
}

/* --- what follows an exit or a failed start --- */

/* Counts a restart; false when `attempts` are used up. Counted in windows that begin with their first restart, so
 * that no list of moments is kept. */
static bool may_restart(struct child *child, uint64_t now_ms)
{
    const struct child_restart *restart = &child->restart;

    if (restart->interval_ms > 0 && now_ms - child->window_ms > restart->interval_ms)
        child->window_restarts = 0;
    if (child->window_restarts >= restart->attempts)
        return false;
    if (child->window_restarts++ == 0)
        child->window_ms = now_ms;
    return true;
}

static void decide(struct child *child, uint64_t at_least_ms)
{
    const struct child_restart *restart = &child->restart;

    child->delay_ms = 0;
    child->gives_up = false;
    child->next_step = WIRE_NEXT_NONE;
    if (!restart->enabled)
        return;
    if (!may_restart(child, child->effects->now_ms())) {
        child->gives_up = true;
        return;
    }
    child->next_step = WIRE_NEXT_RESTART;
    child->delay_ms = smaller(larger(child->backoff_ms, at_least_ms), restart->max_delay_ms);
    child->backoff_ms = smaller(larger(child->delay_ms * 2, restart->delay_ms), restart->max_delay_ms);
    child->deadline_ms = child->effects->now_ms() + child->delay_ms;
}

static void rest(struct child *child, enum child_state state, enum wire_type told)
{
    child->state = state;
    child->deadline_ms = 0;
    child->effects->tell(child, told);
}

/* Does what was decided, now that nothing of the last run is left. */
static void proceed(struct child *child)
{
    if (child->next_step != WIRE_NEXT_RESTART) {
        if (child->gives_up)
            rest(child, CHILD_GAVE_UP, WIRE_GAVE_UP);
        else
            rest(child, CHILD_STOPPED, WIRE_STOPPED);
    } else if (child->deadline_ms <= child->effects->now_ms()) {
        child->state = CHILD_STARTING;
        child->deadline_ms = 0;
        child->effects->start(child);
    } else {
        child->state = CHILD_BACKOFF;
        child->effects->arm(child);
    }
}

/* --- actions --- */

static void impossible(struct child *child)
{
    (void)child;
}

static void keep(struct child *child)
{
    (void)child;
}

static void begin(struct child *child)
{
    child->backoff_ms = 0;
    child->delay_ms = 0;
    child->window_restarts = 0;
    child->failure[0] = '\0';
    child->state = CHILD_STARTING;
    child->effects->start(child);
}

static void begin_again(struct child *child)
{
    child->state = CHILD_STARTING;
    child->deadline_ms = 0;
    child->effects->start(child);
}

static void started(struct child *child)
{
    child->state = CHILD_RUNNING;
    child->ended = false;
    child->failure[0] = '\0';
    child->starts++;
    child->started_ms = child->effects->now_ms();
    child->effects->tell(child, WIRE_STARTED);
}

/* What could not be started is not helped by trying again at once. */
static void start_failed(struct child *child)
{
    decide(child, child->restart.delay_ms);
    child->effects->tell(child, WIRE_SPAWN_FAILED);
    if (child->next_step == WIRE_NEXT_RESTART || child->gives_up)
        proceed(child);
    else
        child->state = CHILD_FAILED;
}

static void ended(struct child *child)
{
    uint64_t ran_ms = child->effects->now_ms() - child->started_ms;

    child->ended = true;
    if (ran_ms >= larger(child->restart.reset_ms, child->delay_ms)) {
        child->backoff_ms = 0;
        child->window_restarts = child->restart.interval_ms > 0 ? child->window_restarts : 0;
    }
    decide(child, 0);
    child->effects->tell(child, WIRE_EXITED);
    /* A successor must not run beside what the last run left behind. Where none follows there is time for a look
     * at the whole session and not only at the group. */
    if (child->effects->signal(child, SIGKILL) || child->next_step != WIRE_NEXT_RESTART) {
        child->state = CHILD_CLEARING;
        child->effects->drain(child);
        return;
    }
    child->effects->release(child);
    proceed(child);
}

static void cleared(struct child *child)
{
    child->effects->release(child);
    proceed(child);
}

static void stop(struct child *child)
{
    child->state = CHILD_STOPPING;
    child->effects->tell(child, WIRE_STOPPING);
    child->effects->signal(child, child->stop_signal);
    child->effects->signal(child, SIGCONT);
    set_deadline(child, child->stop_timeout_ms);
}

static void stop_clearing(struct child *child)
{
    child->state = CHILD_KILLING;
    child->deadline_ms = 0;
    child->effects->tell(child, WIRE_STOPPING);
}

static void stop_resting(struct child *child)
{
    rest(child, CHILD_STOPPED, WIRE_STOPPED);
}

static void stop_starting(struct child *child)
{
    child->effects->unstart(child);
    stop_resting(child);
}

static void kill_all(struct child *child)
{
    child->state = CHILD_KILLING;
    child->deadline_ms = 0;
    child->effects->signal(child, SIGKILL);
}

static void ended_stopping(struct child *child)
{
    child->ended = true;
    child->next_step = WIRE_NEXT_STOP;
    child->delay_ms = 0;
    child->effects->tell(child, WIRE_EXITED);
    child->effects->drain(child);
}

static void emptied(struct child *child)
{
    child->effects->release(child);
    stop_resting(child);
}

static void refuse_stopping(struct child *child)
{
    child->effects->refuse(child, "is being stopped; ask again when it has stopped");
}

static void refuse_forget(struct child *child)
{
    child->effects->refuse(child, "cannot be forgotten before it has stopped");
}

static void forget(struct child *child)
{
    child->effects->forget(child);
}

typedef void (*action_fn)(struct child *child);

static action_fn const action[CHILD_STATE_COUNT][CHILD_EVENT_COUNT] = {
#define _ impossible
    /*                   ASKED            STARTED  START_FAILED  EXITED          EMPTY    TIMED        STOP           FORGET */
    [CHILD_STOPPED]  = { begin,           _,       _,            _,              _,       _,           stop_resting,  forget },
    [CHILD_FAILED]   = { begin,           _,       _,            _,              _,       _,           stop_resting,  forget },
    [CHILD_GAVE_UP]  = { begin,           _,       _,            _,              _,       _,           stop_resting,  forget },
    [CHILD_STARTING] = { keep,            started, start_failed, _,              _,       _,           stop_starting, refuse_forget },
    [CHILD_RUNNING]  = { keep,            _,       _,            ended,          _,       _,           stop,          refuse_forget },
    [CHILD_CLEARING] = { keep,            _,       _,            _,              cleared, _,           stop_clearing, refuse_forget },
    [CHILD_BACKOFF]  = { keep,            _,       _,            _,              _,       begin_again, stop_resting,  refuse_forget },
    [CHILD_STOPPING] = { refuse_stopping, _,       _,            ended_stopping, emptied, kill_all,    keep,          refuse_forget },
    [CHILD_KILLING]  = { refuse_stopping, _,       _,            ended_stopping, emptied, _,           keep,          refuse_forget },
#undef _
};

void child_handle(struct child *child, enum child_event event)
{
    action[child->state][event](child);
}

bool child_at_rest(const struct child *child)
{
    return child->state == CHILD_STOPPED || child->state == CHILD_FAILED || child->state == CHILD_GAVE_UP;
}

enum wire_state child_wire_state(const struct child *child)
{
    static const enum wire_state states[CHILD_STATE_COUNT] = {
        [CHILD_STOPPED] = WIRE_STATE_STOPPED,   [CHILD_FAILED] = WIRE_STATE_FAILED,
        [CHILD_GAVE_UP] = WIRE_STATE_GAVE_UP,   [CHILD_STARTING] = WIRE_STATE_STARTING,
        [CHILD_RUNNING] = WIRE_STATE_RUNNING,   [CHILD_CLEARING] = WIRE_STATE_STOPPING,
        [CHILD_BACKOFF] = WIRE_STATE_BACKOFF,   [CHILD_STOPPING] = WIRE_STATE_STOPPING,
        [CHILD_KILLING] = WIRE_STATE_STOPPING,
    };

    if (child->state == CHILD_CLEARING && child->next_step == WIRE_NEXT_RESTART)
        return WIRE_STATE_BACKOFF;
    return states[child->state];
}

/* --- specifications --- */

static char *keep_text(char **at, const char *text)
{
    char *kept = *at;

    if (!text)
        return NULL;
    *at = stpcpy(kept, text) + 1;
    return kept;
}

static void keep_texts(char **array, char **at, const struct wire_message *message, enum wire_tag tag)
{
    const char *text = NULL;
    size_t left = message->field[tag].count;

    for (; left > 0; left--) {
        text = wire_next_text(message, tag, text);
        *array++ = keep_text(at, text);
    }
    *array = NULL;
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
    };
    return NULL;
}

struct child_spec *child_spec_new(const struct wire_message *message, const char *marker, const char **why)
{
    size_t argc = message->field[WIRE_TAG_ARGUMENT].count, envc = message->field[WIRE_TAG_ENVIRONMENT].count;
    size_t size = texts_size(message, WIRE_TAG_ARGUMENT) + texts_size(message, WIRE_TAG_ENVIRONMENT) +
                  text_size(message, WIRE_TAG_WORKING_DIR) + text_size(message, WIRE_TAG_USER) +
                  text_size(message, WIRE_TAG_OUTPUT_PATH) + strlen(marker) + 1;
    struct spawn_settings settings;
    struct child_spec *spec;
    char *at;

    *why = argc == 0 ? "has no command" : read_settings(message, &settings);
    if (*why)
        return NULL;
    if (text_size(message, WIRE_TAG_OUTPUT_PATH) > PATH_MAX) {
        *why = "has an output path that is too long";
        return NULL;
    }
    spec = malloc(sizeof *spec + (argc + envc + 3) * sizeof(char *) + size);
    if (!spec) {
        *why = "does not fit in the keeper's memory";
        return NULL;
    }
    spec->argv = (char **)(void *)spec->text;
    spec->environment = spec->argv + argc + 1;
    at = (char *)(spec->environment + envc + 2);
    keep_texts(spec->argv, &at, message, WIRE_TAG_ARGUMENT);
    spec->environment[0] = keep_text(&at, marker);
    keep_texts(spec->environment + 1, &at, message, WIRE_TAG_ENVIRONMENT);
    spec->working_dir = keep_text(&at, wire_text(message, WIRE_TAG_WORKING_DIR));
    spec->user = keep_text(&at, wire_text(message, WIRE_TAG_USER));
    spec->output_path = keep_text(&at, wire_text(message, WIRE_TAG_OUTPUT_PATH));
    spec->max_output_bytes = wire_number(message, WIRE_TAG_MAX_OUTPUT_BYTES, 0);
    spec->settings = settings;
    return spec;
}

/* Times beyond a century are no different from one, and their sums do not overflow. */
static uint64_t duration(const struct wire_message *message, enum wire_tag tag, uint64_t otherwise)
{
    return smaller(wire_number(message, tag, otherwise), 100ULL * 366 * 86400 * 1000);
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
    if (wire_has(message, WIRE_TAG_RESTART_ENABLED))
        update_restart(&child->restart, message);
    return NULL;
}
