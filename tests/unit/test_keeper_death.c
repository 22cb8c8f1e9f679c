/* keeper: what happens to its children, their exits and their output when it is killed. */
#include "keeper_death_fixture.h"


enum { MANY = 50 };

/* --- killed --- */

static void children_outlive_it_and_are_adopted(void **state)
{
    pid_t pids[MANY];
    char id[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        pids[i] = spawn_script(id, "exec sleep 100");
    }
    kill_keeper();
    for (int i = 0; i < MANY; i++)
        assert_true(is_alive(pids[i]));
    if (run("ls") != 0) fail_msg("%s", contents("said"));
    assert_non_null(strstr(contents("said"), "no keeper runs"));
    assert_non_null(strstr(contents("said"), "c49                                  running"));
    revive();
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        expect(&agent, WIRE_CHILD, id);
        assert_int_equal(number(WIRE_TAG_PID), pids[i]);
        assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
        assert_int_equal(number(WIRE_TAG_STARTS), 1);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        begin_script(id, "exec sleep 100"); /* idempotent still */
        end(&agent);
        say(&agent, WIRE_STOP, id);
        expect(&agent, WIRE_STOPPED, id);
        assert_false(is_alive(pids[i]));
    }
}

static void what_is_listed_has_the_name_of_its_output(void **state)
{
    static const char row[] = "\nweb#2                c0                                   running";

    begin_script("c0", "exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("web#2.log"));
    end(&agent);
    expect(&agent, WIRE_STARTED, "c0");
    assert_int_equal(run("ls"), 0);
    assert_non_null(strstr(contents("said"), row));
    kill_keeper();
    assert_int_equal(run("ls"), 0);
    assert_non_null(strstr(contents("said"), row));
    revive();
    expect(&agent, WIRE_CHILD, "c0");
}

/* Exact where its new parent has not reaped it yet, else unknown, and never wrong. */
static void what_ended_meanwhile_is_told_and_started_again(void **state)
{
    pid_t pid;

    begin_script("a", "test -e second && exec sleep 100; echo > second; while ! test -e go; do sleep 0.01; done; exit 7");
    put_restart(20, 80);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    WAIT_FOR(*contents("second"));
    kill_keeper();
    touch("go");
    WAIT_FOR(!is_alive(pid));
    revive();
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(wire_number(&message, WIRE_TAG_EXIT_CODE, 7), 7);
    assert_false(wire_has(&message, WIRE_TAG_EXIT_SIGNAL));
    assert_true(number(WIRE_TAG_EXIT_AT_US) > 0);
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_RESTART);
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "a");
    if (number(WIRE_TAG_STATE) != WIRE_STATE_RUNNING)
        expect(&agent, WIRE_STARTED, "a");
    assert_int_equal(number(WIRE_TAG_STARTS), 2);
}

static void an_adopted_child_ends_with_its_true_code(void **state)
{
    bool told = exits_are_told_to_strangers();

    spawn_script("a", "while ! test -e go; do sleep 0.01; done; exit 7");
    spawn_script("b", "while ! test -e go; do sleep 0.01; done; kill -11 $$");
    kill_keeper();
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    touch("go");
    for (int i = 0; i < 2; i++) {
        bool is_a, is_known;

        expect(&agent, WIRE_EXITED, NULL);
        is_a = is_about("a");
        /* Others see it too where whoever is the parent now takes its time to reap. */
        is_known = wire_has(&message, is_a ? WIRE_TAG_EXIT_CODE : WIRE_TAG_EXIT_SIGNAL);
        assert_true(is_known || !told);
        if (is_known)
            assert_int_equal(number(is_a ? WIRE_TAG_EXIT_CODE : WIRE_TAG_EXIT_SIGNAL), is_a ? 7 : 11);
    }
    if (!told)
        print_message("this kernel tells no stranger how a process ended\n");
}

static void back_off_counters_and_exits_are_kept(void **state)
{
    uint64_t sequence;

    begin_script("a", "exit 3");
    put_restart(60000, 60000);
    wire_put_text(&writer, WIRE_TAG_LABEL, "{\"name\":\"web\"}");
    end(&agent);
    expect(&agent, WIRE_EXITED, "a");
    expect(&agent, WIRE_EXITED, "a");
    sequence = number(WIRE_TAG_SEQUENCE);
    begin(WIRE_ACKNOWLEDGE, NULL);
    wire_put_number(&writer, WIRE_TAG_SEQUENCE, sequence - 1);
    end(&agent);
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_LIST_END, NULL);
    kill_keeper();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_BACKOFF);
    assert_int_equal(number(WIRE_TAG_STARTS), 2);
    assert_int_equal(number(WIRE_TAG_DELAY_MS), 60000);
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 3);
    assert_string_equal(wire_text(&message, WIRE_TAG_LABEL), "{\"name\":\"web\"}");
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_SEQUENCE), sequence);
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 3);
    say(&agent, WIRE_STOP, "a");
    say(&agent, WIRE_FORGET, "a");
    spawn_script("b", "exit 0");
    expect(&agent, WIRE_EXITED, "b");
    assert_int_equal(number(WIRE_TAG_SEQUENCE), sequence + 1);
    kill_keeper();
    revive();
    expect(&agent, WIRE_CHILD, NULL);
    assert_true(is_about("b")); /* what was forgotten stays so */
}

/* One line a run: umask and nice value. */
static void expect_settings(unsigned runs)
{
    char wanted[64] = "";

    for (unsigned i = 0; i < runs; i++)
        strcat(wanted, "0027 7\n");
    WAIT_FOR(strlen(contents("settings")) >= strlen(wanted));
    assert_string_equal(contents("settings"), wanted);
}

static void kill_and_expect_successor(pid_t *pid, uint64_t *ran_ms)
{
    kill(*pid, SIGKILL);
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_PID), *pid);
    assert_true(number(WIRE_TAG_STARTED_AT_US) > 0);
    assert_true(wire_has(&message, WIRE_TAG_RAN_MS)); /* somebody saw it end */
    assert_true(number(WIRE_TAG_RAN_MS) < PATIENCE_MS);
    *ran_ms = number(WIRE_TAG_RAN_MS);
    expect(&agent, WIRE_STARTED, "a");
    *pid = (pid_t)number(WIRE_TAG_PID);
}

static void a_successor_has_the_same_umask_and_nice(void **state)
{
    uint64_t ran_ms;
    pid_t pid, ended;

    begin_script("a", "echo $(umask) $(nice) >> settings; exec sleep 100");
    wire_put_number(&writer, WIRE_TAG_UMASK, 027);
    wire_put_number(&writer, WIRE_TAG_NICE, 7 + WIRE_NICE_BIAS);
    put_restart(20, 20);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    expect_settings(1);
    kill_keeper();
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    ended = pid;
    kill_and_expect_successor(&pid, &ran_ms);
    expect_settings(2);
    ask_upgrade(KEEPER);
    come_back();
    expect(&agent, WIRE_EXITED, "a"); /* nobody has acknowledged it */
    assert_int_equal(number(WIRE_TAG_PID), ended);
    assert_int_equal(number(WIRE_TAG_RAN_MS), ran_ms);
    assert_true(number(WIRE_TAG_STARTED_AT_US) > 0);
    kill_and_expect_successor(&pid, &ran_ms);
    expect_settings(3);
}

static void a_stop_under_way_is_finished(void **state)
{
    pid_t pid, rest;

    begin_script("a", "sh -c 'trap \"\" TERM; echo $$ > rest; while :; do sleep 0.05; done' &"
                      "trap '' TERM; echo > ready; while :; do sleep 0.05; done");
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 500);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    rest = pid_in("rest");
    WAIT_FOR(*contents("ready"));
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPING, "a");
    kill_keeper();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    if (number(WIRE_TAG_STATE) != WIRE_STATE_STOPPED) /* on a slow machine its time is over before we are there */
        expect(&agent, WIRE_STOPPED, "a");
    assert_false(is_alive(pid));
    assert_false(is_alive(rest));
}

static void what_a_dead_child_left_is_cleared_and_no_more(void **state)
{
    pid_t pid = spawn_script("a", "sleep 1000 & echo $! > rest; exec sleep 1000");
    pid_t rest = pid_in("rest"), other = spawn_script("b", "exec sleep 1000"), stranger;

    stranger = fork();
    if (stranger == 0) {
        execl("/bin/sleep", "sleep", "1000", NULL);
        _exit(127);
    }
    kill_keeper();
    kill(pid, SIGKILL);
    WAIT_FOR(!is_alive(pid));
    assert_true(is_alive(rest));
    revive();
    expect(&agent, WIRE_EXITED, "a");
    WAIT_FOR(!is_alive(rest));
    assert_true(is_alive(other));
    assert_true(is_alive(stranger));
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
}

static void output_has_no_gap(void **state)
{
    off_t size;
    struct stat status;

    begin_numbers("a");
    begin_numbers("b");
    WAIT_FOR(stat(in_directory("b"), &status) == 0 && status.st_size > 10000);
    kill_keeper();
    assert_int_equal(stat(in_directory("a"), &status), 0);
    size = status.st_size;
    WAIT_FOR(stat(in_directory("a"), &status) == 0 && status.st_size > size + 20000); /* nobody is there but the logger */
    revive();
    usleep(50000);
    kill_keeper();
    revive();
    usleep(50000);
    touch("end");
    check_numbers("a");
    check_numbers("b");
}

static pid_t pid_of_logger(void)
{
    char line[256];
    FILE *file;
    int pid = 0;

    snprintf(line, sizeof line, "pgrep -f -- '--logger --state-dir %s$'", directory);
    file = popen(line, "r");
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    pclose(file);
    return pid;
}

static void without_keeper_and_logger_writers_wait_and_go_on(void **state)
{
    pid_t logger, pid;

    begin_script("a", "i=0; while ! test -e end; do echo $i; i=$((i+1)); sleep 0.01; done; echo last $i; exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("a"));
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    WAIT_FOR(strstr(contents("a"), "10\n"));
    WAIT_FOR((logger = pid_of_logger()) > 0);
    kill(keeper, SIGSTOP);
    kill(logger, SIGKILL);
    kill_keeper();
    usleep(50000);
    assert_true(is_alive(pid));
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
    touch("end");
    check_numbers("a");
}

/* The limit is the child's: it is not what keeps it from being recorded. */
static void a_child_with_few_descriptors_is_known_again(void **state)
{
    pid_t pids[MANY];
    char id[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        begin_script(id, "exec sleep 100");
        wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("output"));
        wire_put_number(&writer, WIRE_TAG_OPEN_FILES, 24);
        put_restart(20, 80);
        end(&agent);
        expect(&agent, WIRE_STARTED, id);
        pids[i] = (pid_t)number(WIRE_TAG_PID);
    }
    kill_keeper();
    revive();
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        expect(&agent, WIRE_CHILD, id);
        assert_int_equal(number(WIRE_TAG_PID), pids[i]);
        assert_int_equal(number(WIRE_TAG_STARTS), 1);
    }
}

/* The logger has not taken them yet when the keeper is killed: the next one finds their pipes. */
static void output_that_was_not_handed_on_is_written(void **state)
{
    char path[3600], id[16];
    pid_t logger;
    int used;

    used = snprintf(path, sizeof path, "%s/", directory);
    while (used < 3500)
        used += snprintf(path + used, sizeof path - (size_t)used, "./");
    strcpy(path + used, "output");
    WAIT_FOR((logger = pid_of_logger()) > 0);
    kill(logger, SIGSTOP); /* as on a disk that is slow: its socket fills */
    for (int i = 0; i < 2 * MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        begin_script(id, "echo said; exec sleep 100");
        wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, path);
        end(&agent);
        expect(&agent, WIRE_STARTED, id);
    }
    kill_keeper();
    kill(logger, SIGCONT);
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    WAIT_FOR(strlen(contents("output")) == 2 * MANY * strlen("said\n"));
}

static void a_silent_peer_holds_up_nothing(void **state)
{
    int peers[3];
    struct stat status;
    off_t size;

    begin_numbers("a");
    WAIT_FOR(stat(in_directory("a"), &status) == 0 && status.st_size > 10000);
    kill_keeper();
    for (int i = 0; i < 3; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        peers[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        snprintf(address.sun_path, sizeof address.sun_path, "%s/logger.sock", directory);
        assert_int_equal(connect(peers[i], (struct sockaddr *)&address, sizeof address), 0);
    }
    assert_int_equal(stat(in_directory("a"), &status), 0);
    size = status.st_size;
    WAIT_FOR(stat(in_directory("a"), &status) == 0 && status.st_size > size + 20000);
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    touch("end");
    check_numbers("a");
    for (int i = 0; i < 3; i++)
        close(peers[i]);
}

static void start_keeper_few_files(rlim_t files)
{
    keeper = fork();
    if (keeper == 0) {
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){files, files});
        execl(KEEPER, "appmgr-keeper", "--state-dir", directory, NULL);
        _exit(127);
    }
}

/* More children than descriptors: not being able to hold a process proves nothing about it. */
static void what_cannot_be_held_is_not_gone(void **state)
{
    pid_t pids[MANY];
    char id[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        pids[i] = spawn_script(id, "exec sleep 100");
    }
    kill_keeper();
    start_keeper_few_files(24);
    join(&agent, WIRE_ROLE_CONTROLLER);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "c%d", i);
        expect(&agent, WIRE_CHILD, id);
        assert_int_equal(number(WIRE_TAG_PID), pids[i]);
        assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
    }
    expect(&agent, WIRE_LIST_END, NULL);
    say(&agent, WIRE_STOP, "c48");
    expect(&agent, WIRE_STOPPING, "c48");
    for (int i = 0; i < 20; i++)
        kill(pids[i], SIGKILL); /* makes room */
    expect(&agent, WIRE_STOPPED, "c48");
    assert_false(is_alive(pids[48]));
    for (int i = 20; i < 48; i++)
        assert_true(is_alive(pids[i]));
}

static void a_session_is_stopped_whole_without_its_mark(void **state)
{
    pid_t pid, member;

    begin(WIRE_SPAWN, "a");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/usr/bin/env");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "-i");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/bin/bash"); /* jobs in groups of their own */
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "-c");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "set -m; /bin/sleep 1000 & echo $! > member; exec /bin/sleep 1000");
    wire_put_text(&writer, WIRE_TAG_WORKING_DIR, directory);
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 300);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    member = pid_in("member");
    assert_int_not_equal(getpgid(member), pid);
    assert_int_equal(getsid(member), pid);
    WAIT_FOR(!has_environment(pid, "APPMGR_KEEPER"));
    kill_keeper();
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    assert_false(is_alive(pid));
    assert_false(is_alive(member));
}

static void a_lease_and_readiness_are_taken_over(void **state)
{
    pid_t pid;

    begin(WIRE_RENEW, NULL);
    wire_put_number(&writer, WIRE_TAG_RENEWED_MS, UINT64_MAX);
    end(&agent);
    begin_script("a", "while ! test -e go; do sleep 0.01; done; echo >&3; exec sleep 100");
    wire_put_number(&writer, WIRE_TAG_READY_FD, 3);
    wire_put_number(&writer, WIRE_TAG_LEASE_MS, 3600000);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    kill_keeper();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
    assert_int_equal(number(WIRE_TAG_READY), 0);
    expect(&agent, WIRE_LIST_END, NULL);
    touch("go");
    expect(&agent, WIRE_READY, "a");
    kill_keeper();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_READY), 1);
    assert_int_equal(number(WIRE_TAG_PID), pid);
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
}

/* Daemons, operators' shells, an agent: what descends from a child bears its mark. */
static void nobody_is_killed_for_a_mark(void **state)
{
    pid_t pid = spawn_script("a", "setsid sleep 1000 & echo $! > daemon; exec sleep 1000"), daemon = pid_in("daemon");

    kill_keeper();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
    ask_upgrade(KEEPER);
    come_back();
    expect(&agent, WIRE_LIST_END, NULL);
    assert_true(has_environment(daemon, "APPMGR_KEEPER="));
    assert_true(is_alive(daemon));
    kill(daemon, SIGKILL);
}

static void stop_works_without_keeper_and_agent(void **state)
{
    pid_t pid = spawn_script("a", "exec sleep 1000");

    kill_keeper();
    assert_int_equal(run("stop"), 0);
    assert_false(is_alive(pid));
    assert_int_not_equal(access(in_directory("keeper.records"), F_OK), 0);
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(children_outlive_it_and_are_adopted),
        TEST(what_is_listed_has_the_name_of_its_output),
        TEST(what_ended_meanwhile_is_told_and_started_again),
        TEST(an_adopted_child_ends_with_its_true_code),
        TEST(back_off_counters_and_exits_are_kept),
        TEST(a_successor_has_the_same_umask_and_nice),
        TEST(a_stop_under_way_is_finished),
        TEST(what_a_dead_child_left_is_cleared_and_no_more),
        TEST(output_has_no_gap),
        TEST(without_keeper_and_logger_writers_wait_and_go_on),
        TEST(a_child_with_few_descriptors_is_known_again),
        TEST(output_that_was_not_handed_on_is_written),
        TEST(a_silent_peer_holds_up_nothing),
        TEST(what_cannot_be_held_is_not_gone),
        TEST(a_session_is_stopped_whole_without_its_mark),
        TEST(a_lease_and_readiness_are_taken_over),
        TEST(nobody_is_killed_for_a_mark),
        TEST(stop_works_without_keeper_and_agent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
