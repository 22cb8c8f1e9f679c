/*
 * host_changes: whether what seldom changes on this machine has changed, for one system call each.
 *
 * Each function opens what it asks on its first call and keeps it; the first answer is true. Where the kernel cannot be asked
 * the answer is always true. A change after an answer is told by the next one, so what is read after it misses nothing.
 */
#ifndef APPMGR_HOST_CHANGES_H
#define APPMGR_HOST_CHANGES_H

#include <stdbool.h>

/* The mounts of this process (/proc/self/mountinfo). */
bool host_changes_mounts(void);

/* The network interfaces, whether they are up, and their addresses. */
bool host_changes_addresses(void);

/* Closes what is kept. */
void host_changes_shutdown(void);

#endif
