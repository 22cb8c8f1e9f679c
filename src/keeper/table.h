/* All children: found by id and by pid, in the order in which they came. Owns them. */
#ifndef APPMGR_KEEPER_TABLE_H
#define APPMGR_KEEPER_TABLE_H

#include "child.h"

/* The first child; the others follow in `next`. */
struct child *table_first(void);
struct child *table_find(const char *id);
struct child *table_find_pid(pid_t pid);

/* Slow: for listings. */
struct child *table_find_number(uint64_t number);

/* Numbers given from now on are larger. */
void table_skip_number(uint64_t number);

/* A new child at rest, with nothing but an id. NULL when memory is out. */
struct child *table_add(const char *id);

/* Frees the child and all it owns. */
void table_remove(struct child *child);

/* Sets the pid under which table_find_pid finds the child; 0 for none. */
void table_set_pid(struct child *child, pid_t pid);

#endif
