/* The keeper's cgroups: where they are found, what is in them, and how they end. The tests of the kernel's hierarchy are
 * skipped, with the reason, where this process may not write one; controllers are tried on a copy made of files. */
#include "cmocka_all.h"

#include "keeper/cgroup.h"
#include "keeper/cgroup_find.h"
#include "keeper/cgroup_hold.h"
#include "keeper/cgroup_home.h"
#include "keeper/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* --- where --- */

static const char systemd[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "35 25 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";

static const char hybrid[] =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

static void assert_found(const char *mountinfo, const char *own, const char *expected)
{
    char path[256];

    assert_int_equal(cgroup_find(mountinfo, own, path, sizeof path), 0);
    assert_string_equal(path, expected);
}

static void test_it_is_found_as_systemd_mounts_it(void **state)
{
    assert_found(systemd, "0::/system.slice/appmgr.service\n", "/sys/fs/cgroup/system.slice/appmgr.service");
    assert_found(systemd, "0::/\n", "/sys/fs/cgroup");
}

static void test_it_is_found_beside_the_first_version(void **state)
{
    assert_found(hybrid, "4:memory:/elsewhere\n1:cpu:/\n0::/a\n", "/sys/fs/cgroup/unified/a");
}

static void test_a_mount_of_a_part_is_seen_through(void **state)
{
    static const char part[] = "35 25 0:30 /docker/abc /sys/fs/cg\\040roup rw - cgroup2 cgroup2 rw\n";

    assert_found(part, "0::/docker/abc/inner\n", "/sys/fs/cg roup/inner");
    assert_found(part, "0::/docker/abc\n", "/sys/fs/cg roup");
}

static void test_what_cannot_be_used_is_told_apart(void **state)
{
    char path[256];

    assert_int_equal(cgroup_find(hybrid, "4:memory:/elsewhere\n", path, sizeof path), -ENOENT);
    assert_int_equal(cgroup_find("22 27 0:21 / /proc rw - proc proc rw\n", "0::/a\n", path, sizeof path), -ENOENT);
    assert_int_equal(cgroup_find("35 25 0:30 /b /cg rw - cgroup2 c rw\n", "0::/bc\n", path, sizeof path), -EXDEV);
    assert_int_equal(cgroup_find(systemd, "0::/../outside\n", path, sizeof path), -EXDEV);
    assert_int_equal(cgroup_find("35 25 0:30 / /cg ro,nosuid - cgroup2 c rw\n", "0::/\n", path, sizeof path), -EROFS);
    assert_int_equal(cgroup_find(systemd, "0::/a\n", path, 10), -ENAMETOOLONG);
    assert_int_equal(cgroup_find("", "", path, sizeof path), -ENOENT);
    assert_int_equal(cgroup_find("no mount\n- -\n - cgroup2\n", "0::/a\n", path, sizeof path), -ENOENT);
}

/* --- the kernel's hierarchy --- */

static char name[64];

static int open_hierarchy(void **state)
{
    snprintf(name, sizeof name, "appmgr-test.%d", (int)getpid());
    watch_open();
    if (cgroup_open(name) != 0)
        printf("skipped: no cgroup may be made here: %s\n", cgroup_why());
    return 0;
}

static bool known_none(const char *id)
{
    return false;
}

static int close_hierarchy(void **state)
{
    cgroup_tidy(known_none);
    cgroup_close();
    return 0;
}

static void need_hierarchy(void)
{
    if (!cgroup_base())
        skip();
}

/* Starts a shell in the cgroup of `id`, before it runs anything. */
static pid_t start_in(const char *id, const char *script)
{
    int fd = cgroup_make(id);
    pid_t pid;

    assert_true(fd >= 0);
    pid = fork();
    if (pid == 0) {
        setsid();
        if (cgroup_write(fd, "cgroup.procs", "0") == 0)
            execl("/bin/sh", "sh", "-c", script, NULL);
        _exit(127);
    }
    close(fd);
    return pid;
}

static pid_t leader;

static bool wait_until(bool (*holds)(const char *id), const char *id)
{
    for (int i = 0; i < 60000; i++) {
        if (holds(id))
            return true;
        usleep(1000);
    }
    return false;
}

static bool is_empty(const char *id)
{
    return !cgroup_is_populated(id);
}

static int count_in(const char *id)
{
    char path[512], text[4096];
    int count = 0;

    assert_int_equal(cgroup_path(id, path, sizeof path), 0);
    strcat(path, "/cgroup.procs");
    assert_int_equal(cgroup_read(AT_FDCWD, path, text, sizeof text), 0);
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        count++;
    return count;
}

static bool has_two(const char *id)
{
    return count_in(id) == 2;
}

static bool has_three(const char *id)
{
    return count_in(id) == 3;
}

/* Signals again and again: the daemon is one of the group until it has made its session. */
static bool has_two_after_signal(const char *id)
{
    cgroup_signal(id, SIGTERM);
    return count_in(id) == 2;
}

static bool has_none_itself(const char *id)
{
    return count_in(id) == 0 && cgroup_is_populated(id);
}

static bool has_one(const char *id)
{
    return count_in(id) == 1;
}

static void test_names_are_escaped_and_found_again(void **state)
{
    static const char *const ids[] = {"web.0", "a/b/../c", "memory.max", ".", "100%", "\n tab\t\xff", "", "%41"};
    char path[512];

    need_hierarchy();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        int fd = cgroup_make(ids[i]);

        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(cgroup_path(ids[i], path, sizeof path), 0);
        assert_null(strstr(path, "/../"));
        assert_false(cgroup_is_populated(ids[i]));
    }
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_true(cgroup_remove(ids[i]));
    assert_int_equal(cgroup_path("web.0", path, sizeof path), -ENOENT);
}

static void test_an_id_too_long_for_a_file_has_none(void **state)
{
    char id[256];

    need_hierarchy();
    memset(id, '/', 255);
    id[255] = '\0';
    assert_int_equal(cgroup_make(id), -ENOENT);
    assert_false(cgroup_is_populated(id));
    assert_true(cgroup_remove(id));
}

static int emptied;

static void count_emptied(struct watch *watch, uint32_t events)
{
    if (!cgroup_is_empty(watch))
        return;
    watch_close(watch);
    emptied++;
}

static struct watch waiting = {.ready = count_emptied, .fd = -1};

/* A grandchild with a session of its own, an environment of its own, and another parent. */
static const char daemon_script[] =
    "setsid env -i /bin/sh -c 'trap \"\" TERM HUP; /bin/sleep 1000 & exit' & exec sleep 1000";

static void test_a_daemon_does_not_escape(void (*kill_all)(const char *id))
{
    pid_t pid = start_in("daemon", daemon_script);

    emptied = 0;
    assert_true(wait_until(has_two, "daemon"));
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(cgroup_is_populated("daemon"));
    assert_int_equal(cgroup_wait(&waiting, "daemon"), 0);
    kill_all("daemon");
    for (int i = 0; i < 1000 && !emptied; i++) {
        watch_wake_at(watch_now_ms() + 10);
        assert_int_equal(watch_turn(0), 0);
    }
    assert_int_equal(emptied, 1);
    assert_false(cgroup_is_populated("daemon"));
    assert_int_equal(cgroup_wait(&waiting, "daemon"), 1);
    assert_true(cgroup_remove("daemon"));
}

static void test_a_daemon_is_killed_by_the_kernel(void **state)
{
    need_hierarchy();
    test_a_daemon_does_not_escape(cgroup_kill);
}

static void test_a_daemon_is_killed_where_the_kernel_cannot(void **state)
{
    need_hierarchy();
    test_a_daemon_does_not_escape(cgroup_kill_each);
}

static void test_a_signal_reaches_who_left_the_group(void **state)
{
    need_hierarchy();
    leader = start_in("signal", "trap : TERM; setsid sleep 1000 & while :; do sleep 1000; done");
    assert_true(wait_until(has_three, "signal"));
    assert_true(wait_until(has_two_after_signal, "signal")); /* the shell, which handles it, and another sleep of its own */
    assert_int_equal(waitpid(leader, NULL, WNOHANG), 0);
    cgroup_kill("signal");
    assert_int_equal(waitpid(leader, NULL, 0), leader);
    assert_true(wait_until(is_empty, "signal"));
    assert_true(cgroup_remove("signal"));
}

static void test_what_made_cgroups_of_its_own_goes_with_them(void **state)
{
    char path[512], script[1200];
    pid_t pid;

    need_hierarchy();
    close(cgroup_make("outer"));
    assert_int_equal(cgroup_path("outer", path, sizeof path), 0);
    snprintf(script, sizeof script, "mkdir -p %s/in/ner && echo 0 >%s/in/ner/cgroup.procs && sleep 1000", path, path);
    pid = start_in("outer", script);
    assert_true(wait_until(has_none_itself, "outer"));
    assert_false(cgroup_remove("outer"));
    cgroup_kill_each("outer");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(wait_until(is_empty, "outer"));
    assert_true(cgroup_remove("outer"));
}

static bool known_live(const char *id)
{
    return strcmp(id, "live/one") == 0;
}

static void test_what_a_dead_keeper_left_is_tidied(void **state)
{
    char path[512];
    pid_t stale, live;

    need_hierarchy();
    stale = start_in("stale/one", "exec sleep 1000");
    live = start_in("live/one", "exec sleep 1000");
    assert_true(wait_until(has_one, "stale/one"));
    assert_true(wait_until(has_one, "live/one"));
    cgroup_close(); /* the keeper is gone, another one comes */
    assert_int_equal(cgroup_open(name), 0);
    cgroup_tidy(known_live);
    assert_int_equal(waitpid(stale, NULL, 0), stale);
    assert_int_equal(cgroup_path("stale/one", path, sizeof path), -ENOENT);
    assert_int_equal(kill(live, 0), 0);
    cgroup_tidy(known_none);
    assert_int_equal(waitpid(live, NULL, 0), live);
}

/* Below a cgroup of this test alone, beside others' keepers. Returns a descriptor of it. */
static int make_home(char *home, size_t size)
{
    assert_int_equal(cgroup_path("home", home, size), 0);
    return open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void make_old(const char *path)
{
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){{1, 0}, {1, 0}}, 0), 0);
}

static void test_what_nobody_holds_is_collected(void **state)
{
    static const char *const names[] = {"appmgr-dead", "appmgr-held", "appmgr-new", "appmgr-busy", "other"};
    char home[512], path[5][640], inner[700];
    int home_fd, held_fd;
    pid_t pid;

    need_hierarchy();
    close(cgroup_make("home"));
    home_fd = make_home(home, sizeof home);
    for (int i = 0; i < 5; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", home, names[i]);
        assert_int_equal(mkdir(path[i], 0755), 0);
    }
    snprintf(inner, sizeof inner, "%s/app-x", path[0]);
    assert_int_equal(mkdir(inner, 0755), 0);
    snprintf(inner, sizeof inner, "echo 0 >%s/cgroup.procs && exec sleep 1000", path[3]);
    pid = start_in("home", inner);
    assert_true(wait_until(has_none_itself, "home"));
    held_fd = cgroup_hold(home_fd, names[1]);
    assert_true(held_fd >= 0);
    assert_int_equal(cgroup_hold(home_fd, names[1]), -EBUSY);
    for (int i = 0; i < 5; i++)
        if (i != 2)
            make_old(path[i]);
    cgroup_collect(home_fd);
    assert_int_not_equal(access(path[0], F_OK), 0);
    for (int i = 1; i < 5; i++)
        assert_int_equal(access(path[i], F_OK), 0);
    close(held_fd);
    close(home_fd);
    cgroup_kill("home");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(wait_until(is_empty, "home"));
    assert_true(cgroup_remove("home"));
}

/* --- controllers, on a copy of the hierarchy made of files --- */

static char copy[64];

static void put(const char *path, const char *text)
{
    char whole[256];
    FILE *file;

    snprintf(whole, sizeof whole, "%s/%s", copy, path);
    file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_file(const char *path, const char *expected)
{
    char whole[256], text[256];

    snprintf(whole, sizeof whole, "%s/%s", copy, path);
    assert_int_equal(cgroup_read(AT_FDCWD, whole, text, sizeof text), 0);
    assert_string_equal(text, expected);
}

static int make_copy(void **state)
{
    char path[128];

    strcpy(copy, "/tmp/appmgr-cgroup-XXXXXX");
    assert_non_null(mkdtemp(copy));
    snprintf(path, sizeof path, "%s/base", copy);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/base/app-x", copy);
    mkdir(path, 0755);
    put("cgroup.type", "domain\n");
    put("cgroup.procs", "");
    put("cgroup.subtree_control", "");
    put("base/cgroup.subtree_control", "");
    put("base/cgroup.type", "domain\n");
    return 0;
}

static int drop_copy(void **state)
{
    char command[128];

    cgroup_close();
    snprintf(command, sizeof command, "rm -r %s", copy);
    return system(command);
}

static void test_controllers_are_handed_on(void **state)
{
    put("cgroup.controllers", "cpuset cpu io hugetlb memory\n");
    put("cgroup.subtree_control", "memory\n");
    put("base/cgroup.subtree_control", "cpu memory\n"); /* by the keeper before this one */
    assert_int_equal(cgroup_open_in(copy, "base"), 0);
    assert_null(cgroup_home_lacks(CGROUP_MEMORY));
    assert_null(cgroup_home_lacks(CGROUP_CPU));
    assert_string_equal(cgroup_home_lacks(CGROUP_PIDS), "no pids controller here");
    assert_file("base/cgroup.subtree_control", "cpu memory\n");
    assert_file("cgroup.subtree_control", "+cpury\n"); /* over what the copy has: the kernel's own file adds to it */
}

/* As one that other processes are in: the kernel would hand on cpu and pids, and make it a threaded one. */
static void test_nothing_is_handed_on_over_others_heads(void **state)
{
    char self[64];

    snprintf(self, sizeof self, "%d\n%d\n", (int)getpid(), (int)getppid());
    put("cgroup.procs", self);
    put("cgroup.controllers", "cpu memory pids\n");
    assert_int_equal(cgroup_open_in(copy, "base"), 0);
    assert_file("cgroup.subtree_control", "");
    assert_file("base/cgroup.subtree_control", "");
    assert_string_equal(cgroup_home_lacks(CGROUP_CPU), "no cpu controller: other processes are in the keeper's cgroup");
    assert_string_equal(cgroup_home_lacks(CGROUP_MEMORY), "no memory controller: other processes are in the keeper's cgroup");
    assert_string_equal(cgroup_home_lacks(CGROUP_PIDS), "no pids controller: other processes are in the keeper's cgroup");
}

/* The root may have processes beside it. It has no type. */
static void test_the_root_hands_on_whoever_is_in_it(void **state)
{
    char path[128];

    snprintf(path, sizeof path, "%s/cgroup.type", copy);
    assert_int_equal(unlink(path), 0);
    put("cgroup.procs", "1\n2\n");
    put("cgroup.controllers", "pids\n");
    assert_int_equal(cgroup_open_in(copy, "base"), 0);
    assert_null(cgroup_home_lacks(CGROUP_PIDS));
}

static void make_leaf(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/base.keeper", copy);
    assert_int_equal(mkdir(path, 0755), 0);
    put("base.keeper/cgroup.procs", "");
}

static void test_who_is_alone_steps_aside(void **state)
{
    char self[64];

    make_leaf();
    snprintf(self, sizeof self, "%d\n", (int)getpid());
    put("cgroup.procs", self);
    put("cgroup.controllers", "memory\n");
    assert_int_equal(cgroup_open_in(copy, "base"), 0);
    assert_file("base.keeper/cgroup.procs", "0");
    assert_null(cgroup_home_lacks(CGROUP_MEMORY));
}

static void assert_home(const char *own, const char *expected)
{
    char path[128], base[128];
    int fd;

    snprintf(path, sizeof path, "%s%s", copy, own);
    fd = cgroup_home_open(path, "base", base, sizeof base);
    assert_true(fd >= 0);
    close(fd);
    snprintf(path, sizeof path, "%s%s/base", copy, expected);
    assert_string_equal(base, path);
}

static void test_a_keeper_that_stepped_aside_finds_its_home_again(void **state)
{
    assert_home("/base", "/base");
    make_leaf();
    assert_home("/base.keeper", "");
    assert_home("/base", "");   /* where its service manager runs what prepares the next start */
    assert_home("", "");
}

/* The file of a copy has what was written last: a word at a time, the kernel takes it. */
static void test_a_keeper_makes_way_for_the_next(void **state)
{
    put("cgroup.subtree_control", "cpu memory\n");
    put("base/cgroup.subtree_control", "memory\n");
    assert_int_equal(cgroup_home_give_back(copy, "base"), 0);
    assert_file("cgroup.subtree_control", "cpu memory\n"); /* nobody stepped aside: nothing is in the way */
    make_leaf();
    assert_int_equal(cgroup_home_give_back(copy, "base"), 0);
    assert_file("base/cgroup.subtree_control", "-memory");
    assert_file("cgroup.subtree_control", "-memoryory\n"); /* over what the copy has */
}

static void test_the_cgroup_above_is_the_home_where_that_is_delegated(void **state)
{
    char path[128], base[128], expected[128];
    int fd;

    if (setxattr(copy, "user.delegate", "1", 1, 0) != 0) {
        printf("skipped: no extended attributes in /tmp: %s\n", strerror(errno));
        skip();
    }
    snprintf(path, sizeof path, "%s/base", copy);
    fd = cgroup_home_open(path, "name", base, sizeof base);
    assert_true(fd >= 0);
    close(fd);
    snprintf(expected, sizeof expected, "%s/name", copy);
    assert_string_equal(base, expected);
}

static void test_no_threaded_hierarchy_is_used(void **state)
{
    put("base/cgroup.type", "domain invalid\n");
    put("cgroup.controllers", "");
    assert_int_equal(cgroup_open_in(copy, "base"), -EOPNOTSUPP);
    assert_null(cgroup_base());
    assert_non_null(strstr(cgroup_why(), "no domain"));
}

static struct limits limits_of(uint64_t memory, uint64_t cpu_max, uint64_t pids)
{
    struct limits limits;

    limits_clear(&limits);
    limits.value[LIMIT_MEMORY] = memory;
    limits.value[LIMIT_CPU_MAX] = cpu_max;
    limits.value[LIMIT_PIDS] = pids;
    return limits;
}

/* Opens the copy with these controllers. Returns a descriptor of the cgroup of "x". */
static int open_copy(const char *controllers)
{
    static const char *const files[] = {"memory.max", "memory.swap.max", "memory.oom.group", "cpu.weight", "cpu.max", "pids.max"};
    char path[64];

    put("cgroup.controllers", controllers);
    assert_int_equal(cgroup_open_in(copy, "base"), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "base/app-x/%s", files[i]);
        put(path, "");
    }
    return cgroup_make("x");
}

static void test_limits_are_written(void **state)
{
    struct limits limits = limits_of(100 << 20, 150, 64);
    int fd = open_copy("memory cpu pids\n");
    unsigned kept;
    char text[512];

    limits.value[LIMIT_SWAP] = 0;
    limits.value[LIMIT_CPU_WEIGHT] = 200;
    limits.value[LIMIT_VIRTUAL] = 1 << 30;
    kept = limits_apply(&limits, fd);
    assert_file("base/app-x/memory.max", "104857600");
    assert_file("base/app-x/memory.swap.max", "0");
    assert_file("base/app-x/memory.oom.group", "1");
    assert_file("base/app-x/cpu.weight", "200");
    assert_file("base/app-x/cpu.max", "150000 100000");
    assert_file("base/app-x/pids.max", "64");
    limits_describe(&limits, kept, false, text, sizeof text);
    assert_string_equal(text, "memory_mb cgroup\nswap_mb cgroup\nmemory_virt_mb rlimit, of each process\ncpu_shares cgroup\n"
                              "cpu_max_percent cgroup\npids cgroup\n");
    assert_true(limits_processes(&limits, kept, false) == LIMIT_NONE);
    close(fd);
}

static void test_limits_are_lifted(void **state)
{
    struct limits limits;
    int fd = open_copy("memory cpu pids\n");
    char text[512];

    limits_clear(&limits);
    assert_int_equal(limits_apply(&limits, fd), 0);
    assert_file("base/app-x/memory.max", "max");
    assert_file("base/app-x/cpu.weight", "100");
    assert_file("base/app-x/cpu.max", "max 100000");
    limits_describe(&limits, 0, false, text, sizeof text);
    assert_string_equal(text, "");
    close(fd);
}

static void test_without_a_controller_it_is_said(void **state)
{
    struct limits limits = limits_of(1 << 20, LIMIT_NONE, 10);
    int fd = open_copy("cpu\n");
    unsigned kept = limits_apply(&limits, fd);
    char text[512];

    assert_file("base/app-x/memory.max", "");
    limits_describe(&limits, kept, false, text, sizeof text);
    assert_string_equal(text, "memory_mb not enforced: no memory controller here\npids rlimit, of all processes of its user\n");
    assert_int_equal(limits_processes(&limits, kept, false), 10);
    limits_describe(&limits, kept, true, text, sizeof text);
    assert_non_null(strstr(text, "pids not enforced: no pids controller here\n"));
    assert_true(limits_processes(&limits, kept, true) == LIMIT_NONE);
    close(fd);
}

static void test_a_value_the_kernel_refuses_is_said(void **state)
{
    struct limits limits = limits_of(LIMIT_NONE, LIMIT_NONE, 10);
    int fd = open_copy("pids\n");
    char text[512];

    assert_int_equal(unlinkat(fd, "pids.max", 0), 0);
    assert_int_equal(limits_apply(&limits, fd), 0);
    limits_describe(&limits, 0, true, text, sizeof text);
    assert_string_equal(text, "pids not enforced: the kernel refused the value\n");
    close(fd);
}

static void test_kills_for_memory_are_counted(void **state)
{
    int fd = open_copy("memory\n");

    assert_int_equal(limits_oom_kills(fd), 0);
    put("base/app-x/memory.events", "low 0\nhigh 0\nmax 211\noom 3\noom_kill 2\noom_group_kill 1\n");
    assert_int_equal(limits_oom_kills(fd), 2);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest texts[] = {
        cmocka_unit_test(test_it_is_found_as_systemd_mounts_it),
        cmocka_unit_test(test_it_is_found_beside_the_first_version),
        cmocka_unit_test(test_a_mount_of_a_part_is_seen_through),
        cmocka_unit_test(test_what_cannot_be_used_is_told_apart),
    };
    const struct CMUnitTest kernel[] = {
        cmocka_unit_test(test_names_are_escaped_and_found_again),
        cmocka_unit_test(test_an_id_too_long_for_a_file_has_none),
        cmocka_unit_test(test_a_daemon_is_killed_by_the_kernel),
        cmocka_unit_test(test_a_daemon_is_killed_where_the_kernel_cannot),
        cmocka_unit_test(test_a_signal_reaches_who_left_the_group),
        cmocka_unit_test(test_what_made_cgroups_of_its_own_goes_with_them),
        cmocka_unit_test(test_what_a_dead_keeper_left_is_tidied),
        cmocka_unit_test(test_what_nobody_holds_is_collected),
    };
    const struct CMUnitTest controllers[] = {
        cmocka_unit_test_setup_teardown(test_controllers_are_handed_on, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_nothing_is_handed_on_over_others_heads, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_the_root_hands_on_whoever_is_in_it, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_who_is_alone_steps_aside, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_a_keeper_that_stepped_aside_finds_its_home_again, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_a_keeper_makes_way_for_the_next, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_the_cgroup_above_is_the_home_where_that_is_delegated, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_no_threaded_hierarchy_is_used, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_limits_are_written, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_limits_are_lifted, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_without_a_controller_it_is_said, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_a_value_the_kernel_refuses_is_said, make_copy, drop_copy),
        cmocka_unit_test_setup_teardown(test_kills_for_memory_are_counted, make_copy, drop_copy),
    };

    return cmocka_run_group_tests(texts, NULL, NULL) +
           cmocka_run_group_tests(kernel, open_hierarchy, close_hierarchy) +
           cmocka_run_group_tests(controllers, NULL, NULL);
}
