/* log: one line an event, nothing blocks, what is lost is counted. Stderr is a pipe of ours meanwhile. */
#include "cmocka_all.h"

#include "log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reading, saved_stderr;

static int redirect(void **state)
{
    int pipe_fds[2];

    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return -1;
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    fcntl(pipe_fds[1], F_SETPIPE_SZ, 65536);
    reading = pipe_fds[0];
    saved_stderr = dup(STDERR_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
    close(pipe_fds[1]);
    return 0;
}

static int restore(void **state)
{
    dup2(saved_stderr, STDERR_FILENO);
    return 0;
}

static char *take(void)
{
    static char bytes[1 << 17];
    size_t length = 0;
    ssize_t n;

    while (length < sizeof bytes - 1 && (n = read(reading, bytes + length, sizeof bytes - 1 - length)) > 0)
        length += (size_t)n;
    bytes[length] = '\0';
    return bytes;
}

static void a_line_has_time_level_and_name(void **state)
{
    log_set_name("alpha");
    log_write(LOG_LEVEL_INFO, "%s %d", "text", 1);
    char *line = take();
    assert_int_equal(line[4], '-');
    assert_int_equal(line[19], '.');
    assert_string_equal(line + 23, " INFO  alpha: text 1\n");
    log_set_name("");
    log_write(LOG_LEVEL_ERROR, "bare");
    assert_string_equal(take() + 23, " ERROR bare\n");
}

static void a_line_stays_a_line(void **state)
{
    log_text(LOG_LEVEL_WARN, "a\nb\tc\x1b[0m\0d\x7f", 12);
    assert_string_equal(take() + 23, " WARN  a\\nb\\tc\\x1b[0m\\x00d\\x7f\n");
}

static void levels_are_kept(void **state)
{
    assert_int_equal(log_level_from_name("WARN"), LOG_LEVEL_WARN);
    assert_int_equal(log_level_from_name("warn"), -1);
    log_set_level(LOG_LEVEL_WARN);
    log_write(LOG_LEVEL_INFO, "not this");
    log_write(LOG_LEVEL_WARN, "this");
    log_set_level(LOG_LEVEL_INFO);
    assert_string_equal(take() + 23, " WARN  this\n");
}

static void a_long_text_is_cut(void **state)
{
    size_t size = 100000;
    char *text = malloc(size);

    memset(text, 'x', size);
    log_text(LOG_LEVEL_INFO, text, size);
    free(text);
    char *line = take();
    assert_in_range(strlen(line), 16 * 1024, 17 * 1024);
    assert_int_equal(line[strlen(line) - 1], '\n');
}

static void a_full_stderr_loses_lines_and_says_so_later(void **state)
{
    char text[1000];

    memset(text, 'y', sizeof text);
    for (int i = 0; i < 200; i++)
        log_text(LOG_LEVEL_INFO, text, sizeof text);
    uint64_t lost = log_lost_lines();
    assert_in_range(lost, 100, 199);
    assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0); /* others write there, too */
    take();
    log_write(LOG_LEVEL_INFO, "again");
    char *lines = take(), expected[64];
    assert_non_null(strstr(lines, "again\n"));
    snprintf(expected, sizeof expected, "%d log lines were lost", (int)lost);
    assert_non_null(strstr(lines, expected));
    log_write(LOG_LEVEL_INFO, "once");
    assert_null(strstr(take(), "lost"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_and_name), cmocka_unit_test(a_line_stays_a_line),
        cmocka_unit_test(levels_are_kept),                cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(a_full_stderr_loses_lines_and_says_so_later),
    };

    return cmocka_run_group_tests(tests, redirect, restore);
}
