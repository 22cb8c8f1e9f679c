#include "spawn.h"
#include "capabilities.h"
#include "newborn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than a keeper has but for its children's. */
enum { OWN_DESCRIPTORS = 64 };

/* --- in the child --- */

ON_FOREIGN_STACK static _Noreturn void give_up(struct spawn *spawn, enum spawn_step step, long error)
{
    spawn->result.step = step;
    spawn->result.error = (int)-error;
    for (;;)
        newborn_call(SYS_exit_group, 127, 0, 0, 0, 0);
}

/* `error`: what a call returned. */
ON_FOREIGN_STACK static void must(struct spawn *spawn, enum spawn_step step, long error)
{
    if (error < 0)
        give_up(spawn, step, error);
}

/* Parts from the parent's descriptors, which both have until now, without those that are of no use here. */
ON_FOREIGN_STACK static void leave_descriptors(struct spawn *spawn)
{
    const struct spawn_request *request = &spawn->request;
    const int needed[] = {request->input_fd, request->output_fd, request->ready_fd, request->cgroup_fd, request->before_exec_fd};
    long first = 3;

    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        first = needed[i] >= first ? needed[i] + 1 : first;
    if (newborn_call(SYS_close_range, first, ~0u, CLOSE_RANGE_UNSHARE, 0, 0) != 0) /* before Linux 5.9: all of them */
        must(spawn, SPAWN_FORK, newborn_call(SYS_unshare, CLONE_FILES, 0, 0, 0, 0));
}

/* Before Linux 5.9 what is set aside stays open: it is nothing that anybody waits for. */
ON_FOREIGN_STACK static void close_between(long first, long last)
{
    if (newborn_call(SYS_close_range, first, last, 0, 0, 0) != -ENOSYS)
        return;
    for (long fd = first; fd <= last && fd < OWN_DESCRIPTORS; fd++)
        newborn_call(SYS_close, fd, 0, 0, 0, 0);
}

/* Parts from what is left of them, before it may have to wait for a file system: our lock must not outlive us. */
ON_FOREIGN_STACK static void close_rest(const struct spawn_request *request)
{
    long kept = request->ready_number ? request->ready_fd : 2;

    if (kept > 3)
        close_between(3, kept - 1);
    close_between(kept + 1, ~0u);
}

/* Returns how many bytes of a short text were written, or -errno. */
ON_FOREIGN_STACK static long write_to(int directory_fd, const char *path, const char *text)
{
    long result, fd = newborn_call(SYS_openat, directory_fd, (long)path, O_WRONLY | O_CLOEXEC, 0, 0);

    if (fd < 0)
        return fd;
    result = newborn_call(SYS_write, fd, (long)text, (long)strlen(text), 0, 0);
    newborn_call(SYS_close, fd, 0, 0, 0, 0);
    return result;
}

/* dup2(2), but what has the number already is not left to be closed. */
ON_FOREIGN_STACK static long move(int fd, int number)
{
    if (fd == number)
        return newborn_call(SYS_fcntl, fd, F_SETFD, 0, 0, 0);
    return newborn_call(SYS_dup3, fd, number, 0, 0, 0);
}

ON_FOREIGN_STACK static void redirect(struct spawn *spawn)
{
    must(spawn, SPAWN_OUTPUT, move(spawn->request.input_fd, 0));
    must(spawn, SPAWN_OUTPUT, move(spawn->request.output_fd, 1));
    must(spawn, SPAWN_OUTPUT, move(spawn->request.output_fd, 2));
}

/* System calls and not glibc's setuid and friends, which would signal the threads of the process whose memory
 * this is. */
ON_FOREIGN_STACK static void become(struct spawn *spawn, const struct spawn_user *user)
{
    must(spawn, SPAWN_USER, newborn_call(SYS_setgroups, user->group_count, (long)user->groups, 0, 0, 0));
    must(spawn, SPAWN_USER, newborn_call(SYS_setresgid, user->gid, user->gid, user->gid, 0, 0));
    must(spawn, SPAWN_USER, newborn_call(SYS_setresuid, user->uid, user->uid, user->uid, 0, 0));
}

/* Another user than root has no capabilities but those that it was given: not even such as a program that is made for it
 * could pick up. */
ON_FOREIGN_STACK static void change_user(struct spawn *spawn)
{
    const struct spawn_settings *settings = &spawn->request.settings;
    const struct spawn_user *user = spawn->request.user;

    if (settings->has_capabilities)
        must(spawn, SPAWN_CAPABILITIES, capabilities_bound(settings->capabilities));
    if (user)
        become(spawn, user);
    if (settings->has_capabilities || (user && user->uid != 0))
        must(spawn, SPAWN_CAPABILITIES, capabilities_take(settings->has_capabilities ? settings->capabilities : 0));
}

ON_FOREIGN_STACK static long set_limit(int resource, struct rlimit limit)
{
    return newborn_call(SYS_prlimit64, 0, resource, (long)&limit, 0, 0);
}

/* Last, and as the user that the child is now: a change of user counts its processes. */
ON_FOREIGN_STACK static void limit(struct spawn *spawn)
{
    rlim_t memory = spawn->request.address_space, processes = spawn->request.processes;

    if (memory)
        must(spawn, SPAWN_LIMITS, set_limit(RLIMIT_AS, (struct rlimit){memory, memory}));
    if (processes)
        must(spawn, SPAWN_LIMITS, set_limit(RLIMIT_NPROC, (struct rlimit){processes, processes}));
}

/* While the child is still who its parent is: a lower nice value and a higher limit may need that. */
ON_FOREIGN_STACK static void apply_settings(struct spawn *spawn)
{
    const struct spawn_settings *settings = &spawn->request.settings;
    rlim_t files = settings->open_files;

    if (settings->has_nice)
        must(spawn, SPAWN_NICE, newborn_call(SYS_setpriority, PRIO_PROCESS, 0, settings->nice, 0, 0));
    if (files)
        must(spawn, SPAWN_LIMITS, set_limit(RLIMIT_NOFILE, (struct rlimit){files, files}));
    else
        set_limit(RLIMIT_NOFILE, spawn->request.files);
    newborn_call(SYS_umask, settings->has_umask ? settings->umask : 022, 0, 0, 0, 0);
    if (settings->no_new_privs)
        newborn_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

ON_FOREIGN_STACK const char *spawn_search_path(char *const *environment)
{
    for (; *environment; environment++)
        if (strncmp(*environment, "PATH=", 5) == 0)
            return *environment + 5;
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* As execvpe(3), but a file that is no program is an error and never handed to a shell. Returns -errno. */
ON_FOREIGN_STACK static long execute(struct spawn *spawn)
{
    const struct spawn_request *request = &spawn->request;
    const char *name = request->program ? request->program : request->argv[0];
    const char *directory = spawn_search_path(request->environment);
    long error, refused = -ENOENT;

    if (strchr(name, '/') || !*name)
        return newborn_call(SYS_execve, (long)name, (long)request->argv, (long)request->environment, 0, 0);
    for (;;) {
        const char *end = strchrnul(directory, ':');
        size_t length = (size_t)(end - directory);

        if (length + strlen(name) + 2 <= sizeof spawn->candidate) {
            memcpy(spawn->candidate, directory, length);
            spawn->candidate[length] = '/';
            strcpy(spawn->candidate + length + (length > 0), name);
            error = newborn_call(SYS_execve, (long)spawn->candidate, (long)request->argv, (long)request->environment, 0, 0);
            if (error != -ENOENT && error != -ENOTDIR && error != -EACCES)
                return error;
            refused = error == -EACCES ? error : refused;
        }
        if (!*end)
            return refused;
        directory = end + 1;
    }
}

ON_FOREIGN_STACK static void child_main(void *data)
{
    struct spawn *spawn = data;
    const struct spawn_request *request = &spawn->request;
    const uint64_t no_signals = 0;

    leave_descriptors(spawn);
    /* Where the kernel cannot bear a child in a cgroup: nothing may come of it before it is there. */
    if (spawn->newborn.joins)
        must(spawn, SPAWN_CGROUP, write_to(request->cgroup_fd, "cgroup.procs", "0"));
    newborn_call(SYS_setsid, 0, 0, 0, 0, 0);
    if (request->reset_oom)
        write_to(AT_FDCWD, "/proc/self/oom_score_adj", "0"); /* one that stays hard to kill is no reason to fail */
    redirect(spawn);
    /* Before limits are the child's, and before a descriptor of ours may make room for one of it. */
    if (request->before_exec)
        must(spawn, SPAWN_FORK, request->before_exec(request->data));
    close_rest(request);
    apply_settings(spawn);
    change_user(spawn);
    limit(spawn);
    if (request->working_dir)
        must(spawn, SPAWN_CHDIR, newborn_call(SYS_chdir, (long)request->working_dir, 0, 0, 0, 0));
    newborn_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&no_signals, 0, sizeof no_signals, 0);
    /* Last of all: its number may be that of a descriptor which is needed until then. */
    if (request->ready_number)
        must(spawn, SPAWN_READY, move(request->ready_fd, request->ready_number));
    give_up(spawn, SPAWN_EXEC, execute(spawn));
}

/* --- in the parent --- */

void spawn_begin(struct spawn *spawn)
{
    spawn->result = (struct spawn_result){0};
    spawn->newborn.run = child_main;
    spawn->newborn.data = spawn;
    spawn->newborn.cgroup_fd = spawn->request.cgroup_fd;
    newborn_begin(&spawn->newborn);
}

bool spawn_is_over(struct spawn *spawn, unsigned wait_ms)
{
    return newborn_is_over(&spawn->newborn, wait_ms);
}

void spawn_cancel(const struct spawn *spawn)
{
    newborn_kill(&spawn->newborn);
}

int spawn_end(struct spawn *spawn)
{
    pid_t pid = newborn_end(&spawn->newborn);

    if (pid > 0)
        spawn->result.pid = pid;
    else if (!spawn->result.error)
        spawn->result = (struct spawn_result){.step = SPAWN_FORK, .error = -pid};
    return spawn->result.error ? -1 : 0;
}

int spawn_process(const struct spawn_request *request, struct spawn_result *result)
{
    static struct spawn spawn;
    int ended;

    spawn.request = *request;
    spawn_begin(&spawn);
    ended = spawn_end(&spawn);
    *result = spawn.result;
    return ended;
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
