#include "survey.h"
#include "host_parse.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A chain of parents is followed so far: a longer one is a loop made by processes that ended while we looked. */
enum { GENERATIONS = 64 };

struct tree {
    pid_t pid;
    char *cgroup;           /* NULL: it is looked for in /proc */
    uint64_t cpu_us_before;
    struct survey_usage usage;
};

struct seen {
    pid_t pid, parent, session;
    uint64_t memory_bytes, cpu_us;
};

struct member {
    pid_t pid;
    size_t tree;
};

enum phase { CGROUPS, MEMBERS, PROCESSES, FAMILIES, DONE };

struct survey {
    enum phase phase;
    size_t next;            /* in what the phase goes through */
    struct tree *trees;
    size_t tree_count, tree_capacity;
    struct member *members; /* of cgroups without a memory controller */
    size_t member_count, member_capacity;
    size_t *roots;          /* trees without a cgroup, by pid */
    size_t root_count;
    DIR *proc;
    struct seen *seen;      /* all processes, by pid */
    size_t seen_count, seen_capacity;
};

/* --- memory --- */

/* Makes room for one more. Returns 0 or -ENOMEM. */
static int make_room(void **items, size_t count, size_t *capacity, size_t size)
{
    size_t larger = *capacity ? 2 * *capacity : 64;
    void *moved = count < *capacity ? *items : realloc(*items, larger * size);

    if (!moved)
        return -ENOMEM;
    *capacity = count < *capacity ? *capacity : larger;
    *items = moved;
    return 0;
}

struct survey *survey_new(void)
{
    return calloc(1, sizeof(struct survey));
}

void survey_free(struct survey *survey)
{
    if (!survey)
        return;
    for (size_t i = 0; i < survey->tree_count; i++)
        free(survey->trees[i].cgroup);
    if (survey->proc)
        closedir(survey->proc);
    free(survey->trees);
    free(survey->members);
    free(survey->roots);
    free(survey->seen);
    free(survey);
}

int survey_add(struct survey *survey, pid_t pid, const char *cgroup, uint64_t cpu_us_before)
{
    struct tree tree = {.pid = pid, .cpu_us_before = cpu_us_before};

    if (make_room((void **)&survey->trees, survey->tree_count, &survey->tree_capacity, sizeof tree) != 0 ||
        (cgroup && !(tree.cgroup = strdup(cgroup))))
        return -ENOMEM;
    survey->trees[survey->tree_count++] = tree;
    return 0;
}

/* --- files --- */

/* The start of a file as text. Returns false when there is none. */
static bool read_file(const char *directory, const char *name, char *text, size_t size)
{
    char path[PATH_MAX];
    ssize_t got;
    int fd;

    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static uint64_t page_bytes(void)
{
    static uint64_t size;

    size = size ? size : (uint64_t)sysconf(_SC_PAGESIZE);
    return size;
}

static uint64_t ticks_to_us(uint64_t ticks)
{
    static uint64_t per_second;

    per_second = per_second ? per_second : (uint64_t)sysconf(_SC_CLK_TCK);
    return ticks * (1000000 / per_second);
}

/* --- trees with a cgroup --- */

static void add_member(struct survey *survey, pid_t pid, size_t tree)
{
    if (make_room((void **)&survey->members, survey->member_count, &survey->member_capacity, sizeof *survey->members) == 0)
        survey->members[survey->member_count++] = (struct member){pid, tree};
}

/* Takes the processes of a cgroup down, to be looked at in the next phase. */
static void add_members(struct survey *survey, size_t tree)
{
    char path[PATH_MAX], line[32];
    FILE *file;

    snprintf(path, sizeof path, "%s/cgroup.procs", survey->trees[tree].cgroup);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        add_member(survey, (pid_t)atoi(line), tree);
    if (file)
        fclose(file);
}

bool survey_cgroup_cpu(const char *cgroup, uint64_t *cpu_us)
{
    char text[64]; /* it stands first */

    return read_file(cgroup, "cpu.stat", text, sizeof text) && sscanf(text, "usage_usec %" SCNu64, cpu_us) == 1;
}

/* A cgroup that is not there any more leaves its tree to the pass over /proc. */
static void look_at_cgroup(struct survey *survey)
{
    struct tree *tree = &survey->trees[survey->next];
    char text[64];

    if (!tree->cgroup)
        return;
    if (!survey_cgroup_cpu(tree->cgroup, &tree->usage.cpu_us)) {
        free(tree->cgroup);
        tree->cgroup = NULL;
        return;
    }
    tree->usage.is_known = true;
    tree->usage.is_unchanged = tree->cpu_us_before > 0 && tree->usage.cpu_us == tree->cpu_us_before;
    if (tree->usage.is_unchanged)
        return;
    if (read_file(tree->cgroup, "memory.current", text, sizeof text))
        tree->usage.memory_bytes = strtoull(text, NULL, 10);
    else
        add_members(survey, survey->next);
}

static void look_at_member(struct survey *survey)
{
    const struct member *member = &survey->members[survey->next];
    char path[32], text[128];
    uint64_t pages;

    snprintf(path, sizeof path, "/proc/%d", (int)member->pid);
    if (read_file(path, "statm", text, sizeof text) && sscanf(text, "%*u %" SCNu64, &pages) == 1)
        survey->trees[member->tree].usage.memory_bytes += pages * page_bytes();
}

/* --- trees without one --- */

static int compare_roots(const void *left, const void *right, void *data)
{
    const struct survey *survey = data;
    pid_t a = survey->trees[*(const size_t *)left].pid, b = survey->trees[*(const size_t *)right].pid;

    return (a > b) - (a < b);
}

static int compare_seen(const void *left, const void *right)
{
    pid_t a = ((const struct seen *)left)->pid, b = ((const struct seen *)right)->pid;

    return (a > b) - (a < b);
}

/* Finds out which trees are to be looked for in /proc. Without any the pass is left out. */
static void open_proc(struct survey *survey)
{
    survey->roots = calloc(survey->tree_count + 1, sizeof *survey->roots);
    for (size_t i = 0; survey->roots && i < survey->tree_count; i++)
        if (!survey->trees[i].cgroup)
            survey->roots[survey->root_count++] = i;
    if (survey->root_count == 0)
        return;
    qsort_r(survey->roots, survey->root_count, sizeof *survey->roots, compare_roots, survey);
    survey->proc = opendir("/proc");
}

static struct tree *root_of(const struct survey *survey, pid_t pid)
{
    size_t low = 0, high = survey->root_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        struct tree *tree = &survey->trees[survey->roots[middle]];

        if (tree->pid == pid)
            return tree;
        if (tree->pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Takes the next process down. Returns false after the last. */
static bool look_at_process(struct survey *survey)
{
    struct dirent *entry = survey->proc ? readdir(survey->proc) : NULL;
    struct host_stat stat;
    char path[NAME_MAX + 8], text[1024];

    if (!entry)
        return false;
    if (!isdigit((unsigned char)entry->d_name[0]))
        return true;
    snprintf(path, sizeof path, "/proc/%s", entry->d_name);
    if (!read_file(path, "stat", text, sizeof text) || host_parse_stat(text, &stat) != 0 ||
        make_room((void **)&survey->seen, survey->seen_count, &survey->seen_capacity, sizeof *survey->seen) != 0)
        return true;
    survey->seen[survey->seen_count++] = (struct seen){
        .pid = (pid_t)atoi(entry->d_name), .parent = stat.parent, .session = stat.session,
        .memory_bytes = stat.resident_pages * page_bytes(),
        .cpu_us = ticks_to_us(stat.cpu_ticks + stat.reaped_cpu_ticks),
    };
    return true;
}

/* Whose process it is: its session says so, or that of one it descends from. */
static struct tree *owner_of(const struct survey *survey, const struct seen *process)
{
    struct tree *tree = NULL;

    for (int left = GENERATIONS; process && left > 0 && !tree; left--) {
        struct seen parent = {.pid = process->parent};

        tree = root_of(survey, process->session);
        tree = tree ? tree : root_of(survey, process->pid);
        process = bsearch(&parent, survey->seen, survey->seen_count, sizeof parent, compare_seen);
    }
    return tree;
}

static void add_to_family(struct survey *survey)
{
    const struct seen *process = &survey->seen[survey->next];
    struct tree *tree = owner_of(survey, process);

    if (!tree)
        return;
    tree->usage.is_known = true;
    tree->usage.memory_bytes += process->memory_bytes;
    tree->usage.cpu_us += process->cpu_us;
}

/* --- one after the other --- */

static void enter(struct survey *survey, enum phase phase)
{
    survey->phase = phase;
    survey->next = 0;
    if (phase == PROCESSES)
        open_proc(survey);
    if (phase == FAMILIES && survey->seen_count > 0)
        qsort(survey->seen, survey->seen_count, sizeof *survey->seen, compare_seen);
}

/* Looks at one more thing. Returns false when the phase has seen all of its own. */
static bool look(struct survey *survey)
{
    static void (*const looks[])(struct survey *survey) = {
        [CGROUPS] = look_at_cgroup, [MEMBERS] = look_at_member, [FAMILIES] = add_to_family,
    };
    const size_t counts[] = {
        [CGROUPS] = survey->tree_count, [MEMBERS] = survey->member_count, [FAMILIES] = survey->seen_count,
    };

    if (survey->phase == PROCESSES)
        return look_at_process(survey);
    if (survey->next >= counts[survey->phase])
        return false;
    looks[survey->phase](survey);
    survey->next++;
    return true;
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

bool survey_step(struct survey *survey, uint64_t budget_us)
{
    uint64_t until_us = now_us() + budget_us;

    while (survey->phase != DONE) {
        if (!look(survey))
            enter(survey, survey->phase + 1);
        else if (now_us() >= until_us)
            break;
    }
    return survey->phase == DONE;
}

size_t survey_count(const struct survey *survey)
{
    return survey->tree_count;
}

const struct survey_usage *survey_get(const struct survey *survey, size_t index)
{
    return &survey->trees[index].usage;
}
