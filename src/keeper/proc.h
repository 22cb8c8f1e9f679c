/* /proc: who runs, since when, in which session, and whether this keeper's state directory is where it came from.
 *
 * Every child gets two marks in its environment: APPMGR_KEEPER=<device>.<inode of the state directory> and APPMGR_ID=<its id>.
 * Allocates nothing.
 */
#ifndef APPMGR_KEEPER_PROC_H
#define APPMGR_KEEPER_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_ID_MARK "APPMGR_ID="

struct proc_status {
    char state;             /* 'Z' and 'X' have ended */
    pid_t parent;
    int session;
    uint64_t start_ticks;   /* with the pid this names a process uniquely until the next boot */
    int exit_status;        /* of one that has ended and is not reaped yet, as wait(2) gives it … */
    bool exit_is_shown;     /* … if it is true: to some the kernel shows 0 whatever it was */
};

enum { PROC_STATUS_SIZE = 1024 }; /* what /proc/PID/stat holds has room in it */

enum proc_answer { PROC_GONE, PROC_THERE, PROC_UNDECIDED };

/* Opens /proc and notes whose the mark is. Returns 0 or -errno. */
int proc_open(int directory_fd);

/* The environment entry of all children of this state directory. */
const char *proc_mark(void);

/* True when the process, or one it descends from, was started with the mark. */
bool proc_has_mark(pid_t pid);

/* The id of the child that the process was started by, or descends from; NULL when it has not both marks. Borrowed until the
 * next look at an environment. */
const char *proc_child_id(pid_t pid);

/* Returns false when nothing could be read: not what a process that is there looks like, nor a proof that it is not. */
bool proc_status(pid_t pid, struct proc_status *status);

/* Reads the text of /proc/PID/stat, all but exit_is_shown. Returns false when it is none. Touches nothing else. */
bool proc_read_status(const char *text, struct proc_status *status);

/* Is this the process that began then? Only a missing process or another start time says no; whatever keeps us from
 * looking does not. */
enum proc_answer proc_is(pid_t pid, uint64_t start_ticks);

/* True when the process is there and /proc does not show it to us: mounted with hidepid=, and it is another user's. */
bool proc_hides(pid_t pid);

/* True when the path of the process's cgroup (v2) holds `part`. */
bool proc_cgroup_has(pid_t pid, const char *part);

/* Opens anew what a process has open as `number`, with O_… `flags`, close-on-exec. Returns a descriptor or -errno. */
int proc_reopen(pid_t pid, int number, int flags);

/* Makes a pipe whose read end does not wait. Returns a descriptor of the end that is a child's, or -errno: it is open for reading
 * as well, so that the child's writes wait, and do not fail, where nobody else has the pipe any more. */
int proc_pipe(int *read_end);

/* Calls visit for each process. Returns false when for want of descriptors or memory not all could be looked at. */
bool proc_each(void (*visit)(pid_t pid));

/* The descriptor that all of this looks through. */
int proc_descriptor(void);

/* The boot that pids belong to, as proc_open read it: the kernel's id of it, and the pid namespace (where that can be read). */
const char *proc_boot(void);

/* Whether a keeper of this boot wrote it. */
bool proc_is_boot(const char *text);

#endif
