/* Linux capabilities of a process that is being started: see capabilities(7).
 *
 * Both functions run in the child, in the memory of its parent (newborn.h). Sets are masks with the bit 1 << number for each
 * capability.
 */
#ifndef APPMGR_KEEPER_CAPABILITIES_H
#define APPMGR_KEEPER_CAPABILITIES_H

#include <stdint.h>

/* Before the change of user: nothing that the process starts can gain more than `keep`, and the process keeps what it has
 * over the change. Returns 0 or -errno. */
long capabilities_bound(uint64_t keep);

/* After the change of user: the process, and the programs it starts, have `keep` and nothing else. Returns 0 or -errno:
 * EPERM for what the process did not have. */
long capabilities_take(uint64_t keep);

#endif
