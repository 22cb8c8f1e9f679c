/*
 * guard: runs one test program under a watchdog and sees that nothing survives it.
 *
 *     guard SECONDS COMMAND [ARGUMENT...]
 *
 * It is the subreaper of all that the command starts: a daemon that detached
 * itself becomes its child, so what is left behind is known by id and by nobody's name.
 * What is left 6 s after the command ended (a keeper that nobody ends lingers for 10) is told, killed, and fails the run.
 * It never looks at processes that are not its descendants.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_S 6
#define MAX_CHILDREN 4096

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Fills `children` with the ids of our direct children; returns their number. */
static size_t children_of_ours(pid_t *children, size_t capacity)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    size_t count = 0;
    int pid;
    if (file == NULL)
        return 0;
    while (count < capacity && fscanf(file, "%d", &pid) == 1)
        children[count++] = pid;
    fclose(file);
    return count;
}

static void tell_command_line(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "re");
    size_t length = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL)
        fclose(file);
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    text[length] = '\0';
    fprintf(stderr, "guard: left behind: %d %s\n", (int)pid, text);
}

/* Reaps what has ended; returns true when `command` was among it, with its status. */
static bool reap(pid_t command, int *status)
{
    bool ended = false;
    int one;
    pid_t pid;
    while ((pid = waitpid(-1, &one, WNOHANG)) > 0)
        if (pid == command) {
            *status = one;
            ended = true;
        }
    return ended;
}

/* Waits for SIGCHLD or a request to end; returns that signal, 0 when `seconds` passed. */
static int await_signal(const sigset_t *signals, double seconds)
{
    struct timespec timeout = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int signal = sigtimedwait(signals, NULL, &timeout);
    return signal > 0 ? signal : 0;
}

/* Kills our children, and those that become ours by that, until none is left. */
static void kill_everything(const sigset_t *signals)
{
    static pid_t children[MAX_CHILDREN];
    size_t count;
    int status;
    while ((count = children_of_ours(children, MAX_CHILDREN)) > 0) {
        for (size_t i = 0; i < count; i++)
            kill(children[i], SIGKILL);
        await_signal(signals, 0.05);
        reap(-1, &status);
    }
}

/* Waits until all descendants have ended, then tells and kills the rest; returns their number. */
static size_t sweep(const sigset_t *signals)
{
    static pid_t children[MAX_CHILDREN];
    double limit = now_s() + GRACE_S;
    size_t count;
    int status;
    reap(-1, &status);
    while ((count = children_of_ours(children, MAX_CHILDREN)) > 0 && now_s() < limit) {
        await_signal(signals, 0.1);
        reap(-1, &status);
    }
    for (size_t i = 0; i < count; i++)
        tell_command_line(children[i]);
    kill_everything(signals);
    return count;
}

static pid_t start(char **argv, const sigset_t *unblocked)
{
    pid_t pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, unblocked, NULL);
        execvp(argv[0], argv);
        fprintf(stderr, "guard: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    return pid;
}

/* Runs until the command ends; returns its exit code, 124 when it had to be stopped. */
static int watch(pid_t command, double seconds, const sigset_t *signals)
{
    double limit = now_s() + seconds;
    int status = 0;
    while (!reap(command, &status)) {
        double left = limit - now_s();
        int signal = left > 0 ? await_signal(signals, left) : 0;
        if (signal == SIGTERM || signal == SIGINT || (signal == 0 && left <= 0)) {
            fprintf(stderr, "guard: %s after %.0f s, everything it started is killed\n",
                    signal == 0 ? "not done" : "told to end", seconds - left);
            kill_everything(signals);
            return 124;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    sigset_t signals, before;
    if (argc < 3 || atof(argv[1]) <= 0) {
        fprintf(stderr, "usage: guard SECONDS COMMAND [ARGUMENT...]\n");
        return 2;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, &before);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    pid_t command = start(argv + 2, &before);
    if (command < 0) {
        fprintf(stderr, "guard: fork: %s\n", strerror(errno));
        return 1;
    }
    int code = watch(command, atof(argv[1]), &signals);
    size_t left = code == 124 ? 0 : sweep(&signals);
    return code != 0 ? code : left > 0;
}
