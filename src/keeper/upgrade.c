#include "upgrade.h"
#include "output.h"
#include "records.h"
#include "server.h"
#include "spawn.h"
#include "start.h"
#include "tell.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHECK_MS = 10000 };

static const struct keeper_options *options;
static char own_path[PATH_MAX], program[PATH_MAX];
static pid_t check;
static int said_fd = -1;        /* what the check says */
static uint64_t until_ms;
static bool is_checked;

void upgrade_prepare(const struct keeper_options *given)
{
    options = given;
    /* Now, while it is the path of what runs: a package puts another file there. */
    if (readlink("/proc/self/exe", own_path, sizeof own_path - 1) < 0)
        own_path[0] = '\0';
}

/* Its process is in our memory, and writes to the records. */
static const char *say_under_way(void)
{
    static char text[WIRE_ID_MAX + 128];

    snprintf(text, sizeof text, "%s is being started and has not begun to run; stop it, or upgrade when it has", start_under_way());
    return text;
}

const char *upgrade_begin(const char *wanted)
{
    char *const arguments[] = {program, (char[]){"--check-records"}, (char[]){"--state-dir"},
                               (char *)(uintptr_t)options->directory, NULL};
    struct spawn_request request = {.argv = arguments, .environment = environ, .files = options->files};
    static char refusal[PATH_MAX + 512];
    struct spawn_result result;
    int pair[2];

    if (check || is_checked)
        return "an upgrade is under way already";
    snprintf(program, sizeof program, "%s", wanted ? wanted : own_path);
    if (program[0] != '/')
        return "the new program must be given by its absolute path";
    if (start_under_way())
        return say_under_way();
    if (!records_write_anew())
        return records_trouble();
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) != 0)
        return strerror(errno);
    request.input_fd = pair[0];
    request.output_fd = pair[1];
    spawn_process(&request, &result);
    close(pair[1]);
    if (result.error) {
        close(pair[0]);
        snprintf(refusal, sizeof refusal, "%s: cannot be executed: %s; the keeper goes on as it is", program,
                 strerror(result.error));
        return refusal;
    }
    check = result.pid;
    said_fd = pair[0];
    until_ms = watch_now_ms() + CHECK_MS;
    return NULL;
}

static void fail(const char *what, const char *why)
{
    char text[PATH_MAX + 512];

    snprintf(text, sizeof text, "%s: %s: %s; the keeper goes on as it is", program, what, why);
    tell_upgrade_failed(text);
    is_checked = false;
}

bool upgrade_check_ended(pid_t pid, int code)
{
    char said[256] = "";

    if (pid != check)
        return false;
    check = 0;
    is_checked = code == 0;
    until_ms = watch_now_ms() + CHECK_MS;
    if (!is_checked) {
        if (read(said_fd, said, sizeof said - 1) <= 0)
            snprintf(said, sizeof said, "it ended with %d", code);
        said[strcspn(said, "\n")] = '\0';
        fail("cannot take over the records", said);
    }
    close(said_fd);
    return true;
}

static void execute(void)
{
    char inherited[32], linger[24];
    char *const arguments[] = {(char[]){"appmgr-keeper"}, (char[]){"--state-dir"}, (char *)(uintptr_t)options->directory,
                               (char[]){"--linger-ms"}, linger, (char[]){"--inherit"}, inherited, NULL};
    const int fds[] = {options->lock_fd, server_listener()};
    struct rlimit raised;

    if (!records_write_anew()) { /* the program would go on from what was once, and end what is now */
        fail("not executed", records_trouble());
        return;
    }
    snprintf(linger, sizeof linger, "%" PRIu64, options->linger_ms);
    snprintf(inherited, sizeof inherited, "%d,%d", fds[0], fds[1]);
    for (int i = 0; i < 2; i++)
        fcntl(fds[i], F_SETFD, 0);
    getrlimit(RLIMIT_NOFILE, &raised);
    setrlimit(RLIMIT_NOFILE, &options->files);
    execve(program, arguments, environ);
    fail("cannot be executed", strerror(errno));
    setrlimit(RLIMIT_NOFILE, &raised);
    for (int i = 0; i < 2; i++)
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
}

void upgrade_run(void)
{
    bool late = (check || is_checked) && watch_now_ms() >= until_ms;

    if (is_checked && output_is_settled() && !start_under_way())
        execute();
    else if (late && check) {
        kill(check, SIGKILL);
        until_ms += CHECK_MS; /* its end is waited for, not looked for */
    } else if (late)
        fail("not executed", start_under_way() ? say_under_way() : "the logger does not take all output");
    if (check || is_checked)
        watch_wake_at(until_ms);
}
