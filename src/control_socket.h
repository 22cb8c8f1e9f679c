/*
 * control_socket: the unix socket's path, its folder, and who may stand on either end.
 *
 * Makes and finds sockets for control (the agent's end) and control_client (the command line's). Paths may be
 * longer than a socket address holds. The descriptors it returns belong to the caller; it keeps nothing. It never
 * takes over a path on which somebody listens, nor one that is no socket.
 */
#ifndef APPMGR_CONTROL_SOCKET_H
#define APPMGR_CONTROL_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

/* Which file a listening socket has, so that only that one is removed at the end. */
struct control_socket_file {
    dev_t device;
    ino_t inode;
};

struct control_peer {
    pid_t pid;
    uid_t uid;
};

/*
 * Listens on path, which only this user and root can open (mode 0600). A missing folder is made, for us alone
 * (0700); one that exists must belong to us or root and not be open to everybody. A socket file that nobody listens
 * on is replaced. May take up to half a second when another process is just starting there: call it at start only.
 * Returns a non-blocking descriptor, or -1 with a text that names the path, the reason and what to do.
 */
int control_socket_listen(const char *path, struct control_socket_file *file, char *error, size_t error_size);

/* Connects; blocks while the listener's queue is full. Returns a blocking descriptor, or -1 with a text. */
int control_socket_connect(const char *path, char *error, size_t error_size);

/* Removes path if it is still that file. */
void control_socket_remove(const char *path, const struct control_socket_file *file);

/* Who is on the other end. Returns 0 or -errno. */
int control_socket_peer(int fd, struct control_peer *peer);

#endif
