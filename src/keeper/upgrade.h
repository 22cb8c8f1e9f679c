/* The keeper becomes another program without letting go of anything: the new program first proves that it can read the
 * records, then the keeper executes it in its place. The pid stays, so its children stay its own and their exit codes
 * exact; lock and listening socket stay open; output is with the logger meanwhile. A check that fails changes nothing.
 */
#ifndef APPMGR_KEEPER_UPGRADE_H
#define APPMGR_KEEPER_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* What the program is executed with. Borrowed. */
struct upgrade_options {
    const char *directory;      /* absolute */
    int lock_fd;
    uint64_t linger_ms;
    struct rlimit files;        /* the limit that the keeper was given */
};

void upgrade_prepare(const struct upgrade_options *options);

/* Begins the check of `program` (NULL: the keeper's own path). Returns NULL, or why not. */
const char *upgrade_begin(const char *program);

/* True when `pid` was the check. */
bool upgrade_check_ended(pid_t pid, int code);

/* Executes the program when its check has succeeded and all output is with the logger. To be called each turn. */
void upgrade_run(void);

#endif
