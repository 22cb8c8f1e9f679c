#include "lua_process_message.h"

#include <lauxlib.h>
#include <string.h>

enum look { NUMBER, POSITIVE, SECONDS, FLAG, TEXT, STATE, NEXT, PHASE, OUTPUT, REASON };

static const struct {
    enum wire_tag tag;
    enum look look;
    const char *name;
    bool of_exit; /* stands in last_exit where the message is a record */
} fields[] = {
    {WIRE_TAG_ID, TEXT, "id", false},
    {WIRE_TAG_LABEL, TEXT, "tag", false},
    {WIRE_TAG_STATE, STATE, "state", false},
    {WIRE_TAG_PID, POSITIVE, "pid", false},
    {WIRE_TAG_STARTED_AT_US, SECONDS, "started_at", false},
    {WIRE_TAG_STARTS, NUMBER, "starts", false},
    {WIRE_TAG_DELAY_MS, NUMBER, "delay_ms", false},
    {WIRE_TAG_NEXT_START_AT_US, SECONDS, "next_start_at", false},
    {WIRE_TAG_SEQUENCE, NUMBER, "sequence", false},
    {WIRE_TAG_NEXT, NEXT, "next", false},
    {WIRE_TAG_STEP, TEXT, "step", false},
    {WIRE_TAG_ERROR, TEXT, "error", false},
    {WIRE_TAG_EXIT_CODE, NUMBER, "code", true},
    {WIRE_TAG_EXIT_SIGNAL, NUMBER, "signal", true},
    {WIRE_TAG_EXIT_AT_US, SECONDS, "at", true},
    {WIRE_TAG_RAN_MS, NUMBER, "ran_ms", true},
    {WIRE_TAG_PHASE, PHASE, "phase", false},
    {WIRE_TAG_READY, FLAG, "ready", false},
    {WIRE_TAG_CGROUP, TEXT, "cgroup", false},
    {WIRE_TAG_GROUP, FLAG, "group_only", false},
    {WIRE_TAG_ENFORCED, TEXT, "enforced", false},
    {WIRE_TAG_OUT_OF_MEMORY, FLAG, "out_of_memory", true},
    {WIRE_TAG_OUTPUT_STATE, OUTPUT, "output_state", false},
    {WIRE_TAG_OUTPUT_ERRNO, REASON, "output_error", false},
    {WIRE_TAG_OUTPUT_DROPPED, NUMBER, "output_dropped", false},
};

enum { FIELD_COUNT = sizeof fields / sizeof *fields };

/* Pushes one value; nil for a number that says "none". */
static void push_value(lua_State *L, const struct wire_message *message, enum wire_tag tag, enum look look)
{
    uint64_t number = look == TEXT ? 0 : wire_number(message, tag, 0);

    switch (look) {
    case TEXT: lua_pushstring(L, wire_text(message, tag)); break;
    case STATE: lua_pushstring(L, wire_state_name(number)); break;
    case NEXT: lua_pushstring(L, wire_next_name(number)); break;
    case PHASE: lua_pushstring(L, wire_phase_name(number)); break;
    case OUTPUT: lua_pushstring(L, wire_output_name(number)); break;
    case REASON: lua_pushstring(L, strerror((int)number)); break;
    case FLAG: lua_pushboolean(L, number != 0); break;
    case NUMBER: lua_pushinteger(L, (lua_Integer)number); break;
    case POSITIVE: number ? lua_pushinteger(L, (lua_Integer)number) : lua_pushnil(L); break;
    case SECONDS: number ? lua_pushnumber(L, (lua_Number)number / 1e6) : lua_pushnil(L); break;
    }
}

static void set_fields(lua_State *L, const struct wire_message *message, bool of_exit, bool all)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (!wire_has(message, fields[i].tag) || (!all && fields[i].of_exit != of_exit))
            continue;
        push_value(L, message, fields[i].tag, fields[i].look);
        lua_setfield(L, -2, fields[i].name);
    }
}

void lua_process_push_fields(lua_State *L, const struct wire_message *message)
{
    lua_createtable(L, 0, 2);
    set_fields(L, message, false, true);
}

void lua_process_push_record(lua_State *L, const struct wire_message *message)
{
    lua_createtable(L, 0, 9);
    set_fields(L, message, false, false);
    if (wire_has(message, WIRE_TAG_EXIT_AT_US)) {
        lua_createtable(L, 0, 2);
        set_fields(L, message, true, false);
        lua_setfield(L, -2, "last_exit");
    }
}

static const char *event_name(unsigned type)
{
    switch (type) {
    case WIRE_STARTED: return "started";
    case WIRE_EXITED: return "exited";
    case WIRE_SPAWN_FAILED: return "spawn_failed";
    case WIRE_STOPPING: return "stopping";
    case WIRE_STOPPED: return "stopped";
    case WIRE_GAVE_UP: return "gave_up";
    case WIRE_PHASE: return "phase";
    case WIRE_READY: return "ready";
    case WIRE_LIMITED: return "limited";
    case WIRE_OUTPUT: return "output";
    default: return "error";
    }
}

void lua_process_push_event(lua_State *L, const struct wire_message *message)
{
    lua_createtable(L, 0, 8);
    lua_pushstring(L, event_name(message->type));
    lua_setfield(L, -2, "type");
    set_fields(L, message, false, true);
    if (message->type == WIRE_ERROR) {
        lua_getfield(L, -1, "error");
        lua_setfield(L, -2, "message");
    }
}
