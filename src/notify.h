/* Tells the service manager how the agent is doing (sd_notify(3), Type=notify).
 *
 * One datagram to the socket named in NOTIFY_SOCKET, as systemd documents it.
 * Owns nothing and keeps nothing between calls. Never blocks: a manager that
 * does not read loses the message.
 */
#ifndef APPMGR_NOTIFY_H
#define APPMGR_NOTIFY_H

/* Sends `state` ("READY=1", "STOPPING=1" …) to the socket `path`, which may be
 * an abstract one ("@…"). Returns 0 or -errno. */
int notify_send(const char *path, const char *state);

#endif
