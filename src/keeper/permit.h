/* What the tasks of Consul may run here, held against whoever asks.
 *
 * The rules are in the file `permit` of the state directory, which the agent writes from its configuration before it
 * uses the keeper. They are read for each start: nothing here grows old, and nothing but that file is believed. Without
 * it all is allowed; a file that cannot be read, or belongs to somebody else, or holds what is not understood, allows
 * nothing. Lines:
 *
 *   appmgr permit 1
 *   no-tasks              nothing may be started
 *   users                 only users that follow, and no capabilities beyond theirs
 *   own-user              who names no user, and so runs as the keeper's own
 *   user NAME             as written in the task
 *   commands              only programs that follow
 *   command PATTERN       an absolute path; `*` stands for any characters but `/`
 *   end
 *
 * Nothing is allocated.
 */
#ifndef APPMGR_KEEPER_PERMIT_H
#define APPMGR_KEEPER_PERMIT_H

#include "child.h"

/* Where the rules are; borrowed. */
void permit_open(int directory_fd);

/* Why `phase` of `spec` may not be started, for people; NULL when it may. `program` is then what to execute, found and
 * compared, or NULL when any program is allowed. Both are valid until the next call. */
const char *permit_check(const struct child_spec *spec, enum child_phase phase, const char **program);

/* Whether `path` matches `pattern`. */
bool permit_matches(const char *pattern, const char *path);

#endif
