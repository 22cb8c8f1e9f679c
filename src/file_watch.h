/*
 * file_watch: tells when a file is written, replaced or removed.
 *
 * What is watched is the file's folder (inotify, through libuv): editors and installers replace a file by renaming
 * another one over it, and a watch on the file itself would go on looking at the old one. Owns its handle on the loop; never reads the
 * file, and says nothing of what changed: one write may be told several times.
 */
#ifndef APPMGR_FILE_WATCH_H
#define APPMGR_FILE_WATCH_H

#include <uv.h>

struct file_watch;

typedef void (*file_watch_fn)(void *data);

/*
 * Watches a file, which need not exist; its folder must. The path is copied, data is borrowed until file_watch_close.
 * Returns 0 or -errno (-ENOENT: no such folder; -ENOSPC: the user's inotify watches are used up).
 */
int file_watch_start(uv_loop_t *loop, const char *path, file_watch_fn on_change, void *data, struct file_watch **watch);

/* Ends it; on_change is not called any more. The memory is freed by a later turn of the loop. */
void file_watch_close(struct file_watch *watch);

#endif
