/*
 * planner: a process that hangs, crashes, eats memory or talks nonsense, and a parent that loses nothing by it.
 *
 * This program plays the planner too: started as one, it does what the link says that it
 * was started through, act_link() makes those. (The environment is not passed on.)
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "planner.h"

/* ---- the planner's part ---- */

static int echo(void)
{
    char *bytes;
    size_t length;
    int result;
    while ((result = planner_read(&bytes, &length)) > 0) {
        result = planner_write(bytes, length);
        free(bytes);
        if (result < 0)
            return 1;
    }
    return result == 0 ? 7 : 2;
}

/* Says which descriptors are open, what the limits are, and how signals are set. */
static int describe(void)
{
    char text[1024] = "";
    struct rlimit space, core, cpu;
    sigset_t mask;
    size_t used = 0;
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            used += (size_t)snprintf(text + used, sizeof text - used, "%d ", fd);
    getrlimit(RLIMIT_AS, &space);
    getrlimit(RLIMIT_CORE, &core);
    getrlimit(RLIMIT_CPU, &cpu);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    snprintf(text + used, sizeof text - used, "space=%lld core=%lld cpu=%lld masked=%d ignored=%d group=%d token=%d",
             (long long)(space.rlim_cur >> 20), (long long)core.rlim_cur, (long long)cpu.rlim_cur,
             sigismember(&mask, SIGTERM), action.sa_handler == SIG_IGN, getpgrp() == getpid(),
             getenv("CONSUL_HTTP_TOKEN") != NULL);
    return planner_write(text, strlen(text)) < 0;
}

static int eat_memory(void)
{
    for (int i = 0; i < 1000; i++) {
        char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            return planner_write("no more", 7) < 0;
        memset(block, 1, 1 << 20);
    }
    return planner_write("for ever", 8) < 0;
}

static void raw(const char *bytes, size_t length)
{
    /* planner_enter moved the pipe: a frame's own writer is the only way, so this plays without having entered. */
    if (write(STDOUT_FILENO, bytes, length) < 0)
        _exit(9);
}

static int act_without_entering(const char *act)
{
    if (strcmp(act, "garbage") == 0)
        raw("Segmentation fault\n", 19);
    else if (strcmp(act, "half header") == 0)
        raw("\x05", 1);
    else if (strcmp(act, "half frame") == 0)
        raw("\x05\0\0\0ab", 6);
    else if (strcmp(act, "empty frame") == 0)
        raw("\0\0\0\0\0\0\0\0\1\0\0\0x", 13);
    else if (strcmp(act, "close input") == 0)
        close(STDIN_FILENO);
    else
        return -1;
    if (strcmp(act, "close input") == 0 || strcmp(act, "garbage") == 0)
        pause();
    return 4;
}

static int act_planner(int count, char **arguments)
{
    const char *act = strrchr((const char *)getauxval(AT_EXECFN), '/') + 1;
    char error[256] = "";
    int result = act_without_entering(act);
    if (result >= 0)
        return result;
    if (planner_enter(count - 1, arguments + 1, error, sizeof error) != 0)
        return 100;
    if (strcmp(act, "echo") == 0)
        return echo();
    if (strcmp(act, "describe") == 0)
        return describe();
    if (strcmp(act, "memory") == 0)
        return eat_memory();
    if (strcmp(act, "crash") == 0)
        signal(SIGABRT, SIG_DFL), abort();
    if (strcmp(act, "last words") == 0)
        return planner_write("last words", 10) < 0 ? 1 : 3;
    if (strcmp(act, "print") == 0)
        return printf("to nobody\n") < 0 || fflush(stdout) != 0 || planner_write("clean", 5) < 0 || getchar() != EOF;
    if (strcmp(act, "hang") == 0) {
        signal(SIGTERM, SIG_IGN);
        planner_write("hanging", 7);
        for (;;)
            ;
    }
    return 101;
}

/* ---- the parent's part ---- */

struct seen {
    unsigned messages, exits;
    char reason[256];
    char *last;
    size_t last_length;
    bool kill_on_message;
};

static uv_loop_t loop;
static struct seen seen;

static void on_message(struct planner *planner, const char *bytes, size_t length, void *data)
{
    assert_ptr_equal(data, &seen);
    assert_int_equal(seen.exits, 0);
    seen.messages++;
    free(seen.last);
    seen.last = malloc(length + 1);
    memcpy(seen.last, bytes, length);
    seen.last[length] = '\0';
    seen.last_length = length;
    if (seen.kill_on_message)
        planner_kill(planner);
}

static void on_exit_told(struct planner *planner, const char *reason, void *data)
{
    snprintf(seen.reason, sizeof seen.reason, "%s", reason);
    seen.exits++;
    planner_kill(planner); /* harmless */
    assert_int_equal(planner_send(planner, "x", 1), -EPIPE);
}

static const struct planner_callbacks callbacks = {on_message, on_exit_told};

static char folder[] = "/tmp/appmgr-test-planner.XXXXXX";

/* A link to this program, named after what it shall do. Valid until the next one. */
static const char *act_link(const char *act)
{
    static char path[sizeof folder + 64];
    char self[512] = "";
    snprintf(path, sizeof path, "%s/%s", folder, act);
    if (access(path, F_OK) == 0)
        return path;
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    assert_int_equal(symlink(self, path), 0);
    return path;
}

static struct planner *start_on(uv_loop_t *where, const char *act, struct planner_options options)
{
    char error[256] = "";
    free(seen.last);
    seen = (struct seen){0};
    options.executable = act_link(act);
    struct planner *planner = planner_start(where, &options, &callbacks, &seen, error, sizeof error);
    if (!planner)
        fail_msg("%s", error);
    return planner;
}

static struct planner *start_with(const char *act, struct planner_options options)
{
    return start_on(&loop, act, options);
}

static struct planner *start(const char *act)
{
    return start_with(act, (struct planner_options){0});
}

static void on_alarm(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Turns the loop until *counter has reached the number. */
static void wait_for(const unsigned *counter, unsigned number)
{
    bool late = false;
    uv_timer_t timer = {.data = &late};
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_alarm, 30000, 0);
    while (*counter < number && !late)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(*counter, number);
}

static void expect_end(const char *reason)
{
    wait_for(&seen.exits, 1);
    assert_string_equal(seen.reason, reason);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* reaped: there is no child at all */
    assert_int_equal(errno, ECHILD);
}

static void frames_go_both_ways(void **state)
{
    struct planner *planner = start("echo");
    assert_int_equal(planner_send(planner, "one", 3), 0);
    assert_int_equal(planner_send(planner, "", 0), 0);
    assert_int_equal(planner_send(planner, "th\0ee", 5), 0);
    wait_for(&seen.messages, 3);
    assert_int_equal(seen.last_length, 5);
    assert_memory_equal(seen.last, "th\0ee", 5);
    planner_kill(planner);
    planner_kill(planner);
    assert_int_equal(planner_send(planner, "x", 1), -EPIPE);
    expect_end("killed");
}

static void large_frames(void **state)
{
    size_t length = 40 << 20;
    char *bytes = malloc(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(i * 31 >> 3);
    struct planner *planner = start("echo");
    assert_int_equal(planner_send(planner, bytes, length), 0);
    wait_for(&seen.messages, 1);
    assert_int_equal(seen.last_length, length);
    assert_memory_equal(seen.last, bytes, length);
    assert_int_equal(planner_send(planner, "next", 4), 0);
    wait_for(&seen.messages, 2);
    assert_string_equal(seen.last, "next");
    assert_int_equal(planner_send(planner, bytes, (size_t)PLANNER_MAX_FRAME + 1), -EMSGSIZE);
    planner_kill(planner);
    expect_end("killed");
    free(bytes);
}

static void a_hanging_planner_is_killed(void **state)
{
    struct planner *planner = start("hang");
    wait_for(&seen.messages, 1);
    char *bytes = calloc(1, 4 << 20);
    for (int i = 0; i < 4; i++)
        assert_int_equal(planner_send(planner, bytes, 4 << 20), 0); /* queued: nobody reads */
    free(bytes);
    planner_kill(planner);
    expect_end("killed");
}

static void what_waits_for_a_hanging_planner_is_bounded(void **state)
{
    struct planner *planner = start("hang");
    size_t length = 128 << 20;
    char *bytes = calloc(1, length);
    int result = 0, sent = 0;
    while (result == 0 && sent < 10) {
        result = planner_send(planner, bytes, length);
        sent++;
    }
    assert_int_equal(result, -ENOBUFS);
    assert_in_range(sent, 4, 6);
    free(bytes);
    planner_kill(planner);
    expect_end("killed");
}

static void a_crash_is_told(void **state)
{
    start("crash");
    expect_end("ended by signal 6 (Aborted)");
}

static void last_words_are_heard(void **state)
{
    start("last words");
    expect_end("exited with code 3");
    assert_int_equal(seen.messages, 1);
    assert_string_equal(seen.last, "last words");
}

static void killing_from_a_message(void **state)
{
    struct planner *planner = start("echo");
    seen.kill_on_message = true;
    for (int i = 0; i < 5; i++)
        assert_int_equal(planner_send(planner, "x", 1), 0);
    expect_end("killed");
    assert_int_equal(seen.messages, 1);
}

static void garbage_ends_it(void **state)
{
    start("garbage");
    expect_end("killed: it sent garbage");
    assert_int_equal(seen.messages, 0);
}

static void cut_frames_are_not_delivered(void **state)
{
    start("half header");
    expect_end("exited with code 4");
    assert_int_equal(seen.messages, 0);
    start("half frame");
    expect_end("exited with code 4");
    assert_int_equal(seen.messages, 0);
    start("empty frame");
    expect_end("exited with code 4");
    assert_int_equal(seen.messages, 3);
    assert_string_equal(seen.last, "x");
}

static void a_closed_input_ends_it(void **state)
{
    struct planner *planner = start("close input");
    char *bytes = calloc(1, 1 << 20);
    for (int i = 0; i < 200 && seen.exits == 0; i++) {
        if (planner_send(planner, bytes, 1 << 20) != 0)
            break;
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    free(bytes);
    expect_end("killed: it closed its input");
}

static void prints_do_not_mix_with_frames(void **state)
{
    start("print");
    expect_end("exited with code 0");
    assert_int_equal(seen.messages, 1);
    assert_string_equal(seen.last, "clean");
}

static void limits_hold(void **state)
{
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* no limit of the address space beside AddressSanitizer */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    skip();
#endif
#endif
    start_with("memory", (struct planner_options){.memory_mb = 100});
    expect_end("exited with code 0");
    assert_string_equal(seen.last, "no more");
    start_with("hang", (struct planner_options){.cpu_s = 1});
    expect_end("ended by signal 9 (Killed)");
}

static void a_planner_begins_clean(void **state)
{
    sigset_t set, old;
    int leaked = open("/dev/null", O_RDONLY); /* without CLOEXEC, as a careless library opens it */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGUSR1, SIG_IGN);
    setenv("CONSUL_HTTP_TOKEN", "secret", 1);
    start_with("describe", (struct planner_options){.cpu_s = 50});
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGUSR1, SIG_DFL);
    unsetenv("CONSUL_HTTP_TOKEN");
    close(leaked);
    expect_end("exited with code 0");
    assert_non_null(strstr(seen.last, "0 1 2 3 4 space="));
    assert_non_null(strstr(seen.last, "core=0 cpu=50 masked=0 ignored=0 group=1 token=0"));
}

static void it_dies_with_its_parent(void **state)
{
    int ends[2];
    pid_t pid;
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        uv_loop_t own;
        uv_loop_init(&own);
        struct planner *planner = start_on(&own, "hang", (struct planner_options){0});
        pid = planner_pid(planner);
        while (seen.messages == 0) /* the first says that it has set itself up */
            uv_run(&own, UV_RUN_ONCE);
        _exit(write(ends[1], &pid, sizeof pid) != sizeof pid);
    }
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
    close(ends[0]);
    close(ends[1]);
    assert_true(pid > 0);
    for (int i = 0; i < 3000; i++) { /* gone, or a zombie of whoever inherited it */
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *file = fopen(path, "r");
        bool running = file && fgets(text, sizeof text, file) && !strstr(text, ") Z ");
        if (file)
            fclose(file);
        if (!running)
            return;
        usleep(10000);
    }
    kill(pid, SIGKILL);
    fail_msg("planner %d outlives its parent", pid);
}

static void a_missing_executable_is_told(void **state)
{
    char error[256] = "";
    const struct planner_options options = {.executable = "/nowhere/appmgr"};
    assert_null(planner_start(&loop, &options, &callbacks, &seen, error, sizeof error));
    assert_string_equal(error, "planner: cannot be started: No such file or directory");
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void by_hand_it_refuses(void **state)
{
    char error[256] = "";
    char *none[] = {(char[]){"planner"}};
    char *wrong[] = {(char[]){"planner"}, (char[]){"x"}, (char[]){"1"}, (char[]){"1"}};
    assert_int_equal(planner_enter(1, none, error, sizeof error), -1);
    assert_non_null(strstr(error, "not by hand"));
    assert_int_equal(planner_enter(4, wrong, error, sizeof error), -1);
}

static void the_end_of_the_program(void **state)
{
    struct planner *planner = start("hang");
    planner_destroy(planner);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(seen.exits, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void nothing_is_left_behind(void **state)
{
    static const char *const acts[] = {"echo", "crash", "garbage", "half frame", "last words"};
    unsigned before = 0;
    for (int i = 0; i < 25; i++) {
        if (i == 5)
            before = open_descriptors();
        struct planner *planner = start(acts[i % 5]);
        if (i % 5 == 0)
            planner_kill(planner);
        wait_for(&seen.exits, 1);
    }
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    return mkdtemp(folder) ? uv_loop_init(&loop) : -1;
}

static int tear_down(void **state)
{
    char command[sizeof folder + 16];
    free(seen.last);
    uv_run(&loop, UV_RUN_DEFAULT);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return uv_loop_close(&loop) != 0 || system(command) != 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "planner") == 0)
        return act_planner(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_go_both_ways),
        cmocka_unit_test(large_frames),
        cmocka_unit_test(a_hanging_planner_is_killed),
        cmocka_unit_test(what_waits_for_a_hanging_planner_is_bounded),
        cmocka_unit_test(a_crash_is_told),
        cmocka_unit_test(last_words_are_heard),
        cmocka_unit_test(killing_from_a_message),
        cmocka_unit_test(garbage_ends_it),
        cmocka_unit_test(cut_frames_are_not_delivered),
        cmocka_unit_test(a_closed_input_ends_it),
        cmocka_unit_test(prints_do_not_mix_with_frames),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_planner_begins_clean),
        cmocka_unit_test(it_dies_with_its_parent),
        cmocka_unit_test(a_missing_executable_is_told),
        cmocka_unit_test(by_hand_it_refuses),
        cmocka_unit_test(the_end_of_the_program),
        cmocka_unit_test(nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
