#include "handle.h"

#include <stdlib.h>

struct handle_slot {
    void *object;        /* NULL when free */
    uint32_t generation; /* of the present or, when free, of the next object; never 0 */
    uint32_t next_free;  /* slot + 1; 0 ends the list */
};

static int grow(struct handle_table *table)
{
    uint32_t capacity = table->capacity ? 2 * table->capacity : 8;
    struct handle_slot *slots = reallocarray(table->slots, capacity, sizeof *slots);

    if (!slots)
        return -1;
    for (uint32_t i = table->capacity; i < capacity; i++)
        slots[i] = (struct handle_slot){
            .generation = 1,
            .next_free = i + 1 < capacity ? i + 2 : table->free,
        };
    table->free = table->capacity + 1;
    table->slots = slots;
    table->capacity = capacity;
    return 0;
}

struct handle handle_add(struct handle_table *table, void *object)
{
    if (!table->free && grow(table) != 0)
        return (struct handle){0};
    uint32_t index = table->free - 1;
    struct handle_slot *slot = &table->slots[index];
    table->free = slot->next_free;
    table->count++;
    slot->object = object;
    return (struct handle){.slot = index, .generation = slot->generation};
}

static struct handle_slot *find(const struct handle_table *table, struct handle handle)
{
    if (handle.slot >= table->capacity)
        return NULL;
    struct handle_slot *slot = &table->slots[handle.slot];
    return slot->object && slot->generation == handle.generation ? slot : NULL;
}

void *handle_get(const struct handle_table *table, struct handle handle)
{
    struct handle_slot *slot = find(table, handle);

    return slot ? slot->object : NULL;
}

void *handle_drop(struct handle_table *table, struct handle handle)
{
    struct handle_slot *slot = find(table, handle);

    if (!slot)
        return NULL;
    void *object = slot->object;
    slot->object = NULL;
    table->count--;
    /* A slot whose generations are used up is never handed out again. */
    if (++slot->generation != 0) {
        slot->next_free = table->free;
        table->free = handle.slot + 1;
    }
    return object;
}

void *handle_any(const struct handle_table *table)
{
    for (uint32_t i = 0; table->count > 0 && i < table->capacity; i++)
        if (table->slots[i].object)
            return table->slots[i].object;
    return NULL;
}

void handle_table_free(struct handle_table *table)
{
    free(table->slots);
    *table = (struct handle_table){0};
}
