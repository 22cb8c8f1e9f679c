#include "cgroup.h"
#include "cgroup_find.h"
#include "cgroup_hold.h"
#include "cgroup_home.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longest name of a child's cgroup; a file name may have 255 bytes. */
enum { NAME_SIZE = 256, FALLBACK_ROUNDS = 20 };

static const char prefix[] = "app-";

static char base_path[PATH_MAX];
static int base_fd = -1;
static bool kernel_kills;   /* there is cgroup.kill */
static char why[PATH_MAX + 128] = "they have not been looked for";

/* --- names --- */

static bool is_plain(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '-' || character == '_' || character == '.';
}

/* The prefix keeps it apart from the kernel's own files ("memory.max"), %XX from the directory separator. Returns false for
 * an id of which no file name can be made: it is too long. */
static bool name_of(const char *id, char name[NAME_SIZE])
{
    size_t size = sizeof prefix - 1;

    memcpy(name, prefix, size);
    for (const char *at = id; *at; at++) {
        if (size + 4 > NAME_SIZE)
            return false;
        if (is_plain(*at))
            name[size++] = *at;
        else
            size += (size_t)snprintf(name + size, 4, "%%%02X", (unsigned char)*at);
    }
    name[size] = '\0';
    return true;
}

/* The id that a name was made of. Returns false for one that is none of ours. */
static bool id_of(const char *name, char id[NAME_SIZE])
{
    size_t size = 0;
    unsigned code;

    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    for (name += sizeof prefix - 1; *name; name++) {
        if (*name == '%' && sscanf(name + 1, "%2x", &code) == 1) {
            id[size++] = (char)code;
            name += 2;
        } else {
            id[size++] = *name;
        }
    }
    id[size] = '\0';
    return size > 0;
}

/* --- the keeper's own --- */

const char *cgroup_base(void)
{
    return base_fd >= 0 ? base_path : NULL;
}

const char *cgroup_why(void)
{
    return why;
}

static int refuse(int error, const char *what, const char *path)
{
    snprintf(why, sizeof why, "%s %s: %s", what, path, strerror(-error));
    return error;
}

/* Processes can be put below a cgroup only by who may write its cgroup.procs, and only in a domain. */
static int check(int home_fd, const char *home)
{
    char type[32];

    if (faccessat(home_fd, "cgroup.procs", W_OK, AT_EACCESS) != 0)
        return refuse(-errno, "processes may not be moved in", home);
    if (cgroup_read(base_fd, "cgroup.type", type, sizeof type) == 0 && strcmp(type, "domain\n") != 0)
        return refuse(-EOPNOTSUPP, "no domain can be made below", home);
    return 0;
}

/* The directory stays while there is a child's in it. */
static void let_go(void)
{
    if (base_fd < 0)
        return;
    rmdir(base_path);
    close(base_fd);
    base_fd = -1;
}

int cgroup_open_in(const char *directory, const char *name)
{
    int error = 0, home_fd = cgroup_home_open(directory, name, base_path, sizeof base_path);

    if (home_fd < 0)
        return refuse(home_fd, "cannot open", directory);
    cgroup_collect(home_fd);
    base_fd = cgroup_hold(home_fd, strrchr(base_path, '/') + 1);
    if (base_fd < 0)
        error = refuse(base_fd, "cannot take", base_path);
    if (!error)
        error = check(home_fd, directory);
    if (!error) {
        why[0] = '\0';
        kernel_kills = faccessat(base_fd, "cgroup.kill", F_OK, 0) == 0;
        cgroup_home_enable(home_fd, base_fd, name);
    }
    close(home_fd);
    if (error)
        let_go();
    return error;
}

/* Where the cgroup of a process ("self", or its number) is. Returns 0 or -errno, after saying why not. */
static int find_of(const char *process, char *path, size_t size)
{
    static char mountinfo[64 << 10], own[4 << 10];
    char file[48];
    int error;

    snprintf(file, sizeof file, "/proc/%s/cgroup", process);

    if (cgroup_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, sizeof mountinfo) != 0 ||
        cgroup_read(AT_FDCWD, file, own, sizeof own) != 0)
        return refuse(-errno, "cannot read", file);
    error = cgroup_find(mountinfo, own, path, size);
    if (error)
        snprintf(why, sizeof why, "%s", error == -EROFS ? "the hierarchy of cgroups v2 is mounted read-only"
                                        : error == -EXDEV ? "the keeper's own cgroup is not in the part of the hierarchy that is mounted"
                                                          : "no hierarchy of cgroups v2 is mounted");
    return error;
}

int cgroup_open(const char *name)
{
    static char path[PATH_MAX];
    int error = find_of("self", path, sizeof path);

    return error ? error : cgroup_open_in(path, name);
}

int cgroup_open_where(pid_t pid, const char *name)
{
    static char path[PATH_MAX];
    char number[16], part[NAME_SIZE];
    char *end = NULL;

    snprintf(number, sizeof number, "%d", (int)pid);
    snprintf(part, sizeof part, "/%s/%s", name, prefix);
    if (find_of(number, path, sizeof path) == 0)
        end = strstr(path, part);
    if (!end)
        return -ENOENT;
    *end = '\0';
    return cgroup_open_in(path, name);
}

int cgroup_make_way(const char *name)
{
    static char path[PATH_MAX];
    int error = find_of("self", path, sizeof path);

    if (!error && (error = cgroup_home_give_back(path, name)) != 0)
        refuse(error, "controllers cannot be taken back in", path);
    return error;
}

/* --- one child's --- */

/* "app-x/FILE", relative to base_fd; FILE may be "". An id without a name gives a path that is nowhere. */
static const char *place(const char *id, const char *file)
{
    static char path[NAME_SIZE + 32];
    char name[NAME_SIZE];

    if (!name_of(id, name))
        return "";
    snprintf(path, sizeof path, "%s%s%s", name, *file ? "/" : "", file);
    return path;
}

int cgroup_directory(const char *id)
{
    int fd = base_fd < 0 ? -1 : openat(base_fd, place(id, ""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 ? fd : base_fd < 0 ? -ENOENT : -errno;
}

int cgroup_make(const char *id)
{
    const char *name = place(id, "");
    bool made;

    if (base_fd < 0)
        return -ENOENT;
    made = mkdirat(base_fd, name, 0755) == 0;
    /* An empty one is made anew: kernels (6.18) kill what is born into a cgroup, as clone3 does, that cgroup.kill was ever
     * used on. */
    if (!made && errno == EEXIST) {
        unlinkat(base_fd, name, AT_REMOVEDIR);
        made = mkdirat(base_fd, name, 0755) == 0;
    }
    if (!made && errno != EEXIST)
        return -errno;
    if (!made && !kernel_kills)
        cgroup_write(base_fd, place(id, "cgroup.freeze"), "0"); /* cgroup_kill_each left it frozen */
    return cgroup_directory(id);
}

int cgroup_path(const char *id, char *path, size_t size)
{
    const char *name = place(id, "");

    if (base_fd < 0 || !*name || faccessat(base_fd, name, F_OK, 0) != 0)
        return -ENOENT;
    return snprintf(path, size, "%s/%s", base_path, name) < (int)size ? 0 : -ENAMETOOLONG;
}

static bool says_populated(const char *events)
{
    const char *at = strstr(events, "populated ");

    return at && at[10] == '1';
}

bool cgroup_is_populated(const char *id)
{
    char events[128];

    return base_fd >= 0 && cgroup_read(base_fd, place(id, "cgroup.events"), events, sizeof events) == 0 &&
           says_populated(events);
}

/* Signals each process in a cgroup, not below it. Returns how many there were. */
static unsigned signal_in(int directory_fd, const char *path, int number)
{
    int fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC);
    char text[2048], *at, *end;
    size_t kept = 0;
    ssize_t got;
    unsigned count = 0;

    while (fd >= 0 && (got = read(fd, text + kept, sizeof text - 1 - kept)) > 0) {
        text[kept + (size_t)got] = '\0';
        for (at = text; (end = strchr(at, '\n')); at = end + 1, count++)
            if (atoi(at) > 0) /* 0: of another pid namespace */
                kill(atoi(at), number);
        kept = strlen(at);
        memmove(text, at, kept);
    }
    if (fd >= 0)
        close(fd);
    return count;
}

void cgroup_signal(const char *id, int number)
{
    if (base_fd >= 0)
        signal_in(base_fd, place(id, "cgroup.procs"), number);
}

static void kill_in(int parent_fd, const char *name, void *count)
{
    char path[NAME_MAX + sizeof "/cgroup.procs"];

    snprintf(path, sizeof path, "%s/cgroup.procs", name);
    *(unsigned *)count += signal_in(parent_fd, path, SIGKILL);
}

void cgroup_kill_each(const char *id)
{
    unsigned found = 1;
    int fd = cgroup_directory(id);

    if (fd < 0)
        return;
    cgroup_write(fd, "cgroup.freeze", "1"); /* what is frozen makes no new process, and can be killed */
    for (int round = 0; found > 0 && round < FALLBACK_ROUNDS; round++) {
        found = signal_in(fd, "cgroup.procs", SIGKILL);
        cgroup_walk(fd, CGROUP_DEPTH, kill_in, &found);
    }
    close(fd);
}

void cgroup_kill(const char *id)
{
    if (base_fd < 0)
        return;
    if (!kernel_kills || cgroup_write(base_fd, place(id, "cgroup.kill"), "1") != 0)
        cgroup_kill_each(id);
}

/* --- when it is empty --- */

/* Read through the descriptor that is watched: the kernel tells what changes after that. */
bool cgroup_is_empty(const struct watch *watch)
{
    char events[128];
    ssize_t got = pread(watch->fd, events, sizeof events - 1, 0);

    events[got > 0 ? got : 0] = '\0';
    return !says_populated(events);
}

int cgroup_wait(struct watch *watch, const char *id)
{
    int error, fd;

    if (base_fd < 0)
        return -ENOENT;
    if (watch->fd >= 0)
        return 0;
    fd = openat(base_fd, place(id, "cgroup.events"), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 1 : -errno;
    error = watch_add(watch, fd, EPOLLPRI);
    if (error) {
        close(fd);
        return error;
    }
    if (!cgroup_is_empty(watch))
        return 0;
    watch_close(watch);
    return 1;
}

/* --- the end of one --- */

bool cgroup_remove(const char *id)
{
    const char *name = place(id, "");

    return base_fd < 0 || !*name || cgroup_remove_tree(base_fd, name);
}

/* What one look at all is for. */
struct tidying {
    bool (*is_known)(const char *id);
    bool kills;             /* else what is left is only removed */
    unsigned left;
};

static void tidy(int parent_fd, const char *name, void *data)
{
    struct tidying *tidying = data;
    char id[NAME_SIZE];

    if (!id_of(name, id) || tidying->is_known(id))
        return;
    if (tidying->kills)
        cgroup_kill(id);
    tidying->left += !cgroup_remove_tree(parent_fd, name);
}

void cgroup_tidy(bool (*is_known)(const char *id))
{
    struct tidying tidying = {.is_known = is_known, .kills = true, .left = 1};

    for (int round = 0; base_fd >= 0 && tidying.left > 0 && round < FALLBACK_ROUNDS; round++) {
        if (round > 0)
            usleep(5000);
        tidying.left = 0;
        cgroup_walk(base_fd, 1, tidy, &tidying);
        tidying.kills = false;
    }
}

void cgroup_close(void)
{
    let_go();
    snprintf(why, sizeof why, "they are closed");
}
