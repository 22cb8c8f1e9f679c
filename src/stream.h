/*
 * stream: writing to a libuv stream without waiting.
 *
 * What the kernel takes at once is written at once; only the rest is copied and queued on the stream. Owns the
 * copies until they are written or the stream is closed. Sets no limit: who writes looks at stream_queued() first.
 */
#ifndef APPMGR_STREAM_H
#define APPMGR_STREAM_H

#include <stddef.h>
#include <uv.h>

/* Called on the loop when a queued write failed (not when the stream was closed). */
typedef void (*stream_failed_fn)(uv_stream_t *stream, int uv_error);

/*
 * Writes the parts in order, behind what is queued already. The parts are borrowed for the call. Returns 0, or a
 * libuv error; then nothing more can be written to this stream and the caller closes it.
 */
int stream_write(uv_stream_t *stream, const uv_buf_t *parts, unsigned count, stream_failed_fn failed);

/* Bytes that wait in the stream's queue. */
size_t stream_queued(const uv_stream_t *stream);

#endif
