#include "process.h"

#include "keeper_link.h"
#include "keeper_start.h"
#include "timer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FIRST_RETRY_MS = 10, LAST_RETRY_MS = 5000, REASON_SIZE = 512,
    LOOK_MS = 1000, SILENT_LOOKS = 5,   /* in so many looks, one after the other, it had not read everything */
    PROBE_MS = 30000,                   /* without a request, something is sent for that alone */
};

struct process_client {
    struct process_callbacks callbacks;
    void *data;
    char *keeper_path, *state_dir;
    bool awaits_keeper;             /* who starts it is not us */
    struct keeper_link *link;       /* NULL while not connected */
    struct keeper_start *start;     /* NULL when no keeper is being started */
    struct timer retry;
    uint64_t retry_ms;
    struct timer look;              /* for the next look at what the keeper has read, or the next probe */
    bool looking;                   /* something was sent that may be unread */
    unsigned unread_looks;
    bool silent;                    /* on_silent was told */
    bool welcome, ready;
    bool ending;                    /* process_shutdown was called */
    bool upgrading;                 /* process_upgrade was called */
    uint64_t keeper_pid, upgraded_pid; /* whose welcome was the last; who was asked to upgrade */
    bool closed;
    unsigned depth;                 /* callbacks on the stack: the client is freed when the last has returned */
    uint64_t instance, sequence;    /* which keeper, and its newest exit that was passed on */
    char reason[REASON_SIZE];       /* why it is not connected, as told to the owner */
};

static void connect_now(struct process_client *client);

/* --- lives --- */

static void destroy(struct process_client *client)
{
    free(client->keeper_path);
    free(client->state_dir);
    free(client);
}

static void enter(struct process_client *client)
{
    client->depth++;
}

static void leave(struct process_client *client)
{
    if (--client->depth == 0 && client->closed)
        destroy(client);
}

static void drop_link(struct process_client *client)
{
    if (client->link)
        keeper_link_close(client->link);
    client->link = NULL;
    client->ready = client->welcome = false;
}

/* --- losing and trying again --- */

static void on_retry(struct timer *timer, void *data)
{
    (void)timer;
    enter(data);
    connect_now(data);
    leave(data);
}

static void end(struct process_client *client)
{
    client->ending = false;
    client->callbacks.on_ended(client->data);
}

static void tell_silent(struct process_client *client, bool silent)
{
    if (client->silent == silent || client->closed)
        return;
    client->silent = silent;
    client->callbacks.on_silent(silent ? keeper_link_pid(client->link) : 0, client->data);
}

static void stop_looking(struct process_client *client)
{
    timer_stop(&client->look);
    client->looking = false;
    client->unread_looks = 0;
}

static void lose(struct process_client *client, const char *reason)
{
    bool is_news = client->ready || strcmp(client->reason, reason) != 0, is_cut = client->link != NULL;

    stop_looking(client);
    drop_link(client); /* before anybody is told: what is asked for meanwhile goes nowhere, and nobody looks after it */
    tell_silent(client, false);
    if (client->closed)
        return;
    snprintf(client->reason, sizeof client->reason, "%s", reason);
    /* A keeper that was told to end has ended when nobody listens any more, and not when it cut the connection. */
    timer_start(&client->retry, client->retry_ms, 0, on_retry, client);
    client->retry_ms = client->retry_ms * 2 < LAST_RETRY_MS ? client->retry_ms * 2 : LAST_RETRY_MS;
    if (is_news && !(client->ending && is_cut))
        client->callbacks.on_lost(client->reason, client->data);
}

/* --- a keeper that does not read: stopped, or hanging --- */

static void on_look(struct timer *timer, void *data);

/* Looks in a moment whether the keeper has read what it is sent now. */
static void look_soon(struct process_client *client)
{
    if (client->looking)
        return;
    client->looking = true;
    timer_start(&client->look, LOOK_MS, 0, on_look, client);
}

/* Sends what asks for nothing: an acknowledgement of no exit. */
static void on_probe(struct timer *timer, void *data)
{
    (void)timer;
    (void)process_request(data, WIRE_ACKNOWLEDGE, NULL, WIRE_TAG_NONE, 0);
}

static void look(struct process_client *client)
{
    /* Before it is ready an answer is due to what it has read, too. Of one that ends the last word may take long. */
    bool owes = keeper_link_is_unread(client->link) || (!client->ready && !client->ending);

    if (!owes) {
        stop_looking(client);
        timer_start(&client->look, PROBE_MS, 0, on_probe, client);
        tell_silent(client, false);
        return;
    }
    timer_start(&client->look, LOOK_MS, 0, on_look, client);
    if (++client->unread_looks >= SILENT_LOOKS)
        tell_silent(client, true);
}

static void on_look(struct timer *timer, void *data)
{
    (void)timer;
    enter(data);
    look(data);
    leave(data);
}

/* --- what the keeper says --- */

static void send_simple(struct process_client *client, enum wire_type type)
{
    struct wire_writer *writer = keeper_link_begin(client->link, type);

    if (type == WIRE_HELLO) {
        wire_put_number(writer, WIRE_TAG_VERSION, WIRE_VERSION);
        wire_put_number(writer, WIRE_TAG_OLDEST, WIRE_OLDEST);
        wire_put_number(writer, WIRE_TAG_ROLE, WIRE_ROLE_CONTROLLER);
    }
    keeper_link_end(client->link);
    look_soon(client);
}

static void handle_welcome(struct process_client *client, const struct wire_message *message)
{
    uint64_t instance = wire_number(message, WIRE_TAG_INSTANCE, 0);

    if (instance != client->instance)
        client->sequence = 0;
    client->instance = instance;
    client->keeper_pid = wire_number(message, WIRE_TAG_PID, 0);
    client->welcome = true;
    send_simple(client, client->ending ? WIRE_SHUTDOWN : WIRE_LIST);
}

static void end_upgrade(struct process_client *client, const char *failure)
{
    if (client->upgrading && !client->closed)
        client->callbacks.on_upgraded(failure, client->data);
    client->upgrading = false;
}

static void handle_list_end(struct process_client *client, const struct wire_message *message)
{
    client->ready = true;
    client->retry_ms = FIRST_RETRY_MS;
    client->reason[0] = '\0';
    client->callbacks.on_ready(message, client->data);
    end_upgrade(client, client->keeper_pid == client->upgraded_pid
                            ? NULL : "the keeper ended; another one has taken its children over");
}

/* An exit that was passed on comes again when its acknowledgement was lost with the connection. */
static void handle_event(struct process_client *client, const struct wire_message *message)
{
    uint64_t sequence = wire_number(message, WIRE_TAG_SEQUENCE, UINT64_MAX);

    if (sequence <= client->sequence)
        return;
    if (sequence != UINT64_MAX)
        client->sequence = sequence;
    client->callbacks.on_event(message, client->data);
}

static int handle_message(struct process_client *client, const struct wire_message *message)
{
    if (!client->welcome && message->type != WIRE_WELCOME) {
        const char *why = message->type == WIRE_ERROR ? wire_text(message, WIRE_TAG_ERROR) : NULL;

        lose(client, why ? why : "the keeper's answer is not understood");
        return -1;
    }
    switch (message->type) {
    case WIRE_WELCOME: handle_welcome(client, message); break;
    case WIRE_CHILD: client->callbacks.on_child(message, client->data); break;
    case WIRE_LIST_END: handle_list_end(client, message); break;
    case WIRE_STARTED: case WIRE_EXITED: case WIRE_SPAWN_FAILED: case WIRE_STOPPING: case WIRE_STOPPED:
    case WIRE_GAVE_UP: case WIRE_ERROR: case WIRE_PHASE: case WIRE_READY: case WIRE_LIMITED:
    case WIRE_OUTPUT:
        handle_event(client, message); break;
    case WIRE_UPGRADE_FAILED: end_upgrade(client, wire_text(message, WIRE_TAG_ERROR)); break;
    default: break; /* WIRE_BYE: the end of the connection follows; a later version's: not for us */
    }
    return 0;
}

/* Returns -1 when the link has been given up meanwhile. */
static int on_message(const struct wire_message *message, void *data)
{
    struct process_client *client = data;
    const struct keeper_link *link = client->link;
    int result;

    enter(client);
    result = handle_message(client, message);
    if (client->closed || client->link != link)
        result = -1;
    leave(client);
    return result;
}

static void on_link_lost(const char *reason, void *data)
{
    struct process_client *client = data;

    enter(client);
    lose(client, reason);
    leave(client);
}

/* --- connecting --- */

static void on_keeper_started(const char *failure, void *data)
{
    struct process_client *client = data;

    enter(client);
    client->start = NULL;
    if (failure)
        lose(client, failure);
    else
        connect_now(client);
    leave(client);
}

/* A keeper that ends as it was told removes its records. One that was killed leaves them, and what it held runs on. */
static bool has_left_records(const struct process_client *client)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/keeper.records", client->state_dir);
    return access(path, F_OK) == 0;
}

static void start_keeper(struct process_client *client)
{
    char reason[REASON_SIZE];

    if (client->ending && !has_left_records(client)) {
        end(client);
        return;
    }
    if (client->awaits_keeper) {
        snprintf(reason, sizeof reason, "none runs on %s yet; it is waited for (systemctl status appmgr-keeper)", client->state_dir);
        lose(client, reason);
        return;
    }
    client->start = keeper_start(client->keeper_path, client->state_dir, on_keeper_started, client, reason, sizeof reason);
    if (!client->start)
        lose(client, reason);
}

static void connect_now(struct process_client *client)
{
    char reason[REASON_SIZE];
    int status = keeper_link_open(client->state_dir, on_message, on_link_lost, client, &client->link);

    if (status == -ECONNREFUSED || status == -ENOENT) {
        start_keeper(client);
    } else if (status != 0) {
        snprintf(reason, sizeof reason, "%s/keeper.sock: %s", client->state_dir, strerror(-status));
        lose(client, reason);
    } else {
        send_simple(client, WIRE_HELLO);
    }
}

struct process_client *process_open(const char *keeper_path, const char *state_dir, bool awaits_keeper,
                                    const struct process_callbacks *callbacks, void *data, char *error,
                                    size_t error_size)
{
    struct process_client *client;
    const char *unusable = access(state_dir, W_OK | X_OK) != 0 ? state_dir
                           : access(keeper_path, X_OK) != 0    ? keeper_path
                                                               : NULL;

    if (unusable) {
        snprintf(error, error_size, "%s: %s", unusable, strerror(errno));
        return NULL;
    }
    client = calloc(1, sizeof *client);
    if (!client || !(client->keeper_path = strdup(keeper_path)) || !(client->state_dir = strdup(state_dir)) ||
        timer_start(&client->retry, 0, 0, on_retry, client) != 0) {
        snprintf(error, error_size, "out of memory or file descriptors");
        if (client)
            destroy(client);
        return NULL;
    }
    client->callbacks = *callbacks;
    client->data = data;
    client->awaits_keeper = awaits_keeper;
    client->retry_ms = FIRST_RETRY_MS;
    return client;
}

void process_shutdown(struct process_client *client)
{
    client->ending = true;
    if (client->welcome)
        send_simple(client, WIRE_SHUTDOWN);
    else if (!client->link && !client->start)
        timer_start(&client->retry, 0, 0, on_retry, client);
}

void process_close(struct process_client *client)
{
    enter(client);
    client->closed = true;
    timer_stop(&client->retry);
    timer_stop(&client->look);
    drop_link(client);
    if (client->start)
        keeper_start_forget(client->start);
    leave(client);
}

/* --- requests --- */

struct wire_writer *process_begin(struct process_client *client, enum wire_type type, const char *id)
{
    struct wire_writer *writer = client->ready ? keeper_link_begin(client->link, type) : NULL;

    if (writer) {
        wire_put_text(writer, WIRE_TAG_ID, id);
        look_soon(client);
    }
    return writer;
}

int process_end(struct process_client *client)
{
    return keeper_link_end(client->link);
}

int process_request(struct process_client *client, enum wire_type type, const char *id, enum wire_tag tag, uint64_t value)
{
    struct wire_writer *writer = process_begin(client, type, id);

    if (!writer)
        return -ENOTCONN;
    if (tag != WIRE_TAG_NONE)
        wire_put_number(writer, tag, value);
    return process_end(client);
}

int process_end_run(struct process_client *client, const char *id, const char *why)
{
    struct wire_writer *writer = process_begin(client, WIRE_END_RUN, id);

    if (!writer)
        return -ENOTCONN;
    wire_put_text(writer, WIRE_TAG_ERROR, why);
    return process_end(client);
}

int process_upgrade(struct process_client *client)
{
    struct wire_writer *writer = process_begin(client, WIRE_UPGRADE, NULL);

    if (!writer)
        return -ENOTCONN;
    wire_put_text(writer, WIRE_TAG_ARGUMENT, client->keeper_path);
    client->upgrading = true;
    client->upgraded_pid = client->keeper_pid;
    return process_end(client);
}
