#include "keeper_start.h"

#include "child_environment.h"

#include "loop.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { SAID_SIZE = 512 };

struct keeper_start {
    uv_process_t process;
    uv_pipe_t errors;
    keeper_start_fn done;       /* NULL: forgotten */
    void *data;
    unsigned open_handles;
    int64_t exit_status;
    int signal;
    size_t said_size;
    char said[SAID_SIZE];       /* what it wrote to stderr */
};

/* Both the exit and the end of stderr have come. */
static void on_closed(uv_handle_t *handle)
{
    struct keeper_start *start = handle->data;

    if (--start->open_handles > 0)
        return;
    if (start->exit_status != 0 && start->said_size == 0)
        snprintf(start->said, sizeof start->said, "the keeper ended at its start (exit code %d, signal %d)",
                 (int)start->exit_status, start->signal);
    start->said[strcspn(start->said, "\n")] = '\0';
    if (start->done)
        start->done(start->exit_status || start->signal ? start->said : NULL, start->data);
    free(start);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal_number)
{
    struct keeper_start *start = process->data;

    start->exit_status = status;
    start->signal = signal_number;
    uv_close((uv_handle_t *)process, on_closed);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct keeper_start *start = handle->data;
    static char rest[256];

    (void)suggested;
    if (start->said_size < SAID_SIZE - 1)
        *buffer = uv_buf_init(start->said + start->said_size, (unsigned)(SAID_SIZE - 1 - start->said_size));
    else
        *buffer = uv_buf_init(rest, sizeof rest);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct keeper_start *start = stream->data;

    if (got < 0)
        uv_close((uv_handle_t *)stream, on_closed);
    else if (buffer->base >= start->said && buffer->base < start->said + SAID_SIZE)
        start->said_size += (size_t)got;
}

static int spawn(struct keeper_start *start, const char *keeper_path, const char *state_dir)
{
    char option[] = "--state-dir", detach[] = "--detach", name[] = "appmgr-keeper";
    char *arguments[] = {name, option, (char *)(uintptr_t)state_dir, detach, NULL};
    char *environment[CHILD_ENVIRONMENT_SIZE];
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE}, {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&start->errors}};
    uv_process_options_t options = {
        .file = keeper_path, .args = arguments, .env = environment, .exit_cb = on_exit_status,
        .flags = UV_PROCESS_DETACHED, .stdio = stdio, .stdio_count = 3,
    };

    child_environment(environment);
    return uv_spawn(loop_uv(), &start->process, &options);
}

void keeper_start_forget(struct keeper_start *start)
{
    start->done = NULL;
    if (!uv_is_closing((uv_handle_t *)&start->process))
        uv_close((uv_handle_t *)&start->process, on_closed);
    if (!uv_is_closing((uv_handle_t *)&start->errors))
        uv_close((uv_handle_t *)&start->errors, on_closed);
}

struct keeper_start *keeper_start(const char *keeper_path, const char *state_dir, keeper_start_fn done, void *data,
                                  char *error, size_t error_size)
{
    struct keeper_start *start = calloc(1, sizeof *start);
    int result;

    if (!start) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    start->data = data;
    start->open_handles = 2;
    uv_pipe_init(loop_uv(), &start->errors, 0);
    start->process.data = start->errors.data = start;
    result = spawn(start, keeper_path, state_dir);
    if (result == 0)
        result = uv_read_start((uv_stream_t *)&start->errors, give_buffer, on_read);
    if (result == 0) {
        start->done = done;
        return start;
    }
    /* Freed when its handles are closed, without `done`. */
    snprintf(error, error_size, "%s: %s", keeper_path, uv_strerror(result));
    keeper_start_forget(start);
    return NULL;
}
