#include "cgroup_home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *const names[CGROUP_CONTROLLER_COUNT] = {"memory", "cpu", "pids"};

static char lacks[CGROUP_CONTROLLER_COUNT][128] = {
    "no cgroup may be made here", "no cgroup may be made here", "no cgroup may be made here",
};

/* --- files --- */

int cgroup_read(int directory_fd, const char *path, char *text, size_t size)
{
    int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC), error;
    size_t used = 0;
    ssize_t got = 0;

    text[0] = '\0';
    if (fd < 0)
        return -errno;
    while (used < size - 1 && (got = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    error = got < 0 ? -errno : 0;
    text[used] = '\0';
    close(fd);
    return error;
}

int cgroup_write(int directory_fd, const char *path, const char *text)
{
    int fd = openat(directory_fd, path, O_WRONLY | O_CLOEXEC), error;

    if (fd < 0)
        return -errno;
    error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return error;
}

/* --- directories --- */

void cgroup_walk(int directory_fd, int levels, cgroup_visit visit, void *data)
{
    char entries[2048] __attribute__((aligned(8)));
    ssize_t size;

    lseek(directory_fd, 0, SEEK_SET);
    while ((size = getdents64(directory_fd, entries, sizeof entries)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const struct dirent64 *entry = (const void *)(entries + at);
            int fd = -1;

            at += entry->d_reclen;
            if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
                continue;
            if (levels > 1 && (fd = openat(directory_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
                cgroup_walk(fd, levels - 1, visit, data);
            if (fd >= 0)
                close(fd);
            visit(directory_fd, entry->d_name, data);
        }
    }
}

static void remove_one(int parent_fd, const char *name, void *data)
{
    (void)data;
    unlinkat(parent_fd, name, AT_REMOVEDIR);
}

bool cgroup_remove_tree(int parent_fd, const char *name)
{
    int fd;

    if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    cgroup_walk(fd, CGROUP_DEPTH, remove_one, NULL);
    close(fd);
    return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0;
}

/* --- where --- */

/* systemd marks what it delegates (systemd.resource-control(5), Delegate=). */
static bool is_delegated(const char *path)
{
    char value[2] = "";

    return (getxattr(path, "trusted.delegate", value, 1) == 1 || getxattr(path, "user.delegate", value, 1) == 1) &&
           value[0] == '1';
}

static void leaf_name(const char *name, char *leaf, size_t size)
{
    snprintf(leaf, size, "%s.keeper", name);
}

/* True when a keeper of this name has stepped aside in `parent`: this one, before it executed itself anew, or the one before,
 * whose service manager runs us beside it. A user's own does not mark what it delegates. */
static bool has_leaf(const char *parent, const char *name)
{
    char leaf[NAME_MAX + 1], path[PATH_MAX];

    leaf_name(name, leaf, sizeof leaf);
    return snprintf(path, sizeof path, "%s/%s", parent, leaf) < (int)sizeof path && access(path, F_OK) == 0;
}

/* True when the process is in a part of the home, and not in the home itself. */
static bool is_inner(const char *path, const char *parent, const char *name)
{
    return !has_leaf(path, name) && (has_leaf(parent, name) || (!is_delegated(path) && is_delegated(parent)));
}

int cgroup_home_open(const char *own, const char *name, char *base, size_t size)
{
    static char home[PATH_MAX], parent[PATH_MAX];
    char *last;
    int fd;

    if (strlen(own) + strlen(name) + 2 > (size < sizeof home ? size : sizeof home))
        return -ENAMETOOLONG;
    strcpy(home, own);
    strcpy(parent, own);
    last = strrchr(parent, '/');
    if (last && last > parent) {
        *last = '\0';
        if (is_inner(own, parent, name))
            strcpy(home, parent);
    }
    fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    snprintf(base, size, "%s/%s", home, name);
    return fd;
}

/* --- controllers --- */

static bool lists(const char *text, const char *word)
{
    size_t length = strlen(word);

    while (*text) {
        size_t size = strcspn(text, " \n");

        if (size == length && strncmp(text, word, length) == 0)
            return true;
        text += size + (text[size] != '\0');
    }
    return false;
}

static int hand_on(int fd, const char *controller)
{
    char text[512], wanted[32];

    if (cgroup_read(fd, "cgroup.subtree_control", text, sizeof text) == 0 && lists(text, controller))
        return 0;
    snprintf(wanted, sizeof wanted, "+%s", controller);
    return cgroup_write(fd, "cgroup.subtree_control", wanted);
}

/* Leaves the home for a cgroup in it, when nobody else is there. Returns 0 or -errno. */
static int step_aside(int home_fd, const char *name)
{
    char path[NAME_MAX + 16], leaf[NAME_MAX + 1];

    leaf_name(name, leaf, sizeof leaf);
    if (mkdirat(home_fd, leaf, 0755) != 0 && errno != EEXIST)
        return -errno;
    snprintf(path, sizeof path, "%s/cgroup.procs", leaf);
    return cgroup_write(home_fd, path, "0");
}

/* No process may be left in the home. The kernel itself refuses only the memory controller then: cpu and pids it hands on, and
 * makes the home a threaded one, below which no process can be put any more. The root, which has no type, is free of this. */
static int clear_home(int home_fd, const char *name)
{
    char inhabitants[64], self[32];
    int error;

    if (faccessat(home_fd, "cgroup.type", F_OK, 0) != 0)
        return 0;
    if ((error = cgroup_read(home_fd, "cgroup.procs", inhabitants, sizeof inhabitants)) != 0)
        return error;
    snprintf(self, sizeof self, "%d\n", (int)getpid());
    return !*inhabitants ? 0 : strcmp(inhabitants, self) == 0 ? step_aside(home_fd, name) : -EBUSY;
}

void cgroup_home_enable(int home_fd, int base_fd, const char *name)
{
    char available[512];
    int cleared = clear_home(home_fd, name);

    cgroup_read(home_fd, "cgroup.controllers", available, sizeof available);
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        int error = !lists(available, names[i]) ? -ENODEV : cleared ? cleared : hand_on(home_fd, names[i]);

        if (!error)
            error = hand_on(base_fd, names[i]);
        lacks[i][0] = '\0';
        if (error == -ENODEV)
            snprintf(lacks[i], sizeof *lacks, "no %s controller here", names[i]);
        else if (error == -EBUSY)
            snprintf(lacks[i], sizeof *lacks, "no %s controller: other processes are in the keeper's cgroup", names[i]);
        else if (error)
            snprintf(lacks[i], sizeof *lacks, "no %s controller: %s", names[i], strerror(-error));
    }
}

static int take_back(int fd)
{
    char text[512], word[64], *rest = text;
    int result = cgroup_read(fd, "cgroup.subtree_control", text, sizeof text);

    for (char *at; result == 0 && (at = strsep(&rest, " \n"));) {
        snprintf(word, sizeof word, "-%s", at);
        if (*at)
            result = cgroup_write(fd, "cgroup.subtree_control", word);
    }
    return result;
}

int cgroup_home_give_back(const char *own, const char *name)
{
    static char base[PATH_MAX];
    char leaf[NAME_MAX + 1];
    int home_fd = cgroup_home_open(own, name, base, sizeof base), base_fd, result = 0;

    if (home_fd < 0)
        return home_fd;
    leaf_name(name, leaf, sizeof leaf);
    base_fd = faccessat(home_fd, leaf, F_OK, 0) == 0 ? openat(home_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (base_fd >= 0) {
        result = take_back(base_fd);
        if (result == 0)
            result = take_back(home_fd);
        close(base_fd);
    }
    close(home_fd);
    return result;
}

const char *cgroup_home_lacks(enum cgroup_controller controller)
{
    return lacks[controller][0] ? lacks[controller] : NULL;
}
