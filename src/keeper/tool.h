/* `appmgr-keeper ls`, `stop`, `make-way` and `--check-records`: what is done beside a running keeper, or after one that was killed. */
#ifndef APPMGR_KEEPER_TOOL_H
#define APPMGR_KEEPER_TOOL_H

enum { TOOL_NO_KEEPER = -1 };

/* Prints the children of the keeper in the state directory; without one those in its records. Returns an exit code. */
int tool_list(const char *directory, int directory_fd);

/* Stops all children and the keeper, and waits for its end. Returns an exit code; TOOL_NO_KEEPER when none runs and
 * there are records of one. */
int tool_stop(const char *directory, int directory_fd);

/* Has the service manager find room for the next keeper where one was (containment.h). Returns an exit code. */
int tool_make_way(const char *directory, int directory_fd);

/* Returns 0 when this program can go on from the records, else says why not and returns 1. */
int tool_check(const char *directory, int directory_fd);

#endif
