/* survey: what process trees use, taken of real processes; and of cgroups made of files. */
#include "cmocka_all.h"

#include "survey.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 8 << 20 };

static int ready[2];

/* A process that takes some memory, and time, says so and waits for its end. */
static void take_and_wait(void)
{
    char *taken = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset(taken, 1, BYTES);
    while (clock() < CLOCKS_PER_SEC / 20)
        ;
    if (write(ready[1], "", 1) == 1)
        pause();
    _exit(0);
}

/* A leader of a session with a child in it and a grandchild with a session of its own: three times BYTES. */
static pid_t start_tree(void)
{
    char bytes[3];
    pid_t pid;
    size_t got = 0;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        setsid();
        if (fork() == 0) {
            if (fork() == 0) {
                setsid();
                take_and_wait();
            }
            take_and_wait();
        }
        take_and_wait();
    }
    while (got < 3) {
        ssize_t more = read(ready[0], bytes, 3 - got);

        assert_true(more > 0);
        got += (size_t)more;
    }
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static pid_t child_of(pid_t pid)
{
    char path[64];
    pid_t child = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    file = fopen(path, "r");
    assert_non_null(file);
    if (fscanf(file, "%d", &child) != 1)
        child = 0;
    fclose(file);
    return child;
}

/* This process is the subreaper: those below come to it when the one above ends. */
static void end_tree(pid_t pid)
{
    pid_t child = child_of(pid), grandchild = child_of(child);

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    kill(grandchild, SIGKILL);
    waitpid(grandchild, NULL, 0);
}

static void whole_trees_are_summed_up(void **state)
{
    struct survey *survey = survey_new();
    pid_t tree = start_tree();
    const struct survey_usage *usage;
    unsigned steps = 0;

    assert_int_equal(survey_add(survey, tree, NULL, 0), 0);
    assert_int_equal(survey_add(survey, 0x3fffffff, NULL, 0), 0);
    while (!survey_step(survey, 0))
        steps++;
    assert_true(steps > 10); /* a step with no time at all looks at one thing */
    assert_int_equal(survey_count(survey), 2);
    usage = survey_get(survey, 0);
    assert_true(usage->is_known);
    assert_true(usage->memory_bytes >= 3 * BYTES && usage->memory_bytes < 3 * BYTES + (200 << 20));
    assert_true(usage->cpu_us >= 3 * 30000);
    assert_false(survey_get(survey, 1)->is_known);
    survey_free(survey);
    end_tree(tree);
}

static void one_process_is_not_counted_for_two(void **state)
{
    struct survey *survey = survey_new();
    pid_t first = start_tree(), second = start_tree();

    assert_int_equal(survey_add(survey, second, NULL, 0), 0);
    assert_int_equal(survey_add(survey, first, NULL, 0), 0);
    assert_true(survey_step(survey, 10000000));
    for (size_t i = 0; i < 2; i++)
        assert_true(survey_get(survey, i)->memory_bytes < 6 * BYTES);
    survey_free(survey);
    end_tree(first);
    end_tree(second);
}

static char directory[64];

static void put(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct survey_usage look(uint64_t cpu_us_before)
{
    struct survey *survey = survey_new();
    struct survey_usage usage;

    assert_int_equal(survey_add(survey, 0x3fffffff, directory, cpu_us_before), 0);
    assert_true(survey_step(survey, 10000000));
    usage = *survey_get(survey, 0);
    survey_free(survey);
    return usage;
}

static void a_cgroup_is_believed(void **state)
{
    char self[32];
    struct survey_usage usage;

    strcpy(directory, "/tmp/appmgr-survey-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_false(look(0).is_known); /* no cgroup, and no process */
    put("cpu.stat", "usage_usec 1234567\nuser_usec 1\n");
    snprintf(self, sizeof self, "%d\n", (int)getpid());
    put("cgroup.procs", self);
    usage = look(0);
    assert_true(usage.is_known && !usage.is_unchanged);
    assert_int_equal(usage.cpu_us, 1234567);
    assert_true(usage.memory_bytes > 100 << 10); /* without the controller: of its processes */
    put("memory.current", "4096000\n");
    assert_int_equal(look(1234566).memory_bytes, 4096000);
    assert_true(look(1234567).is_unchanged);
    assert_int_equal(look(1234567).memory_bytes, 0);
}

static void a_cgroup_alone_tells_what_all_in_it_used(void **state)
{
    uint64_t cpu_us = 0;

    strcpy(directory, "/tmp/appmgr-survey-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_false(survey_cgroup_cpu(directory, &cpu_us));
    put("cpu.stat", "usage_usec 7654321\nuser_usec 1\n");
    assert_true(survey_cgroup_cpu(directory, &cpu_us));
    assert_int_equal(cpu_us, 7654321);
}

static int drop_directory(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_trees_are_summed_up),
        cmocka_unit_test(one_process_is_not_counted_for_two),
        cmocka_unit_test_teardown(a_cgroup_is_believed, drop_directory),
        cmocka_unit_test_teardown(a_cgroup_alone_tells_what_all_in_it_used, drop_directory),
    };

    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
