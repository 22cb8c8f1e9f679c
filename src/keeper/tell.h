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

/* Says that something is not as it should be to one client, or to every subscriber (NULL). `id`: of the child that it is about;
 * `step`: "start" for one whose start takes long, "records" for whether these can be written, and no `why` when they can; each
 * may be NULL. */
void tell_error(struct connection *connection, const char *id, const char *step, const char *why);

/* The same of what was asked of the child of that id: `why` goes on from its name. */
void tell_refusal(struct connection *connection, const char *id, const char *why);

/* The next controller hears it with its listing. */
void tell_notice(const char *text);

void tell_welcome(struct connection *connection, uint64_t version);

/* Sends one client all children and, if it is the controller, the exits it has not acknowledged. */
void tell_all(struct connection *connection);

/* Says to every subscriber that the keeper ends; that it could not be upgraded, and why. */
void tell_bye(void);
void tell_upgrade_failed(const char *why);

#endif
