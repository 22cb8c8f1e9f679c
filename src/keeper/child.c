#include "child.h"

#include <signal.h>
#include <stdio.h>

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

/* A run begins: its init command comes first, where it has one. */
static void start(struct child *child)
{
    child->phase = child->spec->command[CHILD_INIT] ? CHILD_INIT : CHILD_MAIN;
    child->state = CHILD_STARTING;
    child->deadline_ms = 0;
    child->effects->start(child);
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
        start(child);
    } else {
        child->state = CHILD_BACKOFF;
        child->effects->arm(child);
    }
}

/* Nothing of main is left: its fini command comes, where it has one. */
static void finish(struct child *child)
{
    if (child->phase != CHILD_MAIN || !child->spec->command[CHILD_FINI]) {
        proceed(child);
        return;
    }
    child->phase = CHILD_FINI;
    child->state = CHILD_FINISHING;
    child->ended = false;
    child->deadline_ms = 0;
    child->effects->start(child);
}

/* What is being stopped goes on with nothing. */
static void decide_stop(struct child *child)
{
    child->next_step = WIRE_NEXT_STOP;
    child->gives_up = false;
    child->delay_ms = 0;
}

/* --- actions --- */

typedef void (*action_fn)(struct child *child);

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
    start(child);
}

/* An init or fini command runs. */
static void phase_started(struct child *child)
{
    child->ended = child->overran = false;
    child->effects->tell(child, WIRE_PHASE);
    set_deadline(child, child->spec->timeout_ms[child->phase]);
}

static void run_began(struct child *child)
{
    child->ended = child->overran = child->ready = false;
    child->failure[0] = '\0';
    child->starts++;
    child->started_ms = child->effects->now_ms();
    child->effects->tell(child, WIRE_STARTED);
}

static void started(struct child *child)
{
    if (child->phase == CHILD_INIT) {
        child->state = CHILD_PREPARING;
        phase_started(child);
        return;
    }
    child->state = CHILD_RUNNING;
    run_began(child);
    if (child->spec->timeout_ms[CHILD_MAIN])
        set_deadline(child, child->spec->timeout_ms[CHILD_MAIN]);
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

/* A successor must not run beside what the last run left behind. Where none follows there is time for a look at the
 * whole session and not only at the group: but not at each end of a short command, of which there are many. */
static bool needs_look(const struct child *child)
{
    return child->overran || (child->next_step != WIRE_NEXT_RESTART && !child->spec->timeout_ms[CHILD_MAIN]);
}

static void ended(struct child *child)
{
    uint64_t ran_ms = child->effects->now_ms() - child->started_ms;

    child->ended = true;
    child->deadline_ms = 0;
    if (ran_ms >= larger(child->restart.reset_ms, child->delay_ms)) {
        child->backoff_ms = 0;
        child->window_restarts = child->restart.interval_ms > 0 ? child->window_restarts : 0;
    }
    decide(child, 0);
    child->effects->tell(child, WIRE_EXITED);
    if (child->effects->signal(child, SIGKILL) || needs_look(child)) {
        child->state = CHILD_CLEARING;
        child->effects->drain(child);
        return;
    }
    child->effects->release(child);
    finish(child);
}

static void cleared(struct child *child)
{
    child->effects->release(child);
    finish(child);
}

/* --- init and fini commands: their exits are not the application's, and are told only as failures --- */

static bool phase_succeeded(const struct child *child)
{
    const struct child_exit *exit = &child->phase_exit;

    return !child->overran && exit->known && !exit->by_signal && exit->number == 0;
}

static void describe_failure(struct child *child, const char *name)
{
    const struct child_exit *exit = &child->phase_exit;

    snprintf(child->failure_step, sizeof child->failure_step, "%s", name);
    if (child->overran)
        snprintf(child->failure, sizeof child->failure, "%s_command: did not end within %g s and was killed", name,
                 (double)child->spec->timeout_ms[child->phase] / 1000);
    else if (!exit->known)
        snprintf(child->failure, sizeof child->failure, "%s_command: ended, exit code unknown", name);
    else
        snprintf(child->failure, sizeof child->failure, "%s_command: %s %d", name,
                 exit->by_signal ? "ended by signal" : "exited with", exit->number);
}

/* It is over when nothing that it started is left. */
static void phase_ended(struct child *child, action_fn over)
{
    child->ended = true;
    child->deadline_ms = 0;
    if (child->effects->signal(child, SIGKILL) || child->overran)
        child->effects->drain(child);
    else
        over(child);
}

static void init_over(struct child *child)
{
    child->effects->release(child);
    if (!phase_succeeded(child)) {
        describe_failure(child, "init");
        start_failed(child);
        return;
    }
    child->phase = CHILD_MAIN;
    child->state = CHILD_STARTING;
    child->effects->start(child);
}

static void init_ended(struct child *child)
{
    phase_ended(child, init_over);
}

/* The wait for the next start counts from here on. */
static void fini_over(struct child *child)
{
    child->effects->release(child);
    child->deadline_ms = child->effects->now_ms() + child->delay_ms;
    proceed(child);
}

static void fini_ended(struct child *child)
{
    if (!phase_succeeded(child)) {
        describe_failure(child, "fini");
        child->effects->tell(child, WIRE_PHASE);
    }
    phase_ended(child, fini_over);
}

static void fini_failed(struct child *child)
{
    child->effects->tell(child, WIRE_PHASE);
    fini_over(child);
}

static void overrun(struct child *child)
{
    child->overran = true;
    child->deadline_ms = 0;
    child->effects->signal(child, SIGKILL);
}

/* --- stopping --- */

static void end_run(struct child *child)
{
    child->effects->signal(child, child->stop_signal);
    child->effects->signal(child, SIGCONT);
    set_deadline(child, child->stop_timeout_ms);
}

static void stop(struct child *child)
{
    decide_stop(child);
    child->state = CHILD_STOPPING;
    child->effects->tell(child, WIRE_STOPPING);
    end_run(child);
}

static void stop_clearing(struct child *child)
{
    decide_stop(child);
    child->state = CHILD_KILLING;
    child->deadline_ms = 0;
    child->effects->tell(child, WIRE_STOPPING);
}

static void stop_preparing(struct child *child)
{
    if (child->ended)
        stop_clearing(child);
    else
        stop(child);
}

/* The fini command goes on; what follows it is another thing now. */
static void stop_finishing(struct child *child)
{
    decide_stop(child);
    child->effects->tell(child, WIRE_STOPPING);
}

static void stop_resting(struct child *child)
{
    decide_stop(child);
    rest(child, CHILD_STOPPED, WIRE_STOPPED);
}

static void stop_starting(struct child *child)
{
    if (child->effects->unstart(child)) {
        stop_resting(child);
        return;
    }
    decide_stop(child);
    child->state = CHILD_STOPPING;
    child->effects->tell(child, WIRE_STOPPING);
}

/* Perhaps because it was to stop: that is no failure. */
static void failed_too_late(struct child *child)
{
    child->failure[0] = '\0';
    stop_resting(child);
}

static void started_too_late(struct child *child)
{
    child->failure[0] = '\0';
    if (child->phase == CHILD_MAIN)
        run_began(child);
    child->ended = child->overran = false;
    end_run(child);
}

static void kill_all(struct child *child)
{
    child->state = CHILD_KILLING;
    overrun(child);
}

static void ended_stopping(struct child *child)
{
    child->ended = true;
    decide_stop(child);
    if (child->phase == CHILD_MAIN)
        child->effects->tell(child, WIRE_EXITED);
    child->effects->drain(child);
}

static void emptied(struct child *child)
{
    child->effects->release(child);
    decide_stop(child);
    finish(child);
}

static void refuse_stopping(struct child *child)
{
    child->effects->refuse(child, "is being stopped; ask again when it has stopped");
}

static void ask_finishing(struct child *child)
{
    if (child->next_step == WIRE_NEXT_STOP)
        refuse_stopping(child);
}

static void refuse_end(struct child *child)
{
    child->effects->refuse(child, "does not run, so nothing can be ended");
}

static void refuse_forget(struct child *child)
{
    child->effects->refuse(child, "cannot be forgotten before it has stopped");
}

static void forget(struct child *child)
{
    child->effects->forget(child);
}

static action_fn const action[CHILD_STATE_COUNT][CHILD_EVENT_COUNT] = {
#define _ impossible
    /*                    ASKED            STARTED        START_FAILED  EXITED          EMPTY      TIMED        STOP            FORGET         END_RUN */
    [CHILD_STOPPED]   = { begin,           _,             _,            _,              _,         _,           stop_resting,   forget,        refuse_end },
    [CHILD_FAILED]    = { begin,           _,             _,            _,              _,         _,           stop_resting,   forget,        refuse_end },
    [CHILD_GAVE_UP]   = { begin,           _,             _,            _,              _,         _,           stop_resting,   forget,        refuse_end },
    [CHILD_STARTING]  = { keep,            started,       start_failed, _,              _,         _,           stop_starting,  refuse_forget, refuse_end },
    [CHILD_PREPARING] = { keep,            _,             _,            init_ended,     init_over, overrun,     stop_preparing, refuse_forget, refuse_end },
    [CHILD_RUNNING]   = { keep,            _,             _,            ended,          _,         overrun,     stop,           refuse_forget, end_run },
    [CHILD_CLEARING]  = { keep,            _,             _,            _,              cleared,   _,           stop_clearing,  refuse_forget, refuse_end },
    [CHILD_FINISHING] = { ask_finishing,   phase_started, fini_failed,  fini_ended,     fini_over, overrun,     stop_finishing, refuse_forget, refuse_end },
    [CHILD_BACKOFF]   = { keep,            _,             _,            _,              _,         start,       stop_resting,   refuse_forget, refuse_end },
    [CHILD_STOPPING]  = { refuse_stopping, started_too_late, failed_too_late, ended_stopping, emptied,   kill_all,    keep,           refuse_forget, refuse_end },
    [CHILD_KILLING]   = { refuse_stopping, _,             _,            ended_stopping, emptied,   _,           keep,           refuse_forget, refuse_end },
#undef _
};

void child_handle(struct child *child, enum child_event event)
{
    action[child->state][event](child);
    if (event != CHILD_FORGET) /* the child may be gone, and nothing else of it has changed */
        child->effects->record(child);
}

void child_resume(struct child *child, bool gone)
{
    if (child->born) {
        child->born = false;
        child_handle(child, CHILD_STARTED);
    }
    if (gone)
        child_handle(child, CHILD_EXITED);
    else if (child->state == CHILD_STARTING || (child->state == CHILD_FINISHING && !child->pid))
        child->effects->start(child);
    else if (child->pid && child->ended)
        child->effects->drain(child);
    else if (child->state == CHILD_KILLING)
        child->effects->signal(child, SIGKILL);
    child->effects->arm(child);
}

bool child_at_rest(const struct child *child)
{
    return child->state == CHILD_STOPPED || child->state == CHILD_FAILED || child->state == CHILD_GAVE_UP;
}

enum wire_state child_wire_state(const struct child *child)
{
    static const enum wire_state states[CHILD_STATE_COUNT] = {
        [CHILD_STOPPED] = WIRE_STATE_STOPPED,     [CHILD_FAILED] = WIRE_STATE_FAILED,
        [CHILD_GAVE_UP] = WIRE_STATE_GAVE_UP,     [CHILD_STARTING] = WIRE_STATE_STARTING,
        [CHILD_PREPARING] = WIRE_STATE_STARTING,  [CHILD_RUNNING] = WIRE_STATE_RUNNING,
        [CHILD_CLEARING] = WIRE_STATE_STOPPING,   [CHILD_FINISHING] = WIRE_STATE_STOPPING,
        [CHILD_BACKOFF] = WIRE_STATE_BACKOFF,     [CHILD_STOPPING] = WIRE_STATE_STOPPING,
        [CHILD_KILLING] = WIRE_STATE_STOPPING,
    };

    if ((child->state == CHILD_CLEARING || child->state == CHILD_FINISHING) && child->next_step == WIRE_NEXT_RESTART)
        return WIRE_STATE_BACKOFF;
    return states[child->state];
}

enum wire_phase child_wire_phase(const struct child *child)
{
    return child->state == CHILD_PREPARING ? WIRE_PHASE_INIT : child->state == CHILD_FINISHING ? WIRE_PHASE_FINI : 0;
}
