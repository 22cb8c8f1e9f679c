/* What clients are told: events as they happen, and everything there is when they list the children.
 * Encodes into a buffer of its own; allocates nothing.
 */
#ifndef APPMGR_KEEPER_TELL_H
#define APPMGR_KEEPER_TELL_H

#include "child.h"
#include "server.h"

/* Tells every subscriber what happened to the child: WIRE_STARTED … WIRE_GAVE_UP. An exit is kept until it is
 * acknowledged. */
void tell_event(struct child *child, enum wire_type type);

/* Says to every subscriber that something is not as it should be; `id` may be NULL. */
void tell_error(const char *id, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says to every subscriber that the child's start takes long, as its `failure` says: a WIRE_ERROR with the step "start". */
void tell_slow_start(const struct child *child);

/* The same as tell_error for what the controller must hear: the next one does, where none listens now. */
void tell_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says to every subscriber whether the records can be written: a WIRE_ERROR with the step "records", and no error when
 * they can. A controller hears it with every listing. */
void tell_records(void);

/* The same for one client. */
void tell_error_to(struct connection *connection, const char *id, const char *text);

void tell_welcome(struct connection *connection, uint64_t version);

/* Sends one client all children and, if it is the controller, the exits it has not acknowledged. */
void tell_all(struct connection *connection);

/* Says to every subscriber that the keeper ends; that it could not be upgraded, and why. */
void tell_bye(void);
void tell_upgrade_failed(const char *why);

#endif
