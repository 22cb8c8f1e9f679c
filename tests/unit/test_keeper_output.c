/* keeper and logger: output reaches its file, whatever happens to the logger, the file or the disk. */
#include "keeper_fixture.h"

#include <sys/ptrace.h>

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

/* Reads on until the keeper says that of an application's output. */
static void expect_output(const char *id, enum wire_output state, int error)
{
    do
        expect(&agent, WIRE_OUTPUT, id);
    while (number(WIRE_TAG_OUTPUT_STATE) != state);
    assert_int_equal(number(WIRE_TAG_OUTPUT_ERRNO), error);
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
    expect_output("a", WIRE_OUTPUT_DROPPING, EFBIG);
    WAIT_FOR(*contents("filled")); /* its writer was not held up */
    assert_int_equal(truncate(in_directory("log"), 0), 0);
    close(open(in_directory("room"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    WAIT_FOR(strstr(contents("log"), "bytes of output were dropped here: File too large]\n"));
    WAIT_FOR(strstr(contents("log"), "later\n"));
    expect_output("a", WIRE_OUTPUT_WELL, 0);
    close(open(in_directory("enough"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_true(is_alive(pid));
}

/* Takes what is in the file away once it is full, or has the last `rest` bytes. Returns what there was. */
static size_t empty_log(char *taken, size_t rest)
{
    struct stat status;

    WAIT_FOR(stat(in_directory("log"), &status) == 0 && (status.st_size == 20000 || (size_t)status.st_size == rest));
    strcpy(taken, contents("log"));
    assert_int_equal(truncate(in_directory("log"), 0), 0);
    return strlen(taken);
}

static void what_the_disk_does_not_take_is_waited_for_and_nothing_is_lost(void **state)
{
    static char all[128 << 10];
    size_t size = 0;
    pid_t pid;

    begin_logged("a", "i=10000; while test $i -lt 19000; do echo $i; i=$((i+1)); done; echo > through; exec sleep 100");
    wire_put_number(&writer, WIRE_TAG_OUTPUT_WAITS, 1);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    expect_output("a", WIRE_OUTPUT_WAITING, EFBIG);
    assert_int_equal(number(WIRE_TAG_OUTPUT_DROPPED), 0);
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_OUTPUT_STATE), WIRE_OUTPUT_WAITING);
    while (size < 54000)
        size += empty_log(all + size, 54000 - size);
    expect_output("a", WIRE_OUTPUT_WELL, 0);
    assert_int_equal(size, 54000);
    for (int line = 0; line < 9000; line++)
        assert_int_equal(atoi(all + (size_t)line * 6), 10000 + line);
    assert_true(is_alive(pid));
}

static int count_files(const char *name)
{
    struct stat status;
    char path[64];
    int count = 0;

    do
        snprintf(path, sizeof path, count ? "%s.%d" : "%s", name, count);
    while (stat(in_directory(path), &status) == 0 && ++count);
    return count;
}

static void as_many_files_are_kept_as_were_asked_for(void **state)
{
    int next = 1000;

    begin_logged("a", "i=1000; while test $i -lt 1900; do echo line $i; i=$((i+1)); done; echo > through; exec sleep 100");
    wire_put_number(&writer, WIRE_TAG_MAX_OUTPUT_BYTES, 2500);
    wire_put_number(&writer, WIRE_TAG_OUTPUT_FILES, 5);
    end(&agent);
    WAIT_FOR(*contents("through") && strstr(contents("log"), "line 1899\n"));
    assert_int_equal(count_files("log"), 4); /* 9,000 bytes: three full ones and what is left */
    for (int number = 3; number >= 0; number--) {
        char name[16];

        snprintf(name, sizeof name, number ? "log.%d" : "log", number);
        for (const char *at = contents(name); *at; at = strchr(at, '\n') + 1)
            assert_int_equal(atoi(at + 5), next++);
    }
    assert_int_equal(next, 1900);
    begin_logged("b", "i=1000; while test $i -lt 1900; do echo line $i; i=$((i+1)); done; echo > through2; exec sleep 100");
    wire_put_number(&writer, WIRE_TAG_MAX_OUTPUT_BYTES, 2500);
    wire_put_number(&writer, WIRE_TAG_OUTPUT_FILES, 2);
    end(&agent);
    WAIT_FOR(*contents("through2") && count_files("log") == 2);
}

static void other_terms_hold_at_once(void **state)
{
    begin_logged("a", "i=1000; while ! test -e enough; do echo line $i; i=$((i+1)); sleep 0.001; done; exec sleep 100");
    wire_put_number(&writer, WIRE_TAG_MAX_OUTPUT_BYTES, 1 << 20);
    end(&agent);
    WAIT_FOR(strlen(contents("log")) > 200);
    assert_int_equal(count_files("log"), 1);
    begin(WIRE_UPDATE, "a");
    wire_put_number(&writer, WIRE_TAG_MAX_OUTPUT_BYTES, 200);
    wire_put_number(&writer, WIRE_TAG_OUTPUT_FILES, 3);
    end(&agent);
    WAIT_FOR(count_files("log") == 3);
    close(open(in_directory("enough"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void what_was_written_when_is_in_the_index(void **state)
{
    struct stat status;
    uint64_t entry[4];
    int fd;

    /* The second counts from when the first is written, however late that is. */
    begin_logged("a", "echo one; while ! test -s log.index; do sleep 0.01; done; sleep 1.2; echo two; exec sleep 100");
    end(&agent);
    WAIT_FOR(strcmp(contents("log"), "one\ntwo\n") == 0);
    WAIT_FOR(stat(in_directory("log.index"), &status) == 0 && status.st_size == sizeof entry);
    fd = open(in_directory("log.index"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, entry, sizeof entry), sizeof entry);
    close(fd);
    assert_int_equal(entry[1], 0);
    assert_int_equal(entry[3], 4);
    assert_true(entry[2] - entry[0] >= 1000 && entry[2] - entry[0] < 60000);
    assert_true(entry[0] / 1000 + 60 > (uint64_t)time(NULL) && entry[0] / 1000 <= (uint64_t)time(NULL));
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
    expect_output("a", WIRE_OUTPUT_DROPPING, ENOENT);
    WAIT_FOR(*contents("done"));
    assert_true(is_alive(pid));

    assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
    begin_script("b", "head -c 200000 /dev/zero; echo > done2; exec sleep 100");
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory("fifo"));
    end(&agent);
    expect_output("b", WIRE_OUTPUT_DROPPING, ENXIO);
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

/* Nobody reaps it before its tracer does: as one that is killed while the disk holds it. */
static void a_logger_that_does_not_end_does_not_hold_the_keeper(void **state)
{
    pid_t logger;

    WAIT_FOR((logger = find_logger()) > 0);
    if (ptrace(PTRACE_SEIZE, logger, NULL, NULL) != 0)
        skip();
    kill(logger, SIGSTOP);
    say(&agent, WIRE_SHUTDOWN, NULL);
    assert_int_equal(wait_keeper(), 0);
    assert_int_equal(waitpid(logger, NULL, __WALL), logger);
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
        cmocka_unit_test_setup_teardown(what_the_disk_does_not_take_is_waited_for_and_nothing_is_lost, set_up_limited,
                                        tear_down),
        TEST(as_many_files_are_kept_as_were_asked_for),
        TEST(other_terms_hold_at_once),
        TEST(what_was_written_when_is_in_the_index),
        TEST(a_file_that_cannot_be_written_is_said_and_harms_nobody),
        TEST(many_write_at_once),
        TEST(the_last_words_are_written_before_the_keeper_ends),
        TEST(a_logger_that_does_not_end_does_not_hold_the_keeper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
