#include "runtime.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char executable[PATH_MAX], share_dir[PATH_MAX], keeper_path[PATH_MAX];

static const struct runtime_paths paths = {executable, share_dir, keeper_path};

const struct runtime_paths *runtime_paths(void)
{
    return &paths;
}

static int find_executable(char *error, size_t error_size)
{
    ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);

    if (length < 0) {
        snprintf(error, error_size, "cannot read /proc/self/exe: %s; is /proc mounted?", strerror(errno));
        return -1;
    }
    executable[length] = '\0';
    /* The kernel marks a program that was replaced by an upgrade. */
    static const char deleted[] = " (deleted)";
    size_t mark = sizeof deleted - 1;
    if ((size_t)length > mark && strcmp(executable + (size_t)length - mark, deleted) == 0)
        executable[(size_t)length - mark] = '\0';
    return 0;
}

/* Joins into `out` (PATH_MAX bytes); 0 when it fits and the probe below it is there. */
static int try_path(char *out, const char *base, const char *rest, const char *probe)
{
    char tested[PATH_MAX];

    if (snprintf(out, PATH_MAX, "%s/%s", base, rest) >= PATH_MAX ||
        snprintf(tested, sizeof tested, "%s%s", out, probe) >= (int)sizeof tested)
        return -1;
    return access(tested, F_OK);
}

static void go_up(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash)
        *slash = '\0';
}

int runtime_find(char *error, size_t error_size)
{
    char base[PATH_MAX], prefix[PATH_MAX];

    if (find_executable(error, error_size) != 0)
        return -1;
    snprintf(base, sizeof base, "%s", executable);
    go_up(base);
    snprintf(prefix, sizeof prefix, "%s", base);
    go_up(prefix);
    if (try_path(share_dir, base, "share/appmgr", "/lua") != 0 &&
        try_path(share_dir, prefix, "share/appmgr", "/lua") != 0) {
        snprintf(error, error_size,
                 "the Lua files are neither in %.1000s/share/appmgr nor in %.1000s/share/appmgr; "
                 "build with scripts/build.sh, or install with cmake --install",
                 base, prefix);
        return -1;
    }
    if (try_path(keeper_path, base, "appmgr-keeper", "") != 0 &&
        try_path(keeper_path, prefix, "lib/appmgr/appmgr-keeper", "") != 0)
        (void)try_path(keeper_path, base, "appmgr-keeper", "");
    return 0;
}
