#include "cgroup_find.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What one line of mountinfo says; paths are unescaped. */
struct mount {
    char root[PATH_MAX], point[PATH_MAX], type[32];
    bool read_only;
};

static bool is_octal(const char *text)
{
    for (int i = 0; i < 3; i++)
        if (text[i] < '0' || text[i] > '7')
            return false;
    return true;
}

/* Copies a field up to the next blank, with `\040` as the character it stands for. Returns what follows it. */
static const char *take(const char *at, char *field, size_t size)
{
    size_t length = 0;

    for (; *at && *at != ' ' && *at != '\n'; at++) {
        char character = *at;

        if (character == '\\' && is_octal(at + 1)) {
            character = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            at += 3;
        }
        if (length + 1 < size)
            field[length++] = character;
    }
    field[length] = '\0';
    return *at == ' ' ? at + 1 : at;
}

/* The fields that matter: root, mount point, options; behind the lone dash the type. Returns false for another line. */
static bool read_mount(const char *line, struct mount *mount)
{
    const char *end = strchrnul(line, '\n'), *dash = strstr(line, " - ");
    char field[64];

    if (!dash || dash > end)
        return false;
    for (int i = 0; i < 3; i++)
        line = take(line, field, sizeof field);
    line = take(line, mount->root, sizeof mount->root);
    line = take(line, mount->point, sizeof mount->point);
    take(line, field, sizeof field);
    take(dash + 3, mount->type, sizeof mount->type);
    mount->read_only = strncmp(field, "ro", 2) == 0 && (field[2] == ',' || !field[2]);
    return mount->root[0] == '/' && mount->point[0] == '/';
}

/* The path of the line that belongs to the unified hierarchy: "0::/path". */
static bool own_path(const char *own, char *path, size_t size)
{
    while (*own) {
        size_t length = strcspn(own, "\n");

        if (strncmp(own, "0::/", 4) == 0 && length - 3 < size) {
            memcpy(path, own + 3, length - 3);
            path[length - 3] = '\0';
            return true;
        }
        own += length + (own[length] == '\n');
    }
    return false;
}

/* What of `path` is below `root`: "" for the root itself, "/a/b" below it, NULL when it is somewhere else. */
static const char *below(const char *path, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

    if (strncmp(path, "/..", 3) == 0 || strncmp(path, root, length) != 0)
        return NULL;
    path += length;
    if (strcmp(path, "/") == 0)
        return "";
    return *path == '/' || !*path ? path : NULL;
}

int cgroup_find(const char *mountinfo, const char *own, char *path, size_t size)
{
    static struct mount mount;
    static char self[PATH_MAX];
    int result = -ENOENT;

    if (!own_path(own, self, sizeof self))
        return -ENOENT;
    for (const char *line = mountinfo; *line; line += *line == '\n') {
        const char *rest;
        bool is_ours = read_mount(line, &mount) && strcmp(mount.type, "cgroup2") == 0;

        line = strchrnul(line, '\n');
        if (!is_ours)
            continue;
        rest = below(self, mount.root);
        if (rest && !mount.read_only)
            return snprintf(path, size, "%s%s", mount.point, rest) < (int)size ? 0 : -ENAMETOOLONG;
        result = rest ? -EROFS : result == -EROFS ? result : -EXDEV;
    }
    return result;
}
