/* child: every cell of action[state][event], and the back-off over time, with a world that only takes notes. */
#include "cmocka_all.h"

#include "keeper/child.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char notes[256];
static uint64_t clock_ms;
static bool group_lives, is_under_way;
static unsigned recorded;

__attribute__((format(printf, 1, 2)))
static void note(const char *format, ...)
{
    size_t used = strlen(notes);
    va_list arguments;

    va_start(arguments, format);
    used += (size_t)snprintf(notes + used, sizeof notes - used, "%s", used ? " " : "");
    vsnprintf(notes + used, sizeof notes - used, format, arguments);
    va_end(arguments);
}

static uint64_t now_ms(void) { return clock_ms; }
static void start(struct child *child) { note("start"); }
static bool unstart(struct child *child) { note("unstart"); return !is_under_way; }
static bool send_signal(struct child *child, int number) { note("kill%d", number); return group_lives; }
static void drain(struct child *child) { note("drain"); }
static void arm(struct child *child) { note("arm+%d", (int)(child->deadline_ms - clock_ms)); }
static void release_pid(struct child *child) { note("release"); }
static void refuse(struct child *child, const char *why) { note("refuse"); }
static void record(struct child *child) { recorded++; }
static void forget(struct child *child) { note("forget"); }

static void tell(struct child *child, enum wire_type type)
{
    static const char *const names[] = {"STARTED", "EXITED", "SPAWN_FAILED", "STOPPING", "STOPPED", "GAVE_UP",
                                        "ERROR", "BYE", "PHASE", "READY"};

    note("%s", names[type - WIRE_STARTED]);
}

static const struct child_effects effects = {
    .now_ms = now_ms, .start = start, .unstart = unstart, .signal = send_signal, .drain = drain, .arm = arm,
    .release = release_pid, .tell = tell, .refuse = refuse, .record = record, .forget = forget,
};

static char *program[] = {(char[]){"p"}, NULL};
static struct child_spec only_main = {.command = {program, NULL, NULL}};
static struct child_spec all_three = {.command = {program, program, program}, .timeout_ms = {0, 3000, 4000}};

static struct child make(enum child_state state)
{
    notes[0] = '\0';
    clock_ms = 1000000;
    group_lives = is_under_way = false;
    return (struct child){
        .effects = &effects, .state = state, .id = (char[]){"x"}, .stop_signal = SIGTERM, .stop_timeout_ms = 5000,
        .pid = 42, .started_ms = clock_ms, .spec = &only_main, .phase_exit.known = true,
        .phase = state == CHILD_PREPARING ? CHILD_INIT : state == CHILD_FINISHING ? CHILD_FINI : CHILD_MAIN, .next_step = WIRE_NEXT_RESTART,
        .restart = {.enabled = true, .attempts = UINT64_MAX, .delay_ms = 100, .max_delay_ms = 700, .reset_ms = 10000},
    };
}

struct cell {
    const char *done;
    enum child_state after;
};

#define NOTHING(state) {"", CHILD_##state}

/* In the order of the events: asked, started, start failed, exited, empty, timed, stop, forget, end of a run asked for. */
static const struct cell expected[CHILD_STATE_COUNT][CHILD_EVENT_COUNT] = {
    [CHILD_STOPPED] = {{"start", CHILD_STARTING}, NOTHING(STOPPED), NOTHING(STOPPED), NOTHING(STOPPED), NOTHING(STOPPED),
                       NOTHING(STOPPED), {"STOPPED", CHILD_STOPPED}, {"forget", CHILD_STOPPED}, {"refuse", CHILD_STOPPED}},
    [CHILD_FAILED] = {{"start", CHILD_STARTING}, NOTHING(FAILED), NOTHING(FAILED), NOTHING(FAILED), NOTHING(FAILED),
                      NOTHING(FAILED), {"STOPPED", CHILD_STOPPED}, {"forget", CHILD_FAILED}, {"refuse", CHILD_FAILED}},
    [CHILD_GAVE_UP] = {{"start", CHILD_STARTING}, NOTHING(GAVE_UP), NOTHING(GAVE_UP), NOTHING(GAVE_UP), NOTHING(GAVE_UP),
                       NOTHING(GAVE_UP), {"STOPPED", CHILD_STOPPED}, {"forget", CHILD_GAVE_UP},
                       {"refuse", CHILD_GAVE_UP}},
    [CHILD_STARTING] = {NOTHING(STARTING), {"STARTED", CHILD_RUNNING}, {"SPAWN_FAILED arm+100", CHILD_BACKOFF},
                        NOTHING(STARTING), NOTHING(STARTING), NOTHING(STARTING), {"unstart STOPPED", CHILD_STOPPED},
                        {"refuse", CHILD_STARTING}, {"refuse", CHILD_STARTING}},
    [CHILD_PREPARING] = {NOTHING(PREPARING), NOTHING(PREPARING), NOTHING(PREPARING), {"kill9 release start", CHILD_STARTING},
                         {"release start", CHILD_STARTING}, {"kill9", CHILD_PREPARING},
                         {"STOPPING kill15 kill18 arm+5000", CHILD_STOPPING}, {"refuse", CHILD_PREPARING},
                         {"refuse", CHILD_PREPARING}},
    [CHILD_RUNNING] = {NOTHING(RUNNING), NOTHING(RUNNING), NOTHING(RUNNING),
                       {"EXITED kill9 release start", CHILD_STARTING}, NOTHING(RUNNING), {"kill9", CHILD_RUNNING},
                       {"STOPPING kill15 kill18 arm+5000", CHILD_STOPPING}, {"refuse", CHILD_RUNNING},
                       {"kill15 kill18 arm+5000", CHILD_RUNNING}},
    [CHILD_CLEARING] = {NOTHING(CLEARING), NOTHING(CLEARING), NOTHING(CLEARING), NOTHING(CLEARING),
                        {"release start", CHILD_STARTING}, NOTHING(CLEARING), {"STOPPING", CHILD_KILLING},
                        {"refuse", CHILD_CLEARING}, {"refuse", CHILD_CLEARING}},
    [CHILD_FINISHING] = {NOTHING(FINISHING), {"PHASE arm+0", CHILD_FINISHING}, {"PHASE release start", CHILD_STARTING},
                         {"kill9 release start", CHILD_STARTING}, {"release start", CHILD_STARTING},
                         {"kill9", CHILD_FINISHING}, {"STOPPING", CHILD_FINISHING}, {"refuse", CHILD_FINISHING},
                         {"refuse", CHILD_FINISHING}},
    [CHILD_BACKOFF] = {NOTHING(BACKOFF), NOTHING(BACKOFF), NOTHING(BACKOFF), NOTHING(BACKOFF), NOTHING(BACKOFF),
                       {"start", CHILD_STARTING}, {"STOPPED", CHILD_STOPPED}, {"refuse", CHILD_BACKOFF},
                       {"refuse", CHILD_BACKOFF}},
    [CHILD_STOPPING] = {{"refuse", CHILD_STOPPING}, {"STARTED kill15 kill18 arm+5000", CHILD_STOPPING},
                        {"STOPPED", CHILD_STOPPED}, {"EXITED drain", CHILD_STOPPING},
                        {"release STOPPED", CHILD_STOPPED}, {"kill9", CHILD_KILLING}, NOTHING(STOPPING),
                        {"refuse", CHILD_STOPPING}, {"refuse", CHILD_STOPPING}},
    [CHILD_KILLING] = {{"refuse", CHILD_KILLING}, NOTHING(KILLING), NOTHING(KILLING), {"EXITED drain", CHILD_KILLING},
                       {"release STOPPED", CHILD_STOPPED}, NOTHING(KILLING), NOTHING(KILLING), {"refuse", CHILD_KILLING},
                       {"refuse", CHILD_KILLING}},
};

static void every_cell_does_what_its_table_says(void **state)
{
    for (unsigned before = 0; before < CHILD_STATE_COUNT; before++)
        for (unsigned event = 0; event < CHILD_EVENT_COUNT; event++) {
            const struct cell *cell = &expected[before][event];
            struct child child = make((enum child_state)before);

            recorded = 0;
            child_handle(&child, (enum child_event)event);
            assert_int_equal(recorded, event != CHILD_FORGET);
            if (strcmp(notes, cell->done) != 0 || child.state != cell->after)
                fail_msg("state %u event %u: did \"%s\" to state %d, not \"%s\" to state %d", before, event, notes,
                         (int)child.state, cell->done, (int)cell->after);
        }
}

static void what_is_stopped_while_it_is_being_started_stops_when_that_is_over(void **state)
{
    struct child child = make(CHILD_STARTING);

    is_under_way = true;
    strcpy(child.failure, "of the run before");
    child_handle(&child, CHILD_STOP);
    assert_string_equal(notes, "unstart STOPPING");
    assert_int_equal(child.state, CHILD_STOPPING);
    child_handle(&child, CHILD_START_FAILED);
    assert_string_equal(notes, "unstart STOPPING STOPPED");
    assert_int_equal(child.state, CHILD_STOPPED);
    assert_string_equal(child.failure, "");

    child = make(CHILD_STARTING);
    is_under_way = true;
    child.spec = &all_three;
    child.phase = CHILD_INIT;
    child_handle(&child, CHILD_STOP);
    child_handle(&child, CHILD_STARTED); /* the init command, which is nobody's run */
    assert_string_equal(notes, "unstart STOPPING kill15 kill18 arm+5000");
    assert_int_equal(child.starts, 0);
    child_handle(&child, CHILD_EXITED);
    child_handle(&child, CHILD_EMPTY);
    assert_int_equal(child.state, CHILD_STOPPED);
}

static void only_three_states_rest(void **state)
{
    for (unsigned at = 0; at < CHILD_STATE_COUNT; at++) {
        struct child child = make((enum child_state)at);

        assert_int_equal(child_at_rest(&child), at == CHILD_STOPPED || at == CHILD_FAILED || at == CHILD_GAVE_UP);
        assert_non_null(wire_state_name(child_wire_state(&child)));
    }
}

/* Ends a run of `ran_ms`; returns how long the next start waits. */
static uint64_t run_and_exit(struct child *child, uint64_t ran_ms)
{
    child->state = CHILD_STARTING;
    child_handle(child, CHILD_STARTED);
    clock_ms += ran_ms;
    child_handle(child, CHILD_EXITED);
    return child->delay_ms;
}

static void the_first_restart_is_immediate_then_the_delay_doubles(void **state)
{
    static const uint64_t delays[] = {0, 100, 200, 400, 700, 700};
    struct child child = make(CHILD_STARTING);

    for (int i = 0; i < 6; i++)
        assert_int_equal(run_and_exit(&child, 10), delays[i]);
    assert_int_equal(child.state, CHILD_BACKOFF);
    assert_int_equal(child.starts, 6);
}

static void a_good_run_makes_the_next_restart_immediate_again(void **state)
{
    struct child child = make(CHILD_STARTING);

    for (int i = 0; i < 4; i++)
        run_and_exit(&child, 10);
    assert_int_equal(run_and_exit(&child, 9999), 700);
    assert_int_equal(run_and_exit(&child, 10000), 0);
    assert_int_equal(run_and_exit(&child, 1), 100);
}

static void a_run_shorter_than_its_delay_is_not_good(void **state)
{
    struct child child = make(CHILD_STARTING);

    child.restart.reset_ms = 50;
    run_and_exit(&child, 10);
    run_and_exit(&child, 10);
    assert_int_equal(run_and_exit(&child, 60), 200); /* it had waited 100 */
    assert_int_equal(run_and_exit(&child, 200), 0);
}

static void what_cannot_be_started_waits_from_the_first_time(void **state)
{
    static const uint64_t delays[] = {100, 200, 400, 700};
    struct child child = make(CHILD_STARTING);

    for (int i = 0; i < 4; i++) {
        child.state = CHILD_STARTING;
        child_handle(&child, CHILD_START_FAILED);
        assert_int_equal(child.delay_ms, delays[i]);
    }
}

static void without_restart_an_end_is_the_end(void **state)
{
    struct child child = make(CHILD_STARTING);

    child.restart.enabled = false;
    run_and_exit(&child, 10);
    assert_int_equal(child.state, CHILD_CLEARING); /* a look at the whole session first */
    assert_int_equal(child_wire_state(&child), WIRE_STATE_STOPPING);
    child_handle(&child, CHILD_EMPTY);
    assert_string_equal(notes, "STARTED EXITED kill9 drain release STOPPED");
    assert_int_equal(child.state, CHILD_STOPPED);

    child = make(CHILD_STARTING);
    child.restart.enabled = false;
    child_handle(&child, CHILD_START_FAILED);
    assert_int_equal(child.state, CHILD_FAILED);
    assert_int_equal(child.next_step, WIRE_NEXT_NONE);
}

static void nothing_is_restarted_beside_what_the_last_run_left(void **state)
{
    struct child child = make(CHILD_STARTING);

    group_lives = true;
    run_and_exit(&child, 10);
    assert_int_equal(child.state, CHILD_CLEARING);
    assert_int_equal(child_wire_state(&child), WIRE_STATE_BACKOFF);
    assert_string_equal(notes, "STARTED EXITED kill9 drain");
    child_handle(&child, CHILD_EMPTY);
    assert_int_equal(child.state, CHILD_STARTING);
}

static void attempts_are_counted_within_the_interval(void **state)
{
    struct child child = make(CHILD_STARTING);

    child.restart.attempts = 2;
    child.restart.interval_ms = 1000;
    run_and_exit(&child, 10);
    run_and_exit(&child, 10);
    run_and_exit(&child, 1000); /* the interval after the first has passed */
    assert_int_equal(child.next_step, WIRE_NEXT_RESTART);
    run_and_exit(&child, 10);
    notes[0] = '\0';
    run_and_exit(&child, 10);
    child_handle(&child, CHILD_EMPTY);
    assert_string_equal(notes, "STARTED EXITED kill9 drain release GAVE_UP");
    assert_int_equal(child.state, CHILD_GAVE_UP);
    child_handle(&child, CHILD_ASKED);
    assert_int_equal(child.state, CHILD_STARTING);
    run_and_exit(&child, 10);
    assert_int_equal(child.next_step, WIRE_NEXT_RESTART); /* by hand it begins anew */
}

static void no_attempts_are_no_restart(void **state)
{
    struct child child = make(CHILD_STARTING);

    child.restart.attempts = 0;
    child_handle(&child, CHILD_START_FAILED);
    assert_int_equal(child.state, CHILD_GAVE_UP);
    assert_string_equal(notes, "SPAWN_FAILED GAVE_UP");
}

/* --- a run of three commands --- */

/* A child with an init and a fini command whose init command runs. */
static struct child make_prepared(void)
{
    struct child child = make(CHILD_STOPPED);

    child.spec = &all_three;
    child_handle(&child, CHILD_ASKED);
    child_handle(&child, CHILD_STARTED);
    assert_string_equal(notes, "start PHASE arm+3000");
    assert_int_equal(child.state, CHILD_PREPARING);
    assert_int_equal(child_wire_phase(&child), WIRE_PHASE_INIT);
    assert_int_equal(child_wire_state(&child), WIRE_STATE_STARTING);
    notes[0] = '\0';
    return child;
}

static struct child make_running(void)
{
    struct child child = make_prepared();

    child.phase_exit = (struct child_exit){.known = true};
    child_handle(&child, CHILD_EXITED);
    child_handle(&child, CHILD_STARTED);
    assert_string_equal(notes, "kill9 release start STARTED");
    assert_int_equal(child.state, CHILD_RUNNING);
    assert_int_equal(child.starts, 1);
    notes[0] = '\0';
    return child;
}

static void init_comes_before_and_fini_after_each_run(void **state)
{
    struct child child = make_running();

    child_handle(&child, CHILD_EXITED);
    assert_string_equal(notes, "EXITED kill9 release start");
    assert_int_equal(child.state, CHILD_FINISHING);
    assert_int_equal(child_wire_phase(&child), WIRE_PHASE_FINI);
    assert_int_equal(child_wire_state(&child), WIRE_STATE_BACKOFF);
    notes[0] = '\0';
    child_handle(&child, CHILD_STARTED);
    child_handle(&child, CHILD_EXITED);
    assert_string_equal(notes, "PHASE arm+4000 kill9 release start");
    assert_int_equal(child.state, CHILD_STARTING);
    assert_int_equal(child.phase, CHILD_INIT);
}

static void a_stop_runs_fini_too(void **state)
{
    struct child child = make_running();

    child_handle(&child, CHILD_STOP);
    child_handle(&child, CHILD_EXITED);
    child_handle(&child, CHILD_EMPTY);
    assert_string_equal(notes, "STOPPING kill15 kill18 arm+5000 EXITED drain release start");
    assert_int_equal(child_wire_state(&child), WIRE_STATE_STOPPING);
    notes[0] = '\0';
    child_handle(&child, CHILD_STARTED);
    child_handle(&child, CHILD_ASKED);
    child_handle(&child, CHILD_EXITED);
    assert_string_equal(notes, "PHASE arm+4000 refuse kill9 release STOPPED");
    assert_int_equal(child.state, CHILD_STOPPED);
}

static void a_failed_init_is_a_failed_start(void **state)
{
    struct child child = make_prepared();

    child.phase_exit = (struct child_exit){.known = true, .number = 3};
    child_handle(&child, CHILD_EXITED);
    assert_string_equal(notes, "kill9 release SPAWN_FAILED arm+100");
    assert_string_equal(child.failure, "init_command: exited with 3");
    assert_int_equal(child.state, CHILD_BACKOFF);
    assert_int_equal(child.starts, 0);

    child = make_prepared();
    group_lives = true;
    child_handle(&child, CHILD_TIMED);
    child_handle(&child, CHILD_EXITED);
    child_handle(&child, CHILD_EMPTY);
    assert_string_equal(notes, "kill9 kill9 drain release SPAWN_FAILED arm+100");
    assert_string_equal(child.failure, "init_command: did not end within 3 s and was killed");
}

static void a_stop_during_init_is_the_end(void **state)
{
    struct child child = make_prepared();

    child_handle(&child, CHILD_STOP);
    child_handle(&child, CHILD_EXITED);
    child_handle(&child, CHILD_EMPTY);
    assert_string_equal(notes, "STOPPING kill15 kill18 arm+5000 drain release STOPPED");

    child = make_prepared();
    group_lives = true;
    child_handle(&child, CHILD_EXITED); /* it is over, and something that it started lives */
    child_handle(&child, CHILD_STOP);
    child_handle(&child, CHILD_EMPTY);
    assert_string_equal(notes, "kill9 drain STOPPING release STOPPED");
}

static void a_failed_fini_is_told_and_changes_nothing(void **state)
{
    struct child child = make_running();

    child_handle(&child, CHILD_EXITED);
    child_handle(&child, CHILD_STARTED);
    notes[0] = '\0';
    child.phase_exit = (struct child_exit){.known = true, .by_signal = true, .number = 11};
    child_handle(&child, CHILD_EXITED);
    assert_string_equal(notes, "PHASE kill9 release start");
    assert_string_equal(child.failure, "fini_command: ended by signal 11");
}

static void a_stop_while_fini_runs_lets_it_end_and_starts_nothing(void **state)
{
    struct child child = make_running();

    child_handle(&child, CHILD_EXITED);
    child_handle(&child, CHILD_STARTED);
    notes[0] = '\0';
    child_handle(&child, CHILD_STOP);
    child.phase_exit = (struct child_exit){.known = true};
    child_handle(&child, CHILD_EXITED);
    assert_string_equal(notes, "STOPPING kill9 release STOPPED");
}

/* --- ends that are asked for --- */

static void a_run_that_is_ended_counts_as_one_that_ended(void **state)
{
    struct child child = make(CHILD_STARTING);

    run_and_exit(&child, 10);
    child.state = CHILD_STARTING;
    child_handle(&child, CHILD_STARTED);
    notes[0] = '\0';
    child_handle(&child, CHILD_END_RUN);
    child_handle(&child, CHILD_TIMED);
    assert_string_equal(notes, "kill15 kill18 arm+5000 kill9");
    assert_int_equal(child.deadline_ms, 0);
    child_handle(&child, CHILD_EXITED);
    assert_int_equal(child.delay_ms, 100);
    assert_int_equal(child_wire_state(&child), WIRE_STATE_BACKOFF);
    child_handle(&child, CHILD_EMPTY);
    assert_int_equal(child.state, CHILD_BACKOFF);
}

static void at_the_end_of_a_short_command_its_group_is_enough(void **state)
{
    struct child_spec brief = {.command = {program, NULL, NULL}, .timeout_ms = {500, 0, 0}};
    struct child child = make(CHILD_STARTING);

    child.spec = &brief;
    child.restart.enabled = false;
    run_and_exit(&child, 10);
    assert_string_equal(notes, "STARTED arm+500 EXITED kill9 release STOPPED");
    group_lives = true;
    notes[0] = '\0';
    run_and_exit(&child, 10);
    assert_string_equal(notes, "STARTED arm+500 EXITED kill9 drain");
    group_lives = false;
    notes[0] = '\0';
    child.state = CHILD_STARTING;
    child_handle(&child, CHILD_STARTED);
    child_handle(&child, CHILD_TIMED);
    child_handle(&child, CHILD_EXITED); /* who had to be killed may have left more than a group */
    assert_string_equal(notes, "STARTED arm+500 kill9 EXITED kill9 drain");
}

/* --- specifications --- */

static uint8_t buffer[64 << 10];

static struct wire_message decode(struct wire_writer *writer)
{
    struct wire_message message;
    struct wire_frame frame;

    assert_int_equal(wire_end(writer), 0);
    assert_true(wire_find(buffer, writer->size, &frame) > 0);
    assert_int_equal(wire_decode(&frame, &message), 0);
    return message;
}

static void a_specification_keeps_what_was_asked(void **state)
{
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};
    struct wire_message message;
    struct child_spec *spec;
    const char *why = NULL;

    wire_begin(&writer, WIRE_SPAWN);
    wire_put_text(&writer, WIRE_TAG_ID, "i");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "echo");
    wire_put_text(&writer, WIRE_TAG_ENVIRONMENT, "A=1");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "x y");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, "/tmp/o");
    wire_put_number(&writer, WIRE_TAG_MAX_OUTPUT_BYTES, 5);
    message = decode(&writer);
    spec = child_spec_new(&message, "M=1", &why);
    memset(buffer, 'z', sizeof buffer);
    assert_non_null(spec);
    assert_string_equal(spec->command[CHILD_MAIN][0], "echo");
    assert_string_equal(spec->command[CHILD_MAIN][1], "x y");
    assert_null(spec->command[CHILD_MAIN][2]);
    assert_string_equal(spec->environment[0], "M=1");
    assert_string_equal(spec->environment[1], "APPMGR_ID=i");
    assert_string_equal(spec->environment[2], "A=1");
    assert_null(spec->environment[3]);
    assert_null(spec->user);
    assert_null(spec->working_dir);
    assert_string_equal(spec->output_path, "/tmp/o");
    assert_int_equal(spec->output_terms.max_bytes, 5);
    assert_null(spec->command[CHILD_INIT]);
    assert_null(spec->command[CHILD_FINI]);
    free(spec);
}

static void a_specification_keeps_three_commands(void **state)
{
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};
    struct wire_message message;
    struct child_spec *spec;
    const char *why = NULL;

    wire_begin(&writer, WIRE_SPAWN);
    wire_put_text(&writer, WIRE_TAG_FINI_ARGUMENT, "last");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "main");
    wire_put_text(&writer, WIRE_TAG_INIT_ARGUMENT, "first");
    wire_put_text(&writer, WIRE_TAG_INIT_ARGUMENT, "word");
    wire_put_text(&writer, WIRE_TAG_ENVIRONMENT, "A=1");
    wire_put_number(&writer, WIRE_TAG_FINI_TIMEOUT_MS, 7);
    wire_put_number(&writer, WIRE_TAG_READY_FD, 4);
    message = decode(&writer);
    spec = child_spec_new(&message, "M=1", &why);
    memset(buffer, 'z', sizeof buffer);
    assert_non_null(spec);
    assert_string_equal(spec->command[CHILD_MAIN][0], "main");
    assert_null(spec->command[CHILD_MAIN][1]);
    assert_string_equal(spec->command[CHILD_INIT][0], "first");
    assert_string_equal(spec->command[CHILD_INIT][1], "word");
    assert_null(spec->command[CHILD_INIT][2]);
    assert_string_equal(spec->command[CHILD_FINI][0], "last");
    assert_null(spec->command[CHILD_FINI][1]);
    assert_string_equal(spec->environment[2], "A=1");
    assert_null(spec->environment[3]);
    assert_int_equal(spec->timeout_ms[CHILD_INIT], 60000);
    assert_int_equal(spec->timeout_ms[CHILD_FINI], 7);
    assert_int_equal(spec->ready_fd, 4);
    free(spec);
}

static void the_standard_descriptors_tell_no_readiness(void **state)
{
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};
    struct wire_message message;
    const char *why = NULL;

    wire_begin(&writer, WIRE_SPAWN);
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "x");
    wire_put_number(&writer, WIRE_TAG_READY_FD, 2);
    message = decode(&writer);
    assert_null(child_spec_new(&message, "M=1", &why));
    assert_string_equal(why, "has a readiness descriptor that is none");
}

static void readiness_is_said_of_one_run(void **state)
{
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};
    struct child child = make(CHILD_STARTING);
    struct wire_message message;

    child_handle(&child, CHILD_STARTED);
    wire_begin(&writer, WIRE_UPDATE);
    wire_put_number(&writer, WIRE_TAG_READY, 1);
    message = decode(&writer);
    assert_null(child_update(&child, &message));
    assert_true(child.ready);
    child_handle(&child, CHILD_EXITED);
    child_handle(&child, CHILD_STARTED);
    assert_false(child.ready);
    assert_null(child_update(&child, &message));
    assert_false(child.ready);
}

static void a_specification_without_command_is_refused(void **state)
{
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};
    struct wire_message message;
    const char *why = NULL;

    wire_begin(&writer, WIRE_SPAWN);
    wire_put_text(&writer, WIRE_TAG_ID, "x");
    message = decode(&writer);
    assert_null(child_spec_new(&message, "M=1", &why));
    assert_string_equal(why, "has no command");
}

static void an_update_changes_what_it_holds_and_nothing_else(void **state)
{
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};
    struct child child = make(CHILD_RUNNING);
    struct wire_message message;

    wire_begin(&writer, WIRE_UPDATE);
    wire_put_text(&writer, WIRE_TAG_LABEL, "new");
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, UINT64_MAX);
    message = decode(&writer);
    assert_null(child_update(&child, &message));
    assert_string_equal(child.label, "new");
    assert_int_equal(child.stop_signal, SIGTERM);
    assert_true(child.stop_timeout_ms < UINT64_MAX / 1000);
    assert_int_equal(child.restart.delay_ms, 100);

    writer.size = 0;
    wire_begin(&writer, WIRE_UPDATE);
    wire_put_number(&writer, WIRE_TAG_STOP_SIGNAL, 65);
    message = decode(&writer);
    assert_non_null(child_update(&child, &message));

    writer.size = 0;
    wire_begin(&writer, WIRE_UPDATE);
    wire_put_number(&writer, WIRE_TAG_RESTART_ENABLED, 1);
    message = decode(&writer);
    assert_null(child_update(&child, &message));
    assert_int_equal(child.restart.delay_ms, 1000);
    assert_int_equal(child.restart.max_delay_ms, 60000);
    assert_int_equal(child.restart.reset_ms, 10000);
    assert_true(child.restart.attempts == UINT64_MAX);
    free(child.updated_frame);
}

static bool is_in_frame(const struct child *child, enum wire_tag tag)
{
    struct wire_frame frame;
    struct wire_message message;

    assert_int_equal(wire_find(child->frame, child->frame_size, &frame), child->frame_size);
    assert_int_equal(wire_decode(&frame, &message), 0);
    return wire_has(&message, tag);
}

/* Else the next keeper, which reads the frame, would limit what is not limited any more. */
static void what_an_update_takes_away_is_in_no_record(void **state)
{
    static const enum wire_tag taken_away[] = {WIRE_TAG_MEMORY_BYTES, WIRE_TAG_RESTART_ATTEMPTS, WIRE_TAG_OUTPUT_FILES};
    struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};
    struct child child = make(CHILD_RUNNING);
    struct wire_message message;

    wire_begin(&writer, WIRE_UPDATE);
    wire_put_text(&writer, WIRE_TAG_LABEL, "old");
    wire_put_number(&writer, WIRE_TAG_RESTART_ENABLED, 1);
    wire_put_number(&writer, WIRE_TAG_LIMITS, 1);
    wire_put_number(&writer, WIRE_TAG_PIDS, 10);
    wire_put_number(&writer, WIRE_TAG_MAX_OUTPUT_BYTES, 1000);
    for (unsigned i = 0; i < 3; i++)
        wire_put_number(&writer, taken_away[i], 3);
    message = decode(&writer);
    assert_null(child_update(&child, &message));

    writer.size = 0;
    wire_begin(&writer, WIRE_UPDATE);
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 5);
    message = decode(&writer);
    assert_null(child_update(&child, &message));
    for (unsigned i = 0; i < 3; i++)
        assert_true(is_in_frame(&child, taken_away[i]));

    writer.size = 0;
    wire_begin(&writer, WIRE_UPDATE);
    wire_put_number(&writer, WIRE_TAG_RESTART_ENABLED, 1);
    wire_put_number(&writer, WIRE_TAG_LIMITS, 1);
    wire_put_number(&writer, WIRE_TAG_PIDS, 11);
    wire_put_number(&writer, WIRE_TAG_MAX_OUTPUT_BYTES, 1000);
    message = decode(&writer);
    assert_null(child_update(&child, &message));
    for (unsigned i = 0; i < 3; i++)
        assert_false(is_in_frame(&child, taken_away[i]));
    assert_true(is_in_frame(&child, WIRE_TAG_LABEL) && is_in_frame(&child, WIRE_TAG_PIDS));
    free(child.updated_frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_does_what_its_table_says),
        cmocka_unit_test(what_is_stopped_while_it_is_being_started_stops_when_that_is_over),
        cmocka_unit_test(only_three_states_rest),
        cmocka_unit_test(the_first_restart_is_immediate_then_the_delay_doubles),
        cmocka_unit_test(a_good_run_makes_the_next_restart_immediate_again),
        cmocka_unit_test(a_run_shorter_than_its_delay_is_not_good),
        cmocka_unit_test(what_cannot_be_started_waits_from_the_first_time),
        cmocka_unit_test(without_restart_an_end_is_the_end),
        cmocka_unit_test(nothing_is_restarted_beside_what_the_last_run_left),
        cmocka_unit_test(attempts_are_counted_within_the_interval),
        cmocka_unit_test(no_attempts_are_no_restart),
        cmocka_unit_test(init_comes_before_and_fini_after_each_run),
        cmocka_unit_test(a_stop_runs_fini_too),
        cmocka_unit_test(a_failed_init_is_a_failed_start),
        cmocka_unit_test(a_stop_during_init_is_the_end),
        cmocka_unit_test(a_failed_fini_is_told_and_changes_nothing),
        cmocka_unit_test(a_stop_while_fini_runs_lets_it_end_and_starts_nothing),
        cmocka_unit_test(a_run_that_is_ended_counts_as_one_that_ended),
        cmocka_unit_test(at_the_end_of_a_short_command_its_group_is_enough),
        cmocka_unit_test(a_specification_keeps_what_was_asked),
        cmocka_unit_test(a_specification_keeps_three_commands),
        cmocka_unit_test(the_standard_descriptors_tell_no_readiness),
        cmocka_unit_test(readiness_is_said_of_one_run),
        cmocka_unit_test(a_specification_without_command_is_refused),
        cmocka_unit_test(an_update_changes_what_it_holds_and_nothing_else),
        cmocka_unit_test(what_an_update_takes_away_is_in_no_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
