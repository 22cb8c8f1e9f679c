#include "sweep.h"
#include "proc.h"
#include "table.h"
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static unsigned waiting;
static uint64_t not_before_ms;

/* Of what became a daemon we are the parent: its marks say which child it was. */
static struct child *find_owner(pid_t pid, const struct proc_status *status)
{
    struct child *child = table_find_pid(status->session);
    const char *id;

    if (child)
        return child->unproven && !proc_has_mark(pid) ? NULL : child;
    id = status->parent == getpid() ? proc_child_id(pid) : NULL;
    return id ? table_find(id) : NULL;
}

static void visit_member(pid_t pid)
{
    struct proc_status status;
    struct child *child;

    if (!proc_status(pid, &status) || status.state == 'Z' || status.state == 'X')
        return;
    child = find_owner(pid, &status);
    if (!child || !child->in_sweep)
        return;
    child->alive_in_sweep = true;
    if (child->state != CHILD_STOPPING) {
        kill(pid, SIGKILL);
    } else if (!child->asked_in_sweep && getpgid(pid) != child->pid) {
        kill(pid, child->stop_signal);
        kill(pid, SIGCONT);
    }
}

void sweep_add(struct child *child)
{
    waiting += !child->in_sweep;
    child->asked_in_sweep = child->in_sweep && child->asked_in_sweep;
    child->in_sweep = true;
}

/* Of what /proc does not show only the group can be asked for. Its number is nobody else's while a process is in it, and was
 * the child's until a moment ago. */
static bool has_group_left(const struct child *child)
{
    if (!child->is_hidden || child->unproven)
        return false;
    return kill(-child->pid, child->state == CHILD_STOPPING ? 0 : SIGKILL) == 0 || errno == EPERM;
}

static void finish(struct child *child)
{
    child->in_sweep = child->alive_in_sweep || has_group_left(child);
    child->asked_in_sweep = true;
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
        bool has_seen_all = proc_each(visit_member);

        for (struct child *child = table_first(); child; child = child->next)
            if (child->in_sweep && has_seen_all)
                finish(child);
        not_before_ms = watch_now_ms() + 4 + 5 * (watch_now_ms() - begin_ms);
    }
    if (waiting > 0)
        watch_wake_at(not_before_ms);
}
