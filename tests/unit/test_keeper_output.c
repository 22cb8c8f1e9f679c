/* keeper and logger: output reaches its file, whatever happens to the logger, the file or the disk. */
#include "keeper_fixture.h"

#include <dirent.h>

static void begin_logged(const char *id, const char *script)
{
    begin_script(id, script);
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("log"));
}

static void output_is_in_the_file_with_its_last_unended_line(void **state)
{
    struct stat status;

    begin_logged("a", "echo one; echo two >&2; printf three");
    end(&agent);
    WAIT_FOR(strcmp(contents("log"), "one\ntwo\nthree\n") == 0);
    assert_int_equal(stat(in_directory("log"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

static void a_second_run_appends(void **state)
{
    begin_logged("a", "printf run; exit 1");
    put_restart(1, 1);
    wire_put_number(&writer, WIRE_TAG_RESTART_ATTEMPTS, 2);
    end(&agent);
    WAIT_FOR(strcmp(contents("log"), "run\nrun\nrun\n") == 0);
}

/* The keeper's child that is the logger. */
static pid_t find_logger(void)
{
    char path[300], text[300];
    struct dirent *entry;
    DIR *processes = opendir("/proc");
    pid_t found = 0;

    while (processes && !found && (entry = readdir(processes))) {
        FILE *file;
        int parent = 0;

        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !(file = fopen(path, "r")))
            continue;
        if (fgets(text, sizeof text, file) && strstr(text, "(appmgr-logger) ") && strrchr(text, ')') &&
            sscanf(strrchr(text, ')') + 1, " %*c %d", &parent) == 1 && parent == keeper)
            found = (pid_t)atoi(entry->d_name);
        fclose(file);
    }
    if (processes)
        closedir(processes);
    return found;
}

static void the_loggers_death_costs_no_output(void **state)
{
    pid_t logger, pid;

    begin_logged("a", "while ! test -e more; do sleep 0.01; done; echo after; exec sleep 100");
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    WAIT_FOR((logger = find_logger()) > 0);
    kill(logger, SIGKILL);
    WAIT_FOR(!is_alive(logger));
    close(open(in_directory("more"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    WAIT_FOR(strcmp(contents("log"), "after\n") == 0);
    assert_true(is_alive(pid));
    assert_int_not_equal(find_logger(), logger);
}

static void the_logger_ignores_signals_to_everyone(void **state)
{
    pid_t logger;

    WAIT_FOR((logger = find_logger()) > 0);
    kill(logger, SIGTERM);
    kill(logger, SIGINT);
    kill(logger, SIGHUP);
    begin_logged("a", "echo one");
    end(&agent);
    WAIT_FOR(strcmp(contents("log"), "one\n") == 0);
    assert_int_equal(find_logger(), logger);
}

static void a_large_file_is_rotated_at_the_end_of_a_line(void **state)
{
    const char *last, *line;

    begin_logged("a", "i=1000; while test $i -lt 1400; do echo line $i; i=$((i+1)); done");
    wire_put_number(&writer, WIRE_TAG_MAX_OUTPUT_BYTES, 2500);
    end(&agent);
    WAIT_FOR(strstr(contents("log"), "line 1399\n"));
    assert_int_equal(strncmp(contents("log"), "line ", 5), 0);
    assert_true(strlen(contents("log")) <= 2500);
    last = contents("log.1");
    assert_int_equal(strncmp(last, "line ", 5), 0);
    assert_int_equal(strlen(last), 2500); /* 250 lines of 10 bytes */
    line = last + strlen(last) - 10;
    assert_int_equal(strncmp(line, "line ", 5), 0);
    assert_int_equal(atoi(line + 5) + 1, atoi(contents("log") + 5));
}

static void what_the_disk_does_not_take_is_dropped_and_said(void **state)
{
    pid_t pid;

    begin_logged("a", "head -c 50000 /dev/zero | tr '\\0' x; echo; echo > filled;"
                      "while ! test -e room; do sleep 0.01; done;"
                      "while ! test -e enough; do echo later; sleep 0.1; done; exec sleep 100");
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    expect(&agent, WIRE_ERROR, "a");
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "File too large"));
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), in_directory("log")));
    WAIT_FOR(*contents("filled")); /* its writer was not held up */
    assert_int_equal(truncate(in_directory("log"), 0), 0);
    close(open(in_directory("room"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    WAIT_FOR(strstr(contents("log"), "bytes of output were dropped here: File too large]\n"));
    WAIT_FOR(strstr(contents("log"), "later\n"));
    close(open(in_directory("enough"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_true(is_alive(pid));
}

static int set_up_limited(void **state)
{
    if (make_directory(state) != 0)
        return -1;
    start_keeper_limited("10000", 20000);
    join(&agent, WIRE_ROLE_CONTROLLER);
    return 0;
}

static void a_file_that_cannot_be_written_is_said_and_harms_nobody(void **state)
{
    pid_t pid;

    begin_script("a", "echo x; echo > done; exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, "/no/such/directory/log");
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    expect(&agent, WIRE_ERROR, "a");
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "/no/such/directory/log: No such file"));
    WAIT_FOR(*contents("done"));
    assert_true(is_alive(pid));

    assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
    begin_script("b", "head -c 200000 /dev/zero; echo > done2; exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("fifo"));
    end(&agent);
    expect(&agent, WIRE_ERROR, "b");
    WAIT_FOR(*contents("done2"));
}

static void many_write_at_once(void **state)
{
    char id[16];
    struct stat status;

    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof id, "out%d", i);
        begin_script(id, "head -c 300000 /dev/zero");
        wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory(id));
        end(&agent);
    }
    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof id, "out%d", i);
        WAIT_FOR(stat(in_directory(id), &status) == 0 && status.st_size == 300001);
    }
}

static void the_last_words_are_written_before_the_keeper_ends(void **state)
{
    begin_logged("a", "exec 2> /dev/null; trap 'head -c 60000 /dev/zero | tr \"\\\\0\" y; exit 0' TERM; echo > ready;"
                      "while :; do sleep 0.02; done");
    end(&agent);
    WAIT_FOR(*contents("ready"));
    say(&agent, WIRE_SHUTDOWN, NULL);
    expect(&agent, WIRE_BYE, NULL);
    assert_int_equal(strlen(contents("log")), 60001);
    assert_int_equal(wait_keeper(), 0);
    assert_int_equal(find_logger(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(output_is_in_the_file_with_its_last_unended_line),
        TEST(a_second_run_appends),
        TEST(the_loggers_death_costs_no_output),
        TEST(the_logger_ignores_signals_to_everyone),
        TEST(a_large_file_is_rotated_at_the_end_of_a_line),
        cmocka_unit_test_setup_teardown(what_the_disk_does_not_take_is_dropped_and_said, set_up_limited, tear_down),
        TEST(a_file_that_cannot_be_written_is_said_and_harms_nobody),
        TEST(many_write_at_once),
        TEST(the_last_words_are_written_before_the_keeper_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
