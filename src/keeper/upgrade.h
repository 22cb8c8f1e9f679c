/* The keeper becomes another program without letting go of anything: the new program first proves that it can read the
 * records, then the keeper executes it in its place. The pid stays, so its children stay its own and their exit codes
 * exact; lock and listening socket stay open; output is with the logger meanwhile. A check that fails changes nothing.
 */
#ifndef APPMGR_KEEPER_UPGRADE_H
#define APPMGR_KEEPER_UPGRADE_H

#include "keeper.h"

/* What the program is executed with. Borrowed. */
void upgrade_prepare(const struct keeper_options *options);

/* Begins the check of `program` (NULL: the keeper's own path). Returns NULL, or why not. */
const char *upgrade_begin(const char *program);

/* True when `pid` was the check. */
bool upgrade_check_ended(pid_t pid, int code);

/* Executes the program when its check has succeeded and all output is with the logger. To be called each turn. */
void upgrade_run(void);

#endif
