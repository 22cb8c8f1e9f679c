/*
 * handle: names for C objects that Lua may hold longer than they live.
 *
 * A handle is a slot and a generation; a slot that is used again has another
 * generation, so that a stale handle finds NULL and never freed memory. The
 * table owns its slots, never the objects. A zeroed table is an empty one, a
 * zeroed handle is never valid.
 */
#ifndef APPMGR_HANDLE_H
#define APPMGR_HANDLE_H

#include <stdint.h>

struct handle {
    uint32_t slot, generation;
};

struct handle_slot;

struct handle_table {
    struct handle_slot *slots;
    uint32_t capacity, count, free;
};

/* A new handle for the object (borrowed, not NULL); all zero when memory is out. */
struct handle handle_add(struct handle_table *table, void *object);

/* The object, or NULL when the handle is stale. Borrowed. */
void *handle_get(const struct handle_table *table, struct handle handle);

/* Makes the handle and its copies stale; returns the object, or NULL when it was stale already. */
void *handle_drop(struct handle_table *table, struct handle handle);

/* Any object that still has a handle, or NULL: for ending them all. */
void *handle_any(const struct handle_table *table);

/* How many handles are alive. */
static inline uint32_t handle_count(const struct handle_table *table)
{
    return table->count;
}

/* Frees the slots; every handle is stale afterwards. */
void handle_table_free(struct handle_table *table);

#endif
