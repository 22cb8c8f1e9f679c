#include "planner.h"

#include "child_environment.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream.h"

enum { READ_SIZE = 64 * 1024, HEADER_SIZE = 4, HANDLES = 3 };

struct planner {
    uv_pipe_t input, output; /* as the planner sees them: we write the one and read the other */
    uv_poll_t exit; /* on the pidfd, readable when the process has ended */
    int pidfd;
    pid_t pid;
    struct planner_callbacks callbacks;
    void *data;
    char *frame; /* header and payload of the frame that is arriving */
    size_t used, capacity;
    unsigned open_handles;
    bool killed; /* nothing is delivered any more */
    bool reaped;
    char reason[128];
};

/* ---- its end ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct planner *planner = handle->data;
    if (--planner->open_handles > 0)
        return;
    free(planner->frame);
    free(planner);
}

static void close_handles(struct planner *planner)
{
    uv_close((uv_handle_t *)&planner->input, on_handle_closed);
    uv_close((uv_handle_t *)&planner->output, on_handle_closed);
    uv_close((uv_handle_t *)&planner->exit, on_handle_closed);
    close(planner->pidfd);
}

/* The first reason counts: what follows is its consequence. */
static void kill_for(struct planner *planner, const char *reason)
{
    if (planner->killed || planner->reaped)
        return;
    planner->killed = true;
    snprintf(planner->reason, sizeof planner->reason, "%s", reason);
    kill(planner->pid, SIGKILL);
}

void planner_kill(struct planner *planner)
{
    kill_for(planner, "killed");
}

static void reap(struct planner *planner)
{
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)planner->pid, &info, WEXITED) != 0 && errno == EINTR)
        ;
    planner->reaped = true;
    if (planner->reason[0])
        return;
    if (info.si_code == CLD_EXITED)
        snprintf(planner->reason, sizeof planner->reason, "exited with code %d", info.si_status);
    else if (info.si_status == SIGSYS)
        snprintf(planner->reason, sizeof planner->reason,
                 "ended by signal %d (%s): it tried what a planner may not do", info.si_status, strsignal(info.si_status));
    else
        snprintf(planner->reason, sizeof planner->reason, "ended by signal %d (%s)", info.si_status,
                 strsignal(info.si_status));
}

/* ---- frames that arrive ---- */

static uint32_t frame_length(const char *header)
{
    const unsigned char *byte = (const unsigned char *)header;
    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

/* Grows with what really arrives: a length alone, which may be garbage, costs no memory. */
static bool make_room(struct planner *planner, size_t size)
{
    if (size <= planner->capacity)
        return true;
    size_t capacity = planner->capacity ? planner->capacity : READ_SIZE;
    while (capacity < size)
        capacity *= 2;
    char *larger = realloc(planner->frame, capacity);
    if (!larger)
        return false;
    planner->frame = larger;
    planner->capacity = capacity;
    return true;
}

/* Delivers the frame if it is complete. */
static void finish_frame(struct planner *planner)
{
    size_t length = planner->used >= HEADER_SIZE ? frame_length(planner->frame) : 0;
    if (planner->used < HEADER_SIZE || planner->used < HEADER_SIZE + length)
        return;
    planner->used = 0;
    planner->callbacks.on_message(planner, planner->frame + HEADER_SIZE, length, planner->data);
    if (planner->capacity > READ_SIZE) { /* a large frame is an exception */
        free(planner->frame);
        planner->frame = NULL;
        planner->capacity = 0;
    }
}

/* How many bytes the arriving frame still lacks, as far as known: its header first. */
static size_t bytes_wanted(const struct planner *planner)
{
    if (planner->used < HEADER_SIZE)
        return HEADER_SIZE - planner->used;
    return HEADER_SIZE + frame_length(planner->frame) - planner->used;
}

static void take_bytes(struct planner *planner, const char *bytes, size_t length)
{
    while (length > 0 && !planner->killed) {
        size_t wanted = bytes_wanted(planner);
        size_t part = wanted < length ? wanted : length;
        if (!make_room(planner, planner->used + part)) {
            kill_for(planner, "killed: no memory for what it sent");
            return;
        }
        memcpy(planner->frame + planner->used, bytes, part);
        planner->used += part;
        bytes += part;
        length -= part;
        if (planner->used == HEADER_SIZE && frame_length(planner->frame) > PLANNER_MAX_FRAME)
            kill_for(planner, "killed: it sent garbage");
        else
            finish_frame(planner);
    }
}

/* One buffer serves all planners: what was read is used up before the next read. */
static char read_buffer[READ_SIZE];

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct planner *planner = stream->data;
    if (count > 0)
        take_bytes(planner, buffer->base, (size_t)count);
    else if (count < 0)
        uv_read_stop(stream); /* it ends, or will be killed by who waits for its answer */
}

/* What it wrote before it ended may still lie in the pipe. */
static void drain(struct planner *planner)
{
    uv_os_fd_t fd;
    uv_read_stop((uv_stream_t *)&planner->output);
    if (uv_fileno((uv_handle_t *)&planner->output, &fd) < 0)
        return;
    for (;;) {
        ssize_t got = read(fd, read_buffer, sizeof read_buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || planner->killed)
            return;
        take_bytes(planner, read_buffer, (size_t)got);
    }
}

static void on_exit_ready(uv_poll_t *poll, int status, int events)
{
    struct planner *planner = poll->data;
    (void)status;
    (void)events;
    uv_poll_stop(poll);
    drain(planner);
    reap(planner);
    planner->callbacks.on_exit(planner, planner->reason, planner->data);
    close_handles(planner);
}

void planner_destroy(struct planner *planner)
{
    kill_for(planner, "killed");
    reap(planner);
    close_handles(planner);
}

/* ---- sending ---- */

static void on_write_failed(uv_stream_t *stream, int uv_error)
{
    struct planner *planner = stream->data;
    (void)uv_error;
    kill_for(planner, "killed: it closed its input");
}

int planner_send(struct planner *planner, const char *bytes, size_t length)
{
    uv_stream_t *stream = (uv_stream_t *)&planner->input;
    if (planner->killed || planner->reaped)
        return -EPIPE;
    if (length > PLANNER_MAX_FRAME)
        return -EMSGSIZE;
    if (stream_queued(stream) + length > PLANNER_MAX_QUEUE)
        return -ENOBUFS;
    char header[HEADER_SIZE];
    for (unsigned i = 0; i < HEADER_SIZE; i++)
        header[i] = (char)(length >> (8 * i) & 0xff);
    uv_buf_t parts[] = {{.base = header, .len = sizeof header}, {.base = (char *)(uintptr_t)bytes, .len = length}};
    int result = stream_write(stream, parts, 2, on_write_failed);
    if (result < 0)
        kill_for(planner, result == UV_ENOMEM ? "killed: no memory to feed it" : "killed: it closed its input");
    return result < 0 ? -EPIPE : 0;
}

pid_t planner_pid(const struct planner *planner)
{
    return planner->pid;
}

/* ---- starting ---- */

/*
 * posix_spawn does not copy the parent's memory. The child begins with default signals, in a process group of its own
 * (a Ctrl-C at the agent's terminal is the agent's affair), and with the three standard descriptors alone.
 */
static int spawn(const struct planner_options *options, int input, int output, pid_t *pid)
{
    char name[32], role[16], parent[16], memory_mb[16], cpu_s[16];
    snprintf(role, sizeof role, "%s", options->role ? options->role : "planner");
    snprintf(name, sizeof name, "appmgr-%s", role);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    snprintf(memory_mb, sizeof memory_mb, "%u", options->memory_mb);
    snprintf(cpu_s, sizeof cpu_s, "%u", options->cpu_s);
    char *arguments[] = {name, role, parent, memory_mb, cpu_s, NULL};
    const char *executable = options->executable ? options->executable : "/proc/self/exe";
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *environment[CHILD_ENVIRONMENT_SIZE];
    sigset_t none, all;

    child_environment(environment);
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int result = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (result == 0)
        result = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (result == 0)
        result = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (result == 0)
        result = posix_spawn(pid, executable, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -result;
}

/* Our ends of two pipes, the process between them, and its pidfd; -1 where there is none. */
struct ends {
    int input, output, pidfd;
    pid_t pid;
};

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void end_process(const struct ends *ends)
{
    close_fd(ends->input);
    close_fd(ends->output);
    close_fd(ends->pidfd);
    if (ends->pid <= 0)
        return;
    kill(ends->pid, SIGKILL);
    while (waitpid(ends->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static int open_process(const struct planner_options *options, struct ends *ends)
{
    int input[2] = {-1, -1}, output[2] = {-1, -1}, result = 0;
    *ends = (struct ends){.input = -1, .output = -1, .pidfd = -1};
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        result = -errno;
    if (result == 0)
        result = spawn(options, input[0], output[1], &ends->pid);
    if (result == 0) {
        ends->pidfd = pidfd_open(ends->pid, 0);
        result = ends->pidfd < 0 ? -errno : 0;
    }
    close_fd(input[0]);
    close_fd(output[1]);
    ends->input = input[1];
    ends->output = output[0];
    if (result < 0)
        end_process(ends);
    return result;
}

/* Puts the ends on the loop, which owns the pipes' from then on. */
static int watch(struct planner *planner, uv_loop_t *loop, const struct ends *ends)
{
    int result = uv_poll_init(loop, &planner->exit, ends->pidfd); /* first: the only one that can fail */
    if (result < 0)
        return result;
    uv_pipe_init(loop, &planner->input, 0);
    uv_pipe_init(loop, &planner->output, 0);
    planner->input.data = planner->output.data = planner->exit.data = planner;
    planner->open_handles = HANDLES;
    planner->pidfd = ends->pidfd;
    planner->pid = ends->pid;
    uv_poll_start(&planner->exit, UV_READABLE, on_exit_ready);
    if (uv_pipe_open(&planner->input, ends->input) < 0 || uv_pipe_open(&planner->output, ends->output) < 0 ||
        uv_read_start((uv_stream_t *)&planner->output, give_buffer, on_read) < 0)
        kill_for(planner, "killed: its pipes cannot be watched");
    return 0;
}

struct planner *planner_start(uv_loop_t *loop, const struct planner_options *options,
                              const struct planner_callbacks *callbacks, void *data, char *error, size_t error_size)
{
    struct ends ends;
    struct planner *planner = calloc(1, sizeof *planner);
    int result = planner ? open_process(options, &ends) : -ENOMEM;

    if (result < 0) {
        snprintf(error, error_size, "planner: cannot be started: %s", strerror(-result));
        free(planner);
        return NULL;
    }
    planner->callbacks = *callbacks;
    planner->data = data;
    result = watch(planner, loop, &ends);
    if (result == 0)
        return planner;
    snprintf(error, error_size, "planner: cannot be watched: %s", uv_strerror(result));
    end_process(&ends);
    free(planner);
    return NULL;
}
