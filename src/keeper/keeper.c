#include "keeper.h"
#include "adopt.h"
#include "containment.h"
#include "exits.h"
#include "lease.h"
#include "output.h"
#include "permit.h"
#include "ready.h"
#include "proc.h"
#include "records.h"
#include "server.h"
#include "start.h"
#include "sweep.h"
#include "table.h"
#include "tell.h"
#include "upgrade.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between two looks at all children. */
enum { REAP_ALL_MS = 20 };

static uint64_t next_deadline_ms;
static uint64_t lonely_since_ms;
static uint64_t reaped_all_ms, reap_all_ms;  /* when that was last, and when it is due; 0: it is not */
static bool ending;
static uint64_t linger_ms;

/* --- effects --- */

/* What is being cleared away has the moment of its next start, which is looked for when that is over. */
static bool has_deadline(const struct child *child)
{
    return child->deadline_ms && child->state != CHILD_CLEARING;
}

static void arm(struct child *child)
{
    if (has_deadline(child) && (!next_deadline_ms || child->deadline_ms < next_deadline_ms))
        next_deadline_ms = child->deadline_ms;
}

static void refuse(struct child *child, const char *why)
{
    tell_refusal(NULL, child->id, why);
}

static void forget(struct child *child)
{
    ready_close(child);
    records_drop(child);
    containment_forget(child);
    table_remove(child);
}

const struct child_effects keeper_effects = {
    .now_ms = watch_now_ms, .start = start_enqueue, .unstart = start_unqueue, .signal = containment_signal, .drain = containment_drain,
    .arm = arm, .release = adopt_release, .tell = tell_event, .refuse = refuse, .record = records_note, .forget = forget,
};

/* --- time --- */

static void handle_deadlines(void)
{
    uint64_t now_ms = watch_now_ms();

    if (!next_deadline_ms || now_ms < next_deadline_ms) {
        watch_wake_at(next_deadline_ms);
        return;
    }
    next_deadline_ms = 0;
    for (struct child *child = table_first(); child; child = child->next) {
        if (has_deadline(child) && child->deadline_ms <= now_ms)
            child_handle(child, CHILD_TIMED);
        arm(child);
    }
    watch_wake_at(next_deadline_ms);
}

/* --- signals --- */

void keeper_note_exit(struct child *child, struct child_exit exit)
{
    if (child->phase == CHILD_MAIN) {
        ready_close(child);
        exit.out_of_memory = containment_ran_out_of_memory(child);
        exit.ran_ms = exit.timed ? watch_now_ms() - child->started_ms : 0;
        child->last_exit = exit;
    } else {
        child->phase_exit = exit;
    }
}

static struct child *find_running(pid_t pid)
{
    struct child *child = table_find_pid(pid);

    return child && !child->ended ? child : NULL;
}

static void handle_exit(pid_t pid, const siginfo_t *info)
{
    struct child *child = find_running(pid);
    struct child_exit exit = {
        .known = true, .by_signal = info->si_code != CLD_EXITED, .number = (uint8_t)info->si_status,
        .at_us = watch_wall_us(), .timed = true,
    };

    if (!child) { /* it may have begun to run since its start was last looked at */
        start_collect();
        child = find_running(pid);
    }
    if (!child) {
        if (!output_logger_ended(pid))
            upgrade_check_ended(pid, info->si_status); /* else somebody's orphan, which came to us as the subreaper */
        return;
    }
    keeper_note_exit(child, exit);
    child_handle(child, CHILD_EXITED);
}

/* Returns false when none of them has ended. */
static bool reap_one(idtype_t which, id_t number)
{
    siginfo_t info = {0};

    if (waitid(which, number, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
        return false;
    handle_exit(info.si_pid, &info);
    return true;
}

static void reap_all(void)
{
    start_collect();
    while (reap_one(P_ALL, 0))
        ;
    reaped_all_ms = watch_now_ms();
    reap_all_ms = 0;
}

/* A signal tells of one end, while others of its time may be told by no signal of their own. To look for those the kernel goes
 * through all children, of which there are thousands: that comes after what is urgent, and not for each. */
static void child_ended(pid_t pid)
{
    uint64_t soonest_ms = reaped_all_ms + REAP_ALL_MS, now_ms = watch_now_ms();

    start_collect();
    reap_one(P_PID, (id_t)pid);
    if (!reap_all_ms)
        reap_all_ms = soonest_ms > now_ms ? soonest_ms : now_ms;
}

static void reap_run(void)
{
    if (reap_all_ms && watch_now_ms() >= reap_all_ms)
        reap_all();
    else if (reap_all_ms)
        watch_wake_at(reap_all_ms);
}

static void signals_ready(struct watch *watch, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)events;
    while (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            child_ended((pid_t)info.ssi_pid);
        else
            keeper_shut_down();
    }
}

static struct watch signals = {.ready = signals_ready, .fd = -1};

static int open_signals(void)
{
    sigset_t all, wanted;
    int fd;

    for (int number = 1; number < _NSIG; number++)
        signal(number, SIG_DFL); /* what was ignored would be ignored in the children */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : watch_add(&signals, fd, EPOLLIN);
}

/* --- the keeper itself --- */

static bool lower_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    bool lowered = fd >= 0 && write(fd, "-900", 4) == 4;

    if (fd >= 0)
        close(fd);
    return lowered;
}

/* `given`: what it was. */
static void raise_file_limit(struct rlimit *given)
{
    struct rlimit raised;

    getrlimit(RLIMIT_NOFILE, given);
    raised = *given;
    raised.rlim_cur = raised.rlim_max;
    setrlimit(RLIMIT_NOFILE, &raised);
}

static int say_why(char *why, size_t size, const char *what, int error)
{
    snprintf(why, size, "%s: %s", what, strerror(-error));
    return -1;
}

/* Reads what the keeper before this one knew. What cannot be read stops us: it would all be started a second time. */
static int read_records(const struct keeper_options *options, char *why, size_t size)
{
    char found[160];

    switch (records_load(options->directory_fd, found, sizeof found)) {
    case RECORDS_TAKEN:
        return 0;
    case RECORDS_STRANGE:
        snprintf(why, size, "%s; nothing of it is taken over", found);
        tell_notice(why);
        return 0;
    case RECORDS_UNREADABLE:
        break;
    }
    snprintf(why, size, "%s; no keeper starts beside what one left running: end what has %s in its environment, or restart "
             "the machine, then remove keeper.records", found, proc_mark());
    return -1;
}

/* Goes on where the keeper before this one was. */
static int take_up(const struct keeper_options *options, char *why, size_t size)
{
    int error;

    containment_open(); /* before there is a logger: only who is alone in its cgroup may leave it */
    if ((error = output_start(options->directory_fd, options->directory)) != 0)
        return say_why(why, size, "logger.sock", error);
    records_begin(options->directory_fd);
    containment_adopt();
    adopt_all(options->listen_fd >= 0);
    reap_all(); /* what ended while one program became another */
    return 0;
}

int keeper_open(struct keeper_options *options, char *why, size_t size)
{
    int error, listen_fd = options->listen_fd;

    mallopt(M_MMAP_THRESHOLD, 128 << 10); /* fixed: what a large frame took goes back to the system */
    lonely_since_ms = watch_now_ms();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    raise_file_limit(&options->files);
    linger_ms = options->linger_ms;
    upgrade_prepare(options);
    if ((error = start_open(options->files, lower_oom_score())) != 0)
        return say_why(why, size, "/dev/null", error);
    permit_open(options->directory_fd);
    if ((error = proc_open(options->directory_fd)) != 0)
        return say_why(why, size, "/proc", error);
    if (read_records(options, why, size) != 0)
        return -1;
    if ((error = watch_open()) != 0 || (error = open_signals()) != 0)
        return say_why(why, size, "event loop", error);
    if (listen_fd < 0)
        listen_fd = server_listen(options->directory_fd, "keeper.sock", SOCK_STREAM);
    if (listen_fd < 0 || (error = server_open(listen_fd)) != 0)
        return say_why(why, size, "keeper.sock", listen_fd < 0 ? listen_fd : error);
    return take_up(options, why, size);
}

void keeper_shut_down(void)
{
    ending = true;
    for (struct child *child = table_first(); child; child = child->next)
        if (!child_at_rest(child))
            child_handle(child, CHILD_STOP);
}

bool keeper_is_ending(void)
{
    return ending;
}

/* True when a child runs or will, or has something to say that nobody has heard yet. */
static bool is_needed(void)
{
    if (!ending && (server_has_clients() || exits_first() != exits_end()))
        return true;
    for (const struct child *child = table_first(); child; child = child->next)
        if (ending ? !child_at_rest(child) : child->state != CHILD_STOPPED)
            return true;
    return false;
}

/* True when the keeper has nothing to do any more. */
static bool is_over(void)
{
    uint64_t now_ms = watch_now_ms();

    if (is_needed()) {
        lonely_since_ms = now_ms;
        return false;
    }
    if (ending || now_ms - lonely_since_ms >= linger_ms)
        return true;
    watch_wake_at(lonely_since_ms + linger_ms);
    return false;
}

int keeper_run(void)
{
    while (!is_over()) {
        int error = watch_turn(start_is_due());

        if (error)
            return error;
        start_run();
        reap_run();
        adopt_run();
        sweep_run();
        lease_run(); /* before the deadlines: a stop has one */
        handle_deadlines();
        output_run();
        records_run();
        server_flush();
        if (!ending)
            upgrade_run();
    }
    output_finish();
    records_remove();
    containment_close();
    tell_bye();
    server_close();
    return 0;
}
