#include "table.h"
#include "keeper.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

static struct child *first, *last;
static uint64_t last_number;
static struct child *by_id[BUCKETS], *by_pid[BUCKETS];

static struct child **id_bucket(const char *id)
{
    uint32_t hash = 2166136261u;

    for (; *id; id++)
        hash = (hash ^ (uint8_t)*id) * 16777619u;
    return &by_id[hash % BUCKETS];
}

static struct child **pid_bucket(pid_t pid)
{
    return &by_pid[(uint32_t)pid % BUCKETS];
}

struct child *table_first(void)
{
    return first;
}

struct child *table_find(const char *id)
{
    struct child *child = *id_bucket(id);

    while (child && strcmp(child->id, id) != 0)
        child = child->next_by_id;
    return child;
}

struct child *table_find_pid(pid_t pid)
{
    struct child *child = *pid_bucket(pid);

    while (child && child->pid != pid)
        child = child->next_by_pid;
    return child;
}

struct child *table_find_number(uint64_t number)
{
    struct child *child = first;

    while (child && child->number != number)
        child = child->next;
    return child;
}

void table_skip_number(uint64_t number)
{
    last_number = number > last_number ? number : last_number;
}

struct child *table_add(const char *id)
{
    struct child *child = calloc(1, sizeof *child), **bucket = id_bucket(id);

    if (!child)
        return NULL;
    child->id = strdup(id);
    if (!child->id) {
        free(child);
        return NULL;
    }
    child->effects = &keeper_effects;
    child->number = ++last_number;
    child->pidfd = child->watch.fd = child->ready_watch.fd = child->emptiness.fd = -1;
    child->stop_signal = SIGTERM;
    child->stop_timeout_ms = 10000;
    limits_clear(&child->limits);
    child->next_by_id = *bucket;
    *bucket = child;
    child->previous = last;
    *(last ? &last->next : &first) = child;
    last = child;
    return child;
}

void table_set_pid(struct child *child, pid_t pid)
{
    struct child **link;

    if (child->pid) {
        for (link = pid_bucket(child->pid); *link != child; link = &(*link)->next_by_pid)
            ;
        *link = child->next_by_pid;
    }
    child->pid = pid;
    if (pid) {
        child->next_by_pid = *pid_bucket(pid);
        *pid_bucket(pid) = child;
    }
}

void table_remove(struct child *child)
{
    struct child **link = id_bucket(child->id);

    table_set_pid(child, 0);
    while (*link != child)
        link = &(*link)->next_by_id;
    *link = child->next_by_id;
    *(child->previous ? &child->previous->next : &first) = child->next;
    *(child->next ? &child->next->previous : &last) = child->previous;
    free(child->updated_frame);
    free(child->spec);
    free(child->id);
    free(child);
}
