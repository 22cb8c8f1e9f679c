#include "sweep.h"
#include "table.h"
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int proc_fd = -1;
static unsigned waiting;
static uint64_t not_before_ms;

int sweep_open(void)
{
    proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return proc_fd < 0 ? -errno : 0;
}

/* Calls visit for each process, with a place under /proc ("123/"). */
static void each_process(void (*visit)(pid_t pid, const void *data), const void *data)
{
    static char entries[16 << 10] __attribute__((aligned(8)));
    ssize_t size;

    lseek(proc_fd, 0, SEEK_SET);
    while ((size = getdents64(proc_fd, entries, sizeof entries)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const struct dirent64 *entry = (const void *)(entries + at);

            if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
                visit((pid_t)atoi(entry->d_name), data);
            at += entry->d_reclen;
        }
    }
}

/* The first bytes of /proc/PID/NAME, with a NUL after them. Returns how many; 0 also when it has gone. */
static size_t read_start(pid_t pid, const char *name, char *buffer, size_t size)
{
    char path[40];
    ssize_t got;
    int fd;

    snprintf(path, sizeof path, "%d/%s", (int)pid, name);
    fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? 0 : read(fd, buffer, size - 1);
    if (fd >= 0)
        close(fd);
    got = got < 0 ? 0 : got;
    buffer[got] = '\0';
    return (size_t)got;
}

static void visit_member(pid_t pid, const void *unused)
{
    char stat[512], state;
    const char *after_name;
    struct child *child;
    int session;

    (void)unused;
    if (read_start(pid, "stat", stat, sizeof stat) == 0)
        return;
    after_name = strrchr(stat, ')');
    if (!after_name || sscanf(after_name + 1, " %c %*d %*d %d", &state, &session) != 2)
        return;
    child = state == 'Z' || state == 'X' ? NULL : table_find_pid(session);
    if (!child || !child->in_sweep)
        return;
    child->alive_in_sweep = true;
    if (child->state != CHILD_STOPPING)
        kill(pid, SIGKILL);
}

void sweep_add(struct child *child)
{
    waiting += !child->in_sweep;
    child->in_sweep = true;
}

static void finish(struct child *child)
{
    child->in_sweep = child->alive_in_sweep;
    child->alive_in_sweep = false;
    if (!child->in_sweep) {
        waiting--;
        child_handle(child, CHILD_EMPTY);
    }
}

void sweep_run(void)
{
    uint64_t begin_ms = watch_now_ms();

    if (waiting == 0)
        return;
    if (begin_ms >= not_before_ms) {
        each_process(visit_member, NULL);
        for (struct child *child = table_first(); child; child = child->next)
            if (child->in_sweep)
                finish(child);
        not_before_ms = watch_now_ms() + 4 + 5 * (watch_now_ms() - begin_ms);
    }
    if (waiting > 0)
        watch_wake_at(not_before_ms);
}

struct leftovers {
    const char *marker;
    unsigned *found;
};

static void visit_leftover(pid_t pid, const void *data)
{
    static char environment[32 << 10];
    const struct leftovers *leftovers = data;
    size_t size;

    if (pid == getpid() || pid == getppid())
        return;
    size = read_start(pid, "environ", environment, sizeof environment);
    for (const char *at = environment; at < environment + size; at += strlen(at) + 1) {
        if (strcmp(at, leftovers->marker) == 0) {
            *leftovers->found += kill(pid, SIGKILL) == 0;
            return;
        }
    }
}

void sweep_leftovers(const char *marker)
{
    unsigned found = 1;

    /* Again, because what is being killed may just have made another one. */
    for (unsigned rounds = 0; found > 0 && rounds < 20; rounds++) {
        found = 0;
        each_process(visit_leftover, &(struct leftovers){marker, &found});
        if (found > 0)
            usleep(5000);
    }
}
