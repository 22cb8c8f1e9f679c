/* keeper: killed at each write to its records, before it, in the middle of it and after it; and a little after the first
 * that says where records end was refused, as by a full disk. The keeper that follows finds what runs, starts nothing a second
 * time, and tells what was told.
 *
 * The keeper is traced by a process of its own; what it starts is let go when it has become its program. */
#include "keeper_death_fixture.h"

#include "keeper/record_cell.h"

#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

enum moment { BEFORE, TORN, AFTER, REFUSED };

enum { WRITES_AFTER_REFUSAL = 1 };

/* Shared with the tracer. */
static struct plan {
    int kill_at;            /* the number of the write, from 1 on */
    enum moment moment;
    volatile int writes;
    volatile bool killed;
} *plan;

/* --- the tracer --- */

static bool is_write(pid_t pid, unsigned operation)
{
    struct __ptrace_syscall_info info;

    return ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) > 0 && info.op == operation &&
           (operation == PTRACE_SYSCALL_INFO_EXIT || info.entry.nr == SYS_pwrite64);
}

/* The write that makes a record count, or could: the header of the file is written once and does not. */
static bool says_where_records_end(pid_t pid)
{
    struct __ptrace_syscall_info info;
    uint64_t at;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) <= 0)
        return false;
    at = info.entry.args[3];
    return at >= RECORD_COMMON_AT && at < RECORD_RING_AT;
}

/* Of this write nothing comes. */
static void refuse(pid_t pid, bool begins)
{
#ifdef __x86_64__
    struct user_regs_struct registers;

    ptrace(PTRACE_GETREGS, pid, NULL, &registers);
    if (begins)
        registers.orig_rax = (unsigned long long)-1;
    else
        registers.rax = (unsigned long long)-ENOSPC;
    ptrace(PTRACE_SETREGS, pid, NULL, &registers);
#endif
}

static void tear(pid_t pid)
{
#ifdef __x86_64__
    struct user_regs_struct registers;

    ptrace(PTRACE_GETREGS, pid, NULL, &registers);
    registers.rdx /= 2;
    ptrace(PTRACE_SETREGS, pid, NULL, &registers);
#endif
}

/* `with`: the writer, where it is killed with its keeper; else 0. */
static void kill_and_leave(pid_t traced, pid_t with)
{
    plan->killed = true; /* before it is seen to end */
    kill(traced, SIGKILL);
    if (with)
        kill(with, SIGKILL);
    _exit(0); /* all others are let go */
}

/* At a write: returns true when its end is to be looked at. */
static bool look_at_write(pid_t pid, pid_t traced)
{
    static int left = WRITES_AFTER_REFUSAL;
    bool counts = plan->moment != REFUSED || says_where_records_end(pid);

    if (plan->moment == REFUSED && plan->writes >= plan->kill_at && left-- == 0)
        kill_and_leave(traced, 0);
    if (!counts || ++plan->writes != plan->kill_at)
        return false;
    if (plan->moment == BEFORE)
        kill_and_leave(traced, 0);
    if (plan->moment == TORN)
        tear(pid);
    if (plan->moment == REFUSED)
        refuse(pid, true);
    return true;
}

static void end_write(pid_t pid, pid_t traced)
{
    if (plan->moment == REFUSED) {
        refuse(pid, false);
        return;
    }
    kill_and_leave(traced, plan->moment == TORN ? pid : 0);
}

static void trace(pid_t traced)
{
    pid_t writing = 0, pid;
    int status;

    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        int event = status >> 16, signal = 0;

        if (!WIFSTOPPED(status))
            continue;
        if (event == PTRACE_EVENT_EXEC && pid != traced) {
            ptrace(PTRACE_DETACH, pid, NULL, 0);
            continue;
        }
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            if (pid == writing && is_write(pid, PTRACE_SYSCALL_INFO_EXIT)) {
                end_write(pid, traced);
                writing = 0;
            } else if (is_write(pid, PTRACE_SYSCALL_INFO_ENTRY) && look_at_write(pid, traced)) {
                writing = pid;
            }
        } else if (!event && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP) {
            signal = WSTOPSIG(status);
        }
        ptrace(PTRACE_SYSCALL, pid, NULL, signal);
    }
    _exit(0);
}

static void be_traced(void)
{
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEFORK |
                         PTRACE_O_TRACEEXEC;
    int ready[2];
    char byte;

    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* where a process may trace its descendants alone */
    if (pipe(ready) != 0)
        _exit(1);
    if (fork() == 0) {
        pid_t traced = getppid();

        if (fork() > 0)
            _exit(0);
        if (ptrace(PTRACE_SEIZE, traced, NULL, options) != 0 || ptrace(PTRACE_INTERRUPT, traced, NULL, NULL) != 0)
            _exit(1);
        close(ready[0]);
        close(ready[1]);
        trace(traced);
    }
    wait(NULL);
    close(ready[1]);
    (void)!read(ready[0], &byte, 1);
    close(ready[0]);
}

/* --- what the agent does --- */

static bool connection_is_lost;

static void say_all(size_t size)
{
    connection_is_lost = connection_is_lost || send(agent.fd, out, size, MSG_NOSIGNAL) != (ssize_t)size;
}

/* Reads on until that frame comes. Returns false when the keeper was killed instead. */
static bool hears(enum wire_type type, const char *id)
{
    uint64_t until_ms = now_ms() + PATIENCE_MS;

    while (!connection_is_lost) {
        connection_is_lost = !next_frame(&agent, until_ms);
        if (!connection_is_lost && message.type == type && is_about(id))
            return true;
    }
    if (now_ms() >= until_ms)
        fail_msg("frame %d about %s did not come", (int)type, id ? id : "anything");
    return false;
}

static void put_spawn(struct wire_writer *all, const char *id, const char *file)
{
    char script[96];

    snprintf(script, sizeof script, "echo $$ >> %s; exec sleep 1000", file);
    wire_begin(all, WIRE_SPAWN);
    wire_put_text(all, WIRE_TAG_ID, id);
    wire_put_text(all, WIRE_TAG_ARGUMENT, strcmp(id, "e") == 0 ? in_directory("slow") : "/bin/sh");
    wire_put_text(all, WIRE_TAG_ARGUMENT, "-c");
    wire_put_text(all, WIRE_TAG_ARGUMENT, script);
    wire_put_text(all, WIRE_TAG_ENVIRONMENT, "PATH=/usr/bin:/bin");
    wire_put_text(all, WIRE_TAG_WORKING_DIR, directory);
    if (strcmp(id, "c") == 0) {
        wire_put_number(all, WIRE_TAG_RESTART_ENABLED, 1);
        wire_put_number(all, WIRE_TAG_RESTART_ATTEMPTS, 10);
        wire_put_number(all, WIRE_TAG_RESTART_DELAY_MS, 1);
        wire_put_number(all, WIRE_TAG_RESTART_MAX_DELAY_MS, 1);
    }
    assert_int_equal(wire_end(all), 0);
}

static void ask_for(const char *id, const char *file)
{
    struct wire_writer all = {.data = out, .capacity = sizeof out};

    put_spawn(&all, id, file);
    say_all(all.size);
}

static void tell(enum wire_type type, const char *id, uint64_t sequence)
{
    begin(type, id);
    if (type == WIRE_ACKNOWLEDGE)
        wire_put_number(&writer, WIRE_TAG_SEQUENCE, sequence);
    if (type == WIRE_UPDATE)
        wire_put_text(&writer, WIRE_TAG_LABEL, "another label, which is longer");
    wire_end(&writer);
    say_all(writer.size);
}

/* What it was told before the keeper was killed. */
static struct {
    pid_t a, b, d2;
    bool d_stopped, c_ended, label, acknowledged;
    uint64_t c_sequence;
} told;

/* A lease on its program makes it wait, as a file system does that does not answer. */
static void change_what_hangs(void)
{
    int leased = open(in_directory("slow"), O_RDONLY | O_CLOEXEC);

    assert_int_equal(fcntl(leased, F_SETLEASE, F_WRLCK), 0);
    ask_for("e", "runs.e");
    WAIT_FOR(fcntl(leased, F_GETLEASE) != F_WRLCK || plan->killed);
    tell(WIRE_UPDATE, "e", 0);
    tell(WIRE_LIST, NULL, 0);
    hears(WIRE_LIST_END, NULL);
    close(leased);
    hears(WIRE_STARTED, "e");
}

static void work(void)
{
    struct wire_writer all = {.data = out, .capacity = sizeof out};
    pid_t c = 0;

    ask_for("a", "runs.a");
    if (hears(WIRE_STARTED, "a"))
        told.a = (pid_t)number(WIRE_TAG_PID);
    put_spawn(&all, "c", "runs.c");
    put_spawn(&all, "d", "runs.d");
    put_spawn(&all, "b", "runs.b");
    say_all(all.size);
    while ((!c || !told.b) && hears(WIRE_STARTED, NULL)) { /* in any order: a tracer makes them slow */
        c = is_about("c") ? (pid_t)number(WIRE_TAG_PID) : c;
        told.b = is_about("b") ? (pid_t)number(WIRE_TAG_PID) : told.b;
    }
    if (!connection_is_lost) {
        WAIT_FOR(*contents("runs.c"));
        kill(c, SIGKILL);
    }
    if (hears(WIRE_EXITED, "c")) {
        told.c_ended = true;
        told.c_sequence = number(WIRE_TAG_SEQUENCE);
    }
    if (hears(WIRE_STARTED, "c")) {
        told.acknowledged = true;
        tell(WIRE_ACKNOWLEDGE, NULL, told.c_sequence);
    }
    tell(WIRE_UPDATE, "a", 0);
    tell(WIRE_STOP, "d", 0);
    if (hears(WIRE_STOPPED, "d"))
        told.d_stopped = told.label = true;
    ask_for("d", "runs.d2");
    if (hears(WIRE_STARTED, "d"))
        told.d2 = (pid_t)number(WIRE_TAG_PID);
    change_what_hangs();
}

/* --- what the next keeper makes of it --- */

static int count_lines(const char *file)
{
    int count = 0;

    for (const char *at = contents(file); (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

static int count_alive(const char *file)
{
    char text[512];
    int count = 0;

    snprintf(text, sizeof text, "%s", contents(file));
    for (char *at = text, *line; (line = strsep(&at, "\n")) != NULL;)
        count += *line && is_alive((pid_t)atoi(line));
    return count;
}

#define HOLDS(condition)                                                                                                   \
    do {                                                                                                                   \
        if (!(condition))                                                                                                  \
            fail_msg("killed at write %d, moment %d: %s does not hold", plan->kill_at, (int)plan->moment, #condition);     \
    } while (0)

static void look(void)
{
    memset(&message, 0, sizeof message);
    for (;;) {
        HOLDS(next_frame(&agent, now_ms() + PATIENCE_MS));
        if (message.type == WIRE_LIST_END)
            break;
        if (message.type != WIRE_CHILD)
            continue;
        if (is_about("a") && told.a)
            HOLDS(number(WIRE_TAG_PID) == (uint64_t)told.a);
        if (is_about("a") && told.label)
            HOLDS(wire_text(&message, WIRE_TAG_LABEL) && strstr(wire_text(&message, WIRE_TAG_LABEL), "another"));
        if (is_about("b") && told.b)
            HOLDS(number(WIRE_TAG_PID) == (uint64_t)told.b);
        if (is_about("d") && told.d2)
            HOLDS(number(WIRE_TAG_PID) == (uint64_t)told.d2);
    }
    while (told.c_ended && !told.acknowledged) { /* what nobody has acknowledged is told after the list */
        HOLDS(next_frame(&agent, now_ms() + PATIENCE_MS));
        if (message.type == WIRE_EXITED && number(WIRE_TAG_SEQUENCE) == told.c_sequence)
            break;
    }
    ask_for("a", "runs.a"); /* what the agent does: what runs is kept */
    ask_for("b", "runs.b");
    ask_for("c", "runs.c");
    ask_for("e", "runs.e");
    if (!told.d_stopped)
        tell(WIRE_STOP, "d", 0);
    if (!told.d_stopped && (count_lines("runs.d") > 0))
        WAIT_FOR(count_alive("runs.d") == 0);
    WAIT_FOR(count_alive("runs.a") == 1 && count_alive("runs.b") == 1 && count_alive("runs.c") == 1 &&
             count_alive("runs.e") == 1);
    if (told.d_stopped) {
        ask_for("d", "runs.d2");
        WAIT_FOR(count_lines("runs.d2") > 0 || count_lines("runs.d") > 1);
        HOLDS(count_alive("runs.d") == 0);
        HOLDS(count_lines("runs.d2") == 1);
    }
    HOLDS(count_lines("runs.a") == 1);
    HOLDS(count_lines("runs.b") == 1);
    HOLDS(count_lines("runs.e") == 1);
    HOLDS(count_lines("runs.c") <= 2);
    HOLDS(count_lines("runs.d") <= 1);
}

static bool try_one(void **state, enum moment moment, int kill_at)
{
    char command[128];
    bool killed;

    memset(&told, 0, sizeof told);
    plan->kill_at = kill_at;
    plan->moment = moment;
    plan->writes = 0;
    plan->killed = connection_is_lost = false;
    if (make_directory(state) != 0)
        fail();
    snprintf(command, sizeof command, "cp /bin/sh %s/slow", directory);
    assert_int_equal(system(command), 0);
    prepare_keeper = be_traced;
    start_keeper_limited("10000", 0);
    prepare_keeper = NULL;
    for (int fd; !plan->killed;) {
        if ((fd = try_dial()) >= 0) {
            close(fd);
            break;
        }
        usleep(1000);
    }
    if (!plan->killed) {
        agent.fd = try_dial();
        agent.size = agent.used = 0;
        begin(WIRE_HELLO, NULL);
        wire_put_number(&writer, WIRE_TAG_VERSION, WIRE_VERSION);
        wire_put_number(&writer, WIRE_TAG_ROLE, WIRE_ROLE_CONTROLLER);
        wire_end(&writer);
        say_all(writer.size);
        tell(WIRE_LIST, NULL, 0);
        work();
        close(agent.fd);
    }
    killed = plan->killed;
    if (!killed)
        kill(keeper, SIGKILL);
    waitpid(keeper, NULL, 0);
    WAIT_FOR(!listens());
    revive();
    connection_is_lost = false;
    look();
    if (tear_down(state) != 0)
        fail();
    return killed;
}

static bool can_trace(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
    waitpid(pid, &status, 0);
    return status == 0;
}

static void prepare_plan(void)
{
    if (!can_trace())
        skip();
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(plan != MAP_FAILED);
}

static void killed_at_each_write(void **state, enum moment moment)
{
    int kill_at = 1;

    prepare_plan();
    while (try_one(state, moment, kill_at))
        kill_at++;
    assert_true(kill_at > 20); /* all those writes were there */
    munmap(plan, sizeof *plan);
}

static void killed_before_each_write(void **state)
{
    killed_at_each_write(state, BEFORE);
}

static void killed_in_each_write(void **state)
{
    killed_at_each_write(state, TORN);
}

static void killed_after_each_write(void **state)
{
    killed_at_each_write(state, AFTER);
}

/* The first is in a file that is not the records yet. After a second one, what was asked for next would be in no record. */
static void killed_after_a_refused_write(void **state)
{
#ifdef __x86_64__
    prepare_plan();
    assert_true(try_one(state, REFUSED, 2));
    munmap(plan, sizeof *plan);
#else
    skip(); /* it is refused by way of registers */
#endif
}

int main(void)
{
    signal(SIGIO, SIG_IGN); /* the kernel asks for the lease back */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_before_each_write),
        cmocka_unit_test(killed_in_each_write),
        cmocka_unit_test(killed_after_each_write),
        cmocka_unit_test(killed_after_a_refused_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
