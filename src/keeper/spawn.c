#include "spawn.h"
#include "capabilities.h"
#include "clone_into.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than a keeper has but for its children's. */
enum { OWN_DESCRIPTORS = 64 };

/* What parent and child share. Static: one child is on its way at a time. */
static struct {
    const struct spawn_request *request;
    struct spawn_result result;
    bool joins;             /* the child goes into the cgroup by itself */
    char candidate[PATH_MAX];
    char stack[32 << 10] __attribute__((aligned(64)));
} shared;

/* The child runs on a stack that address sanitizer does not know. */
#define ON_FOREIGN_STACK __attribute__((no_sanitize("address")))

ON_FOREIGN_STACK static _Noreturn void give_up(enum spawn_step step)
{
    shared.result.step = step;
    shared.result.error = errno;
    for (;;)
        syscall(SYS_exit_group, 127);
}

/* Parts from the parent's descriptors, which both have until now, without those that are of no use here. */
ON_FOREIGN_STACK static void leave_descriptors(const struct spawn_request *request)
{
    const int needed[] = {request->input_fd, request->output_fd, request->ready_fd, request->cgroup_fd, request->before_exec_fd};
    unsigned first = 3;

    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        first = needed[i] >= (int)first ? (unsigned)needed[i] + 1 : first;
    if (close_range(first, ~0u, CLOSE_RANGE_UNSHARE) != 0 && unshare(CLONE_FILES) != 0) /* before Linux 5.9: all of them */
        give_up(SPAWN_FORK);
}

ON_FOREIGN_STACK static void reset_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (write(fd, "0", 1) < 0)
            errno = 0; /* a child that stays hard to kill is no reason to fail */
        close(fd);
    }
}

/* Where the kernel cannot bear a child in a cgroup: nothing may come of it before it is there. */
ON_FOREIGN_STACK static void join(int cgroup_fd)
{
    int fd = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "0", 1) != 1)
        give_up(SPAWN_CGROUP);
    close(fd);
}

/* System calls and not glibc's setuid and friends, which would signal the threads of the process whose memory
 * this is. */
ON_FOREIGN_STACK static void become(const struct spawn_user *user)
{
    if (!user)
        return;
    if (syscall(SYS_setgroups, user->group_count, user->groups) != 0 ||
        syscall(SYS_setresgid, user->gid, user->gid, user->gid) != 0 ||
        syscall(SYS_setresuid, user->uid, user->uid, user->uid) != 0)
        give_up(SPAWN_USER);
}

/* Another user than root has no capabilities but those that it was given: not even such as a program that is made for it
 * could pick up. */
ON_FOREIGN_STACK static void change_user(const struct spawn_request *request)
{
    const struct spawn_settings *settings = &request->settings;
    bool is_other = request->user && request->user->uid != 0;

    if (settings->has_capabilities && capabilities_bound(settings->capabilities) != 0)
        give_up(SPAWN_CAPABILITIES);
    become(request->user);
    if ((settings->has_capabilities || is_other) &&
        capabilities_take(settings->has_capabilities ? settings->capabilities : 0) != 0)
        give_up(SPAWN_CAPABILITIES);
}

/* Last, and as the user that the child is now: a change of user counts its processes. */
ON_FOREIGN_STACK static void limit(const struct spawn_request *request)
{
    struct rlimit memory = {request->address_space, request->address_space};
    struct rlimit processes = {request->processes, request->processes};

    if ((memory.rlim_cur && syscall(SYS_prlimit64, 0, RLIMIT_AS, &memory, NULL) != 0) ||
        (processes.rlim_cur && syscall(SYS_prlimit64, 0, RLIMIT_NPROC, &processes, NULL) != 0))
        give_up(SPAWN_LIMITS);
}

/* While the child is still who its parent is: a lower nice value and a higher limit may need that. */
ON_FOREIGN_STACK static void apply_settings(const struct spawn_request *request)
{
    const struct spawn_settings *settings = &request->settings;
    struct rlimit files = request->files;

    if (settings->has_nice && syscall(SYS_setpriority, PRIO_PROCESS, 0, settings->nice) != 0)
        give_up(SPAWN_NICE);
    if (settings->open_files)
        files = (struct rlimit){settings->open_files, settings->open_files};
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &files, NULL) != 0 && settings->open_files)
        give_up(SPAWN_LIMITS);
    umask(settings->has_umask ? settings->umask : 022);
    if (settings->no_new_privs)
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

ON_FOREIGN_STACK const char *spawn_search_path(char *const *environment)
{
    for (; *environment; environment++)
        if (strncmp(*environment, "PATH=", 5) == 0)
            return *environment + 5;
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* The last thing before the program: its number may be that of a descriptor which is needed until then. */
ON_FOREIGN_STACK static void hand_over(const struct spawn_request *request)
{
    int result;

    if (!request->ready_number)
        return;
    if (request->ready_number == request->ready_fd)
        result = fcntl(request->ready_fd, F_SETFD, 0); /* dup2 would leave it to be closed */
    else
        result = dup2(request->ready_fd, request->ready_number);
    if (result < 0)
        give_up(SPAWN_READY);
}

/* As execvpe(3), but a file that is no program is an error and never handed to a shell. */
ON_FOREIGN_STACK static void execute(const struct spawn_request *request)
{
    const char *name = request->program ? request->program : request->argv[0];
    const char *directory = spawn_search_path(request->environment);
    int refused = 0;

    if (strchr(name, '/') || !*name) {
        execve(name, request->argv, request->environment);
        return;
    }
    for (;;) {
        const char *end = strchrnul(directory, ':');
        size_t length = (size_t)(end - directory);

        if (length + strlen(name) + 2 <= sizeof shared.candidate) {
            memcpy(shared.candidate, directory, length);
            shared.candidate[length] = '/';
            strcpy(shared.candidate + length + (length > 0), name);
            execve(shared.candidate, request->argv, request->environment);
            if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
                return;
            refused = errno == EACCES ? EACCES : refused;
        }
        if (!*end)
            break;
        directory = end + 1;
    }
    errno = refused ? refused : ENOENT;
}

ON_FOREIGN_STACK static int child_main(void *unused)
{
    const struct spawn_request *request = shared.request;
    sigset_t none;

    (void)unused;
    leave_descriptors(request);
    if (shared.joins)
        join(request->cgroup_fd);
    setsid();
    if (request->reset_oom)
        reset_oom_score();
    if (dup2(request->input_fd, 0) < 0 || dup2(request->output_fd, 1) < 0 || dup2(request->output_fd, 2) < 0)
        give_up(SPAWN_OUTPUT);
    /* Before limits are the child's, and before a descriptor of ours may make room for one of it. */
    if (request->before_exec && (errno = request->before_exec(request->data)) != 0)
        give_up(SPAWN_FORK);
    apply_settings(request);
    change_user(request);
    limit(request);
    if (request->working_dir && chdir(request->working_dir) != 0)
        give_up(SPAWN_CHDIR);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    hand_over(request);
    execute(request);
    give_up(SPAWN_EXEC);
}

static pid_t begin(int cgroup_fd)
{
    pid_t pid = cgroup_fd ? clone_into(cgroup_fd, child_main, shared.stack, sizeof shared.stack) : -1;

    if (pid >= 0 || (cgroup_fd && errno != ENOSYS))
        return pid;
    shared.joins = cgroup_fd != 0;
    pid = clone(child_main, shared.stack + sizeof shared.stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, NULL);
    shared.joins = false;
    return pid;
}

int spawn_process(const struct spawn_request *request, struct spawn_result *result)
{
    pid_t pid;

    shared.request = request;
    shared.result = (struct spawn_result){0};
    pid = begin(request->cgroup_fd);
    if (pid < 0) {
        *result = (struct spawn_result){.step = SPAWN_FORK, .error = errno};
        return -1;
    }
    *result = shared.result;
    if (result->error) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return -1;
    }
    result->pid = pid;
    return 0;
}

int spawn_set_aside(int fd)
{
    int aside = fcntl(fd, F_DUPFD_CLOEXEC, OWN_DESCRIPTORS);

    if (aside < 0)
        return fd;
    close(fd);
    return aside;
}

const char *spawn_step_name(enum spawn_step step)
{
    static const char *const names[] = {"fork", "output", "user", "chdir", "exec", "nice", "limits", "ready", "cgroup", "caps"};

    return names[step];
}

static int find_number(const char *name, struct spawn_user *user)
{
    char *end;
    unsigned long uid = strtoul(name, &end, 10), gid = uid;

    if (*end == ':')
        gid = strtoul(end + 1, &end, 10);
    if (*end || uid >= UINT_MAX || gid >= UINT_MAX)
        return ENOENT;
    *user = (struct spawn_user){.uid = (uid_t)uid, .gid = (gid_t)gid, .group_count = 1, .groups = {(gid_t)gid}};
    return 0;
}

int spawn_find_user(const char *name, struct spawn_user *user)
{
    char buffer[4096];
    struct passwd entry, *found;
    int error;

    if (name[0] >= '0' && name[0] <= '9')
        return find_number(name, user);
    error = getpwnam_r(name, &entry, buffer, sizeof buffer, &found);
    if (!found)
        return error ? error : ENOENT;
    *user = (struct spawn_user){.uid = entry.pw_uid, .gid = entry.pw_gid};
    user->group_count = (int)(sizeof user->groups / sizeof *user->groups);
    if (getgrouplist(name, entry.pw_gid, user->groups, &user->group_count) < 0)
        return E2BIG;
    return 0;
}
