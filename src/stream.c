#include "stream.h"

#include <stdlib.h>
#include <string.h>

struct pending {
    uv_write_t request;
    stream_failed_fn failed;
    char bytes[];
};

static void on_written(uv_write_t *request, int status)
{
    struct pending *pending = request->data;
    uv_stream_t *stream = request->handle;
    stream_failed_fn failed = pending->failed;

    free(pending);
    if (status < 0 && status != UV_ECANCELED)
        failed(stream, status);
}

static size_t total_length(const uv_buf_t *parts, unsigned count)
{
    size_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += parts[i].len;
    return total;
}

/* Copies the parts without their first `skip` bytes. */
static void copy_rest(char *to, const uv_buf_t *parts, unsigned count, size_t skip)
{
    for (unsigned i = 0; i < count; i++) {
        size_t skipped = skip < parts[i].len ? skip : parts[i].len;
        skip -= skipped;
        memcpy(to, parts[i].base + skipped, parts[i].len - skipped);
        to += parts[i].len - skipped;
    }
}

int stream_write(uv_stream_t *stream, const uv_buf_t *parts, unsigned count, stream_failed_fn failed)
{
    int written = uv_try_write(stream, parts, count);
    if (written < 0 && written != UV_EAGAIN)
        return written;
    size_t done = written > 0 ? (size_t)written : 0;
    size_t total = total_length(parts, count);
    if (done == total)
        return 0;

    struct pending *pending = malloc(sizeof *pending + total - done);
    if (!pending)
        return UV_ENOMEM;
    copy_rest(pending->bytes, parts, count, done);
    pending->request.data = pending;
    pending->failed = failed;
    uv_buf_t rest = {.base = pending->bytes, .len = total - done};
    int result = uv_write(&pending->request, stream, &rest, 1, on_written);
    if (result < 0)
        free(pending);
    return result;
}

size_t stream_queued(const uv_stream_t *stream)
{
    return uv_stream_get_write_queue_size(stream);
}
