#include "containment.h"
#include "adopt.h"
#include "proc.h"
#include "sweep.h"
#include "table.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { YOUNG_MS = 1000 };

static const char *own_name(void)
{
    static char name[80];

    snprintf(name, sizeof name, "appmgr-%s", strchr(proc_mark(), '=') + 1);
    return name;
}

/* Another keeper may have had its place elsewhere: its own unit, when this one was started by hand or by an agent. What it
 * started is still held together there. Only root may start further processes in it from here. */
static bool open_where_children_are(const char *name)
{
    for (const struct child *child = table_first(); child && geteuid() == 0; child = child->next)
        if (child->pid && !child->ended && cgroup_open_where(child->pid, name) == 0)
            return true;
    return false;
}

void containment_open(void)
{
    if (!open_where_children_are(own_name()))
        cgroup_open(own_name());
}

const char *containment_make_way(void)
{
    return cgroup_make_way(own_name()) == 0 ? NULL : cgroup_why();
}

static bool is_held(const char *id)
{
    const struct child *child = table_find(id);

    return child && child->in_cgroup;
}

/* Its process is there, or was: what is left of it is in the cgroup then. */
static void find_again(struct child *child)
{
    int fd = child->pid ? cgroup_directory(child->id) : -1;

    if (child->spec->user && !child->user_known)
        child->user_known = spawn_find_user(child->spec->user, &child->user) == 0;
    child->is_hidden = fd < 0 && child->pid && !child->ended && proc_hides(child->pid);
    if (fd < 0)
        return;
    child->in_cgroup = child->cgroup_was_killed = true;
    child->limits_in_cgroup = limits_apply(&child->limits, fd);
    child->oom_kills = limits_oom_kills(fd);
    close(fd);
}

void containment_adopt(void)
{
    for (struct child *child = table_first(); child; child = child->next)
        find_again(child);
    cgroup_tidy(is_held);
}

static bool is_none(const char *id)
{
    (void)id;
    return false;
}

void containment_close(void)
{
    cgroup_tidy(is_none);
    cgroup_close();
}

/* --- starting --- */

static bool runs_as_root(const struct child *child)
{
    return child->user_known ? child->user.uid == 0 : geteuid() == 0;
}

/* What rlimits are for, 0 for none. */
static rlim_t or_none(uint64_t value)
{
    return value == LIMIT_NONE ? 0 : (rlim_t)value;
}

/* Somebody else may have used cgroup.kill as well: what is born there then does not live (cgroup_make). */
static bool was_killed_young(const struct child *child)
{
    return child->last_exit.by_signal && child->last_exit.number == SIGKILL && child->last_exit.ran_ms < YOUNG_MS;
}

/* The cgroup of the run before will do, where the keeper did not have to kill anything in it: to make another takes longer
 * than all else that it does for a restart. */
static int cgroup_for_run(const struct child *child)
{
    bool is_usable = child->in_cgroup && !child->cgroup_was_killed && !was_killed_young(child);
    int fd = is_usable ? cgroup_directory(child->id) : -1;

    return fd >= 0 ? fd : cgroup_make(child->id);
}

void containment_begin(struct child *child, struct spawn_request *request)
{
    int fd = cgroup_for_run(child);

    child->in_cgroup = fd > 0;
    child->cgroup_was_killed = false;
    child->limits_in_cgroup = 0;
    if (child->in_cgroup) {
        request->cgroup_fd = fd;
        child->limits_in_cgroup = limits_apply(&child->limits, fd);
        child->oom_kills = limits_oom_kills(fd);
    }
    request->address_space = or_none(child->limits.value[LIMIT_VIRTUAL]);
    request->processes = or_none(limits_processes(&child->limits, child->limits_in_cgroup, runs_as_root(child)));
}

void containment_begun(struct child *child, struct spawn_request *request, pid_t pid)
{
    if (request->cgroup_fd)
        close(request->cgroup_fd);
    child->is_hidden = pid && !child->in_cgroup && proc_hides(pid);
}

void containment_limit(struct child *child)
{
    int fd = child->in_cgroup ? cgroup_directory(child->id) : -1;

    if (fd >= 0) {
        child->limits_in_cgroup = limits_apply(&child->limits, fd);
        close(fd);
    }
    if (child->pid && !child->ended)
        limits_set(&child->limits, child->limits_in_cgroup, runs_as_root(child), child->pid);
}

/* --- ending --- */

static void kill_all(struct child *child)
{
    child->cgroup_was_killed = true;
    cgroup_kill(child->id);
}

bool containment_signal(struct child *child, int number)
{
    bool group = adopt_signal_group(child, number);

    if (!child->in_cgroup || number != SIGKILL)
        return group;
    if (!cgroup_is_populated(child->id))
        return false;
    kill_all(child);
    return true;
}

static void may_be_empty(struct watch *watch, uint32_t events)
{
    struct child *child = (struct child *)(void *)((char *)watch - offsetof(struct child, emptiness));

    (void)events;
    if (!cgroup_is_empty(watch))
        return;
    watch_close(watch);
    child_handle(child, CHILD_EMPTY);
}

void containment_drain(struct child *child)
{
    int result = -1;

    child->emptiness.ready = may_be_empty;
    if (child->in_cgroup)
        result = cgroup_wait(&child->emptiness, child->id);
    if (result < 0) {
        sweep_add(child);
    } else if (result > 0) {
        child_handle(child, CHILD_EMPTY);
    } else if (child->state == CHILD_STOPPING) {
        cgroup_signal(child->id, child->stop_signal);
        cgroup_signal(child->id, SIGCONT);
    } else {
        kill_all(child);
    }
}

void containment_forget(struct child *child)
{
    watch_close(&child->emptiness);
    cgroup_remove(child->id);
}

/* --- what there is to tell --- */

bool containment_ran_out_of_memory(const struct child *child)
{
    int fd = child->limits_in_cgroup & 1u << LIMIT_MEMORY ? cgroup_directory(child->id) : -1;
    bool result = fd >= 0 && limits_oom_kills(fd) > child->oom_kills;

    if (fd >= 0)
        close(fd);
    return result;
}

const char *containment_level_seen(const struct child *child)
{
    char part[96];

    snprintf(part, sizeof part, "/%s/app-", own_name());
    return proc_cgroup_has(child->pid, part) ? "cgroup" : proc_hides(child->pid) ? "group" : "session";
}

const char *containment_cgroup(const struct child *child)
{
    static char path[PATH_MAX];

    return child->in_cgroup && cgroup_path(child->id, path, sizeof path) == 0 ? path : NULL;
}

const char *containment_limits(const struct child *child)
{
    static char text[LIMIT_COUNT * 160];

    limits_describe(&child->limits, child->limits_in_cgroup, runs_as_root(child), text, sizeof text);
    return text;
}
