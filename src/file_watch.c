#include "file_watch.h"

#include <stdlib.h>
#include <string.h>

struct file_watch {
    uv_fs_event_t event;
    file_watch_fn on_change;
    void *data;
    char name[]; /* of the file in its folder */
};

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct file_watch *watch = event->data;
    (void)events;
    (void)status;
    /* Without a name anything may have happened. */
    if (!name || strcmp(name, watch->name) == 0)
        watch->on_change(watch->data);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void file_watch_close(struct file_watch *watch)
{
    uv_close((uv_handle_t *)&watch->event, on_closed);
}

/* The folder of a path, owned by the caller; "." without a slash. */
static char *folder_of(const char *path, const char *slash)
{
    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

int file_watch_start(uv_loop_t *loop, const char *path, file_watch_fn on_change, void *data, struct file_watch **result)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char *folder = folder_of(path, slash);
    struct file_watch *watch = calloc(1, sizeof *watch + strlen(name) + 1);

    if (!folder || !watch) {
        free(folder);
        free(watch);
        return UV_ENOMEM;
    }
    strcpy(watch->name, name);
    watch->on_change = on_change;
    watch->data = data;
    uv_fs_event_init(loop, &watch->event); /* always succeeds */
    watch->event.data = watch;
    int status = uv_fs_event_start(&watch->event, on_event, folder, 0);
    free(folder);
    if (status != 0)
        file_watch_close(watch);
    else
        *result = watch;
    return status;
}
