/* terminal: history files, plain input, and real keystrokes on a pseudo terminal. */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "terminal.h"

static void history_is_kept(void **state)
{
    char folder[] = "/tmp/appmgr-terminal-XXXXXX", path[64], missing[64], text[256] = "";
    struct stat stat_buffer;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/history", folder);
    snprintf(missing, sizeof missing, "%s/none/history", folder);
    assert_int_equal(terminal_load_history(path), 0); /* none yet */
    terminal_add_history("one");
    terminal_add_history("one");
    terminal_add_history("two\nlines");
    assert_int_equal(terminal_save_history(path), 0);
    assert_int_equal(stat(path, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 07777, 0600);
    FILE *file = fopen(path, "r");
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_string_equal(text, "_HiStOrY_V2_\none\ntwo\\012lines\n");
    assert_int_equal(terminal_load_history(path), 0);
    assert_int_equal(terminal_save_history(missing), -ENOENT);
    file = fopen(path, "w");
    fputs("not a history\n", file);
    fclose(file);
    assert_int_equal(terminal_load_history(path), -EINVAL);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left */
}

static void width_without_a_terminal(void **state)
{
    if (isatty(STDOUT_FILENO))
        skip();
    setenv("COLUMNS", "132", 1);
    assert_int_equal(terminal_width(), 132);
    setenv("COLUMNS", "wide", 1);
    assert_int_equal(terminal_width(), 80);
    unsetenv("COLUMNS");
    assert_int_equal(terminal_width(), 80);
}

/* Offers a few names for the word at the end. */
static void offer(const char *text, size_t length, struct terminal_candidates *out, void *data)
{
    static const char *const names[] = {"apps", "application", "cluster"};
    out->from = length;
    while (out->from > 0 && text[out->from - 1] != ' ')
        out->from--;
    out->words = calloc(3, sizeof *out->words);
    for (size_t i = 0; out->words && i < 3; i++)
        if (strncmp(names[i], text + out->from, length - out->from) == 0)
            out->words[out->count++] = strdup(names[i]);
}

/* Reads lines until the end and says what came, one letter and the text each, through the pipe. */
static void read_lines(int to)
{
    const char *line;
    size_t length;
    terminal_set_completer(offer, NULL);
    for (;;) {
        enum terminal_result result = terminal_readline("> ", &line, &length);
        if (result == TERMINAL_LINE)
            dprintf(to, "L%.*s|", (int)length, line);
        else
            dprintf(to, result == TERMINAL_INTERRUPTED ? "I|" : "E|");
        if (result == TERMINAL_END)
            break;
    }
    terminal_shutdown();
}

/* Reads what read_lines says of one line more. False at the end. */
static bool hear_line(int from, char *said, size_t size)
{
    size_t used = strlen(said);
    while (used < size - 1 && read(from, said + used, 1) == 1)
        if (said[used++] == '|')
            return true;
    return false;
}

/* Before the first line and between two the terminal takes Ctrl-C and Ctrl-D itself. */
static void wait_until_raw(int terminal_fd)
{
    struct termios mode;
    do {
        usleep(1000);
        assert_int_equal(tcgetattr(terminal_fd, &mode), 0);
    } while (mode.c_lflag & (ICANON | ISIG));
}

/* Starts read_lines with stdin on a pseudo terminal, types the keys, and returns what it said. */
static const char *type(const char *keys)
{
    static char said[512];
    int ends[2], terminal_fd, status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = forkpty(&terminal_fd, NULL, NULL, &(struct winsize){.ws_row = 24, .ws_col = 80});
    if (child == 0) {
        setenv("TERM", "vt100", 1);
        alarm(60);
        read_lines(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    memset(said, 0, sizeof said);
    char screen[1024];
    assert_true(read(terminal_fd, screen, sizeof screen) > 0);
    wait_until_raw(terminal_fd);
    for (; *keys; keys++) {
        assert_int_equal(write(terminal_fd, keys, 1), 1);
        if (*keys == '\r' || *keys == '\x03') {
            assert_true(hear_line(ends[0], said, sizeof said));
            wait_until_raw(terminal_fd);
        }
    }
    while (hear_line(ends[0], said, sizeof said))
        ;
    close(ends[0]);
    while (read(terminal_fd, screen, sizeof screen) > 0)
        ;
    close(terminal_fd);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return said;
}

static void lines_are_edited(void **state)
{
    assert_string_equal(type("helo\x02l\r\x04"), "Lhello|E|");
    assert_string_equal(type("first\r\r\x04"), "Lfirst|L|E|");
}

static void tab_completes(void **state)
{
    assert_string_equal(type("x = cl\t\r\x04"), "Lx = cluster|E|");
    assert_string_equal(type("ap\t\ts\r\x04"), "Lapps|E|");
    assert_string_equal(type("zz\t\r\x04"), "Lzz|E|");
}

static void control_c_gives_the_line_up(void **state)
{
    assert_string_equal(type("abc\x03next\r\x04"), "I|Lnext|E|");
}

/* Reads what the editor draws until all of `text` has been drawn. */
static void see(int terminal_fd, const char *text)
{
    struct pollfd drawing = {.fd = terminal_fd, .events = POLLIN};
    char screen[4096];
    size_t used = 0;

    for (screen[0] = '\0'; !strstr(screen, text); screen[used] = '\0') {
        assert_int_equal(poll(&drawing, 1, 10000), 1);
        ssize_t got = read(terminal_fd, screen + used, sizeof screen - 1 - used);
        assert_true(got > 0);
        used += (size_t)got;
    }
}

static void the_width_of_the_window_may_change_while_a_line_is_edited(void **state)
{
    int ends[2], terminal_fd, status;
    char said[64] = "";
    assert_int_equal(pipe(ends), 0);
    pid_t child = forkpty(&terminal_fd, NULL, NULL, &(struct winsize){.ws_row = 24, .ws_col = 80});
    if (child == 0) {
        setenv("TERM", "vt100", 1);
        alarm(60);
        read_lines(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    see(terminal_fd, "> ");
    wait_until_raw(terminal_fd);
    assert_int_equal(write(terminal_fd, "typed", 5), 5);
    see(terminal_fd, "typed");
    assert_int_equal(ioctl(terminal_fd, TIOCSWINSZ, &(struct winsize){.ws_row = 20, .ws_col = 20}), 0);
    assert_int_equal(write(terminal_fd, "0123456789012345678901234567890123456789\x01", 41), 41);
    see(terminal_fd, "\x1b[2A"); /* the beginning of the line is two rows above its end */
    assert_int_equal(write(terminal_fd, "\r", 1), 1);
    assert_true(hear_line(ends[0], said, sizeof said));
    assert_string_equal(said, "Ltyped0123456789012345678901234567890123456789|");
    kill(child, SIGKILL);
    close(terminal_fd);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
}

static void plain_input_needs_no_terminal(void **state)
{
    int ends[2], saved = dup(STDIN_FILENO);
    const char *line;
    size_t length;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "one\n\nlast", 9), 9);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    assert_int_equal(terminal_readline("unseen", &line, &length), TERMINAL_LINE);
    assert_int_equal(length, 3);
    assert_int_equal(terminal_readline("unseen", &line, &length), TERMINAL_LINE);
    assert_int_equal(length, 0);
    assert_int_equal(terminal_readline("unseen", &line, &length), TERMINAL_LINE);
    assert_memory_equal(line, "last", 4);
    assert_int_equal(terminal_readline("unseen", &line, &length), TERMINAL_END);
    dup2(saved, STDIN_FILENO);
    close(saved);
    clearerr(stdin);
    terminal_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_is_kept),
        cmocka_unit_test(width_without_a_terminal),
        cmocka_unit_test(lines_are_edited),
        cmocka_unit_test(tab_completes),
        cmocka_unit_test(control_c_gives_the_line_up),
        cmocka_unit_test(the_width_of_the_window_may_change_while_a_line_is_edited),
        cmocka_unit_test(plain_input_needs_no_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
