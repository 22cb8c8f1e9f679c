/* keeper: a program whose file system does not answer. A lease on its file makes the kernel wait in execve(2) until it is
 * given back, as a file system does whose server has gone. */
#include "keeper_fixture.h"

static int leased = -1;

static int hold_back(void **state)
{
    char command[128];

    if (set_up(state) != 0)
        return -1;
    snprintf(command, sizeof command, "cp /bin/sh %s/slow", directory);
    if (system(command) != 0)
        return -1;
    signal(SIGIO, SIG_IGN); /* the kernel asks for it back */
    leased = open(in_directory("slow"), O_RDONLY | O_CLOEXEC);
    return leased >= 0 && fcntl(leased, F_SETLEASE, F_WRLCK) == 0 ? 0 : -1;
}

static void answer(void)
{
    close(leased);
    leased = -1;
}

static int give_back(void **state)
{
    if (leased >= 0)
        answer();
    return tear_down(state);
}

static void begin_slow(const char *script)
{
    begin(WIRE_SPAWN, "slow");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, in_directory("slow"));
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "-c");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, script);
    wire_put_text(&writer, WIRE_TAG_ENVIRONMENT, "PATH=/usr/bin:/bin");
    wire_put_text(&writer, WIRE_TAG_WORKING_DIR, directory);
}

static bool is_listed(const char *id, enum wire_state state)
{
    struct peer reader = {.fd = -1};
    bool found;

    join(&reader, WIRE_ROLE_READER);
    expect(&reader, WIRE_CHILD, id);
    found = number(WIRE_TAG_STATE) == state;
    close(reader.fd);
    return found;
}

static void a_start_that_hangs_holds_up_nothing(void **state)
{
    pid_t before;

    begin_slow("exec sleep 1000");
    end(&agent);
    begin_script("b", "exec sleep 1000");
    put_restart(10, 10);
    end(&agent);
    expect(&agent, WIRE_STARTED, "b");
    before = (pid_t)number(WIRE_TAG_PID);
    kill(before, SIGKILL);
    expect(&agent, WIRE_EXITED, "b");
    expect(&agent, WIRE_STARTED, "b");
    assert_true(is_listed("slow", WIRE_STATE_STARTING));
    answer();
    expect(&agent, WIRE_STARTED, "slow");
    assert_true(is_alive((pid_t)number(WIRE_TAG_PID)));
}

static void more_may_hang_than_are_started_at_a_time(void **state)
{
    enum { COUNT = 20 };
    char id[16];

    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "slow%d", i);
        begin(WIRE_SPAWN, id);
        wire_put_text(&writer, WIRE_TAG_ARGUMENT, in_directory("slow"));
        wire_put_text(&writer, WIRE_TAG_ARGUMENT, "-c");
        wire_put_text(&writer, WIRE_TAG_ARGUMENT, "exit 7");
        end(&agent);
    }
    spawn_script("b", "exec sleep 1000");
    assert_true(is_listed("slow19", WIRE_STATE_STARTING));
    answer();
    for (int left = COUNT; left > 0; left--) { /* those that end before they are looked at again have started all the same */
        expect(&agent, WIRE_EXITED, NULL);
        assert_int_equal(number(WIRE_TAG_EXIT_CODE), 7);
        assert_true(number(WIRE_TAG_PID) > 0);
    }
}

static void what_hangs_can_be_stopped(void **state)
{
    begin_slow("exec sleep 1000");
    end(&agent);
    WAIT_FOR(is_listed("slow", WIRE_STATE_STARTING));
    say(&agent, WIRE_STOP, "slow");
    expect(&agent, WIRE_STOPPED, "slow");
    assert_true(is_listed("slow", WIRE_STATE_STOPPED));
    assert_null(wire_text(&message, WIRE_TAG_ERROR));
    answer();
    begin_slow("exec sleep 1000");
    end(&agent);
    expect(&agent, WIRE_STARTED, "slow");
    assert_int_equal(number(WIRE_TAG_STARTS), 1);
}

static void the_keeper_ends_while_it_hangs(void **state)
{
    begin_slow("exec sleep 1000");
    end(&agent);
    WAIT_FOR(is_listed("slow", WIRE_STATE_STARTING));
    say(&agent, WIRE_SHUTDOWN, NULL);
    expect(&agent, WIRE_BYE, NULL);
    assert_int_equal(wait_keeper(), 0);
}

/* Nor does what hangs hold the lock, or the socket, of the keeper that was killed. */
static void the_keeper_may_be_killed_while_it_hangs(void **state)
{
    begin_slow("echo $$ >> pids; exec sleep 1000");
    end(&agent);
    WAIT_FOR(is_listed("slow", WIRE_STATE_STARTING));
    kill(keeper, SIGKILL);
    wait_keeper();
    expect_end(&agent);
    start_keeper_limited("10000", 0);
    join(&agent, WIRE_ROLE_CONTROLLER);
    expect(&agent, WIRE_CHILD, "slow");
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
    assert_string_equal(contents("pids"), ""); /* the kernel takes a lease back by itself, in the end */
    answer();
    assert_int_equal(pid_in("pids"), number(WIRE_TAG_PID));
    say(&agent, WIRE_STOP, "slow");
    expect(&agent, WIRE_STOPPED, "slow");
    assert_ptr_equal(strchr(contents("pids"), '\n'), strrchr(contents("pids"), '\n'));
}

static void what_it_is_told_meanwhile_is_not_forgotten(void **state)
{
    begin_slow("exec sleep 1000");
    end(&agent);
    WAIT_FOR(is_listed("slow", WIRE_STATE_STARTING));
    begin(WIRE_UPDATE, "slow");
    wire_put_text(&writer, WIRE_TAG_LABEL, "new");
    end(&agent);
    answer();
    expect(&agent, WIRE_STARTED, "slow");
    kill(keeper, SIGKILL);
    wait_keeper();
    expect_end(&agent);
    start_keeper_limited("10000", 0);
    join(&agent, WIRE_ROLE_CONTROLLER);
    expect(&agent, WIRE_CHILD, "slow");
    assert_string_equal(wire_text(&message, WIRE_TAG_LABEL), "new");
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
}

static void no_upgrade_is_begun_while_it_hangs(void **state)
{
    begin_slow("exec sleep 1000");
    end(&agent);
    WAIT_FOR(is_listed("slow", WIRE_STATE_STARTING));
    say(&agent, WIRE_UPGRADE, NULL);
    expect(&agent, WIRE_UPGRADE_FAILED, NULL);
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "slow is being started"));
    answer();
    expect(&agent, WIRE_STARTED, "slow");
    say(&agent, WIRE_UPGRADE, NULL);
    expect_end(&agent);
    rejoin();
    expect(&agent, WIRE_CHILD, "slow");
}

static void that_it_hangs_is_told(void **state)
{
    begin_slow("exec sleep 1000");
    end(&agent);
    expect(&agent, WIRE_ERROR, "slow");
    assert_string_equal(wire_text(&message, WIRE_TAG_STEP), "start");
    assert_true(is_listed("slow", WIRE_STATE_STARTING));
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "may hang"));
    answer();
    expect(&agent, WIRE_STARTED, "slow");
    assert_true(is_listed("slow", WIRE_STATE_RUNNING));
    assert_null(wire_text(&message, WIRE_TAG_ERROR));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_start_that_hangs_holds_up_nothing, hold_back, give_back),
        cmocka_unit_test_setup_teardown(more_may_hang_than_are_started_at_a_time, hold_back, give_back),
        cmocka_unit_test_setup_teardown(what_hangs_can_be_stopped, hold_back, give_back),
        cmocka_unit_test_setup_teardown(the_keeper_ends_while_it_hangs, hold_back, give_back),
        cmocka_unit_test_setup_teardown(the_keeper_may_be_killed_while_it_hangs, hold_back, give_back),
        cmocka_unit_test_setup_teardown(what_it_is_told_meanwhile_is_not_forgotten, hold_back, give_back),
        cmocka_unit_test_setup_teardown(no_upgrade_is_begun_while_it_hangs, hold_back, give_back),
        cmocka_unit_test_setup_teardown(that_it_hangs_is_told, hold_back, give_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
