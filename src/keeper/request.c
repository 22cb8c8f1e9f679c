/* What clients ask for: one handler a frame type, and which roles may ask it. */
#include "containment.h"
#include "exits.h"
#include "adopt.h"
#include "keeper.h"
#include "lease.h"
#include "output.h"
#include "records.h"
#include "server.h"
#include "start.h"
#include "table.h"
#include "tell.h"
#include "upgrade.h"

#include <signal.h>
#include <stdio.h>

typedef int (*handler_fn)(struct connection *connection, const struct wire_message *message);

static int refuse(struct connection *connection, const char *id, const char *why)
{
    tell_refusal(connection, id, why);
    return 0;
}

static int turn_away(struct connection *connection, const char *why)
{
    tell_error(connection, NULL, NULL, why);
    connection->doomed = true;
    return -1;
}

static int hello(struct connection *connection, const struct wire_message *message)
{
    uint64_t version = wire_number(message, WIRE_TAG_VERSION, 0);
    uint64_t role = wire_number(message, WIRE_TAG_ROLE, WIRE_ROLE_READER);
    const struct connection *controller = server_controller();
    char why[128];

    if (connection->role)
        return -1;
    if (version < WIRE_OLDEST || wire_number(message, WIRE_TAG_OLDEST, version) > WIRE_VERSION) {
        snprintf(why, sizeof why, "this keeper speaks versions %d to %d of the protocol", WIRE_OLDEST, WIRE_VERSION);
        return turn_away(connection, why);
    }
    if (role < WIRE_ROLE_READER || role > WIRE_ROLE_OPERATOR)
        return -1;
    if (role == WIRE_ROLE_CONTROLLER && controller) {
        snprintf(why, sizeof why, "this keeper is controlled by process %u already", controller->pid);
        return turn_away(connection, why);
    }
    connection->role = (enum wire_role)role;
    tell_welcome(connection, version < WIRE_VERSION ? version : WIRE_VERSION);
    return 0;
}

static int list(struct connection *connection, const struct wire_message *message)
{
    (void)message;
    tell_all(connection);
    connection->subscribed = true;
    return 0;
}

static int spawn(struct connection *connection, const struct wire_message *message)
{
    const char *id = wire_text(message, WIRE_TAG_ID), *why;
    struct child *child = table_find(id);
    bool is_new_run, is_known;

    if (keeper_is_ending())
        return refuse(connection, id, "is not started: the keeper is ending");
    if (!child)
        child = table_add(id);
    if (!child)
        return refuse(connection, id, "does not fit in the keeper's memory");
    is_new_run = child_at_rest(child);
    if (is_new_run) {
        why = child_configure(child, message);
        if (why) {
            if (!child->spec)
                child_handle(child, CHILD_FORGET);
            return refuse(connection, id, why);
        }
    }
    lease_changed(child);
    is_known = records_have(child);
    if (is_new_run && is_known)
        records_add(child); /* before it is to start: what was asked for earlier may not be started any more */
    child_handle(child, CHILD_ASKED);
    if (is_new_run && !is_known)
        records_add(child); /* with the state that it has now: one write */
    return 0;
}

static int update(struct connection *connection, const struct wire_message *message)
{
    const char *id = wire_text(message, WIRE_TAG_ID);
    struct child *child = table_find(id);
    const char *why = child ? child_update(child, message) : "is not known to the keeper";

    if (child)
        lease_changed(child);
    if (!why && wire_has(message, WIRE_TAG_MAX_OUTPUT_BYTES))
        output_change(child, message);
    if (!why && wire_has(message, WIRE_TAG_READY))
        records_note(child);
    else if (!why)
        records_add(child);
    if (!why && wire_has(message, WIRE_TAG_LIMITS)) {
        containment_limit(child);
        tell_event(child, WIRE_LIMITED);
    }
    return why ? refuse(connection, id, why) : 0;
}

/* What is an event of the child, and nothing else. */
static int hand_on(struct connection *connection, const struct wire_message *message)
{
    static const enum child_event events[] = {
        [WIRE_STOP] = CHILD_STOP, [WIRE_FORGET] = CHILD_FORGET, [WIRE_END_RUN] = CHILD_END_RUN,
    };
    const char *id = wire_text(message, WIRE_TAG_ID);
    struct child *child = table_find(id);

    if (!child)
        return refuse(connection, id, "is not known to the keeper");
    child_handle(child, events[message->type]);
    return 0;
}

/* Why a run is ended is kept as what failed, until a run begins that nobody ends. */
static int end_run(struct connection *connection, const struct wire_message *message)
{
    struct child *child = table_find(wire_text(message, WIRE_TAG_ID));
    const char *why = wire_text(message, WIRE_TAG_ERROR);

    if (child && child->state == CHILD_RUNNING && why)
        snprintf(child->failure, sizeof child->failure, "%s", why);
    return hand_on(connection, message);
}

static int acknowledge(struct connection *connection, const struct wire_message *message)
{
    (void)connection;
    exits_acknowledge(wire_number(message, WIRE_TAG_SEQUENCE, 0));
    return 0;
}

static int renew(struct connection *connection, const struct wire_message *message)
{
    (void)connection;
    lease_renew(wire_number(message, WIRE_TAG_RENEWED_MS, 0));
    records_note_agent();
    return 0;
}

static int send_signal(struct connection *connection, const struct wire_message *message)
{
    const char *id = wire_text(message, WIRE_TAG_ID);
    uint64_t number = wire_number(message, WIRE_TAG_SIGNAL, 0);
    const struct child *child = table_find(id);

    if (number < 1 || number >= _NSIG)
        return refuse(connection, id, "cannot be sent a signal that is none");
    start_collect(); /* it may run since its start was last looked at */
    if (!child || child->phase != CHILD_MAIN || !adopt_signal(child, (int)number))
        return refuse(connection, id, "does not run and takes no signal");
    return 0;
}

static int shut_down(struct connection *connection, const struct wire_message *message)
{
    (void)message;
    connection->subscribed = true; /* it waits for the last word */
    keeper_shut_down();
    return 0;
}

static int upgrade(struct connection *connection, const struct wire_message *message)
{
    const char *why = keeper_is_ending() ? "the keeper is ending" : upgrade_begin(wire_text(message, WIRE_TAG_ARGUMENT));

    connection->subscribed = true; /* it waits for the outcome */
    if (why)
        tell_upgrade_failed(why);
    return 0;
}

enum { CONTROLLER = 1 << WIRE_ROLE_CONTROLLER, OPERATOR = 1 << WIRE_ROLE_OPERATOR, READER = 1 << WIRE_ROLE_READER };

static const struct {
    handler_fn handle;
    unsigned roles;
    bool needs_id;
} requests[] = {
    [WIRE_HELLO] = {hello, 1 | READER | OPERATOR | CONTROLLER, false},
    [WIRE_LIST] = {list, READER | OPERATOR | CONTROLLER, false},
    [WIRE_SPAWN] = {spawn, CONTROLLER, true},
    [WIRE_UPDATE] = {update, CONTROLLER, true},
    [WIRE_STOP] = {hand_on, OPERATOR | CONTROLLER, true},
    [WIRE_FORGET] = {hand_on, CONTROLLER, true},
    [WIRE_ACKNOWLEDGE] = {acknowledge, CONTROLLER, false},
    [WIRE_SIGNAL] = {send_signal, OPERATOR | CONTROLLER, true},
    [WIRE_RENEW] = {renew, CONTROLLER, false},
    [WIRE_SHUTDOWN] = {shut_down, OPERATOR | CONTROLLER, false},
    [WIRE_END_RUN] = {end_run, CONTROLLER, true},
    [WIRE_UPGRADE] = {upgrade, OPERATOR | CONTROLLER, false},
};

int request_handle(struct connection *connection, const struct wire_message *message)
{
    unsigned type = message->type;

    if (!connection->role && type != WIRE_HELLO)
        return -1;
    if (type >= sizeof requests / sizeof *requests || !requests[type].handle) {
        tell_error(connection, NULL, NULL, "this keeper does not know that request");
        return 0;
    }
    if (!(requests[type].roles & 1u << connection->role)) {
        tell_error(connection, NULL, NULL, "that request is the controller's");
        return 0;
    }
    if (requests[type].needs_id &&
        (message->field[WIRE_TAG_ID].length < 2 || message->field[WIRE_TAG_ID].length > WIRE_ID_MAX + 1))
        return -1;
    return requests[type].handle(connection, message);
}
