#include "tell.h"
#include "containment.h"
#include "exits.h"
#include "records.h"
#include "table.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* Room for the largest frame: a child with its tag, id and error. */
static uint8_t buffer[WIRE_LABEL_MAX + 2 * PATH_MAX + 4096];
static struct wire_writer writer = {.data = buffer, .capacity = sizeof buffer};

static char notice[512]; /* what the next controller is to hear */

static void begin(enum wire_type type, const char *id)
{
    writer.size = 0;
    wire_begin(&writer, type);
    wire_put_text(&writer, WIRE_TAG_ID, id);
}

static void broadcast(void)
{
    if (wire_end(&writer) == 0)
        server_broadcast(buffer, writer.size);
}

/* A listing may be of any size, anything else has to fit. */
static void send_to(struct connection *connection, bool may_grow)
{
    if (wire_end(&writer) == 0)
        server_send(connection, buffer, writer.size, may_grow);
}

static void begin_error(const char *id, const char *step, const char *why)
{
    begin(WIRE_ERROR, id);
    wire_put_text(&writer, WIRE_TAG_STEP, step);
    wire_put_text(&writer, WIRE_TAG_ERROR, why);
}

static void begin_exit(const struct child *child, uint64_t sequence)
{
    const struct exit_record *record = exits_get(sequence);

    begin(WIRE_EXITED, child->id);
    wire_put_number(&writer, WIRE_TAG_SEQUENCE, sequence);
    if (record->known)
        wire_put_number(&writer, record->by_signal ? WIRE_TAG_EXIT_SIGNAL : WIRE_TAG_EXIT_CODE, record->number);
    wire_put_number(&writer, WIRE_TAG_EXIT_AT_US, record->at_us);
    wire_put_number(&writer, WIRE_TAG_STARTED_AT_US, record->started_at_us);
    if (record->timed)
        wire_put_number(&writer, WIRE_TAG_RAN_MS, record->ran_ms);
    wire_put_number(&writer, WIRE_TAG_PID, (uint64_t)record->pid);
    wire_put_number(&writer, WIRE_TAG_NEXT, record->next_step);
    wire_put_number(&writer, WIRE_TAG_DELAY_MS, record->delay_ms);
    if (record->out_of_memory)
        wire_put_number(&writer, WIRE_TAG_OUT_OF_MEMORY, 1);
}

static void put_start(const struct child *child)
{
    wire_put_number(&writer, WIRE_TAG_PID, child->ended || child->phase != CHILD_MAIN ? 0 : (uint64_t)child->pid);
    wire_put_number(&writer, WIRE_TAG_STARTED_AT_US, child->started_at_us);
    wire_put_number(&writer, WIRE_TAG_STARTS, child->starts);
    wire_put_text(&writer, WIRE_TAG_CGROUP, containment_cgroup(child));
    if (child->is_hidden)
        wire_put_number(&writer, WIRE_TAG_GROUP, 1);
    wire_put_text(&writer, WIRE_TAG_ENFORCED, containment_limits(child));
}

static void put_phase(const struct child *child)
{
    wire_put_number(&writer, WIRE_TAG_PHASE, child->phase == CHILD_INIT ? WIRE_PHASE_INIT : WIRE_PHASE_FINI);
    wire_put_text(&writer, WIRE_TAG_ERROR, child->failure[0] ? child->failure : NULL);
}

static void put_output(const struct child *child)
{
    wire_put_number(&writer, WIRE_TAG_OUTPUT_STATE, child->output_state);
    wire_put_number(&writer, WIRE_TAG_OUTPUT_ERRNO, child->output_errno);
    wire_put_number(&writer, WIRE_TAG_OUTPUT_DROPPED, child->output_dropped);
}

void tell_event(struct child *child, enum wire_type type)
{
    if (type == WIRE_EXITED) {
        begin_exit(child, exits_add(child));
        broadcast();
        return;
    }
    begin(type, child->id);
    if (type == WIRE_STARTED)
        put_start(child);
    if (type == WIRE_LIMITED)
        wire_put_text(&writer, WIRE_TAG_ENFORCED, containment_limits(child));
    if (type == WIRE_PHASE)
        put_phase(child);
    if (type == WIRE_OUTPUT)
        put_output(child);
    if (type == WIRE_READY)
        wire_put_number(&writer, WIRE_TAG_STARTS, child->starts);
    if (type == WIRE_SPAWN_FAILED) {
        wire_put_text(&writer, WIRE_TAG_STEP, child->failure_step);
        wire_put_text(&writer, WIRE_TAG_ERROR, child->failure);
        wire_put_number(&writer, WIRE_TAG_NEXT, child->next_step);
        wire_put_number(&writer, WIRE_TAG_DELAY_MS, child->delay_ms);
    }
    broadcast();
}

void tell_error(struct connection *connection, const char *id, const char *step, const char *why)
{
    begin_error(id, step, why);
    if (connection)
        send_to(connection, false);
    else
        broadcast();
}

void tell_refusal(struct connection *connection, const char *id, const char *why)
{
    char text[WIRE_ID_MAX + 160];

    snprintf(text, sizeof text, "%s %s", id, why);
    tell_error(connection, id, NULL, text);
}

void tell_notice(const char *text)
{
    snprintf(notice, sizeof notice, "%s", text);
}

void tell_welcome(struct connection *connection, uint64_t version)
{
    begin(WIRE_WELCOME, NULL);
    wire_put_number(&writer, WIRE_TAG_VERSION, version);
    wire_put_number(&writer, WIRE_TAG_PID, (uint64_t)getpid());
    wire_put_number(&writer, WIRE_TAG_INSTANCE, records_instance());
    send_to(connection, false);
}

/* By the clock that people read, which may be set before that. */
static uint64_t next_start_us(const struct child *child)
{
    uint64_t now_ms = watch_now_ms();

    return watch_wall_us() + (child->deadline_ms > now_ms ? child->deadline_ms - now_ms : 0) * 1000;
}

static void tell_child(struct connection *connection, const struct child *child)
{
    begin(WIRE_CHILD, child->id);
    wire_put_text(&writer, WIRE_TAG_LABEL, child->label);
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, child->spec->output_path);
    wire_put_number(&writer, WIRE_TAG_STATE, child_wire_state(child));
    put_start(child);
    wire_put_number(&writer, WIRE_TAG_DELAY_MS, child->delay_ms);
    if (child->state == CHILD_BACKOFF)
        wire_put_number(&writer, WIRE_TAG_NEXT_START_AT_US, next_start_us(child));
    wire_put_number(&writer, WIRE_TAG_READY, child->ready && child->state == CHILD_RUNNING);
    if (child->next_step)
        wire_put_number(&writer, WIRE_TAG_NEXT, child->next_step);
    if (child_wire_phase(child))
        wire_put_number(&writer, WIRE_TAG_PHASE, child_wire_phase(child));
    if (child->last_exit.known)
        wire_put_number(&writer, child->last_exit.by_signal ? WIRE_TAG_EXIT_SIGNAL : WIRE_TAG_EXIT_CODE,
                        child->last_exit.number);
    if (child->last_exit.at_us)
        wire_put_number(&writer, WIRE_TAG_EXIT_AT_US, child->last_exit.at_us);
    if (child->last_exit.out_of_memory)
        wire_put_number(&writer, WIRE_TAG_OUT_OF_MEMORY, 1);
    wire_put_text(&writer, WIRE_TAG_ERROR, child->failure[0] ? child->failure : NULL);
    if (child->output_state != WIRE_OUTPUT_WELL)
        put_output(child);
    send_to(connection, true);
}

void tell_all(struct connection *connection)
{
    uint64_t lost = connection->role == WIRE_ROLE_CONTROLLER ? exits_take_lost() : 0;
    char text[96];

    for (const struct child *child = table_first(); child; child = child->next)
        tell_child(connection, child);
    begin(WIRE_LIST_END, NULL);
    wire_put_text(&writer, WIRE_TAG_CGROUP, cgroup_base());
    if (*cgroup_why())
        wire_put_text(&writer, WIRE_TAG_ERROR, cgroup_why());
    send_to(connection, true);
    if (lost > 0) {
        snprintf(text, sizeof text, "%" PRIu64 " exits were not kept: nobody took them for too long", lost);
        tell_error(connection, NULL, NULL, text);
    }
    if (connection->role != WIRE_ROLE_CONTROLLER)
        return;
    if (notice[0])
        tell_error(connection, NULL, NULL, notice);
    notice[0] = '\0';
    begin_error(NULL, "records", records_trouble());
    send_to(connection, true);
    for (uint64_t sequence = exits_first(); sequence < exits_end(); sequence++) {
        const struct child *child = table_find_number(exits_get(sequence)->child);

        if (!child)
            continue;
        begin_exit(child, sequence);
        send_to(connection, true);
    }
}

void tell_bye(void)
{
    begin(WIRE_BYE, NULL);
    broadcast();
}

void tell_upgrade_failed(const char *why)
{
    begin(WIRE_UPGRADE_FAILED, NULL);
    wire_put_text(&writer, WIRE_TAG_ERROR, why);
    broadcast();
}
