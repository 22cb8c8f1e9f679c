/*
 * survey: what the process trees of many applications use, found out a piece at a time.
 *
 * A tree with a cgroup is asked for through it: its processor time is then exact, those that have ended included, and
 * while it has used none since the last survey nothing else is read. All other trees are found in one pass over /proc
 * by session and parents. Nothing here blocks; a step ends when its time is used up, after one file more at the most.
 */
#ifndef APPMGR_SURVEY_H
#define APPMGR_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct survey;

struct survey_usage {
    bool is_known;          /* false: there is no such tree any more */
    bool is_unchanged;      /* it used no processor time since `cpu_us_before`; memory was not looked at */
    uint64_t memory_bytes;  /* resident; of a cgroup with a memory controller what that accounts for */
    uint64_t cpu_us;        /* user and system */
};

/* A new survey of no trees; owned by the caller. NULL when memory is out. */
struct survey *survey_new(void);
void survey_free(struct survey *survey);

/*
 * Adds a tree, before the first step: the process `pid` and what descends from it. `cgroup` is the directory of its
 * cgroup or NULL, and copied; `cpu_us_before` what the last survey said, 0 for none. Returns 0 or -ENOMEM.
 */
int survey_add(struct survey *survey, pid_t pid, const char *cgroup, uint64_t cpu_us_before);

/* Goes on for about so many microseconds. Returns true when all is known. */
bool survey_step(struct survey *survey, uint64_t budget_us);

/* What all processes in a cgroup and below it have used, those that have ended included, in *cpu_us. Returns false when there is
 * no such cgroup. */
bool survey_cgroup_cpu(const char *cgroup, uint64_t *cpu_us);

/* How many trees there are, and what one uses, in the order in which they were added. */
size_t survey_count(const struct survey *survey);
const struct survey_usage *survey_get(const struct survey *survey, size_t index);

#endif
