#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int proc_fd = -1, own_fd = -1; /* /proc and /proc/self/fd */
static char mark[64], boot[96];
static bool is_short;           /* something could not be looked at for want of descriptors or memory */

/* The first bytes of /proc/NAME, with a NUL after them. Returns how many; 0 also when it cannot be read. */
static size_t read_start(const char *name, char *buffer, size_t size)
{
    int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, buffer, size - 1);

    is_short = is_short || (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM));
    if (fd >= 0)
        close(fd);
    got = got < 0 ? 0 : got;
    buffer[got] = '\0';
    return (size_t)got;
}

/* A container that is started again is no boot of the machine, but of all that runs in it. */
static void add_namespace(void)
{
    char name[32];
    ssize_t length = readlinkat(proc_fd, "self/ns/pid", name, sizeof name - 1);
    size_t at = strlen(boot);

    if (length > 0)
        snprintf(boot + at, sizeof boot - at, " %.*s", (int)length, name);
}

int proc_open(int directory_fd)
{
    struct stat status;

    if (fstat(directory_fd, &status) != 0)
        return -errno;
    snprintf(mark, sizeof mark, "APPMGR_KEEPER=%lx.%lx", (unsigned long)status.st_dev, (unsigned long)status.st_ino);
    proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc_fd < 0)
        return -errno;
    own_fd = openat(proc_fd, "self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own_fd < 0)
        return -errno;
    /* Once: what cannot be read for want of a descriptor would look like another boot. */
    errno = 0;
    if (read_start("sys/kernel/random/boot_id", boot, sizeof boot) == 0)
        return errno ? -errno : -EIO;
    boot[strcspn(boot, "\n")] = '\0';
    add_namespace();
    return 0;
}

const char *proc_boot(void)
{
    return boot;
}

bool proc_is_boot(const char *text)
{
    /* A keeper of an earlier version wrote no namespace. */
    return strcmp(text, boot) == 0 || (strlen(text) == strcspn(boot, " ") && strncmp(text, boot, strlen(text)) == 0);
}

int proc_descriptor(void)
{
    return proc_fd;
}

const char *proc_mark(void)
{
    return mark;
}

static char environment[32 << 10];
static size_t environment_size;

static void read_environment(pid_t pid)
{
    char name[40];

    snprintf(name, sizeof name, "%d/environ", (int)pid);
    environment_size = read_start(name, environment, sizeof environment);
}

/* The first entry that begins with `start`, or NULL. */
static const char *find_entry(const char *start)
{
    for (const char *at = environment; at < environment + environment_size; at += strlen(at) + 1)
        if (strncmp(at, start, strlen(start)) == 0)
            return at;
    return NULL;
}

static bool is_marked(void)
{
    const char *entry = find_entry("APPMGR_KEEPER=");

    return entry && strcmp(entry, mark) == 0;
}

bool proc_has_mark(pid_t pid)
{
    read_environment(pid);
    return is_marked();
}

const char *proc_child_id(pid_t pid)
{
    const char *entry;

    read_environment(pid);
    entry = is_marked() ? find_entry(PROC_ID_MARK) : NULL;
    return entry ? entry + strlen(PROC_ID_MARK) : NULL;
}

/* Fields are counted as in proc(5): 3 state, 4 parent, 6 session, 22 start time; the exit is the last. */
bool proc_read_status(const char *text, struct proc_status *status)
{
    const char *at = strrchr(text, ')'), *last = strrchr(text, ' ');

    for (int field = 3; at && field <= 22; field++) {
        at = strchr(at + 1, ' ');
        if (at && field == 3)
            status->state = at[1];
        if (at && field == 4)
            status->parent = atoi(at + 1);
        if (at && field == 6)
            status->session = atoi(at + 1);
        if (at && field == 22)
            status->start_ticks = strtoull(at + 1, NULL, 10);
    }
    if (!at)
        return false;
    status->exit_status = atoi(last + 1);
    return true;
}

bool proc_status(pid_t pid, struct proc_status *status)
{
    static char text[PROC_STATUS_SIZE];
    char name[40];
    struct stat owner;

    snprintf(name, sizeof name, "%d/stat", (int)pid);
    read_start(name, text, sizeof text);
    if (!proc_read_status(text, status))
        return false;
    snprintf(name, sizeof name, "%d", (int)pid);
    status->exit_is_shown = status->state == 'Z' && (status->exit_status != 0 ||
                            (fstatat(proc_fd, name, &owner, 0) == 0 && owner.st_uid == geteuid()));
    return true;
}

enum proc_answer proc_is(pid_t pid, uint64_t start_ticks)
{
    struct proc_status status;

    if (kill(pid, 0) != 0 && errno == ESRCH)
        return PROC_GONE;
    if (!proc_status(pid, &status))
        return PROC_UNDECIDED;
    return status.start_ticks == start_ticks ? PROC_THERE : PROC_GONE;
}

bool proc_hides(pid_t pid)
{
    char name[40];

    snprintf(name, sizeof name, "%d/stat", (int)pid);
    if (faccessat(proc_fd, name, R_OK, AT_EACCESS) == 0 || (errno != ENOENT && errno != EACCES && errno != EPERM))
        return false;
    return kill(pid, 0) == 0 || errno == EPERM;
}

bool proc_cgroup_has(pid_t pid, const char *part)
{
    static char text[4096];
    char name[40];
    const char *path;

    snprintf(name, sizeof name, "%d/cgroup", (int)pid);
    read_start(name, text, sizeof text);
    path = strstr(text, "0::");
    return path && strstr(path, part);
}

int proc_pipe(int *read_end)
{
    char name[16];
    int ends[2], fd, error;

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return -errno;
    snprintf(name, sizeof name, "%d", ends[1]);
    fd = openat(own_fd, name, O_RDWR | O_CLOEXEC);
    error = -errno;
    close(ends[1]);
    if (fd < 0)
        close(ends[0]);
    *read_end = ends[0];
    return fd < 0 ? error : fd;
}

int proc_reopen(pid_t pid, int number, int flags)
{
    char name[48];
    int fd;

    snprintf(name, sizeof name, "%d/fd/%d", (int)pid, number);
    fd = openat(proc_fd, name, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

bool proc_each(void (*visit)(pid_t pid))
{
    static char entries[16 << 10] __attribute__((aligned(8)));
    ssize_t size;

    is_short = false;
    lseek(proc_fd, 0, SEEK_SET);
    while ((size = getdents64(proc_fd, entries, sizeof entries)) > 0) {
        for (ssize_t at = 0; at < size;) {
            const struct dirent64 *entry = (const void *)(entries + at);

            if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
                visit((pid_t)atoi(entry->d_name));
            at += entry->d_reclen;
        }
    }
    return size == 0 && !is_short;
}
