/* PATH.index: when what was written to a file of output; see log_file.h. */
#ifndef APPMGR_KEEPER_LOG_INDEX_H
#define APPMGR_KEEPER_LOG_INDEX_H

#include <stdint.h>

#define LOG_INDEX_ENDING ".index"

/* How many entries there are; 0 where there is no index. */
uint32_t log_index_count(const char *path);

/* Adds an entry, the first to an empty index. Returns how many there are then; an index that cannot be written is none. */
uint32_t log_index_add(const char *path, uint64_t unix_ms, uint64_t offset, uint32_t count);

/* How long no further one is added: a second, and twice that for each 4,096 entries there are. */
uint64_t log_index_pause_ms(uint32_t count);

void log_index_remove(const char *path);

#endif
