#include "host_parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes the next line off *cursor; the line is borrowed from the text and not terminated. */
static bool next_line(const char **cursor, const char **line, size_t *length)
{
    if (**cursor == '\0')
        return false;
    *line = *cursor;
    *length = strcspn(*cursor, "\n");
    *cursor += *length + ((*cursor)[*length] == '\n' ? 1 : 0);
    return true;
}

/* The value of a "key : 123" line, when the line has that key and a number. */
static bool line_number(const char *line, size_t length, const char *key, uint64_t *value)
{
    size_t key_length = strlen(key);
    if (length <= key_length || strncmp(line, key, key_length) != 0)
        return false;
    size_t at = key_length;
    while (at < length && (line[at] == ' ' || line[at] == '\t'))
        at++;
    if (at >= length || line[at] != ':')
        return false;
    do
        at++;
    while (at < length && (line[at] == ' ' || line[at] == '\t'));
    if (at >= length || !isdigit((unsigned char)line[at]))
        return false;
    *value = strtoull(line + at, NULL, 10);
    return true;
}

/* ---- cpuinfo ---- */

struct core_list {
    uint64_t *ids; /* socket in the upper half, core in the lower */
    size_t count, capacity;
};

static int core_list_add(struct core_list *list, uint64_t id)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        uint64_t *ids = realloc(list->ids, capacity * sizeof *ids);
        if (!ids)
            return -ENOMEM;
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return 0;
}

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void core_list_count(struct core_list *list, struct host_cpu *out)
{
    if (list->count == 0)
        return;
    qsort(list->ids, list->count, sizeof *list->ids, compare_ids);
    out->cores = out->sockets = 1;
    for (size_t i = 1; i < list->count; i++) {
        out->cores += list->ids[i] != list->ids[i - 1];
        out->sockets += list->ids[i] >> 32 != list->ids[i - 1] >> 32;
    }
}

int host_parse_cpuinfo(const char *text, struct host_cpu *out)
{
    struct core_list list = {0};
    uint64_t number, socket = 0, core = 0;
    const char *line;
    size_t length;
    int result = 0;

    *out = (struct host_cpu){0};
    while (result == 0 && next_line(&text, &line, &length)) {
        if (line_number(line, length, "processor", &number)) {
            if (out->processors++ > 0)
                result = core_list_add(&list, socket << 32 | core);
            socket = 0;
            core = number; /* where nothing else is said, a processor is a core */
        } else if (line_number(line, length, "physical id", &number)) {
            socket = number & UINT32_MAX;
        } else if (line_number(line, length, "core id", &number)) {
            core = number & UINT32_MAX;
        }
    }
    if (result == 0 && out->processors > 0)
        result = core_list_add(&list, socket << 32 | core);
    if (result == 0)
        core_list_count(&list, out);
    free(list.ids);
    return result;
}

/* ---- meminfo, loadavg, stat ---- */

void host_parse_meminfo(const char *text, struct host_memory *out)
{
    const struct {
        const char *key;
        uint64_t *value;
    } fields[] = {
        {"MemTotal", &out->total_bytes},      {"MemFree", &out->free_bytes},       {"MemAvailable", &out->available_bytes},
        {"SwapTotal", &out->swap_total_bytes}, {"SwapFree", &out->swap_free_bytes},
    };
    bool has_available = false;
    const char *line;
    size_t length;
    uint64_t kilobytes;

    *out = (struct host_memory){0};
    while (next_line(&text, &line, &length)) {
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            if (!line_number(line, length, fields[i].key, &kilobytes))
                continue;
            *fields[i].value = kilobytes * 1024;
            has_available |= fields[i].value == &out->available_bytes;
        }
    }
    if (!has_available)
        out->available_bytes = out->free_bytes;
}

int host_parse_loadavg(const char *text, struct host_load *out)
{
    if (sscanf(text, "%lf %lf %lf", &out->one, &out->five, &out->fifteen) == 3)
        return 0;
    *out = (struct host_load){0};
    return -EINVAL;
}

int host_parse_stat(const char *text, struct host_stat *out)
{
    uint64_t user, system;
    int64_t reaped_user, reaped_system;
    const char *rest = strrchr(text, ')'); /* the last one ends the name, whatever the name holds */

    *out = (struct host_stat){0};
    if (!rest)
        return -EINVAL;
    /* After the name stand fields 3 (state) to 52; we take 4, 6, 14 to 17, 22 and 24. */
    int found = sscanf(rest + 1,
                       " %*c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNd64
                       " %*d %*d %*d %*d %" SCNu64 " %*u %" SCNu64,
                       &out->parent, &out->session, &user, &system, &reaped_user, &reaped_system, &out->start_ticks,
                       &out->resident_pages);
    if (found != 8) {
        *out = (struct host_stat){0};
        return -EINVAL;
    }
    out->cpu_ticks = user + system;
    out->reaped_cpu_ticks = (uint64_t)reaped_user + (uint64_t)reaped_system;
    return 0;
}

/* ---- mountinfo ---- */

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

/*
 * Does this filesystem hold this machine's own data? Major 0 means "no block device": pseudo and network
 * filesystems, but also a few real ones, and the overlay that is a container's root.
 */
static bool is_real(const struct host_mount *mount)
{
    static const char *const real_without_device[] = {"btrfs", "zfs", "bcachefs", "ubifs", NULL};
    static const char *const images[] = {"squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs", NULL};
    static const char *const clustered[] = {"gfs2", "ocfs2", "lustre", NULL};

    if (strncmp(mount->type, "fuse", 4) == 0 || is_one_of(mount->type, images) || is_one_of(mount->type, clustered))
        return false;
    if (mount->major != 0 || is_one_of(mount->type, real_without_device))
        return true;
    return strcmp(mount->type, "overlay") == 0 && strcmp(mount->mount_point, "/") == 0;
}

/* A copy of a field of mountinfo with its escapes (\040 for a space) undone; NULL without memory. */
static char *unescape(const char *field, size_t length)
{
    char *copy = malloc(length + 1), *to = copy;
    if (!copy)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        bool escaped = field[i] == '\\' && i + 3 < length && field[i + 1] >= '0' && field[i + 1] <= '3' &&
                       field[i + 2] >= '0' && field[i + 2] <= '7' && field[i + 3] >= '0' && field[i + 3] <= '7';
        if (escaped) {
            *to++ = (char)((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 | (field[i + 3] - '0'));
            i += 3;
        } else {
            *to++ = field[i];
        }
    }
    *to = '\0';
    return copy;
}

/* A field of a line, by its number from 0; its length is 0 when there is none. */
static const char *field_at(const char *line, size_t length, unsigned number, size_t *field_length)
{
    size_t at = 0;
    for (; number > 0 && at < length; at++)
        number -= line[at] == ' ';
    size_t end = at;
    while (end < length && line[end] != ' ')
        end++;
    *field_length = number == 0 ? end - at : 0;
    return line + at;
}

static void mount_free(struct host_mount *mount)
{
    free(mount->device);
    free(mount->mount_point);
    free(mount->type);
}

/* 1: parsed, the mount's strings are owned; 0: not a line of mountinfo; -ENOMEM. */
static int parse_mount(const char *line, size_t length, struct host_mount *mount)
{
    size_t ids_length, point_length, type_length, device_length;
    const char *ids = field_at(line, length, 2, &ids_length);
    const char *point = field_at(line, length, 4, &point_length);
    const char *rest = memmem(line, length, " - ", 3); /* after any number of optional fields */

    *mount = (struct host_mount){0};
    if (!rest || point_length == 0 || sscanf(ids, "%u:%u", &mount->major, &mount->minor) != 2)
        return 0;
    rest += 3;
    size_t rest_length = length - (size_t)(rest - line);
    const char *type = field_at(rest, rest_length, 0, &type_length);
    const char *device = field_at(rest, rest_length, 1, &device_length);
    if (type_length == 0 || device_length == 0)
        return 0;

    mount->type = unescape(type, type_length);
    mount->device = unescape(device, device_length);
    mount->mount_point = unescape(point, point_length);
    if (mount->type && mount->device && mount->mount_point)
        return 1;
    mount_free(mount);
    return -ENOMEM;
}

/* Removes what was mounted at this path before: a later mount hides it. */
static void mounts_hide(struct host_mounts *list, const char *mount_point)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].mount_point, mount_point) == 0)
            mount_free(&list->items[i]);
        else
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

/*
 * Takes a mount into the list, each filesystem once, under the shortest path that shows it. Merged as we go and not
 * at the end: machines that run containers have thousands of mounts of few filesystems. Takes the mount's strings.
 */
static int mounts_merge(struct host_mounts *list, struct host_mount *mount)
{
    for (size_t i = 0; i < list->count; i++) {
        struct host_mount *same = &list->items[i];
        if (same->major != mount->major || same->minor != mount->minor)
            continue;
        bool shorter = strlen(mount->mount_point) < strlen(same->mount_point);
        mount_free(shorter ? same : mount);
        if (shorter)
            *same = *mount;
        return 0;
    }
    struct host_mount *items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (!items) {
        mount_free(mount);
        return -ENOMEM;
    }
    list->items = items;
    items[list->count++] = *mount;
    return 0;
}

int host_parse_mountinfo(const char *text, struct host_mounts *out)
{
    const char *line;
    size_t length;

    *out = (struct host_mounts){0};
    while (next_line(&text, &line, &length)) {
        struct host_mount mount;
        int result = parse_mount(line, length, &mount);
        if (result == 0)
            continue;
        if (result == 1) {
            mounts_hide(out, mount.mount_point);
            if (is_real(&mount))
                result = mounts_merge(out, &mount);
            else
                mount_free(&mount);
        }
        if (result < 0) {
            host_mounts_free(out);
            return result;
        }
    }
    return 0;
}

void host_mounts_free(struct host_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++)
        mount_free(&mounts->items[i]);
    free(mounts->items);
    *mounts = (struct host_mounts){0};
}
