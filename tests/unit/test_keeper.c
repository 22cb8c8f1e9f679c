/* keeper: the lives of real children, driven through the socket. */
#include "keeper_fixture.h"

#include <grp.h>
#include <pwd.h>

static const char *error_text(void)
{
    const char *text = wire_text(&message, WIRE_TAG_ERROR);

    return text ? text : "";
}

/* --- starting --- */

/* What it was started with stays; what shell and loader open for themselves goes again. */
static bool has_standard_descriptors_only(pid_t pid)
{
    char path[64];
    int fds = 0;

    for (int fd = 0; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        if (access(path, F_OK) == 0 && fds++ != fd)
            return false;
    }
    return fds == 3;
}

static void a_child_starts_clean(void **state)
{
    pid_t pid = spawn_script("a", "cat /proc/$$/oom_score_adj > oom; env > env;"
                                  "readlink /proc/$$/fd/0 > stdin; pwd > pwd; umask > umask; echo > done; exec sleep 100");

    assert_int_equal(getsid(pid), pid);
    assert_int_equal(getpgid(pid), pid);
    WAIT_FOR(*contents("done"));
    WAIT_FOR(has_standard_descriptors_only(pid));
    assert_string_equal(contents("stdin"), "/dev/null\n");
    assert_string_equal(contents("oom"), "0\n");
    assert_string_equal(contents("umask"), "0022\n");
    assert_true(strncmp(contents("pwd"), directory, strlen(directory)) == 0);
    assert_null(strstr(contents("env"), "NOTIFY_SOCKET"));
    assert_null(strstr(contents("env"), "HOME"));
}

static void a_child_has_all_its_signals(void **state)
{
    char path[64], line[128];
    unsigned clean = 0;
    FILE *file;

    begin(WIRE_SPAWN, "a");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/bin/sleep");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "100");
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    snprintf(path, sizeof path, "/proc/%d/status", (int)number(WIRE_TAG_PID));
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        clean += strcmp(line, "SigBlk:\t0000000000000000\n") == 0 || strcmp(line, "SigIgn:\t0000000000000000\n") == 0;
    fclose(file);
    assert_int_equal(clean, 2);
}

static void write_oom(const char *value, bool *done)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    *done = fd >= 0 && write(fd, value, strlen(value)) > 0;
    if (fd >= 0)
        close(fd);
}

static void the_keeper_is_hard_to_kill(void **state)
{
    char path[64], text[16] = "";
    bool allowed;
    FILE *file;

    write_oom("-1", &allowed);
    if (!allowed)
        skip(); /* nor may the keeper */
    write_oom("0", &allowed);
    spawn_script("a", "exec sleep 1000"); /* which is not, and was in the keeper's memory */
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)keeper);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_string_equal(text, "-900\n");
}

static void fail_to_spawn(const char *id, const char *program, const char *step, const char *says)
{
    begin(WIRE_SPAWN, id);
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, program);
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, id);
    assert_string_equal(wire_text(&message, WIRE_TAG_STEP), step);
    if (!strstr(error_text(), says) || !strstr(error_text(), program))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error_text(), says, program);
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_NONE);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(in_directory(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void a_program_that_cannot_be_executed_is_told(void **state)
{
    write_file("text", "no program", 0755);
    write_file("plain", "#!/bin/sh\n", 0644);
    write_file("orphan", "#!/no/such/interpreter\n", 0755);
    fail_to_spawn("a", "/no/such/program", "exec", "ENOENT");
    fail_to_spawn("b", "no-such-program", "exec", "not found in PATH");
    fail_to_spawn("c", in_directory("text"), "exec", "ENOEXEC");
    fail_to_spawn("d", in_directory("plain"), "exec", "EACCES");
    fail_to_spawn("e", in_directory("orphan"), "exec", "interpreter");
    fail_to_spawn("f", directory, "exec", "EACCES");
}

static void arguments_that_are_too_long_are_told(void **state)
{
    char *big = malloc(200 << 10);

    memset(big, 'x', 200 << 10);
    big[(200 << 10) - 1] = '\0';
    begin_script("a", "true");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, big);
    end(&agent);
    free(big);
    expect(&agent, WIRE_SPAWN_FAILED, "a");
    assert_non_null(strstr(error_text(), "E2BIG"));
    spawn_script("b", "sleep 100");
}

static void a_bad_user_or_directory_is_told(void **state)
{
    begin_script("a", "true");
    wire_put_text(&writer, WIRE_TAG_USER, "no-such-user");
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "a");
    assert_string_equal(wire_text(&message, WIRE_TAG_STEP), "user");
    assert_non_null(strstr(error_text(), "no-such-user"));

    begin(WIRE_SPAWN, "b");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "true");
    wire_put_text(&writer, WIRE_TAG_WORKING_DIR, "/no/such/directory");
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "b");
    assert_string_equal(wire_text(&message, WIRE_TAG_STEP), "chdir");
    assert_non_null(strstr(error_text(), "ENOENT"));
    assert_non_null(strstr(error_text(), "/no/such/directory"));
}

static void what_cannot_be_started_is_tried_again(void **state)
{
    char program[160];

    strcpy(program, in_directory("late"));
    begin(WIRE_SPAWN, "a");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, program);
    put_restart(20, 40);
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "a");
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_RESTART);
    assert_int_equal(number(WIRE_TAG_DELAY_MS), 20);
    write_file("late", "#!/bin/sh\nexec sleep 100\n", 0755);
    expect(&agent, WIRE_STARTED, "a");
}

static void who_asks_later_hears_when_it_ran_and_is_tried_again(void **state)
{
    uint64_t before_us = (uint64_t)time(NULL) * 1000000;
    uint64_t started_at_us;
    char program[160];

    strcpy(program, in_directory("gone"));
    write_file("gone", "#!/bin/sh\nexit 3\n", 0755);
    begin(WIRE_SPAWN, "a");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, program);
    put_restart(60000, 60000);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    expect(&agent, WIRE_EXITED, "a");
    expect(&agent, WIRE_STARTED, "a"); /* the first restart comes at once */
    started_at_us = number(WIRE_TAG_STARTED_AT_US);
    expect(&agent, WIRE_EXITED, "a");
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_STARTED_AT_US), started_at_us);
    assert_in_range(number(WIRE_TAG_NEXT_START_AT_US), before_us + 59000000, before_us + 120000000);

    begin(WIRE_SPAWN, "b");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, in_directory("nothing"));
    put_restart(60000, 60000);
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "b");
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "b");
    assert_int_equal(number(WIRE_TAG_STARTED_AT_US), 0);
    assert_in_range(number(WIRE_TAG_NEXT_START_AT_US), before_us + 59000000, before_us + 120000000);
}

static void a_child_becomes_its_user(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(directory, 0755), 0);
    begin_script("a", "echo $(id -u) $(id -g) $(id -G); exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_USER, "nobody");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("who"));
    end(&agent);
    WAIT_FOR(strcmp(contents("who"), "65534 65534 65534\n") == 0);
    begin_script("b", "echo $(id -u) $(id -g); exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_USER, "1234:99");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("who2"));
    end(&agent);
    WAIT_FOR(strcmp(contents("who2"), "1234 99\n") == 0);
}

static void a_child_has_all_groups_of_its_user(void **state)
{
    char name[64] = "", command[128], expected[512] = "";
    FILE *output;

    if (geteuid() != 0)
        skip();
    for (struct group *group; !name[0] && (group = getgrent()) != NULL;)
        if (group->gr_mem[0] && getpwnam(group->gr_mem[0]) && getpwnam(group->gr_mem[0])->pw_gid != group->gr_gid)
            snprintf(name, sizeof name, "%s", group->gr_mem[0]);
    endgrent();
    if (!name[0]) {
        print_message("no user of this machine is in another group than its own\n");
        skip();
    }
    snprintf(command, sizeof command, "id -G %s", name);
    output = popen(command, "r");
    assert_non_null(fgets(expected, sizeof expected, output));
    pclose(output);
    assert_non_null(strchr(expected, ' '));
    assert_int_equal(chmod(directory, 0755), 0);
    begin_script("a", "id -G; exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_USER, name);
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("groups"));
    end(&agent);
    WAIT_FOR(strcmp(contents("groups"), expected) == 0);
}

static void a_child_has_the_settings_it_asked_for(void **state)
{
    begin_script("a", "nice; umask; ulimit -Sn; ulimit -Hn; grep NoNewPrivs /proc/self/status; exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("settings"));
    wire_put_number(&writer, WIRE_TAG_NICE, WIRE_NICE_BIAS + 7);
    wire_put_number(&writer, WIRE_TAG_UMASK, 0027);
    wire_put_number(&writer, WIRE_TAG_OPEN_FILES, 123);
    wire_put_number(&writer, WIRE_TAG_NO_NEW_PRIVS, 1);
    end(&agent);
    WAIT_FOR(strcmp(contents("settings"), "7\n0027\n123\n123\nNoNewPrivs:\t1\n") == 0);
    begin_script("b", "umask; grep NoNewPrivs /proc/self/status; exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("plain"));
    end(&agent);
    WAIT_FOR(strcmp(contents("plain"), "0022\nNoNewPrivs:\t0\n") == 0);
}

static void settings_that_cannot_be_had_are_told(void **state)
{
    begin_script("a", "true");
    wire_put_number(&writer, WIRE_TAG_OPEN_FILES, UINT64_MAX / 2);
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "a");
    assert_string_equal(wire_text(&message, WIRE_TAG_STEP), "limits");
    assert_non_null(strstr(error_text(), "EPERM: limits open_files 9223372036854775807"));
    begin_script("b", "true");
    wire_put_number(&writer, WIRE_TAG_NICE, 40);
    end(&agent);
    expect(&agent, WIRE_ERROR, "b");
    assert_non_null(strstr(error_text(), "nice"));
    begin_script("c", "true");
    wire_put_number(&writer, WIRE_TAG_UMASK, 01000);
    end(&agent);
    expect(&agent, WIRE_ERROR, "c");
    assert_non_null(strstr(error_text(), "umask"));
}

static void a_known_id_is_not_started_twice(void **state)
{
    pid_t pid = spawn_script("a", "sleep 100");

    begin_script("a", "sleep 200");
    end(&agent);
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
    assert_int_equal(number(WIRE_TAG_STARTS), 1);
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
}

/* --- ending --- */

static void an_exit_code_and_a_signal_are_told(void **state)
{
    pid_t pid = spawn_script("a", "exit 7");
    uint64_t started_at_us = number(WIRE_TAG_STARTED_AT_US);

    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
    assert_int_equal(number(WIRE_TAG_STARTED_AT_US), started_at_us);
    assert_true(number(WIRE_TAG_EXIT_AT_US) >= started_at_us);
    assert_true(number(WIRE_TAG_RAN_MS) < 10000);
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 7);
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_NONE);
    expect(&agent, WIRE_STOPPED, "a");
    spawn_script("b", "kill -11 $$");
    expect(&agent, WIRE_EXITED, "b");
    assert_int_equal(number(WIRE_TAG_EXIT_SIGNAL), 11);
    assert_false(wire_has(&message, WIRE_TAG_EXIT_CODE));
}

static void a_crash_is_followed_by_a_restart_then_by_back_off(void **state)
{
    static const uint64_t delays[] = {0, 20, 40, 80, 80};

    begin_script("a", "exit 3");
    put_restart(20, 80);
    end(&agent);
    for (int i = 0; i < 5; i++) {
        uint64_t exited_at_us;

        expect(&agent, WIRE_EXITED, "a");
        exited_at_us = number(WIRE_TAG_EXIT_AT_US);
        assert_int_equal(number(WIRE_TAG_DELAY_MS), delays[i]);
        assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_RESTART);
        expect(&agent, WIRE_STARTED, "a");
        assert_int_equal(number(WIRE_TAG_STARTS), i + 2);
        /* By the keeper's own word: when that comes to be read here says nothing. */
        assert_true(number(WIRE_TAG_STARTED_AT_US) + 5000 >= exited_at_us + delays[i] * 1000);
    }
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
}

/* Sends what was begun with how long a run must last to be a good one. */
static void end_with_reset(uint64_t reset_ms)
{
    put_restart(50, 1000);
    wire_put_number(&writer, WIRE_TAG_RESTART_RESET_MS, reset_ms);
    end(&agent);
}

static void a_good_run_resets_the_back_off(void **state)
{
    begin_script("a", "exec sleep 100");
    end_with_reset(3600000);
    for (int i = 0; i < 3; i++) {
        pid_t pid;

        expect(&agent, WIRE_STARTED, "a");
        pid = (pid_t)number(WIRE_TAG_PID);
        if (i == 2) {
            begin(WIRE_UPDATE, "a");
            end_with_reset(60); /* no less than it had waited */
            say(&agent, WIRE_LIST, NULL);
            expect(&agent, WIRE_LIST_END, NULL);
            usleep(70000);
        }
        kill(pid, SIGKILL);
        expect(&agent, WIRE_EXITED, "a");
        assert_int_equal(number(WIRE_TAG_DELAY_MS), i == 1 ? 50 : 0);
    }
}

static void attempts_are_bounded(void **state)
{
    begin_script("a", "exit 1");
    put_restart(5, 5);
    wire_put_number(&writer, WIRE_TAG_RESTART_ATTEMPTS, 2);
    end(&agent);
    expect(&agent, WIRE_GAVE_UP, "a");
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_GAVE_UP);
    assert_int_equal(number(WIRE_TAG_STARTS), 3);
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 1);
    spawn_script("a", "sleep 100");
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static void a_killed_child_has_a_successor_at_once(void **state)
{
    uint64_t took_us[51];

    begin_script("a", "exec sleep 100");
    put_restart(1, 1);
    wire_put_number(&writer, WIRE_TAG_RESTART_RESET_MS, 0);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    for (int i = 0; i < 51; i++) {
        usleep(3000); /* longer than its delay: each is a good run */
        took_us[i] = now_us();
        kill((pid_t)number(WIRE_TAG_PID), SIGKILL);
        expect(&agent, WIRE_EXITED, "a");
        assert_int_equal(number(WIRE_TAG_DELAY_MS), 0);
        expect(&agent, WIRE_STARTED, "a");
        took_us[i] = now_us() - took_us[i];
    }
    qsort(took_us, 51, sizeof *took_us, compare);
    print_message("kill to successor: median %.2f ms, worst of 51 %.2f ms\n", (double)took_us[25] / 1000,
                  (double)took_us[50] / 1000);
}

/* --- stopping --- */

static void a_process_that_ignores_its_stop_signal_is_killed(void **state)
{
    begin_script("a", "trap '' TERM; echo > ready; while :; do sleep 0.05; done");
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 100);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    WAIT_FOR(*contents("ready"));
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPING, "a");
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_EXIT_SIGNAL), SIGKILL);
    assert_int_equal(number(WIRE_TAG_NEXT), WIRE_NEXT_STOP);
    expect(&agent, WIRE_STOPPED, "a");
}

static void the_stop_signal_is_the_one_asked_for(void **state)
{
    begin_script("a", "trap 'exit 5' USR1; echo > ready; while :; do sleep 0.02; done");
    wire_put_number(&writer, WIRE_TAG_STOP_SIGNAL, SIGUSR1);
    end(&agent);
    WAIT_FOR(*contents("ready"));
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 5);
}

static void a_stop_leaves_nothing_of_the_group_behind(void **state)
{
    pid_t stubborn;

    begin_script("a", "sh -c 'trap \"\" TERM; echo $$ > stubborn; while :; do sleep 0.05; done' & exec sleep 100");
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 100);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    stubborn = pid_in("stubborn");
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    assert_false(is_alive(stubborn));
}

static void a_stop_waits_for_those_who_take_their_time(void **state)
{
    begin_script("a", "sh -c 'trap \"sleep 0.1; echo > cleaned; exit\" TERM; echo > ready; while :; do sleep 0.01; done' &"
                      "exec sleep 100");
    end(&agent);
    WAIT_FOR(*contents("ready"));
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    assert_string_equal(contents("cleaned"), "\n");
}

static void a_stop_finds_other_groups_of_the_session(void **state)
{
    pid_t pid, member;
    char self[256] = "";

    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    begin(WIRE_SPAWN, "a");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, self);
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "regroup");
    wire_put_text(&writer, WIRE_TAG_WORKING_DIR, directory);
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 100);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    member = pid_in("member");
    assert_int_equal(getsid(member), pid);
    assert_int_not_equal(getpgid(member), pid);
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    assert_false(is_alive(member));
}

static void what_a_crash_leaves_is_killed_before_the_restart(void **state)
{
    pid_t rest;

    begin_script("a", "test -e rest && exec sleep 100; sleep 1000 & echo $! > rest; exit 1");
    put_restart(10, 10);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    expect(&agent, WIRE_STARTED, "a");
    rest = pid_in("rest");
    assert_false(is_alive(rest));
}

static void stopping_works_in_every_state(void **state)
{
    begin_script("a", "exit 1");
    put_restart(60000, 60000);
    end(&agent);
    expect(&agent, WIRE_EXITED, "a");
    expect(&agent, WIRE_EXITED, "a"); /* the second waits a minute */
    say(&agent, WIRE_FORGET, "a");
    expect(&agent, WIRE_ERROR, "a");
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    say(&agent, WIRE_FORGET, "a");
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_ERROR, "a");
    assert_non_null(strstr(error_text(), "not known"));
    spawn_script("a", "sleep 100");
    say(&agent, WIRE_STOP, "a");
    begin_script("a", "sleep 100");
    end(&agent);
    expect(&agent, WIRE_STOPPING, "a");
    expect(&agent, WIRE_STOPPED, "a");
}

static void a_signal_reaches_the_process(void **state)
{
    begin_script("a", "trap 'echo > got; exit 0' HUP; echo > ready; while :; do sleep 0.02; done");
    end(&agent);
    expect(&agent, WIRE_STARTED, "a"); /* before it is told, what runs already takes no signal */
    WAIT_FOR(*contents("ready"));
    begin(WIRE_SIGNAL, "a");
    wire_put_number(&writer, WIRE_TAG_SIGNAL, SIGHUP);
    end(&agent);
    expect(&agent, WIRE_EXITED, "a");
    assert_string_equal(contents("got"), "\n");
    begin(WIRE_SIGNAL, "a");
    wire_put_number(&writer, WIRE_TAG_SIGNAL, SIGHUP);
    end(&agent);
    expect(&agent, WIRE_ERROR, "a");
}

static void an_update_applies_to_what_runs(void **state)
{
    begin_script("a", "trap '' TERM; echo > ready; while :; do sleep 0.05; done");
    wire_put_text(&writer, WIRE_TAG_LABEL, "old");
    end(&agent);
    WAIT_FOR(*contents("ready"));
    begin(WIRE_UPDATE, "a");
    wire_put_text(&writer, WIRE_TAG_LABEL, "{\"name\":\"new\"}");
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 50);
    end(&agent);
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "a");
    assert_string_equal(wire_text(&message, WIRE_TAG_LABEL), "{\"name\":\"new\"}");
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
}

/* --- many --- */

static void hundreds_start_and_stop(void **state)
{
    char id[16];
    uint64_t began_ms = now_ms(), started_ms;

    for (int i = 0; i < 300; i++) {
        snprintf(id, sizeof id, "c%d", i);
        begin(WIRE_SPAWN, id);
        wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/bin/sleep");
        wire_put_text(&writer, WIRE_TAG_ARGUMENT, "100");
        wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory(id));
        end(&agent);
    }
    for (int i = 0; i < 300; i++)
        expect(&agent, WIRE_STARTED, NULL);
    started_ms = now_ms();
    say(&agent, WIRE_SHUTDOWN, NULL);
    expect(&agent, WIRE_BYE, NULL);
    print_message("300 children: started in %d ms, stopped in %d ms\n", (int)(started_ms - began_ms),
                  (int)(now_ms() - started_ms));
    assert_int_equal(wait_keeper(), 0);
}

/* What a shell with job control does to a background job: a group of its own. Run by the keeper. */
static int regroup(void)
{
    FILE *file;

    if (fork() == 0) {
        setpgid(0, 0);
        file = fopen("member", "w");
        if (file) {
            fprintf(file, "%d\n", (int)getpid());
            fclose(file);
        }
    }
    return pause();
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "regroup") == 0)
        return regroup();
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_child_starts_clean),
        TEST(a_child_has_all_its_signals),
        TEST(the_keeper_is_hard_to_kill),
        TEST(a_program_that_cannot_be_executed_is_told),
        TEST(arguments_that_are_too_long_are_told),
        TEST(a_bad_user_or_directory_is_told),
        TEST(what_cannot_be_started_is_tried_again),
        TEST(who_asks_later_hears_when_it_ran_and_is_tried_again),
        TEST(a_child_becomes_its_user),
        TEST(a_child_has_all_groups_of_its_user),
        TEST(a_child_has_the_settings_it_asked_for),
        TEST(settings_that_cannot_be_had_are_told),
        TEST(a_known_id_is_not_started_twice),
        TEST(an_exit_code_and_a_signal_are_told),
        TEST(a_crash_is_followed_by_a_restart_then_by_back_off),
        TEST(a_good_run_resets_the_back_off),
        TEST(attempts_are_bounded),
        TEST(a_killed_child_has_a_successor_at_once),
        TEST(a_process_that_ignores_its_stop_signal_is_killed),
        TEST(the_stop_signal_is_the_one_asked_for),
        TEST(a_stop_leaves_nothing_of_the_group_behind),
        TEST(a_stop_waits_for_those_who_take_their_time),
        TEST(a_stop_finds_other_groups_of_the_session),
        TEST(what_a_crash_leaves_is_killed_before_the_restart),
        TEST(stopping_works_in_every_state),
        TEST(a_signal_reaches_the_process),
        TEST(an_update_applies_to_what_runs),
        TEST(hundreds_start_and_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
