/* Starts programs as children with a session of their own, without copying this process's memory, and several at a time: each
 * is one that leaves our memory when it becomes its program (newborn.h). The time until then is mostly the kernel's, and on a
 * machine with several processors they spend it side by side.
 *
 * Nothing is allocated. The caller is single-threaded and has every signal blocked. It need not wait: a file system that
 * hangs may keep a start from its end for as long as it likes.
 *
 * The child takes a copy of the descriptors that it needs and of those below them; it never has the others, and none of ours
 * where it could wait for somebody. Where there are
 * thousands of pipes, copying and closing them would take longer than all the rest: spawn_set_aside keeps them out of the way.
 */
#ifndef APPMGR_KEEPER_SPAWN_H
#define APPMGR_KEEPER_SPAWN_H

#include "newborn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct spawn_user {
    uid_t uid;
    gid_t gid;
    int group_count;
    gid_t groups[64];
};

/* What a program may be given that differs from its siblings; all zero: nothing does. */
struct spawn_settings {
    bool has_nice, has_umask;
    bool no_new_privs;              /* it and its descendants gain nothing from set-user-id programs */
    int nice;
    mode_t umask;                   /* else 022 */
    rlim_t open_files;              /* RLIMIT_NOFILE, soft and hard; 0: `files` of the request */
    bool has_capabilities;          /* exactly `capabilities` (a mask), and nothing it starts gains more */
    uint64_t capabilities;
};

struct spawn_request {
    const char *program;            /* NULL: argv[0]; without a slash it is looked for in PATH of `environment` */
    char *const *argv;
    char *const *environment;
    const char *working_dir;        /* NULL: stay */
    const struct spawn_user *user;  /* NULL: stay */
    int input_fd, output_fd;        /* become 0, and 1 and 2; every other descriptor must be close-on-exec */
    int ready_fd, ready_number;     /* ready_fd becomes ready_number, from 3 on; ready_number 0: none is handed over */
    long (*before_exec)(void *data); /* NULL, or called in the child, in our memory (newborn.h), before it becomes the program.
                                      * Returns 0, or -errno: it does not start */
    void *data;
    int before_exec_fd;             /* the highest descriptor that before_exec uses */
    int cgroup_fd;                  /* directory of the cgroup that the child is born in; 0: that of its parent */
    rlim_t address_space, processes; /* RLIMIT_AS and RLIMIT_NPROC, soft and hard; 0: as its parent's */
    bool reset_oom;                 /* give the child the default oom_score_adj */
    struct rlimit files;            /* RLIMIT_NOFILE of the child */
    struct spawn_settings settings;
};

enum spawn_step {
    SPAWN_FORK, SPAWN_OUTPUT, SPAWN_USER, SPAWN_CHDIR, SPAWN_EXEC, SPAWN_NICE, SPAWN_LIMITS, SPAWN_READY,
    SPAWN_CGROUP, SPAWN_CAPABILITIES
};

struct spawn_result {
    pid_t pid;              /* when the program runs, else 0 */
    enum spawn_step step;   /* what failed */
    int error;              /* its errno; 0 when the program runs */
};

/* A start on its way: the caller keeps it, and all that the request points to, as they are from spawn_begin to spawn_end. */
struct spawn {
    struct spawn_request request;   /* the caller's to set */
    struct spawn_result result;     /* … and to read after spawn_end */
    struct newborn newborn;         /* the others are spawn.c's */
    char candidate[4096];           /* path of the program */
};

/* Begins a start. */
void spawn_begin(struct spawn *spawn);

/* Waits, `wait_ms` at most, for its outcome. Returns whether it is there: spawn_end does not wait then. */
bool spawn_is_over(struct spawn *spawn, unsigned wait_ms);

/* Ends a start that is not over, as soon as the kernel lets it: with EINTR, unless it has failed or succeeded by then. To be
 * called again until it is over: there may be no process yet. */
void spawn_cancel(const struct spawn *spawn);

/* Waits for its outcome. Returns 0 and a pid, or -1 with step and errno in the result: the child is reaped then. */
int spawn_end(struct spawn *spawn);

/* Begins a start and waits for its outcome. */
int spawn_process(const struct spawn_request *request, struct spawn_result *result);

/* Takes a descriptor that no child needs and returns it with a number, where one is free, that no child has to copy. */
int spawn_set_aside(int fd);

/* Where a program without a slash is looked for: PATH of that environment, or the usual folders. */
const char *spawn_search_path(char *const *environment);

/* The word for a step: "exec", "chdir", "user", "output", "fork", "nice", "limits", "ready", "cgroup", "caps". */
const char *spawn_step_name(enum spawn_step step);

/* Looks `name` up (a user name, a number, or number:number) with its supplementary groups. Returns 0 or an
 * errno: ENOENT when there is no such user. May read the user database: not for paths that must be quick. */
int spawn_find_user(const char *name, struct spawn_user *user);

#endif
