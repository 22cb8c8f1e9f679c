#include "table.h"
#include "keeper.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

static struct child *first, *last;
static uint64_t last_number;
static LIST_HEAD(chain, child) by_id[BUCKETS], by_pid[BUCKETS];

static struct chain *id_chain(const char *id)
{
    return &by_id[wire_checksum(id, strlen(id)) % BUCKETS];
}

static struct chain *pid_chain(pid_t pid)
{
    return &by_pid[(uint32_t)pid % BUCKETS];
}

struct child *table_first(void)
{
    return first;
}

struct child *table_find(const char *id)
{
    struct child *child;

    LIST_FOREACH(child, id_chain(id), by_id)
        if (strcmp(child->id, id) == 0)
            return child;
    return NULL;
}

struct child *table_find_pid(pid_t pid)
{
    struct child *child;

    LIST_FOREACH(child, pid_chain(pid), by_pid)
        if (child->pid == pid)
            return child;
    return NULL;
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
    struct child *child = calloc(1, sizeof *child);

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
    LIST_INSERT_HEAD(id_chain(id), child, by_id);
    child->previous = last;
    *(last ? &last->next : &first) = child;
    last = child;
    return child;
}

void table_set_pid(struct child *child, pid_t pid)
{
    if (child->pid)
        LIST_REMOVE(child, by_pid);
    child->pid = pid;
    if (pid)
        LIST_INSERT_HEAD(pid_chain(pid), child, by_pid);
}

void table_remove(struct child *child)
{
    table_set_pid(child, 0);
    LIST_REMOVE(child, by_id);
    *(child->previous ? &child->previous->next : &first) = child->next;
    *(child->next ? &child->next->previous : &last) = child->previous;
    free(child->updated_frame);
    free(child->spec);
    free(child->id);
    free(child);
}
