/* What a process that shares our memory until it becomes its program may not do to us, and what becomes of one that does not
 * come so far. Each test is a process of its own with every signal blocked, as the keeper is. */
#include "cmocka_all.h"

#include "keeper/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77, PATIENCE_S = 20 };

/* Elsewhere starts are one after the other, each goes to its cgroup by itself, and errno is whose turn it is. */
#if defined(NEWBORN_X86) || defined(NEWBORN_ARM)
enum { HAS_HELPERS = true };
#else
enum { HAS_HELPERS = false };
#endif

static int null_fd;

/* Runs the function in a process of its own; its value is the line where something was not as it should be, or 0. */
static void apart(int (*function)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        sigset_t all;

        alarm(PATIENCE_S);
        sigfillset(&all);
        sigdelset(&all, SIGALRM);
        sigprocmask(SIG_SETMASK, &all, NULL);
        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        _exit(function());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        skip();
    if (WIFSIGNALED(status))
        fail_msg("ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status))
        fail_msg("not as it should be: see the value %d", WEXITSTATUS(status));
}

static struct spawn_request request_for(char *const *arguments)
{
    static char *const none[] = {NULL};

    return (struct spawn_request){.argv = arguments, .environment = none, .input_fd = null_fd, .output_fd = null_fd,
                                  .files = {1024, 1024}};
}

static char *const truth[] = {(char[]){"/bin/true"}, NULL};
static char *const absent[] = {(char[]){"/nonexistent"}, NULL};
static char *const sleeper[] = {(char[]){"/bin/sleep"}, (char[]){"1000"}, NULL};

/* Returns what is in a file that holds a number. */
static int read_number(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    close(fd);
    return got < 0 ? -1 : atoi(text);
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return written;
}

/* --- memory --- */

static int oom_scores(void)
{
    struct spawn_request request = request_for(sleeper);
    struct spawn_result result;
    char path[64];
    int its;

    request.reset_oom = true;
    if (!write_text("/proc/self/oom_score_adj", "500"))
        return SKIPPED;
    if (spawn_process(&request, &result) != 0)
        return 1;
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)result.pid);
    its = read_number(path);
    kill(result.pid, SIGKILL);
    return its != 0 ? 2 : read_number("/proc/self/oom_score_adj") != 500 ? 3 : 0;
}

static void a_child_has_an_oom_score_of_its_own(void **state)
{
    apart(oom_scores);
}

static char group[96];

/* A memory cgroup of the first or the second version, where one may be made here. */
static bool make_memory_cgroup(void)
{
    static const struct { const char *root, *limit; } places[] = {
        {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"},
    };

    for (int i = 0; i < 2; i++) {
        char path[160];

        snprintf(group, sizeof group, "%s/appmgr-test.%d", places[i].root, (int)getpid());
        snprintf(path, sizeof path, "%s/%s", group, places[i].limit);
        if (mkdir(group, 0700) == 0 && write_text(path, "1000000"))
            return true;
        rmdir(group);
    }
    return false;
}

static long join_group(void *data)
{
    char path[128];

    snprintf(path, sizeof path, "%s/cgroup.procs", group);
    return write_text(path, "0") ? 0 : -EIO;
}

/* More than the cgroup may have goes into the arguments: before it is another program. */
static int short_of_memory(void)
{
    enum { WORDS = 16, WORD_SIZE = 120000 };
    static char program[] = "/bin/true", *arguments[WORDS + 2] = {program};
    struct spawn_request request = request_for(arguments);
    struct spawn_result result;

    for (int i = 1; i <= WORDS; i++) {
        arguments[i] = malloc(WORD_SIZE);
        memset(arguments[i], 'x', WORD_SIZE - 1);
        arguments[i][WORD_SIZE - 1] = '\0';
    }
    request.before_exec = join_group;
    request.before_exec_fd = 63; /* it opens what it needs */
    return spawn_process(&request, &result) == -1 && result.error ? 0 : 1;
}

static void a_cgroup_out_of_memory_harms_the_child_alone(void **state)
{
    if (!make_memory_cgroup())
        skip();
    apart(short_of_memory);
    while (rmdir(group) != 0 && errno == EBUSY)
        usleep(1000);
}

/* --- those that do not come so far --- */

static bool has_child(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

static long die(void *data)
{
    kill((pid_t)syscall(SYS_getpid), SIGKILL);
    return 0;
}

/* There is none where starts are one after the other (newborn.c). */
static long kill_helper(void *data)
{
    const struct spawn *spawn = data;
    pid_t helper = 0;

    for (int tries = 0; tries < 1000 && helper <= 0; tries++) { /* its number is not noted before it runs */
        helper = __atomic_load_n(&spawn->newborn.helper, __ATOMIC_ACQUIRE);
        usleep(100);
    }
    if (helper > 0)
        kill(helper, SIGKILL);
    usleep(20000); /* the other one could take it for done meanwhile */
    return 0;
}

static int killed_before(void)
{
    struct spawn_request request = request_for(truth);
    struct spawn_result result;

    request.before_exec = die;
    if (spawn_process(&request, &result) != -1 || result.error != EINTR || result.step != SPAWN_FORK)
        return 1;
    return has_child() ? 2 : 0;
}

static void one_that_is_killed_before_is_told_as_failed(void **state)
{
    apart(killed_before);
}

static int helper_killed(void)
{
    static struct spawn spawn;
    siginfo_t info;

    spawn.request = request_for(absent);
    spawn.request.before_exec = kill_helper;
    spawn.request.data = &spawn;
    spawn_begin(&spawn);
    if (spawn_end(&spawn) != -1 || spawn.result.step != SPAWN_EXEC || spawn.result.error != ENOENT)
        return 1;
    spawn.request.argv = truth;
    spawn_begin(&spawn);
    if (spawn_end(&spawn) != 0 || waitid(P_ALL, 0, &info, WEXITED) != 0 || info.si_pid != spawn.result.pid)
        return 2;
    return has_child() ? 3 : 0;
}

static void a_helper_that_is_killed_is_no_end(void **state)
{
    apart(helper_killed);
}

static int many_at_a_time(void)
{
    enum { COUNT = 4, ROUNDS = 50 };
    static struct spawn spawns[COUNT];
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (int round = 0; round < ROUNDS; round++) {
        errno = 0;
        for (int i = 0; i < COUNT; i++) {
            spawns[i].request = request_for(i % 2 ? truth : absent);
            spawn_begin(&spawns[i]);
        }
        if (errno && HAS_HELPERS)
            return 1;
        for (int i = 0; i < COUNT; i++)
            if ((spawn_end(&spawns[i]) == 0) != (i % 2) || (i % 2 == 0 && spawns[i].result.error != ENOENT))
                return 2;
        for (int i = 0; i < COUNT; i++) {
            siginfo_t info;

            if (i % 2 && (waitid(P_PID, (id_t)spawns[i].result.pid, &info, WEXITED) != 0 || info.si_status != 0))
                return 3;
        }
        if (has_child())
            return 4;
    }
    return sigwaitinfo(&child, NULL) == SIGCHLD ? 0 : 5;
}

static void many_at_a_time_each_have_their_own_outcome(void **state)
{
    apart(many_at_a_time);
}

static int parent_is_we(void)
{
    char script[48];
    char *const arguments[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, script, NULL};
    struct spawn_request request = request_for(arguments);
    struct spawn_result result;
    int status;

    snprintf(script, sizeof script, "test $PPID = %d", (int)getpid());
    if (spawn_process(&request, &result) != 0 || waitpid(result.pid, &status, 0) != result.pid)
        return 1;
    return status ? 2 : 0;
}

static void its_parent_is_we(void **state)
{
    apart(parent_is_we);
}

/* --- a kernel that cannot bear it in a cgroup --- */

static int refused_with;

static bool refuse_call(int number, int error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool done = filter && seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), number, 0) == 0 &&
                seccomp_load(filter) == 0;

    seccomp_release(filter);
    return done;
}

static int born_elsewhere(void)
{
    static const char *const roots[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
    struct spawn_request request = request_for(sleeper);
    struct spawn_result result;
    bool falls_back = !HAS_HELPERS || refused_with == ENOSYS || refused_with == EPERM || refused_with == EINVAL ||
                      refused_with == E2BIG;
    char path[128], text[64] = "";
    int fd = -1, started;

    for (int i = 0; i < 2 && fd < 0; i++) {
        snprintf(path, sizeof path, "%s/cgroup.procs", roots[i]);
        if (access(path, W_OK) != 0)
            continue;
        snprintf(group, sizeof group, "%s/appmgr-test.%d", roots[i], (int)getpid());
        if (mkdir(group, 0700) == 0)
            fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return SKIPPED;
    request.cgroup_fd = fd;
    if (!refuse_call(SCMP_SYS(clone3), refused_with))
        return SKIPPED;
    started = spawn_process(&request, &result);
    if (started == 0) {
        snprintf(path, sizeof path, "%s/cgroup.procs", group);
        snprintf(text, sizeof text, "%d", read_number(path));
        kill(result.pid, SIGKILL);
        waitpid(result.pid, NULL, 0);
    }
    while (rmdir(group) != 0 && errno == EBUSY)
        usleep(1000);
    if (!falls_back)
        return started != -1 ? 1 : result.error != refused_with ? 2 : result.step != SPAWN_FORK ? 3 : has_child() ? 4 : 0;
    return started != 0 ? 5 : atoi(text) != result.pid ? 6 : has_child() ? 7 : 0;
}

static void where_it_cannot_be_born_there_it_goes_there(void **state)
{
    static const int errors[] = {ENOSYS, EPERM, EINVAL, E2BIG, EBUSY, EOPNOTSUPP, ENODEV, EACCES, EAGAIN, ENOMEM};

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        refused_with = errors[i];
        apart(born_elsewhere);
    }
}

/* --- a file system that does not answer --- */

static char slow_path[32];
static char *const slow[] = {slow_path, NULL};
static int leased = -1;

/* A lease on a program makes the kernel wait in execve(2) until it is given back. */
static bool lease_program(void)
{
    char command[128];
    int fd;

    strcpy(slow_path, "/tmp/appmgr-spawn-XXXXXX");
    fd = mkstemp(slow_path);
    snprintf(command, sizeof command, "cp /bin/true %s; chmod 700 %s", slow_path, slow_path);
    close(fd);
    if (fd < 0 || system(command) != 0)
        return false;
    leased = open(slow_path, O_RDONLY | O_CLOEXEC);
    return fcntl(leased, F_SETLEASE, F_WRLCK) == 0;
}

static void give_back_program(void)
{
    fcntl(leased, F_SETLEASE, F_UNLCK);
    unlink(slow_path);
}

/* Begins a start and is killed before its helper has run, where there is one processor for both. */
static _Noreturn void begin_and_die(void)
{
    static struct spawn spawn;
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    spawn.request = request_for(slow);
    spawn_begin(&spawn);
    raise(SIGKILL);
    _exit(1);
}

static int killed_at_once(void)
{
    struct pollfd end = {.fd = -1};
    int pair[2], rounds = 50;
    bool is_let_go = true;

    if (!HAS_HELPERS)
        return SKIPPED;
    if (!lease_program())
        return 1;
    for (; rounds > 0 && is_let_go; rounds--) {
        pid_t pid;

        if (pipe2(pair, O_CLOEXEC) != 0)
            return 2;
        pid = fork();
        if (pid == 0)
            begin_and_die();
        close(pair[1]);
        waitpid(pid, NULL, 0);
        end.fd = pair[0];
        is_let_go = poll(&end, 1, 2000) == 1;
        close(pair[0]);
    }
    give_back_program();
    return is_let_go ? 0 : 3;
}

static void one_that_dies_at_once_leaves_nobody_with_its_descriptors(void **state)
{
    apart(killed_at_once);
}

/* Descriptors of the process beside the three that each has. */
static int count_descriptors(pid_t pid)
{
    char path[40];
    int count = 0;

    for (int fd = 3; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        count += faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    return count;
}

static int waits_without_close_range(void)
{
    static struct spawn spawn;
    int count;

    if (!HAS_HELPERS || !refuse_call(SCMP_SYS(close_range), ENOSYS))
        return SKIPPED;
    if (!lease_program())
        return 1;
    spawn.request = request_for(slow);
    spawn_begin(&spawn);
    while (fcntl(leased, F_GETLEASE) == F_WRLCK)
        usleep(1000);
    count = count_descriptors(spawn.newborn.pid);
    give_back_program();
    return spawn_end(&spawn) != 0 ? 2 : count ? 3 : 0;
}

static void what_waits_has_no_descriptor_of_ours_where_the_kernel_is_old(void **state)
{
    apart(waits_without_close_range);
}

int main(void)
{
    signal(SIGIO, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_has_an_oom_score_of_its_own),
        cmocka_unit_test(a_cgroup_out_of_memory_harms_the_child_alone),
        cmocka_unit_test(one_that_is_killed_before_is_told_as_failed),
        cmocka_unit_test(a_helper_that_is_killed_is_no_end),
        cmocka_unit_test(many_at_a_time_each_have_their_own_outcome),
        cmocka_unit_test(its_parent_is_we),
        cmocka_unit_test(where_it_cannot_be_born_there_it_goes_there),
        cmocka_unit_test(one_that_dies_at_once_leaves_nobody_with_its_descriptors),
        cmocka_unit_test(what_waits_has_no_descriptor_of_ours_where_the_kernel_is_old),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
