/* keeper: the commands before and after an application, readiness, and ends that are asked for, with real processes. */
#include "keeper_fixture.h"

enum { TIME_TO_BEGIN_MS = 3000 }; /* what is to be killed has said who it is by then, on a busy machine too */

/* Adds a shell script as another command of the WIRE_SPAWN that was begun. */
static void put_script(enum wire_tag tag, const char *script)
{
    wire_put_text(&writer, tag, "/bin/sh");
    wire_put_text(&writer, tag, "-c");
    wire_put_text(&writer, tag, script);
}

static void init_main_and_fini_follow_each_other(void **state)
{
    begin_script("a", "echo main >> order; exit 5");
    put_script(WIRE_TAG_INIT_ARGUMENT, "sleep 0.05; echo init >> order");
    put_script(WIRE_TAG_FINI_ARGUMENT, "sleep 0.05; echo fini >> order");
    end(&agent);
    expect(&agent, WIRE_PHASE, "a");
    assert_int_equal(number(WIRE_TAG_PHASE), WIRE_PHASE_INIT);
    expect(&agent, WIRE_STARTED, "a");
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 5);
    expect(&agent, WIRE_PHASE, "a");
    assert_int_equal(number(WIRE_TAG_PHASE), WIRE_PHASE_FINI);
    expect(&agent, WIRE_STOPPED, "a");
    assert_string_equal(contents("order"), "init\nmain\nfini\n");
}

static void the_keeper_runs_them_at_each_restart_alone(void **state)
{
    begin_script("a", "echo main >> order");
    put_script(WIRE_TAG_INIT_ARGUMENT, "echo init >> order");
    put_script(WIRE_TAG_FINI_ARGUMENT, "echo fini >> order");
    put_restart(3600000, 3600000);
    end(&agent);
    close(agent.fd);
    WAIT_FOR(strcmp(contents("order"), "init\nmain\nfini\ninit\nmain\nfini\n") == 0);
    rejoin();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_STARTS), 2);
}

static void what_init_does_not_allow_is_not_started(void **state)
{
    begin_script("a", "echo main >> order");
    put_script(WIRE_TAG_INIT_ARGUMENT, "exit 7");
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "a");
    assert_string_equal(wire_text(&message, WIRE_TAG_STEP), "init");
    assert_string_equal(wire_text(&message, WIRE_TAG_ERROR), "init_command: exited with 7");
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_NONE);

    begin_script("b", "echo main >> order");
    wire_put_text(&writer, WIRE_TAG_INIT_ARGUMENT, "/no/such/program");
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "b");
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "init_command: ENOENT: exec /no/such/program"));
    assert_string_equal(contents("order"), "");
}

static void an_init_that_hangs_is_killed_with_all_of_its_session(void **state)
{
    pid_t left;

    begin_script("a", "echo main >> order");
    put_script(WIRE_TAG_INIT_ARGUMENT, "set -m; sleep 1000 & echo $! > pid; wait");
    wire_put_number(&writer, WIRE_TAG_INIT_TIMEOUT_MS, TIME_TO_BEGIN_MS);
    end(&agent);
    left = pid_in("pid");
    expect(&agent, WIRE_SPAWN_FAILED, "a");
    assert_string_equal(wire_text(&message, WIRE_TAG_ERROR), "init_command: did not end within 3 s and was killed");
    assert_false(is_alive(left)); /* it had a group of its own */
}

static void a_newline_on_its_descriptor_is_readiness(void **state)
{
    begin_script("a", "printf x >&5; sleep 0.05; printf '\\n' >&5; echo written > written; sleep 1000");
    wire_put_number(&writer, WIRE_TAG_READY_FD, 5);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    expect(&agent, WIRE_READY, "a");
    assert_int_equal(number(WIRE_TAG_STARTS), 1);
    WAIT_FOR(*contents("written"));
    rejoin();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_READY), 1);
}

static void writing_after_readiness_or_without_a_keeper_ends_nothing(void **state)
{
    begin_script("a", "echo >&3; sleep 0.1; echo more >&3; echo yes > alive; sleep 1000");
    wire_put_number(&writer, WIRE_TAG_READY_FD, 3);
    end(&agent);
    expect(&agent, WIRE_READY, "a");
    WAIT_FOR(strcmp(contents("alive"), "yes\n") == 0);
}

static void an_end_that_is_asked_for_leads_to_a_restart(void **state)
{
    pid_t first;

    begin_script("a", "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done");
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 1000);
    put_restart(100, 100);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    first = pid_in("pid");
    begin(WIRE_END_RUN, "a");
    wire_put_text(&writer, WIRE_TAG_ERROR, "was too slow");
    end(&agent);
    say(&agent, WIRE_LIST, NULL); /* right behind it: why is told until the next run begins */
    expect(&agent, WIRE_CHILD, "a");
    assert_string_equal(wire_text(&message, WIRE_TAG_ERROR), "was too slow");
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_EXIT_SIGNAL), SIGKILL);
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_RESTART);
    expect(&agent, WIRE_STARTED, "a");
    assert_int_not_equal(number(WIRE_TAG_PID), first);
}

static void a_short_command_is_killed_at_its_timeout_with_all_of_its_session(void **state)
{
    pid_t left;

    begin_script("a", "set -m; sleep 1000 & echo $! > pid; sleep 1000");
    wire_put_number(&writer, WIRE_TAG_RUN_TIMEOUT_MS, TIME_TO_BEGIN_MS);
    end(&agent);
    left = pid_in("pid");
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_EXIT_SIGNAL), SIGKILL);
    expect(&agent, WIRE_STOPPED, "a");
    assert_false(is_alive(left));
}

static void what_ended_by_itself_is_told_from_what_was_stopped(void **state)
{
    spawn_script("ended", "exit 3");
    expect(&agent, WIRE_STOPPED, "ended");
    spawn_script("stopped", "sleep 1000");
    say(&agent, WIRE_STOP, "stopped");
    expect(&agent, WIRE_STOPPED, "stopped");
    spawn_script("both", "exit 3");
    expect(&agent, WIRE_STOPPED, "both");
    say(&agent, WIRE_STOP, "both");
    expect(&agent, WIRE_STOPPED, "both");
    rejoin();
    expect(&agent, WIRE_CHILD, "ended");
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_NONE);
    expect(&agent, WIRE_CHILD, "stopped");
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_STOP);
    expect(&agent, WIRE_CHILD, "both");
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_STOP);
}

static void signals_are_for_the_application_alone(void **state)
{
    begin_script("a", "true");
    put_script(WIRE_TAG_INIT_ARGUMENT, "sleep 1000");
    end(&agent);
    expect(&agent, WIRE_PHASE, "a");
    begin(WIRE_SIGNAL, "a");
    wire_put_number(&writer, WIRE_TAG_SIGNAL, SIGHUP);
    end(&agent);
    expect(&agent, WIRE_ERROR, "a");
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(init_main_and_fini_follow_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_keeper_runs_them_at_each_restart_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_init_does_not_allow_is_not_started, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_init_that_hangs_is_killed_with_all_of_its_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_newline_on_its_descriptor_is_readiness, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writing_after_readiness_or_without_a_keeper_ends_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_that_is_asked_for_leads_to_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_short_command_is_killed_at_its_timeout_with_all_of_its_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_ended_by_itself_is_told_from_what_was_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signals_are_for_the_application_alone, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
