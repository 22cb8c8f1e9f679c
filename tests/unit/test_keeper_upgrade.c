/* keeper: it becomes another program and its children do not notice, or it stays what it is. */
#include "keeper_death_fixture.h"

enum { FILES = 200 };

static void an_upgrade_keeps_children_exits_and_output(void **state)
{
    enum { CHILDREN = 200, TALKERS = 20 };
    static pid_t pids[CHILDREN];
    char id[16];
    uint64_t began_ms;

    for (int i = 0; i < TALKERS; i++) {
        snprintf(id, sizeof id, "t%d", i);
        begin_numbers(id);
        expect(&agent, WIRE_STARTED, id);
    }
    for (int i = 0; i < CHILDREN; i++) {
        snprintf(id, sizeof id, "c%d", i);
        begin_script(id, i == 0 ? "while ! test -e go; do sleep 0.01; done; exit 42" : "exec sleep 100");
        end(&agent);
        expect(&agent, WIRE_STARTED, id);
        pids[i] = (pid_t)number(WIRE_TAG_PID);
    }
    for (int round = 0; round < 3; round++) {
        began_ms = now_ms();
        ask_upgrade(round == 2 ? NULL : KEEPER);
        come_back();
        for (int i = 0; i < CHILDREN; i++) {
            snprintf(id, sizeof id, "c%d", i);
            expect(&agent, WIRE_CHILD, id);
            assert_int_equal(number(WIRE_TAG_PID), pids[i]);
            assert_int_equal(number(WIRE_TAG_STARTS), 1);
        }
        expect(&agent, WIRE_LIST_END, NULL);
        print_message("upgrade with %d children: %d ms\n", CHILDREN + TALKERS, (int)(now_ms() - began_ms));
    }
    touch("go");
    expect(&agent, WIRE_EXITED, "c0");
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 42); /* exact on any kernel: it is the keeper's own child */
    touch("end");
    for (int i = 0; i < TALKERS; i++) {
        snprintf(id, sizeof id, "t%d", i);
        check_numbers(id);
    }
}

static void what_ends_during_an_upgrade_is_exact(void **state)
{
    char id[16];
    unsigned exact = 0;

    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof id, "c%d", i);
        begin_script(id, "while ! test -e go; do sleep 0.005; done; exit 9");
        end(&agent);
        expect(&agent, WIRE_STARTED, id);
    }
    ask_upgrade(KEEPER);
    touch("go");
    come_back();
    while (exact < 60) {
        expect(&agent, WIRE_EXITED, NULL);
        assert_int_equal(number(WIRE_TAG_EXIT_CODE), 9);
        exact++;
    }
}

static void children_have_the_limits_they_had_before_an_upgrade(void **state)
{
    spawn_script("a", "ulimit -n > a; exec sleep 100");
    WAIT_FOR(*contents("a"));
    ask_upgrade(KEEPER);
    come_back();
    spawn_script("b", "ulimit -n > b; exec sleep 100");
    WAIT_FOR(*contents("b"));
    assert_int_equal(atoi(contents("a")), FILES);
    assert_int_equal(atoi(contents("b")), FILES);
}

/* The keeper raises its own limit; it must not pass that on. */
static int set_up_few_files(void **state)
{
    struct rlimit before, few;
    int result;

    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = FILES;
    setrlimit(RLIMIT_NOFILE, &few);
    result = set_up(state);
    setrlimit(RLIMIT_NOFILE, &before);
    return result;
}

static void fail_to_upgrade(const char *program, const char *says)
{
    ask_upgrade(program);
    expect(&agent, WIRE_UPGRADE_FAILED, NULL);
    if (!strstr(wire_text(&message, WIRE_TAG_ERROR), says))
        fail_msg("\"%s\" does not say \"%s\"", wire_text(&message, WIRE_TAG_ERROR), says);
}

static void an_upgrade_that_cannot_be_leaves_all_as_it_is(void **state)
{
    pid_t pid = spawn_script("a", "exec sleep 100");
    char program[160];
    FILE *file;

    fail_to_upgrade("/no/such/program",
                    "/no/such/program: cannot be executed: No such file or directory; the keeper goes on as it is");
    fail_to_upgrade("relative", "absolute");
    fail_to_upgrade("/bin/false", "it ended with 1");
    strcpy(program, in_directory("picky"));
    file = fopen(program, "w");
    fputs("#!/bin/sh\necho \"$4: written in a strange hand\"; exit 1\n", file);
    fclose(file);
    chmod(program, 0755);
    fail_to_upgrade(program, "written in a strange hand; the keeper goes on as it is");
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
}

/* As a full disk: applications are started all the same, and nothing is executed that would go on from old records. */
static void records_that_cannot_be_written_stop_no_start_but_an_upgrade(void **state)
{
    struct rlimit before, none = {4096, RLIM_INFINITY};
    pid_t first = spawn_script("a", "exec sleep 100"), second;

    prlimit(keeper, RLIMIT_FSIZE, &none, &before);
    second = spawn_script("b", "exec sleep 100");
    fail_to_upgrade(KEEPER, "keeper.records cannot be written: File too large");
    say(&agent, WIRE_LIST, NULL);
    do
        expect(&agent, WIRE_ERROR, NULL);
    while (!wire_has(&message, WIRE_TAG_STEP));
    assert_string_equal(wire_text(&message, WIRE_TAG_STEP), "records");
    assert_true(wire_has(&message, WIRE_TAG_ERROR));
    begin(WIRE_UPDATE, "b");
    wire_put_text(&writer, WIRE_TAG_LABEL, "changed meanwhile");
    end(&agent);
    prlimit(keeper, RLIMIT_FSIZE, &before, NULL);
    do
        expect(&agent, WIRE_ERROR, NULL);
    while (wire_has(&message, WIRE_TAG_ERROR));
    kill_keeper();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), first);
    expect(&agent, WIRE_CHILD, "b");
    assert_int_equal(number(WIRE_TAG_PID), second);
    assert_string_equal(wire_text(&message, WIRE_TAG_LABEL), "changed meanwhile");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_upgrade_keeps_children_exits_and_output),
        TEST(what_ends_during_an_upgrade_is_exact),
        cmocka_unit_test_setup_teardown(children_have_the_limits_they_had_before_an_upgrade, set_up_few_files, tear_down),
        TEST(an_upgrade_that_cannot_be_leaves_all_as_it_is),
        TEST(records_that_cannot_be_written_stop_no_start_but_an_upgrade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
