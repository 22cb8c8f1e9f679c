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

/* Until a process waits for the file: the kernel has asked for the lease then. */
static void await_hang(void)
{
    WAIT_FOR(fcntl(leased, F_GETLEASE) != F_WRLCK);
}

static bool is_listed(const char *id, enum wire_state state)
{
    static struct peer reader; /* what it heard is looked at afterwards */
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
    await_hang();
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
    await_hang();
    say(&agent, WIRE_SHUTDOWN, NULL);
    expect(&agent, WIRE_BYE, NULL);
    assert_int_equal(wait_keeper(), 0);
}

/* Nor does what hangs hold the lock, or the socket, of the keeper that was killed. */
static void the_keeper_may_be_killed_while_it_hangs(void **state)
{
    begin_slow("echo $$ >> pids; exec sleep 1000");
    end(&agent);
    await_hang();
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
    await_hang();
    begin(WIRE_UPDATE, "slow");
    wire_put_text(&writer, WIRE_TAG_LABEL, "new");
    end(&agent);
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_LIST_END, NULL);
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

/* Reads on until the keeper says how its records are. */
static bool hears_of_records(bool are_well)
{
    uint64_t until_ms = now_ms() + PATIENCE_MS;

    while (next_frame(&agent, until_ms))
        if (message.type == WIRE_ERROR && wire_text(&message, WIRE_TAG_STEP) &&
            strcmp(wire_text(&message, WIRE_TAG_STEP), "records") == 0 && are_well == !wire_has(&message, WIRE_TAG_ERROR))
            return true;
    return false;
}

/* A disk that was full has room again: what was not written is, and says of what hangs that it is about to run. */
static void the_records_are_kept_while_it_hangs(void **state)
{
    pid_t pid;

    begin_slow("echo $$ >> pids; exec sleep 1000");
    end(&agent);
    await_hang();
    assert_int_equal(prlimit(keeper, RLIMIT_FSIZE, &(struct rlimit){1, RLIM_INFINITY}, NULL), 0);
    begin_script("b", "exec sleep 1000");
    end(&agent);
    assert_true(hears_of_records(false));
    assert_int_equal(prlimit(keeper, RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}, NULL), 0);
    assert_true(hears_of_records(true));
    assert_true(is_listed("slow", WIRE_STATE_STARTING));
    kill(keeper, SIGKILL);
    wait_keeper();
    expect_end(&agent);
    start_keeper_limited("10000", 0);
    join(&agent, WIRE_ROLE_CONTROLLER);
    expect(&agent, WIRE_CHILD, "slow");
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
    pid = (pid_t)number(WIRE_TAG_PID);
    expect(&agent, WIRE_CHILD, "b");
    answer();
    assert_int_equal(pid_in("pids"), pid);
}

static void no_upgrade_is_begun_while_it_hangs(void **state)
{
    begin_slow("exec sleep 1000");
    end(&agent);
    await_hang();
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
    begin_slow("trap 'echo > signalled' USR1; echo $$ > pids; while :; do sleep 0.01; done");
    end(&agent);
    expect(&agent, WIRE_ERROR, "slow");
    assert_string_equal(wire_text(&message, WIRE_TAG_STEP), "start");
    assert_true(is_listed("slow", WIRE_STATE_STARTING));
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "may hang"));
    answer();
    assert_true(pid_in("pids") > 0);
    begin(WIRE_SIGNAL, "slow"); /* it runs, whether the keeper has looked since or not */
    wire_put_number(&writer, WIRE_TAG_SIGNAL, SIGUSR1);
    end(&agent);
    expect(&agent, WIRE_STARTED, "slow");
    WAIT_FOR(*contents("signalled"));
    assert_true(is_listed("slow", WIRE_STATE_RUNNING));
    assert_null(wire_text(&message, WIRE_TAG_ERROR));
}

/* All of them begin to run and end within a moment, while others end that are reaped with them. */
static void what_ends_as_soon_as_it_runs_is_not_lost(void **state)
{
    enum { COUNT = 100 };
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
    answer();
    for (int left = COUNT; left > 0; left--)
        expect(&agent, WIRE_EXITED, NULL);
}

static void that_it_is_ready_is_not_forgotten(void **state)
{
    begin_slow("echo >&3; exec sleep 1000");
    wire_put_number(&writer, WIRE_TAG_READY_FD, 3);
    end(&agent);
    await_hang();
    for (int turns = 10; turns > 0; turns--) /* each puts the next look further off */
        assert_true(is_listed("slow", WIRE_STATE_STARTING));
    answer();
    expect(&agent, WIRE_STARTED, "slow");
    expect(&agent, WIRE_READY, "slow");
    assert_int_equal(number(WIRE_TAG_STARTS), 1);
}

static void limits_that_change_meanwhile_hold(void **state)
{
    struct rlimit limit;

    begin_slow("exec sleep 1000");
    end(&agent);
    await_hang();
    begin(WIRE_UPDATE, "slow");
    wire_put_number(&writer, WIRE_TAG_LIMITS, 1);
    wire_put_number(&writer, WIRE_TAG_VIRTUAL_BYTES, 1 << 30);
    end(&agent);
    expect(&agent, WIRE_LIMITED, "slow");
    answer();
    expect(&agent, WIRE_STARTED, "slow");
    assert_int_equal(prlimit((pid_t)number(WIRE_TAG_PID), RLIMIT_AS, NULL, &limit), 0);
    assert_int_equal(limit.rlim_cur, 1 << 30);
}

/* The file system may never answer: what waits for the end of such a command goes on. */
static void what_has_a_time_limit_has_it_from_its_start_on(void **state)
{
    begin_slow("exit 0");
    wire_put_number(&writer, WIRE_TAG_RUN_TIMEOUT_MS, 50);
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "slow");
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "had not begun to run after 0.05 s"));

    begin_script("b", "exit 0");
    wire_put_text(&writer, WIRE_TAG_INIT_ARGUMENT, in_directory("slow"));
    wire_put_number(&writer, WIRE_TAG_INIT_TIMEOUT_MS, 50);
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "b");
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "init_command: "));

    begin_script("c", "exit 0");
    wire_put_text(&writer, WIRE_TAG_FINI_ARGUMENT, in_directory("slow"));
    wire_put_number(&writer, WIRE_TAG_FINI_TIMEOUT_MS, 50);
    end(&agent);
    expect(&agent, WIRE_PHASE, "c");
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "fini_command: "));
    expect(&agent, WIRE_STOPPED, "c");
}

static void that_a_command_before_it_was_slow_is_no_failure_of_it(void **state)
{
    begin_script("b", "exec sleep 1000");
    wire_put_text(&writer, WIRE_TAG_INIT_ARGUMENT, in_directory("slow"));
    end(&agent);
    expect(&agent, WIRE_ERROR, "b");
    answer();
    expect(&agent, WIRE_PHASE, "b");
    assert_null(wire_text(&message, WIRE_TAG_ERROR));
}

static void what_memory_is_missing_for_is_waited_for(void **state)
{
    enum { COUNT = 24 };
    char id[16];

#if defined(__SANITIZE_ADDRESS__)
    skip(); /* it ends where it gets no memory */
#endif
    assert_int_equal(prlimit(keeper, RLIMIT_DATA, &(struct rlimit){1, RLIM_INFINITY}, NULL), 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "slow%d", i);
        begin(WIRE_SPAWN, id);
        wire_put_text(&writer, WIRE_TAG_ARGUMENT, in_directory("slow"));
        end(&agent);
    }
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_LIST_END, NULL);
    assert_true(is_quiet());
    assert_int_equal(prlimit(keeper, RLIMIT_DATA, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}, NULL), 0);
    spawn_script("b", "exec sleep 1000");
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
        cmocka_unit_test_setup_teardown(the_records_are_kept_while_it_hangs, hold_back, give_back),
        cmocka_unit_test_setup_teardown(no_upgrade_is_begun_while_it_hangs, hold_back, give_back),
        cmocka_unit_test_setup_teardown(that_it_hangs_is_told, hold_back, give_back),
        cmocka_unit_test_setup_teardown(what_ends_as_soon_as_it_runs_is_not_lost, hold_back, give_back),
        cmocka_unit_test_setup_teardown(that_it_is_ready_is_not_forgotten, hold_back, give_back),
        cmocka_unit_test_setup_teardown(limits_that_change_meanwhile_hold, hold_back, give_back),
        cmocka_unit_test_setup_teardown(what_has_a_time_limit_has_it_from_its_start_on, hold_back, give_back),
        cmocka_unit_test_setup_teardown(what_memory_is_missing_for_is_waited_for, hold_back, give_back),
        cmocka_unit_test_setup_teardown(that_a_command_before_it_was_slow_is_no_failure_of_it, hold_back, give_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
