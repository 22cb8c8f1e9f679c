#include "limits.h"
#include "cgroup_home.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* `name` is what the application's document calls it. Files and their values: the kernel's admin-guide/cgroup-v2. */
static const struct {
    const char *name, *file, *none;
    enum cgroup_controller controller;
} known[LIMIT_COUNT] = {
    [LIMIT_MEMORY] = {"memory_mb", "memory.max", "max", CGROUP_MEMORY},
    [LIMIT_SWAP] = {"swap_mb", "memory.swap.max", "max", CGROUP_MEMORY},
    [LIMIT_VIRTUAL] = {"memory_virt_mb", NULL, NULL, CGROUP_MEMORY},
    [LIMIT_CPU_WEIGHT] = {"cpu_shares", "cpu.weight", "100", CGROUP_CPU},
    [LIMIT_CPU_MAX] = {"cpu_max_percent", "cpu.max", "max 100000", CGROUP_CPU},
    [LIMIT_PIDS] = {"pids", "pids.max", "max", CGROUP_PIDS},
};

void limits_clear(struct limits *limits)
{
    for (int i = 0; i < LIMIT_COUNT; i++)
        limits->value[i] = LIMIT_NONE;
}

static void value_text(enum limit limit, uint64_t value, char *text, size_t size)
{
    if (value == LIMIT_NONE)
        snprintf(text, size, "%s", known[limit].none);
    else if (limit == LIMIT_CPU_MAX) /* microseconds in each tenth of a second */
        snprintf(text, size, "%llu 100000", (unsigned long long)value * 1000);
    else
        snprintf(text, size, "%llu", (unsigned long long)value);
}

unsigned limits_apply(const struct limits *limits, int cgroup_fd)
{
    unsigned kept = 0;
    char text[64];

    for (int i = 0; i < LIMIT_COUNT; i++) {
        if (!known[i].file || cgroup_home_lacks(known[i].controller))
            continue;
        value_text((enum limit)i, limits->value[i], text, sizeof text);
        if (cgroup_write(cgroup_fd, known[i].file, text) == 0 && limits->value[i] != LIMIT_NONE)
            kept |= 1u << i;
    }
    /* All of it or nothing: what is left of a killed application is of no use, and its successor is waiting. */
    if (kept & 1u << LIMIT_MEMORY)
        cgroup_write(cgroup_fd, "memory.oom.group", "1");
    return kept;
}

uint64_t limits_processes(const struct limits *limits, unsigned in_cgroup, bool is_root)
{
    return is_root || in_cgroup & 1u << LIMIT_PIDS ? LIMIT_NONE : limits->value[LIMIT_PIDS];
}

static void set(pid_t pid, int resource, uint64_t value)
{
    struct rlimit limit = {value, value};

    if (value != LIMIT_NONE)
        prlimit(pid, (__rlimit_resource_t)resource, &limit, NULL);
}

void limits_set(const struct limits *limits, unsigned in_cgroup, bool is_root, pid_t pid)
{
    set(pid, RLIMIT_AS, limits->value[LIMIT_VIRTUAL]);
    set(pid, RLIMIT_NPROC, limits_processes(limits, in_cgroup, is_root));
}

/* What to say of a limit that no cgroup keeps. */
static const char *without_cgroup(enum limit limit, bool is_root)
{
    if (limit == LIMIT_VIRTUAL)
        return "rlimit, of each process";
    if (limit == LIMIT_PIDS && !is_root)
        return "rlimit, of all processes of its user";
    return NULL;
}

void limits_describe(const struct limits *limits, unsigned in_cgroup, bool is_root, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < LIMIT_COUNT && used < size; i++) {
        const char *how = in_cgroup & 1u << i ? "cgroup" : without_cgroup((enum limit)i, is_root);
        const char *lack = cgroup_home_lacks(known[i].controller);

        if (limits->value[i] == LIMIT_NONE)
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s %s%s\n", known[i].name, how ? "" : "not enforced: ",
                                 how ? how : lack ? lack : "the kernel refused the value");
    }
}

uint64_t limits_oom_kills(int cgroup_fd)
{
    char events[512];
    const char *at;

    if (cgroup_home_lacks(CGROUP_MEMORY) || cgroup_read(cgroup_fd, "memory.events", events, sizeof events) != 0)
        return 0;
    at = strstr(events, "oom_kill ");
    return at ? strtoull(at + strlen("oom_kill "), NULL, 10) : 0;
}
