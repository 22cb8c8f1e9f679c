#include "start.h"
#include "birth.h"
#include "containment.h"
#include "lease.h"
#include "output.h"
#include "permit.h"
#include "ready.h"
#include "records.h"
#include "spawn.h"
#include "table.h"
#include "tell.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Those of a turn take a millisecond or two together. What has not begun to run by WAIT_MS is looked at again, ever more
 * seldom: a file system may hang. */
enum { STARTS_PER_TURN = 4, WAIT_MS = 5, LOOK_MS = 5, LOOK_MAX_MS = 200, TELL_MS = 5000 };

/* A child on its way. */
struct start {
    struct start *next;
    struct child *child;
    uint64_t begun_ms;
    uint64_t last_start_us;     /* when the child began to run last; a start that fails is none */
    bool is_slow, is_told;      /* its turn is over; it has been told that it is slow */
    bool is_cancelled, is_overdue; /* it is to end; because its time is up */
    struct birth birth;
    struct stream *stream;
    char program[PATH_MAX];     /* what may be executed, where that is limited; permit_check says it of one at a time */
    struct spawn spawn;
};

static struct child *first, *last;
static struct start *under_way; /* in the order in which they began */
static struct start *spare;     /* as many as a turn takes are kept */
static unsigned spare_count;
static uint64_t look_ms;        /* between two looks at slow ones */
static bool is_short;           /* there was no memory for the next one: it is tried again a moment later */
static struct rlimit files;
static bool reset_oom;
static int null_fd = -1;

int start_open(struct rlimit their_files, bool oom_is_lowered)
{
    files = their_files;
    reset_oom = oom_is_lowered;
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return null_fd < 0 ? -errno : 0;
}

/* --- the queue --- */

void start_enqueue(struct child *child)
{
    child->next_to_start = NULL;
    *(first ? &last->next_to_start : &first) = child;
    last = child;
}

static void take_out(struct child *child)
{
    struct child *before = NULL, *at = first;

    for (; at && at != child; at = at->next_to_start)
        before = at;
    if (!at)
        return;
    *(before ? &before->next_to_start : &first) = child->next_to_start;
    if (last == child)
        last = before;
}

bool start_unqueue(struct child *child)
{
    struct start *start = under_way;

    while (start && start->child != child)
        start = start->next;
    if (!start) {
        take_out(child);
        return true;
    }
    start->is_cancelled = true; /* a process that there is not yet is ended at one of the next looks */
    spawn_cancel(&start->spawn);
    look_ms = LOOK_MS;
    return false;
}

bool start_is_due(void)
{
    return first != NULL && !is_short;
}

const char *start_under_way(void)
{
    return under_way ? under_way->child->id : NULL;
}

/* --- what cannot be started --- */

/* What a step was about, for people. */
static const char *subject(const struct child *child, enum spawn_step step)
{
    const struct child_spec *spec = child->spec;
    static char number[40];
    const char *path = NULL;

    switch (step) {
    case SPAWN_FORK: case SPAWN_EXEC: path = spec->command[child->phase][0]; break;
    case SPAWN_OUTPUT: path = spec->output_path; break;
    case SPAWN_USER: path = spec->user; break;
    case SPAWN_CHDIR: path = spec->working_dir; break;
    case SPAWN_NICE: snprintf(number, sizeof number, "%d", spec->settings.nice); return number;
    case SPAWN_CGROUP: return "cgroup.procs";
    case SPAWN_CAPABILITIES: return "capabilities";
    case SPAWN_LIMITS: snprintf(number, sizeof number, "open_files %ju", (uintmax_t)spec->settings.open_files); return number;
    case SPAWN_READY: snprintf(number, sizeof number, "ready_fd %d", spec->ready_fd); return number;
    }
    return path ? path : "/dev/null";
}

static const char *const commands[CHILD_PHASE_COUNT] = {"", "init_command: ", "fini_command: "};

static void fail(struct child *child, enum spawn_step step, int error)
{
    const char *path = subject(child, step);
    const char *hint = "", *reason = strerror(error);

    if (step == SPAWN_USER && error == ENOENT)
        reason = "no such user";
    else if (step == SPAWN_EXEC && error == ENOENT && path[0] == '/' && access(path, F_OK) == 0)
        hint = " (the file is there: the interpreter or loader it names is not)";
    else if (step == SPAWN_EXEC && error == ENOENT && !strchr(path, '/'))
        hint = " (not found in PATH)";
    else if (step == SPAWN_LIMITS && error == EPERM)
        hint = " (more than the keeper's own hard limit, or than fs.nr_open)";
    else if (step == SPAWN_CAPABILITIES && error == EPERM)
        hint = " (only a keeper that is root and has them itself can give them)";
    snprintf(child->failure_step, sizeof child->failure_step, "%s", spawn_step_name(step));
    snprintf(child->failure, sizeof child->failure, "%s%s: %s %.400s: %s%s", commands[child->phase],
             strerrorname_np(error), child->failure_step, path, reason, hint);
    child_handle(child, CHILD_START_FAILED);
}

static void fail_overdue(struct child *child)
{
    const struct child_spec *spec = child->spec;

    snprintf(child->failure_step, sizeof child->failure_step, "start");
    snprintf(child->failure, sizeof child->failure, "%s%.400s had not begun to run after %g s and was killed: the file system "
             "of the program, or of its working directory, may hang", commands[child->phase], spec->command[child->phase][0],
             (double)spec->timeout_ms[child->phase] / 1000);
    child_handle(child, CHILD_START_FAILED);
}

/* What may not be started is a start that failed: it is tried again as any other, since rules change. */
static void fail_forbidden(struct child *child, const char *why)
{
    snprintf(child->failure_step, sizeof child->failure_step, "permit");
    snprintf(child->failure, sizeof child->failure, "EPERM: %.600s", why);
    child_handle(child, CHILD_START_FAILED);
}

/* The user is looked up when the child first starts and not when it is restarted. */
static int find_user(struct child *child, const struct spawn_user **user)
{
    int error;

    *user = NULL;
    if (!child->spec->user)
        return 0;
    error = child->user_known ? 0 : spawn_find_user(child->spec->user, &child->user);
    child->user_known = error == 0;
    /* Who is that user already needs no privilege to become it. */
    if (geteuid() == 0 || child->user.uid != geteuid())
        *user = &child->user;
    return error;
}

/* --- one start --- */

/* What the process gets from us beside its settings. Returns false with the step and its errno in the result. */
static bool prepare(struct start *start)
{
    struct child *child = start->child;
    const struct child_spec *spec = child->spec;
    struct spawn_request *request = &start->spawn.request;
    struct spawn_result *result = &start->spawn.result;

    result->step = SPAWN_USER;
    result->error = find_user(child, &request->user);
    if (!result->error && spec->output_path) {
        result->step = SPAWN_OUTPUT;
        result->error = output_open(spec->output_path, &spec->output_terms, &start->stream, &child->pipe, &request->output_fd);
    }
    if (!result->error && child->phase == CHILD_MAIN && spec->ready_fd) {
        int fd = ready_open(child);

        result->step = SPAWN_READY;
        result->error = fd < 0 ? -fd : 0;
        request->ready_fd = fd < 0 ? 0 : fd;
        request->ready_number = fd < 0 ? 0 : spec->ready_fd;
    }
    return !result->error;
}

/* It runs, or could not be started. */
static void finish(struct start *start)
{
    struct child *child = start->child;
    const struct spawn_request *request = &start->spawn.request;
    const struct spawn_result *result = &start->spawn.result;

    if (request->ready_number)
        close(request->ready_fd);
    if (start->stream) {
        close(request->output_fd);
        output_begin(start->stream, result->error == 0);
    }
    if (start->is_told)
        child->failure[0] = '\0'; /* that it was slow is over */
    if (result->error) {
        ready_close(child);
        child->started_at_us = start->last_start_us;
        if (start->is_overdue && result->error == EINTR)
            fail_overdue(child);
        else
            fail(child, result->step, result->error);
        return;
    }
    table_set_pid(child, result->pid);
    if (memcmp(&start->birth.child.limits, &child->limits, sizeof child->limits) != 0)
        containment_limit(child); /* they were changed since it was begun */
    output_is_well(child);
    child_handle(child, CHILD_STARTED);
}

/* Returns false when the child was not begun: what follows has been handled. */
static bool begin(struct start *start, struct child *child)
{
    const char *forbidden, *permitted;

    start->child = child;
    start->stream = NULL;
    start->is_slow = start->is_told = start->is_cancelled = start->is_overdue = false;
    start->begun_ms = watch_now_ms();
    start->last_start_us = child->started_at_us;
    start->spawn.result = (struct spawn_result){0};
    start->spawn.request = (struct spawn_request){
        .argv = child->spec->command[child->phase], .environment = child->spec->environment,
        .working_dir = child->spec->working_dir, .input_fd = null_fd, .output_fd = null_fd,
        .before_exec = birth_note, .data = &start->birth, .before_exec_fd = records_descriptor(), .reset_oom = reset_oom,
        .files = files, .settings = child->spec->settings,
    };
    if (child->phase != CHILD_FINI && lease_has_ended(child)) {
        child_handle(child, CHILD_STOP);
        return false;
    }
    forbidden = permit_check(child->spec, child->phase, &permitted);
    if (forbidden) {
        fail_forbidden(child, forbidden);
        return false;
    }
    if (permitted)
        start->spawn.request.program = strcpy(start->program, permitted);
    if (child->phase == CHILD_MAIN)
        child->started_at_us = watch_wall_us();
    if (!prepare(start)) {
        finish(start);
        return false;
    }
    containment_begin(child, &start->spawn.request);
    records_expect(&start->birth, child);
    spawn_begin(&start->spawn);
    return true;
}

/* --- those under way --- */

static struct start *take_spare(void)
{
    struct start *start = spare;

    if (!start)
        return aligned_alloc(_Alignof(struct start), sizeof *start);
    spare = start->next;
    spare_count--;
    return start;
}

static void give_back(struct start *start)
{
    if (spare_count == STARTS_PER_TURN) {
        free(start);
        return;
    }
    start->next = spare;
    spare = start;
    spare_count++;
}

static void say_slow(struct start *start, uint64_t now_ms)
{
    if (start->is_told || now_ms - start->begun_ms < TELL_MS)
        return;
    start->is_told = true;
    snprintf(start->child->failure, sizeof start->child->failure, "%.400s has not begun to run %d s after its start: the file system "
             "of the program, or of its working directory, may hang", start->spawn.request.argv[0], TELL_MS / 1000);
    tell_error(NULL, start->child->id, "start", start->child->failure);
}

/* What may run for so long has no longer to begin. */
static void end_overdue(struct start *start, uint64_t now_ms)
{
    uint64_t timeout_ms = start->child->spec->timeout_ms[start->child->phase];

    if (timeout_ms && now_ms - start->begun_ms >= timeout_ms && !start->is_cancelled)
        start->is_cancelled = start->is_overdue = true;
    if (start->is_cancelled)
        spawn_cancel(&start->spawn);
}

/* Handles what is over; for those of this turn it waits until then. */
static void collect(uint64_t until_ms)
{
    struct start **link = &under_way, *start;
    uint64_t now_ms = watch_now_ms();

    while ((start = *link)) {
        unsigned wait_ms = start->is_slow || now_ms >= until_ms ? 0 : (unsigned)(until_ms - now_ms);

        if (!spawn_is_over(&start->spawn, wait_ms)) {
            start->is_slow = true;
            say_slow(start, now_ms);
            end_overdue(start, now_ms);
            link = &start->next;
        } else {
            *link = start->next;
            spawn_end(&start->spawn);
            records_met(&start->birth, start->child);
            containment_begun(start->child, &start->spawn.request, start->spawn.result.pid);
            finish(start);
            give_back(start);
        }
        now_ms = watch_now_ms();
    }
}

void start_collect(void)
{
    if (under_way)
        collect(0);
}

/* Returns false when memory is out: it stays in the queue. */
static bool begin_next(void)
{
    struct start *start = take_spare(), **end = &under_way;
    struct child *child = first;

    if (!start) {
        is_short = true;
        return false;
    }
    take_out(child);
    if (!begin(start, child)) {
        give_back(start);
        return true;
    }
    start->next = NULL;
    while (*end)
        end = &(*end)->next;
    *end = start;
    return true;
}

void start_run(void)
{
    is_short = false;
    for (unsigned left = STARTS_PER_TURN; first && left > 0 && begin_next(); left--)
        look_ms = LOOK_MS;
    if (is_short)
        watch_wake_at(watch_now_ms() + LOOK_MS);
    if (!under_way)
        return;
    collect(watch_now_ms() + WAIT_MS);
    if (!under_way)
        return;
    watch_wake_at(watch_now_ms() + look_ms);
    look_ms = 2 * look_ms < LOOK_MAX_MS ? 2 * look_ms : LOOK_MAX_MS;
}
