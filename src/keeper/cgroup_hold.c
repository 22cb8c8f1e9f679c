#include "cgroup_hold.h"
#include "cgroup_home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 100, PAUSE_US = 5000, UNCHANGED_S = 60 };

static int open_directory(int parent_fd, const char *name)
{
    return openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* It may have been removed between opening and locking it. */
static bool is_in(int home_fd, const char *name, int fd)
{
    struct stat held, named;

    return fstat(fd, &held) == 0 && fstatat(home_fd, name, &named, 0) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

int cgroup_hold(int home_fd, const char *name)
{
    for (int left = TRIES; left > 0; left--) {
        int fd;

        if (mkdirat(home_fd, name, 0755) != 0 && errno != EEXIST)
            return -errno;
        fd = open_directory(home_fd, name);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_in(home_fd, name, fd))
            return fd;
        if (fd < 0 && errno != ENOENT)
            return -errno;
        if (fd >= 0)
            close(fd);
        usleep(PAUSE_US);
    }
    return -EBUSY;
}

static bool is_left_behind(int fd)
{
    struct stat status;
    char events[128];

    return fstat(fd, &status) == 0 && time(NULL) - status.st_mtime >= UNCHANGED_S && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
           cgroup_read(fd, "cgroup.events", events, sizeof events) == 0 && strstr(events, "populated 0");
}

static void collect(int home_fd, const char *name, void *data)
{
    int fd;

    (void)data;
    if (strncmp(name, "appmgr-", strlen("appmgr-")) != 0 || strstr(name, ".keeper"))
        return;
    fd = open_directory(home_fd, name);
    if (fd >= 0 && is_left_behind(fd))
        cgroup_remove_tree(home_fd, name);
    if (fd >= 0)
        close(fd);
}

void cgroup_collect(int home_fd)
{
    cgroup_walk(home_fd, 1, collect, NULL);
}
