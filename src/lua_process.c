/*
 * core.process: glue for process.c, the keeper's client.
 *
 *   open{keeper_path=, state_dir=, awaits_keeper=, on_ready=fn(list, keeper), on_event=fn(event), on_lost=fn(reason)} → client | nil, err
 *   client:spawn{id=, argv={…}, env={"K=V",…}, tag=, working_dir=, user=, stop_signal=, stop_timeout_ms=, restart=,
 *                output_path=, nice=, umask=, open_files=, no_new_privs=, lease_ms=, is_local=,
 *                init_argv=, init_timeout_ms=, fini_argv=, fini_timeout_ms=, ready_fd=, run_timeout_ms=,
 *                limits=, capabilities=, max_output_bytes=, output_files=, output_waits=}
 *   client:update(id, {tag=, stop_signal=, stop_timeout_ms=, restart=, lease_ms=, limits=, max_output_bytes=, output_files=,
 *                output_waits=})
 *   client:renew(at_ms)   leases run from that moment of CLOCK_BOOTTIME
 *   client:stop(id)   client:forget(id)   client:signal(id, number)   client:acknowledge(sequence)
 *   client:end_run(id, why)   stop signal and timeout; then as if it had ended by itself, with `why` as its error
 *   client:set_ready(id, starts)   the run of that number is ready
 *   limits = {memory_bytes=, swap_bytes=, virtual_bytes=, cpu_weight=, cpu_percent=, pids=}; what is missing is no limit
 *   capabilities = mask of 1 << number: exactly these
 *   restart = {enabled=, attempts=, interval_ms=, delay_ms=, max_delay_ms=, reset_ms=}
 *     → true | nil, err: not connected (everything is listed again later), or too large for the keeper
 *   client:shutdown(fn)   stops all, fn(true) when the keeper has ended
 *   client:upgrade(fn)    the keeper executes its new program in its place; fn(true | nil, err) when it has
 *   client:close()        disconnects; keeper and children stay
 *
 * `keeper` says how children are contained: {cgroup=} the directory of their cgroups, or {error=} why there are none.
 * Records and events are tables with the fields that the keeper sent, under the names in `fields`.
 */
#include "core_modules.h"
#include "lua_handle.h"
#include "process.h"
#include "script.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static const char class_name[] = "core.process.client";
static struct handle_table live;

struct lua_process {
    struct process_client *client;
    struct handle handle;
    lua_State *L;
    int on_ready, on_event, on_lost, on_ended, on_upgraded;
    int list; /* the records that have come of a listing, or LUA_NOREF */
};

/* --- messages to tables --- */

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

static void push_record(lua_State *L, const struct wire_message *message)
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

static void push_event(lua_State *L, const struct wire_message *message)
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

/* --- from C into Lua: a C function called through script_call, since making values may raise --- */

struct call {
    struct lua_process *object;
    const struct wire_message *message;
    const char *reason;
};

static void call_lua(struct lua_process *object, lua_CFunction function, const struct wire_message *message,
                     const char *reason, const char *what)
{
    struct call call = {object, message, reason};

    lua_pushcfunction(object->L, function);
    lua_pushlightuserdata(object->L, &call);
    (void)script_call(object->L, 1, 0, what);
}

static int call_on_child(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    if (call->object->list == LUA_NOREF) {
        lua_newtable(L);
        call->object->list = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, call->object->list);
    push_record(L, call->message);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    return 0;
}

static int call_on_ready(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    script_push(L, call->object->on_ready);
    if (call->object->list == LUA_NOREF)
        lua_newtable(L);
    else
        lua_rawgeti(L, LUA_REGISTRYINDEX, call->object->list);
    script_release(L, &call->object->list);
    lua_createtable(L, 0, 1);
    set_fields(L, call->message, false, true);
    lua_call(L, 2, 0);
    return 0;
}

static int call_on_event(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    script_push(L, call->object->on_event);
    push_event(L, call->message);
    lua_call(L, 1, 0);
    return 0;
}

static int call_on_lost(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    script_release(L, &call->object->list);
    script_push(L, call->object->on_lost);
    lua_pushstring(L, call->reason);
    lua_call(L, 1, 0);
    return 0;
}

static int call_on_ended(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    script_push(L, call->object->on_ended);
    script_release(L, &call->object->on_ended);
    lua_pushboolean(L, 1);
    lua_call(L, 1, 0);
    return 0;
}

static int call_on_upgraded(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    script_push(L, call->object->on_upgraded);
    script_release(L, &call->object->on_upgraded);
    if (call->reason)
        lua_pushnil(L);
    else
        lua_pushboolean(L, 1);
    lua_pushstring(L, call->reason);
    lua_call(L, 2, 0);
    return 0;
}

static void on_child(const struct wire_message *child, void *data)
{
    call_lua(data, call_on_child, child, NULL, "process: listing");
}

static void on_ready(const struct wire_message *end, void *data)
{
    call_lua(data, call_on_ready, end, NULL, "process: on_ready");
}

static void on_event(const struct wire_message *event, void *data)
{
    call_lua(data, call_on_event, event, NULL, "process: on_event");
}

static void on_lost(const char *reason, void *data)
{
    call_lua(data, call_on_lost, NULL, reason, "process: on_lost");
}

static void on_ended(void *data)
{
    call_lua(data, call_on_ended, NULL, NULL, "process: shutdown");
}

static void on_upgraded(const char *failure, void *data)
{
    call_lua(data, call_on_upgraded, NULL, failure, "process: upgrade");
}

/* --- tables to requests --- */

/* The text of a field, or NULL. It lives as long as the table holds it. */
static const char *text_field(lua_State *L, int table, const char *name)
{
    const char *text = NULL;
    size_t length;

    if (lua_getfield(L, table, name) != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "core.process: %s must be a string", name);
        text = lua_tolstring(L, -1, &length);
        if (strlen(text) != length)
            luaL_error(L, "core.process: %s holds a NUL", name);
    }
    lua_pop(L, 1);
    return text;
}

/* A number of at least 0; `found` may be NULL. */
static uint64_t number_field(lua_State *L, int table, const char *name, bool *found)
{
    lua_Integer number = 0;
    int is_integer = 1, type = lua_getfield(L, table, name);

    if (type != LUA_TNIL)
        number = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || number < 0)
        luaL_error(L, "core.process: %s must be a whole number of at least 0", name);
    lua_pop(L, 1);
    if (found)
        *found = type != LUA_TNIL;
    return (uint64_t)number;
}

/* The array in a field as C strings, NULL at the end; left on the stack so that it lives. */
static const char *const *texts_field(lua_State *L, int table, const char *name)
{
    if (lua_getfield(L, table, name) != LUA_TTABLE)
        luaL_error(L, "core.process: %s must be an array of strings", name);
    int array = lua_gettop(L);
    size_t count = lua_rawlen(L, array);
    const char **texts = lua_newuserdatauv(L, (count + 1) * sizeof *texts, 0);
    for (size_t i = 0; i < count; i++) {
        size_t length;
        if (lua_rawgeti(L, array, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "core.process: %s must be an array of strings", name);
        texts[i] = lua_tolstring(L, -1, &length);
        if (strlen(texts[i]) != length)
            luaL_error(L, "core.process: %s holds a NUL", name);
        lua_pop(L, 1);
    }
    texts[count] = NULL;
    return texts;
}

/* Returns NULL when there is no policy in the table. */
static const struct process_restart *restart_field(lua_State *L, int table, struct process_restart *restart)
{
    if (lua_getfield(L, table, "restart") == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    int policy = lua_gettop(L);
    lua_getfield(L, policy, "enabled");
    restart->enabled = lua_toboolean(L, -1);
    lua_pop(L, 1);
    restart->attempts = number_field(L, policy, "attempts", &restart->limited);
    restart->interval_ms = number_field(L, policy, "interval_ms", NULL);
    restart->delay_ms = number_field(L, policy, "delay_ms", NULL);
    restart->max_delay_ms = number_field(L, policy, "max_delay_ms", NULL);
    restart->reset_ms = number_field(L, policy, "reset_ms", NULL);
    lua_pop(L, 1);
    return restart;
}

static uint64_t limit_field(lua_State *L, int table, const char *name)
{
    bool found;
    uint64_t value = number_field(L, table, name, &found);

    return found ? value : PROCESS_NO_LIMIT;
}

/* Returns NULL when there are no limits in the table. */
static const struct process_limits *limits_field(lua_State *L, int table, struct process_limits *limits)
{
    if (lua_getfield(L, table, "limits") == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    int values = lua_gettop(L);
    *limits = (struct process_limits){
        .memory_bytes = limit_field(L, values, "memory_bytes"), .swap_bytes = limit_field(L, values, "swap_bytes"),
        .virtual_bytes = limit_field(L, values, "virtual_bytes"), .cpu_weight = limit_field(L, values, "cpu_weight"),
        .cpu_percent = limit_field(L, values, "cpu_percent"), .pids = limit_field(L, values, "pids"),
    };
    lua_pop(L, 1);
    return limits;
}

/* What a spec borrows for the time of the call. */
struct policy {
    struct process_restart restart;
    struct process_limits limits;
};

/* What an update may change. */
static void read_policy(lua_State *L, int table, struct process_spec *spec, struct policy *policy)
{
    uint64_t stop_signal = number_field(L, table, "stop_signal", NULL);

    if (stop_signal > 64)
        luaL_error(L, "core.process: stop_signal is none");
    spec->stop_signal = (int)stop_signal;
    spec->tag = text_field(L, table, "tag");
    spec->stop_timeout_ms = number_field(L, table, "stop_timeout_ms", &spec->has_stop_timeout);
    spec->lease_ms = number_field(L, table, "lease_ms", &spec->has_lease);
    spec->restart = restart_field(L, table, &policy->restart);
    spec->limits = limits_field(L, table, &policy->limits);
    spec->max_output_bytes = number_field(L, table, "max_output_bytes", NULL);
    spec->output_files = number_field(L, table, "output_files", NULL);
    lua_getfield(L, table, "output_waits");
    spec->output_waits = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

/* What of a process only a new one can have otherwise, beside its command. */
static void read_settings(lua_State *L, int table, struct process_spec *spec)
{
    lua_Integer nice = 0;
    int is_integer = 1;

    spec->has_nice = lua_getfield(L, table, "nice") != LUA_TNIL;
    if (spec->has_nice)
        nice = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || nice < -20 || nice > 19)
        luaL_error(L, "core.process: nice must be a whole number from -20 to 19");
    spec->nice = (int)nice;
    lua_getfield(L, table, "no_new_privs");
    spec->no_new_privs = lua_toboolean(L, -1);
    lua_getfield(L, table, "is_local");
    spec->is_local = lua_toboolean(L, -1);
    lua_pop(L, 3);
    spec->umask = number_field(L, table, "umask", &spec->has_umask);
    spec->open_files = number_field(L, table, "open_files", NULL);
    spec->capabilities = number_field(L, table, "capabilities", &spec->has_capabilities);
}

/* The same, or NULL where there is no such field. */
static const char *const *command_field(lua_State *L, int table, const char *name)
{
    int type = lua_getfield(L, table, name);

    lua_pop(L, 1);
    return type == LUA_TNIL ? NULL : texts_field(L, table, name);
}

static void read_phases(lua_State *L, int table, struct process_spec *spec)
{
    spec->init = command_field(L, table, "init_argv");
    spec->init_timeout_ms = number_field(L, table, "init_timeout_ms", NULL);
    spec->fini = command_field(L, table, "fini_argv");
    spec->fini_timeout_ms = number_field(L, table, "fini_timeout_ms", NULL);
    spec->ready_fd = number_field(L, table, "ready_fd", NULL);
    spec->run_timeout_ms = number_field(L, table, "run_timeout_ms", NULL);
}

static const char *check_id(lua_State *L, const char *id)
{
    if (!id || !*id || strlen(id) > WIRE_ID_MAX)
        luaL_error(L, "core.process: id must be a string of 1 to %d bytes", WIRE_ID_MAX);
    return id;
}

/* --- the client's methods --- */

static struct lua_process *check_client(lua_State *L)
{
    return lua_handle_check(L, 1, class_name, &live, "process client", "is closed");
}

static int answer(lua_State *L, int status)
{
    if (status == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, status == -ENOTCONN ? "the keeper is not connected"
                      : status == -E2BIG  ? "command, environment or tag is larger than the keeper takes"
                                          : strerror(-status));
    return 2;
}

static int spawn(lua_State *L)
{
    struct lua_process *object = check_client(L);
    struct policy policy = {0};
    struct process_spec spec = {0};

    luaL_checktype(L, 2, LUA_TTABLE);
    spec.id = check_id(L, text_field(L, 2, "id"));
    read_policy(L, 2, &spec, &policy);
    spec.arguments = texts_field(L, 2, "argv");
    spec.environment = texts_field(L, 2, "env");
    luaL_argcheck(L, spec.arguments[0], 2, "argv is empty");
    spec.working_dir = text_field(L, 2, "working_dir");
    spec.user = text_field(L, 2, "user");
    spec.output_path = text_field(L, 2, "output_path");
    read_phases(L, 2, &spec);
    read_settings(L, 2, &spec);
    return answer(L, process_spawn(object->client, &spec));
}

static int update(lua_State *L)
{
    struct lua_process *object = check_client(L);
    struct policy policy = {0};
    struct process_spec spec = {.id = check_id(L, luaL_checkstring(L, 2))};

    luaL_checktype(L, 3, LUA_TTABLE);
    read_policy(L, 3, &spec, &policy);
    return answer(L, process_update(object->client, &spec));
}

static int stop(lua_State *L)
{
    struct lua_process *object = check_client(L);

    return answer(L, process_stop(object->client, check_id(L, luaL_checkstring(L, 2))));
}

static int end_run(lua_State *L)
{
    struct lua_process *object = check_client(L);

    return answer(L, process_end_run(object->client, check_id(L, luaL_checkstring(L, 2)), luaL_checkstring(L, 3)));
}

static int set_ready(lua_State *L)
{
    struct lua_process *object = check_client(L);
    lua_Integer starts = luaL_checkinteger(L, 3);

    luaL_argcheck(L, starts >= 1, 3, "no number of a start");
    return answer(L, process_set_ready(object->client, check_id(L, luaL_checkstring(L, 2)), (uint64_t)starts));
}

static int forget(lua_State *L)
{
    struct lua_process *object = check_client(L);

    return answer(L, process_forget(object->client, check_id(L, luaL_checkstring(L, 2))));
}

static int send_signal(lua_State *L)
{
    struct lua_process *object = check_client(L);
    lua_Integer number = luaL_checkinteger(L, 3);

    luaL_argcheck(L, number >= 1 && number <= 64, 3, "no signal");
    return answer(L, process_signal(object->client, check_id(L, luaL_checkstring(L, 2)), (int)number));
}

static int acknowledge(lua_State *L)
{
    struct lua_process *object = check_client(L);
    lua_Integer sequence = luaL_checkinteger(L, 2);

    luaL_argcheck(L, sequence >= 0, 2, "no sequence number");
    return answer(L, process_acknowledge(object->client, (uint64_t)sequence));
}

static int renew(lua_State *L)
{
    struct lua_process *object = check_client(L);
    lua_Number at_ms = luaL_checknumber(L, 2);

    luaL_argcheck(L, at_ms >= 0 && at_ms < 1e15, 2, "no moment");
    return answer(L, process_renew(object->client, (uint64_t)at_ms));
}

static int shut_down(lua_State *L)
{
    struct lua_process *object = check_client(L);

    luaL_checktype(L, 2, LUA_TFUNCTION);
    script_release(L, &object->on_ended);
    object->on_ended = script_keep(L, 2);
    process_shutdown(object->client);
    return 0;
}

static int upgrade(lua_State *L)
{
    struct lua_process *object = check_client(L);
    int status;

    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (object->on_upgraded != LUA_NOREF) {
        lua_pushnil(L);
        lua_pushstring(L, "an upgrade is under way already");
        return 2;
    }
    status = process_upgrade(object->client);
    if (status == 0)
        object->on_upgraded = script_keep(L, 2);
    return answer(L, status);
}

static void release(struct lua_process *object)
{
    int *const references[] = {&object->on_ready, &object->on_event, &object->on_lost, &object->on_ended, &object->on_upgraded,
                               &object->list};

    handle_drop(&live, object->handle);
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        script_release(object->L, references[i]);
    free(object);
}

static int close_client(lua_State *L)
{
    struct lua_process *object = handle_get(&live, lua_handle_read(L, 1, class_name));

    if (object) {
        process_close(object->client);
        release(object);
    }
    return 0;
}

/* --- opening --- */

static int keep_function(lua_State *L, const char *name)
{
    if (lua_getfield(L, 1, name) != LUA_TFUNCTION)
        luaL_error(L, "core.process: %s must be a function", name);
    int reference = script_keep(L, lua_gettop(L));
    lua_pop(L, 1);
    return reference;
}

static void check_functions(lua_State *L)
{
    static const char *const names[] = {"on_ready", "on_event", "on_lost"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (lua_getfield(L, 1, names[i]) != LUA_TFUNCTION)
            luaL_error(L, "core.process: %s must be a function", names[i]);
        lua_pop(L, 1);
    }
}

static int open_client(lua_State *L)
{
    static const struct process_callbacks callbacks = {on_child, on_ready, on_event, on_lost, on_ended, on_upgraded};
    char error[512] = "out of memory";

    luaL_checktype(L, 1, LUA_TTABLE);
    const char *keeper_path = text_field(L, 1, "keeper_path"), *state_dir = text_field(L, 1, "state_dir");
    luaL_argcheck(L, keeper_path && state_dir, 1, "keeper_path and state_dir must be given");
    check_functions(L);
    lua_getfield(L, 1, "awaits_keeper");
    bool awaits_keeper = lua_toboolean(L, -1);
    lua_pop(L, 1);
    struct handle *handle = lua_handle_new(L, class_name);
    struct lua_process *object = calloc(1, sizeof *object);
    if (!object)
        goto failed;
    object->L = script_main_thread(L);
    object->on_ended = object->on_upgraded = object->list = LUA_NOREF;
    object->on_ready = keep_function(L, "on_ready");
    object->on_event = keep_function(L, "on_event");
    object->on_lost = keep_function(L, "on_lost");
    object->handle = handle_add(&live, object);
    if (object->handle.generation)
        object->client = process_open(keeper_path, state_dir, awaits_keeper, &callbacks, object, error, sizeof error);
    if (!object->client) {
        release(object);
        goto failed;
    }
    *handle = object->handle;
    return 1;
failed:
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

void lua_process_shutdown(lua_State *L)
{
    struct lua_process *object;

    (void)L;
    while ((object = handle_any(&live))) {
        process_close(object->client);
        release(object);
    }
    handle_table_free(&live);
}

int lua_process_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"open", open_client}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"spawn", spawn},         {"update", update},           {"stop", stop},          {"forget", forget},
        {"signal", send_signal},  {"acknowledge", acknowledge}, {"shutdown", shut_down}, {"close", close_client},
        {"end_run", end_run},     {"set_ready", set_ready},     {"renew", renew},      {"upgrade", upgrade},
        {NULL, NULL}};

    lua_handle_class(L, class_name, methods);
    luaL_newlib(L, functions);
    return 1;
}
