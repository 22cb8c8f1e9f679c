/* What holds a child together, and what it may use: a real keeper, and children that try to get away. Tests that need a cgroup
 * are skipped, with the reason, where the keeper may make none; those of users, where the tests are not root. */
#include "keeper_death_fixture.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { LONER = 64999 }; /* a user of this test alone */

static bool has_cgroups;

/* As set_up, and notes whether this keeper has cgroups. */
static int begin_test(void **state)
{
    if (make_directory(state) != 0)
        return -1;
    start_keeper_limited("10000", 0);
    join(&agent, WIRE_ROLE_CONTROLLER);
    expect(&agent, WIRE_LIST_END, NULL);
    has_cgroups = wire_has(&message, WIRE_TAG_CGROUP);
    if (!has_cgroups)
        printf("no cgroups here: %s\n", wire_text(&message, WIRE_TAG_ERROR));
    return 0;
}

static void need_cgroups(void)
{
    if (!has_cgroups) {
        printf("skipped: the keeper may make no cgroup\n");
        skip();
    }
}

static void need_root(void)
{
    if (geteuid() != 0) {
        printf("skipped: only root can become another user\n");
        skip();
    }
}

/* --- daemons --- */

/* Leaves its session, its group, its parent and its environment behind, and does not mind to be asked to end. */
#define DAEMON "setsid env -i /bin/sh -c 'trap \"\" TERM HUP; echo $$ >%s/daemon; while :; do /bin/sleep 1000; done' & "

static const char *with_daemon(const char *rest)
{
    static char script[512];

    snprintf(script, sizeof script, DAEMON "while ! [ -s daemon ]; do sleep 0.01; done; %s", directory, rest);
    return script;
}

static void a_daemon_does_not_escape_a_stop(void **state)
{
    pid_t daemon;

    need_cgroups();
    begin_script("d", with_daemon("sleep 1000"));
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 50);
    end(&agent);
    expect(&agent, WIRE_STARTED, "d");
    daemon = pid_in("daemon");
    say(&agent, WIRE_STOP, "d");
    expect(&agent, WIRE_STOPPED, "d");
    assert_false(is_alive(daemon));
}

static void what_left_the_group_is_asked_to_end_first(void **state)
{
    need_cgroups();
    begin_script("d", "setsid sh -c 'trap \"echo asked >told; exit\" TERM; echo $$ >daemon; while :; do sleep 0.01; done' & "
                      "while ! [ -s daemon ]; do sleep 0.01; done; exec sleep 1000");
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, PATIENCE_MS);
    end(&agent);
    expect(&agent, WIRE_STARTED, "d");
    pid_in("daemon");
    say(&agent, WIRE_STOP, "d");
    expect(&agent, WIRE_STOPPED, "d");
    assert_string_equal(contents("told"), "asked\n");
}

static void a_successor_does_not_run_beside_a_daemon(void **state)
{
    pid_t daemon;

    need_cgroups();
    begin_script("d", with_daemon("echo >>runs; [ $(wc -l <runs) = 1 ] || exec sleep 1000;"
                                  "while ! [ -e go ]; do sleep 0.01; done; exit 3"));
    put_restart(1, 1);
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 50); /* the daemon of the second run does not heed SIGTERM either */
    end(&agent);
    daemon = pid_in("daemon"); /* before there is a second run, whose daemon writes its own there */
    touch("go");
    expect(&agent, WIRE_EXITED, "d");
    expect(&agent, WIRE_STARTED, "d");
    assert_false(is_alive(daemon));
}

static ino_t inode_of_cgroup(void)
{
    struct stat status;

    assert_int_equal(stat(wire_text(&message, WIRE_TAG_CGROUP), &status), 0);
    return status.st_ino;
}

static void a_cgroup_serves_the_next_run_unless_it_was_killed(void **state)
{
    char path[512];
    ino_t first;
    int fd;

    need_cgroups();
    begin_script("d", "echo >>runs; exec sleep 1000");
    put_restart(1, 1);
    end(&agent);
    expect(&agent, WIRE_STARTED, "d");
    first = inode_of_cgroup();
    WAIT_FOR(strcmp(contents("runs"), "\n") == 0);
    kill((pid_t)number(WIRE_TAG_PID), SIGTERM);
    expect(&agent, WIRE_STARTED, "d");
    assert_int_equal(inode_of_cgroup(), first);
    WAIT_FOR(strcmp(contents("runs"), "\n\n") == 0);
    snprintf(path, sizeof path, "%s/cgroup.kill", wire_text(&message, WIRE_TAG_CGROUP));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* before Linux 5.14 */
    assert_int_equal(write(fd, "1", 1), 1);
    close(fd);
    do /* one that had run for long is followed by one that is killed at its birth */
        expect(&agent, WIRE_STARTED, "d");
    while (inode_of_cgroup() == first);
    WAIT_FOR(strcmp(contents("runs"), "\n\n\n") == 0);
}

static void a_daemon_ends_with_the_run_that_made_it(void **state)
{
    pid_t daemon;

    need_cgroups();
    spawn_script("d", with_daemon("exit 0"));
    expect(&agent, WIRE_STOPPED, "d");
    daemon = pid_in("daemon");
    assert_false(is_alive(daemon));
}

/* Starts a child with a daemon, a memory limit that needs no controller, and no patience. Returns the daemon's pid. */
static pid_t start_with_daemon(const char *id, const char *rest)
{
    begin_script(id, with_daemon(rest));
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 50);
    wire_put_number(&writer, WIRE_TAG_LIMITS, 1);
    wire_put_number(&writer, WIRE_TAG_VIRTUAL_BYTES, 1 << 30);
    end(&agent);
    expect(&agent, WIRE_STARTED, id);
    return pid_in("daemon");
}

/* One that cannot end yet, as where a device does not answer: a tracer holds it. The moment of the next start passes meanwhile. */
static void what_cannot_end_is_waited_for(void **state)
{
    pid_t left;
    bool quiet;
    int status;

    begin_script("a", "sleep 1000 & echo $! > left; exec sleep 1000");
    put_restart(20, 20);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    left = pid_in("left");
    if (ptrace(PTRACE_SEIZE, left, NULL, PTRACE_O_TRACEEXIT) != 0)
        skip();
    kill((pid_t)number(WIRE_TAG_PID), SIGKILL);
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(waitpid(left, &status, __WALL), left);
    begin_script("b", "exit 1"); /* has a moment that is looked for */
    put_restart(20, 20);
    end(&agent);
    for (int runs = 3; runs > 0; runs--)
        expect(&agent, WIRE_EXITED, "b");
    say(&agent, WIRE_STOP, "b");
    expect(&agent, WIRE_STOPPED, "b");
    quiet = is_quiet();
    ptrace(PTRACE_DETACH, left, NULL, NULL); /* before a test that failed waits for it */
    assert_true(quiet);
    expect(&agent, WIRE_STARTED, "a");
}

static void is_taken_over_and_stopped(const char *id, pid_t daemon)
{
    expect(&agent, WIRE_CHILD, id);
    assert_true(wire_has(&message, WIRE_TAG_CGROUP));
    assert_string_equal(wire_text(&message, WIRE_TAG_ENFORCED), "memory_virt_mb rlimit, of each process\n");
    assert_true(is_alive(daemon));
    say(&agent, WIRE_STOP, id);
    expect(&agent, WIRE_STOPPED, id);
    assert_false(is_alive(daemon));
}

static void an_adopted_daemon_does_not_escape(void **state)
{
    pid_t daemon;

    need_cgroups();
    daemon = start_with_daemon("d", "exec sleep 1000");
    kill_keeper();
    revive();
    is_taken_over_and_stopped("d", daemon);
}

static char elsewhere[600];

/* As a keeper that was started by hand, when the one before had a unit of its own. */
static void go_elsewhere(void)
{
    char path[640];
    int fd;

    snprintf(path, sizeof path, "%s/cgroup.procs", elsewhere);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        _exit(126);
    close(fd);
}

static void a_keeper_elsewhere_finds_the_cgroups_of_the_one_before(void **state)
{
    char base[512];
    pid_t daemon;

    need_cgroups();
    need_root();
    daemon = start_with_daemon("d", "exec sleep 1000");
    snprintf(base, sizeof base, "%s", wire_text(&message, WIRE_TAG_CGROUP));
    *strrchr(base, '/') = '\0';
    snprintf(elsewhere, sizeof elsewhere, "%s.elsewhere", base);
    assert_int_equal(mkdir(elsewhere, 0755), 0);
    kill_keeper();
    prepare_keeper = go_elsewhere;
    revive();
    prepare_keeper = NULL;
    is_taken_over_and_stopped("d", daemon);
    kill(keeper, SIGTERM);
    assert_int_equal(wait_keeper(), 0);
    WAIT_FOR(rmdir(elsewhere) == 0);
}

static void a_daemon_does_not_escape_an_upgrade(void **state)
{
    pid_t daemon;

    need_cgroups();
    daemon = start_with_daemon("d", "exec sleep 1000");
    ask_upgrade(KEEPER);
    come_back();
    is_taken_over_and_stopped("d", daemon);
}

static void what_was_left_while_no_keeper_looked_is_killed(void **state)
{
    pid_t daemon;

    need_cgroups();
    daemon = start_with_daemon("d", "while ! [ -e go ]; do sleep 0.01; done");
    kill_keeper();
    touch("go");
    WAIT_FOR(!is_alive((pid_t)number(WIRE_TAG_PID)));
    assert_true(is_alive(daemon));
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    WAIT_FOR(!is_alive(daemon));
}

static void a_cgroup_that_nobody_knows_is_cleared(void **state)
{
    pid_t daemon;

    need_cgroups();
    daemon = start_with_daemon("d", "exec sleep 1000");
    kill_keeper();
    assert_int_equal(unlink(in_directory("keeper.records")), 0);
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    assert_false(is_alive(daemon));
}

static void no_cgroup_is_left_behind(void **state)
{
    char path[512], base[512];

    need_cgroups();
    spawn_script("a/b", "sleep 1000");
    snprintf(path, sizeof path, "%s", wire_text(&message, WIRE_TAG_CGROUP));
    assert_int_equal(access(path, F_OK), 0);
    say(&agent, WIRE_STOP, "a/b");
    expect(&agent, WIRE_STOPPED, "a/b");
    say(&agent, WIRE_FORGET, "a/b");
    WAIT_FOR(access(path, F_OK) != 0);
    snprintf(base, sizeof base, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(access(base, F_OK), 0);
    kill(keeper, SIGTERM);
    assert_int_equal(wait_keeper(), 0);
    assert_int_not_equal(access(base, F_OK), 0);
}

/* An id that is too long for a file name once it is escaped: who has it is in no cgroup. */
static const char *long_id(void)
{
    static char id[256];

    memset(id, '/', 255);
    return id;
}

/* A daemon of another session, group and parent, but with the environment it was given. */
#define MARKED_DAEMON(trap) \
    "setsid sh -c 'trap \"" trap "\" TERM HUP; echo $$ >daemon; while :; do sleep 0.01; done' & while ! [ -s daemon ]; do sleep 0.01; done; "

static void without_a_cgroup_a_daemon_is_known_by_its_marks(void **state)
{
    pid_t daemon, other;

    begin_script("other", "setsid sleep 1000 & echo $! >other; wait");
    end(&agent);
    expect(&agent, WIRE_STARTED, "other");
    other = pid_in("other");
    begin_script(long_id(), MARKED_DAEMON("") "exit 0");
    end(&agent);
    expect(&agent, WIRE_STARTED, long_id());
    assert_false(wire_has(&message, WIRE_TAG_CGROUP));
    expect(&agent, WIRE_STOPPED, long_id());
    daemon = pid_in("daemon");
    assert_false(is_alive(daemon));
    assert_true(is_alive(other));
    say(&agent, WIRE_STOP, "other");
    expect(&agent, WIRE_STOPPED, "other");
    assert_false(is_alive(other));
}

static void without_a_cgroup_a_daemon_is_asked_to_end_first(void **state)
{
    begin_script(long_id(), MARKED_DAEMON("echo asked >>told; exit") "exec sleep 1000");
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, PATIENCE_MS);
    end(&agent);
    expect(&agent, WIRE_STARTED, long_id());
    pid_in("daemon");
    say(&agent, WIRE_STOP, long_id());
    expect(&agent, WIRE_STOPPED, long_id());
    assert_string_equal(contents("told"), "asked\n");
}

static void the_session_is_what_is_left_without_a_cgroup(void **state)
{
    const char *id = long_id();
    pid_t member;

    spawn_script(id, "sh -c 'echo $$ >member; sleep 1000' & sleep 1000");
    assert_false(wire_has(&message, WIRE_TAG_CGROUP));
    member = pid_in("member");
    say(&agent, WIRE_STOP, id);
    expect(&agent, WIRE_STOPPED, id);
    assert_false(is_alive(member));
}

/* --- where /proc hides what runs as another user --- */

/* A keeper that may not look at other users' processes: /proc is mounted with hidepid=2, and CAP_SYS_PTRACE is not to be had. */
static void become_shortsighted(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", 0, "hidepid=2,gid=64997") != 0)
        _exit(126);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    syscall(SYS_capget, &header, sets);
    sets[0].inheritable = sets[1].inheritable = 0;
    syscall(SYS_capset, &header, sets);
    prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0);
}

static bool may_be_shortsighted(void)
{
    int status;
    pid_t pid = geteuid() == 0 ? fork() : -1;

    if (pid == 0) {
        become_shortsighted();
        _exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int begin_shortsighted(void **state)
{
    if (make_directory(state) != 0)
        return -1;
    if (!may_be_shortsighted()) {
        printf("no /proc with hidepid may be mounted here\n");
        start_keeper_limited("10000", 0);
        has_cgroups = true; /* nothing to see */
    } else {
        prepare_keeper = become_shortsighted;
        start_keeper_limited("10000", 0);
        prepare_keeper = NULL;
        has_cgroups = false;
    }
    join(&agent, WIRE_ROLE_CONTROLLER);
    expect(&agent, WIRE_LIST_END, NULL);
    return 0;
}

/* Starts a child of another user, in no cgroup: its id is too long for a file name. Returns the id. */
static const char *start_hidden(const char *script)
{
    const char *id = long_id();
    char user[32];

    if (has_cgroups)
        skip();
    snprintf(user, sizeof user, "%d:%d", LONER, LONER);
    assert_int_equal(chown(directory, LONER, LONER), 0);
    begin_script(id, script);
    wire_put_text(&writer, WIRE_TAG_USER, user);
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 50);
    end(&agent);
    expect(&agent, WIRE_STARTED, id);
    assert_false(wire_has(&message, WIRE_TAG_CGROUP));
    assert_true(wire_has(&message, WIRE_TAG_GROUP));
    return id;
}

static void a_hidden_run_ends_with_its_group(void **state)
{
    const char *id = start_hidden("sh -c 'trap \"\" TERM; echo $$ >member; sleep 1000; :' & while ! [ -s member ]; do sleep 0.01; done");
    pid_t member;

    expect(&agent, WIRE_STOPPED, id);
    member = pid_in("member");
    assert_false(is_alive(member));
}

static void a_hidden_group_is_stopped(void **state)
{
    const char *id = start_hidden("sh -c 'trap \"\" TERM; echo $$ >member; while :; do sleep 0.1; done' & wait");
    pid_t member = pid_in("member");

    say(&agent, WIRE_STOP, id);
    expect(&agent, WIRE_STOPPED, id);
    assert_false(is_alive(member));
}

static void what_the_keeper_sees_is_contained_by_its_session(void **state)
{
    if (has_cgroups)
        skip();
    begin_script("seen", "sleep 1000");
    end(&agent);
    expect(&agent, WIRE_STARTED, "seen");
    assert_false(wire_has(&message, WIRE_TAG_GROUP));
}

/* --- limits --- */

static void address_space_is_limited(void **state)
{
    begin_script("v", "ulimit -v >limit");
    wire_put_number(&writer, WIRE_TAG_LIMITS, 1);
    wire_put_number(&writer, WIRE_TAG_VIRTUAL_BYTES, 512 << 20);
    end(&agent);
    expect(&agent, WIRE_STARTED, "v");
    assert_string_equal(wire_text(&message, WIRE_TAG_ENFORCED), "memory_virt_mb rlimit, of each process\n");
    expect(&agent, WIRE_STOPPED, "v");
    assert_string_equal(contents("limit"), "524288\n");
}

static void limits_change_in_place(void **state)
{
    pid_t pid = spawn_script("v", "while :; do ulimit -v >new && mv new limit; sleep 0.01; done");

    WAIT_FOR(strcmp(contents("limit"), "unlimited\n") == 0);
    begin(WIRE_UPDATE, "v");
    wire_put_number(&writer, WIRE_TAG_LIMITS, 1);
    wire_put_number(&writer, WIRE_TAG_VIRTUAL_BYTES, 1 << 30);
    end(&agent);
    expect(&agent, WIRE_LIMITED, "v");
    assert_string_equal(wire_text(&message, WIRE_TAG_ENFORCED), "memory_virt_mb rlimit, of each process\n");
    WAIT_FOR(strcmp(contents("limit"), "1048576\n") == 0);
    assert_true(is_alive(pid));
}

/* A fork bomb, held by what there is: the cgroup's pids.max, else RLIMIT_NPROC of a user that has no other process. */
static void a_fork_bomb_is_held(void **state)
{
    char user[32], path[128];

    need_root();
    snprintf(user, sizeof user, "%d:%d", LONER, LONER);
    assert_int_equal(chown(directory, LONER, LONER), 0);
    begin_script("b", "sh -c 'bomb() { bomb | bomb & }; bomb' 2>told & exec sleep 1000");
    wire_put_text(&writer, WIRE_TAG_USER, user);
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 0);
    wire_put_number(&writer, WIRE_TAG_LIMITS, 1);
    wire_put_number(&writer, WIRE_TAG_PIDS, 20);
    end(&agent);
    expect(&agent, WIRE_STARTED, "b");
    if (strstr(wire_text(&message, WIRE_TAG_ENFORCED), "not enforced"))
        fail_msg("%s", wire_text(&message, WIRE_TAG_ENFORCED));
    WAIT_FOR(strstr(contents("told"), "fork"));
    spawn_script("other", "sleep 1000"); /* nobody else suffers */
    say(&agent, WIRE_STOP, "b");
    expect(&agent, WIRE_STOPPED, "b");
    snprintf(path, sizeof path, "pgrep -U %d >/dev/null", LONER);
    WAIT_FOR(system(path) != 0);
}

/* --- capabilities --- */

/* Starts a child that writes its sets down. Returns the lines: inheritable, permitted, effective, bounding, ambient. */
static const char *sets_of(const char *user, bool given, uint64_t capabilities)
{
    static char text[512];

    assert_int_equal(chmod(directory, 0777), 0);
    begin_script("c", "rm -f sets; grep ^Cap /proc/self/status | cut -f2 | tr '\\n' ' ' >sets");
    wire_put_text(&writer, WIRE_TAG_USER, user);
    if (given)
        wire_put_number(&writer, WIRE_TAG_CAPABILITIES, capabilities);
    end(&agent);
    expect(&agent, WIRE_STOPPED, "c");
    snprintf(text, sizeof text, "%s", contents("sets"));
    return text;
}

#define NONE "0000000000000000 "
#define BIND "0000000000000400 " /* CAP_NET_BIND_SERVICE is 10 */

static void another_user_has_no_capabilities(void **state)
{
    need_root();
    assert_int_equal(strncmp(sets_of("65534:65534", false, 0), NONE NONE NONE, 3 * strlen(NONE)), 0);
    assert_non_null(strstr(contents("sets"), " " NONE)); /* ambient, the last */
}

static void another_user_has_those_that_are_given(void **state)
{
    need_root();
    assert_string_equal(sets_of("65534:65534", true, 1 << 10), BIND BIND BIND BIND BIND);
}

static void root_may_have_none(void **state)
{
    need_root();
    assert_string_equal(sets_of(NULL, true, 0), NONE NONE NONE NONE NONE);
    assert_string_equal(sets_of(NULL, true, 1 << 10), BIND BIND BIND BIND BIND);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_daemon_does_not_escape_a_stop, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(what_left_the_group_is_asked_to_end_first, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(a_successor_does_not_run_beside_a_daemon, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(a_cgroup_serves_the_next_run_unless_it_was_killed, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(a_daemon_ends_with_the_run_that_made_it, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_end_is_waited_for, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(an_adopted_daemon_does_not_escape, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(a_keeper_elsewhere_finds_the_cgroups_of_the_one_before, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(a_daemon_does_not_escape_an_upgrade, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(what_was_left_while_no_keeper_looked_is_killed, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(a_cgroup_that_nobody_knows_is_cleared, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(no_cgroup_is_left_behind, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(without_a_cgroup_a_daemon_is_known_by_its_marks, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(without_a_cgroup_a_daemon_is_asked_to_end_first, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(the_session_is_what_is_left_without_a_cgroup, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(a_hidden_run_ends_with_its_group, begin_shortsighted, tear_down),
        cmocka_unit_test_setup_teardown(a_hidden_group_is_stopped, begin_shortsighted, tear_down),
        cmocka_unit_test_setup_teardown(what_the_keeper_sees_is_contained_by_its_session, begin_shortsighted, tear_down),
        cmocka_unit_test_setup_teardown(address_space_is_limited, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(limits_change_in_place, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(a_fork_bomb_is_held, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(another_user_has_no_capabilities, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(another_user_has_those_that_are_given, begin_test, tear_down),
        cmocka_unit_test_setup_teardown(root_may_have_none, begin_test, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
