#include "cgroup_home.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
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

/* True when the keeper has stepped aside into `path` (before it executed itself anew), or was put there. */
static bool is_inner(const char *path, const char *last, const char *parent, const char *name)
{
    char leaf[NAME_MAX + 1];

    leaf_name(name, leaf, sizeof leaf);
    return strcmp(last, leaf) == 0 || (!is_delegated(path) && is_delegated(parent));
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
        if (is_inner(own, last + 1, parent, name))
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
    char path[NAME_MAX + 16], leaf[NAME_MAX + 1], inhabitants[64], self[32];

    snprintf(self, sizeof self, "%d\n", (int)getpid());
    if (cgroup_read(home_fd, "cgroup.procs", inhabitants, sizeof inhabitants) != 0 || strcmp(inhabitants, self) != 0)
        return -EBUSY;
    leaf_name(name, leaf, sizeof leaf);
    if (mkdirat(home_fd, leaf, 0755) != 0 && errno != EEXIST)
        return -errno;
    snprintf(path, sizeof path, "%s/cgroup.procs", leaf);
    return cgroup_write(home_fd, path, "0");
}

static int enable(int home_fd, int base_fd, const char *name, const char *controller)
{
    int error = hand_on(home_fd, controller);

    if (error == -EBUSY && step_aside(home_fd, name) == 0)
        error = hand_on(home_fd, controller);
    return error ? error : hand_on(base_fd, controller);
}

void cgroup_home_enable(int home_fd, int base_fd, const char *name)
{
    char available[512];

    cgroup_read(home_fd, "cgroup.controllers", available, sizeof available);
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        int error = lists(available, names[i]) ? enable(home_fd, base_fd, name, names[i]) : -ENODEV;

        lacks[i][0] = '\0';
        if (error == -ENODEV)
            snprintf(lacks[i], sizeof *lacks, "no %s controller here", names[i]);
        else if (error == -EBUSY)
            snprintf(lacks[i], sizeof *lacks, "no %s controller: other processes are in the keeper's cgroup", names[i]);
        else if (error)
            snprintf(lacks[i], sizeof *lacks, "no %s controller: %s", names[i], strerror(-error));
    }
}

const char *cgroup_home_lacks(enum cgroup_controller controller)
{
    return lacks[controller][0] ? lacks[controller] : NULL;
}
