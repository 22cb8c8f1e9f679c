/* `appmgr-keeper ls` and `appmgr-keeper stop`: talk to a running keeper without an agent. */
#ifndef APPMGR_KEEPER_TOOL_H
#define APPMGR_KEEPER_TOOL_H

/* Prints the children of the keeper in the state directory. Returns an exit code. */
int tool_list(const char *directory, int directory_fd);

/* Stops all children and the keeper, and waits for its end. Returns an exit code. */
int tool_stop(const char *directory, int directory_fd);

#endif
