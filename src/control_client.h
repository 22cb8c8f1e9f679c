/*
 * control_client: the command line's end of an agent's socket. It blocks, and runs no loop.
 *
 * Owns its descriptor and what was read but not taken yet. Never used inside the agent.
 */
#ifndef APPMGR_CONTROL_CLIENT_H
#define APPMGR_CONTROL_CLIENT_H

#include <stddef.h>

struct control_client;

enum control_received { CONTROL_LINE, CONTROL_TIMEOUT, CONTROL_CLOSED };

/* Returns an owned client (control_client_close), or NULL with a text for people. */
struct control_client *control_client_connect(const char *path, char *error, size_t error_size);

/* Writes a line and its newline; waits as long as the agent takes. Returns 0 or -errno. */
int control_client_send(struct control_client *client, const char *line, size_t length);

/*
 * Waits for the next line, at most timeout_ms (negative: as long as it takes). On CONTROL_LINE the line (without
 * newline) is borrowed until the next call. Interrupting signals are waited through. A line may be up to 256 MiB;
 * with a longer one, or without memory for it, the connection counts as closed.
 */
enum control_received control_client_receive(struct control_client *client, int timeout_ms, const char **line,
                                             size_t *length);

void control_client_close(struct control_client *client);

#endif
