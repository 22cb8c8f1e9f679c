/* Where in the file system this process's own cgroup of the unified hierarchy (cgroups v2) is.
 *
 * Pure: it is handed the text of two files of /proc, so that tests can feed it the text of machines we do not have. A
 * machine may have hierarchies of the first version beside it, and the unified one in a place of its own
 * (/sys/fs/cgroup/unified); a container may see a part of it only. See cgroups(7) and proc_pid_mountinfo(5).
 */
#ifndef APPMGR_KEEPER_CGROUP_FIND_H
#define APPMGR_KEEPER_CGROUP_FIND_H

#include <stddef.h>

/* `mountinfo` is the text of /proc/self/mountinfo, `own` that of /proc/self/cgroup. Writes the absolute path of the
 * directory, without a slash at its end. Returns 0; -ENOENT: there is no unified hierarchy, or it is not mounted; -EXDEV:
 * the own cgroup is not in the part of it that is mounted; -EROFS: it is mounted read-only; -ENAMETOOLONG. */
int cgroup_find(const char *mountinfo, const char *own, char *path, size_t size);

#endif
