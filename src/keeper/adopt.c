#include "adopt.h"
#include "keeper.h"
#include "output.h"
#include "proc.h"
#include "ready.h"
#include "table.h"
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long whoever is the parent now may take to reap; between tries to hold a process. */
enum {
    WAIT_MS = 500,
    RESERVE = 8,        /* descriptors that are left for clients and for looking at /proc */
};

/* What older headers do not have. */
struct exit_info {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};

#define GET_INFO _IOWR(0xFF, 11, struct exit_info)
#define INFO_EXIT (1u << 3)
#define SIGNAL_PROCESS_GROUP (1u << 2)

static unsigned pending;    /* children that adopt_run has to look at */
static uint64_t look_ms;

static void look_again(void)
{
    pending++;
    look_ms = watch_now_ms() + WAIT_MS;
}

/* --- the end of a stranger --- */

/* `status` as from wait(2); NULL: nobody can say. */
static void finish(struct child *child, const int *status)
{
    struct child_exit exit = {.known = status != NULL, .at_us = watch_wall_us(), .timed = true};

    watch_remove(&child->watch);
    child->unreaped_since_ms = 0;
    if (status) {
        exit.by_signal = WIFSIGNALED(*status);
        exit.number = (uint8_t)(WIFSIGNALED(*status) ? WTERMSIG(*status) : WEXITSTATUS(*status));
    }
    keeper_note_exit(child, exit);
    child_handle(child, CHILD_EXITED);
}

/* Until it is reaped /proc shows how it ended; afterwards a kernel that is new enough tells it. */
static void process_ended(struct watch *watch, uint32_t events)
{
    struct child *child = (struct child *)watch;
    struct exit_info info = {.mask = INFO_EXIT};
    struct proc_status status;
    bool is_told;

    if (proc_status(child->pid, &status) && status.start_ticks == child->start_ticks && status.exit_is_shown) {
        finish(child, &status.exit_status);
        return;
    }
    is_told = ioctl(watch->fd, GET_INFO, &info) == 0;
    if (is_told && !(info.mask & INFO_EXIT) && !(events & EPOLLHUP)) {
        watch_change(watch, 0); /* EPOLLHUP comes when it is reaped */
        child->unreaped_since_ms = watch_now_ms();
        look_again();
        return;
    }
    finish(child, is_told && info.mask & INFO_EXIT ? &info.exit_code : NULL);
}

/* --- finding them again --- */

static bool is_own(pid_t pid)
{
    siginfo_t info;

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* The descriptor is opened first: if the start time is right after that, it is that process's. */
static enum proc_answer hold(struct child *child)
{
    int fd = pidfd_open(child->pid, 0), error = errno;
    struct rlimit limit;
    enum proc_answer answer = fd < 0 && error == ESRCH ? PROC_GONE : proc_is(child->pid, child->start_ticks);

    fd = fd < 0 ? fd : spawn_set_aside(fd);
    getrlimit(RLIMIT_NOFILE, &limit);
    if (answer == PROC_THERE && fd >= 0 && (rlim_t)fd + RESERVE < limit.rlim_cur &&
        watch_add(&child->watch, fd, EPOLLIN) == 0) {
        child->pidfd = fd;
        return PROC_THERE;
    }
    if (fd >= 0)
        close(fd);
    return answer == PROC_GONE ? PROC_GONE : PROC_UNDECIDED;
}

static enum proc_answer find(struct child *child)
{
    enum proc_answer answer = proc_is(child->pid, child->start_ticks);

    child->watch.ready = process_ended;
    child->adopted = answer != PROC_THERE || !is_own(child->pid);
    if (child->adopted && answer != PROC_GONE)
        answer = hold(child);
    if (answer == PROC_UNDECIDED)
        look_again();
    if (answer == PROC_THERE) {
        ready_reopen(child);
        output_recover(child);
    }
    return answer;
}

void adopt_all(bool upgraded)
{
    for (struct child *child = table_first(); child; child = child->next) {
        bool gone = child->pid && !child->ended && find(child) == PROC_GONE;

        child->unproven = (gone || child->ended) && child->pid && !upgraded;
        if (gone)
            keeper_note_exit(child, (struct child_exit){.at_us = watch_wall_us()});
        child_resume(child, gone);
    }
}

/* What was to be sent to it meanwhile could not be. */
static void hold_at_last(struct child *child)
{
    enum proc_answer answer = find(child);

    if (answer == PROC_GONE)
        finish(child, NULL);
    else if (answer == PROC_THERE && (child->state == CHILD_STOPPING || child->state == CHILD_KILLING))
        adopt_signal_group(child, child->state == CHILD_STOPPING ? child->stop_signal : SIGKILL);
}

/* Waited for until the kernel tells, or held at last, or gone. */
static void look_at(struct child *child, uint64_t now_ms)
{
    bool is_late = child->unreaped_since_ms && now_ms - child->unreaped_since_ms >= WAIT_MS;
    bool is_held = !child->adopted || !child->pid || child->ended || child->pidfd >= 0;

    if (is_late)
        finish(child, NULL);
    else if (child->unreaped_since_ms)
        pending++;
    else if (!is_held)
        hold_at_last(child);
}

void adopt_run(void)
{
    uint64_t now_ms = watch_now_ms();

    if (pending == 0)
        return;
    if (now_ms >= look_ms) {
        pending = 0;
        look_ms = now_ms + WAIT_MS;
        for (struct child *child = table_first(); child; child = child->next)
            look_at(child, now_ms);
    }
    if (pending > 0)
        watch_wake_at(look_ms);
}

/* --- signals --- */

bool adopt_signal_group(const struct child *child, int number)
{
    if (!child->pid)
        return false;
    if (child->pidfd >= 0 && pidfd_send_signal(child->pidfd, number, NULL, SIGNAL_PROCESS_GROUP) == 0)
        return true;
    if (child->pidfd >= 0 && errno != EINVAL) /* EINVAL: before Linux 6.9 */
        return false;
    /* A number may be a stranger's by now; what is left is then the sweep's, which looks at marks. */
    if (child->unproven || (child->adopted && !child->ended && proc_is(child->pid, child->start_ticks) != PROC_THERE))
        return true;
    return kill(-child->pid, number) == 0;
}

bool adopt_signal(const struct child *child, int number)
{
    if (!child->pid || child->ended)
        return false;
    if (child->pidfd >= 0)
        return pidfd_send_signal(child->pidfd, number, NULL, 0) == 0;
    return (!child->adopted || proc_is(child->pid, child->start_ticks) == PROC_THERE) && kill(child->pid, number) == 0;
}

void adopt_release(struct child *child)
{
    watch_remove(&child->watch);
    if (child->pidfd >= 0)
        close(child->pidfd);
    child->pidfd = -1;
    child->adopted = child->unproven = false;
    table_set_pid(child, 0);
}
