/* The directory below which the keeper makes cgroups, and the controllers that are to be had there.
 *
 * A cgroup other than the root may hand controllers on only while no process is in it (cgroups(7), "no internal processes").
 * So the home is the keeper's own cgroup, or the one above where a service manager says that this is the delegated one
 * (systemd's Delegate= with DelegateSubgroup=); and a keeper that is alone in its home steps aside into a cgroup
 * "<name>.keeper" in it. A process that is not the keeper's own is never moved: controllers are done without then.
 */
#ifndef APPMGR_KEEPER_CGROUP_HOME_H
#define APPMGR_KEEPER_CGROUP_HOME_H

#include <stdbool.h>
#include <stddef.h>

enum cgroup_controller { CGROUP_MEMORY, CGROUP_CPU, CGROUP_PIDS, CGROUP_CONTROLLER_COUNT };

/* Finds the home of a process whose own cgroup is the directory `own`. Writes the path of `name` in it, and returns a
 * descriptor of the home, which is the caller's, or -errno. */
int cgroup_home_open(const char *own, const char *name, char *base, size_t size);

/* Has the controllers handed on from the home to what is below `base_fd`, as far as that can be. */
void cgroup_home_enable(int home_fd, int base_fd, const char *name);

/* Takes the controllers back from what is below the home, if a keeper stepped aside to hand them on: then another process can be put
 * into the home, as a service manager does that starts the next keeper. Limits are out of force until that one has made them anew.
 * Returns 0 or -errno. */
int cgroup_home_give_back(const char *own, const char *name);

/* NULL when the controller is in force below the base, else why not, for people: "no memory controller here". */
const char *cgroup_home_lacks(enum cgroup_controller controller);

/* Reads a file as text, cut to what fits; writes a text in one go. Both return 0 or -errno. `path` is relative to
 * `directory_fd`. */
int cgroup_read(int directory_fd, const char *path, char *text, size_t size);
int cgroup_write(int directory_fd, const char *path, const char *text);

/* Calls visit for the directories that are in a directory, and those below, `levels` deep; for the lower ones first. They may
 * be removed meanwhile. Allocates nothing. */
typedef void (*cgroup_visit)(int parent_fd, const char *name, void *data);
void cgroup_walk(int directory_fd, int levels, cgroup_visit visit, void *data);

enum { CGROUP_DEPTH = 8 }; /* how far down what a child made of its own is looked for */

/* Removes a directory and what is below it, as far as it is empty. Returns true when it has gone. */
bool cgroup_remove_tree(int parent_fd, const char *name);

#endif
