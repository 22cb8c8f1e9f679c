/* Which keeper a directory of cgroups belongs to: the one that holds a lock on it, for as long as it lives.
 *
 * So a keeper can remove what others left that were killed and never came back, and never what one has just made.
 */
#ifndef APPMGR_KEEPER_CGROUP_HOLD_H
#define APPMGR_KEEPER_CGROUP_HOLD_H

/* Makes the directory `name` in the home, if there is none, and takes it. Returns a descriptor, which is the caller's and
 * holds it until it is closed, or -errno; -EBUSY: somebody else holds it. Waits up to half a second for that. */
int cgroup_hold(int home_fd, const char *name);

/* Removes the directories of keepers in the home that nobody holds, nothing runs in, and that have not changed for a minute. */
void cgroup_collect(int home_fd);

#endif
