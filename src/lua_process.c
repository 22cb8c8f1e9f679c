/*
 * core.process: glue for process.c, the keeper's client.
 *
 *   open{keeper_path=, state_dir=, awaits_keeper=, on_ready=fn(list, keeper), on_event=fn(event), on_lost=fn(reason),
 *        on_silent=fn(pid)} → client | nil, err
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
 * on_silent: the keeper of that pid has not read for seconds what it is sent; nil: it does again, or is lost.
 * `keeper` says how children are contained: {cgroup=} the directory of their cgroups, or {error=} why there are none.
 * Records and events are tables with the fields that the keeper sent: lua_process_message.c. What a spec may say is read by
 * lua_process_spec.c.
 */
#include "core_modules.h"
#include "lua_handle.h"
#include "lua_process_message.h"
#include "lua_process_spec.h"
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
    int on_ready, on_event, on_lost, on_silent, on_ended, on_upgraded;
    int list; /* the records that have come of a listing, or LUA_NOREF */
};

/* --- from C into Lua: a C function called through script_call, since making values may raise --- */

struct call {
    struct lua_process *object;
    const struct wire_message *message;
    const char *reason;
    pid_t pid;
};

static void call_lua(struct lua_process *object, lua_CFunction function, const struct wire_message *message,
                     const char *reason, const char *what)
{
    struct call call = {object, message, reason, 0};

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
    lua_process_push_record(L, call->message);
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
    lua_process_push_fields(L, call->message);
    lua_call(L, 2, 0);
    return 0;
}

static int call_on_event(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    script_push(L, call->object->on_event);
    lua_process_push_event(L, call->message);
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

static int call_on_silent(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);

    script_push(L, call->object->on_silent);
    if (call->pid)
        lua_pushinteger(L, call->pid);
    else
        lua_pushnil(L);
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

static void on_silent(pid_t pid, void *data)
{
    struct lua_process *object = data;
    struct call call = {.object = object, .pid = pid};

    lua_pushcfunction(object->L, call_on_silent);
    lua_pushlightuserdata(object->L, &call);
    (void)script_call(object->L, 1, 0, "process: on_silent");
}

static void on_ended(void *data)
{
    call_lua(data, call_on_ended, NULL, NULL, "process: shutdown");
}

static void on_upgraded(const char *failure, void *data)
{
    call_lua(data, call_on_upgraded, NULL, failure, "process: upgrade");
}

/* --- the client's methods --- */

static struct lua_process *check_client(lua_State *L)
{
    return lua_handle_check(L, 1, class_name, &live, "process client", "is closed");
}

static const char *check_id(lua_State *L, const char *id)
{
    if (!id || !*id || strlen(id) > WIRE_ID_MAX)
        luaL_error(L, "core.process: id must be a string of 1 to %d bytes", WIRE_ID_MAX);
    return id;
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

static int send_spec(lua_State *L, struct lua_process *object, enum wire_type type, const char *id, int table)
{
    struct wire_writer *writer;

    lua_process_put_spec(L, table, type, NULL);
    writer = process_begin(object->client, type, id);
    if (!writer)
        return answer(L, -ENOTCONN);
    lua_process_put_spec(L, table, type, writer);
    return answer(L, process_end(object->client));
}

static int spawn(lua_State *L)
{
    struct lua_process *object = check_client(L);

    luaL_checktype(L, 2, LUA_TTABLE);
    return send_spec(L, object, WIRE_SPAWN, check_id(L, lua_process_text(L, 2, "id")), 2);
}

static int update(lua_State *L)
{
    struct lua_process *object = check_client(L);
    const char *id = check_id(L, luaL_checkstring(L, 2));

    luaL_checktype(L, 3, LUA_TTABLE);
    return send_spec(L, object, WIRE_UPDATE, id, 3);
}

static int stop(lua_State *L)
{
    struct lua_process *object = check_client(L);

    return answer(L, process_request(object->client, WIRE_STOP, check_id(L, luaL_checkstring(L, 2)), WIRE_TAG_NONE, 0));
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
    return answer(L, process_request(object->client, WIRE_UPDATE, check_id(L, luaL_checkstring(L, 2)), WIRE_TAG_READY,
                                     (uint64_t)starts));
}

static int forget(lua_State *L)
{
    struct lua_process *object = check_client(L);

    return answer(L, process_request(object->client, WIRE_FORGET, check_id(L, luaL_checkstring(L, 2)), WIRE_TAG_NONE, 0));
}

static int send_signal(lua_State *L)
{
    struct lua_process *object = check_client(L);
    lua_Integer number = luaL_checkinteger(L, 3);

    luaL_argcheck(L, number >= 1 && number <= 64, 3, "no signal");
    return answer(L, process_request(object->client, WIRE_SIGNAL, check_id(L, luaL_checkstring(L, 2)), WIRE_TAG_SIGNAL,
                                     (uint64_t)number));
}

static int acknowledge(lua_State *L)
{
    struct lua_process *object = check_client(L);
    lua_Integer sequence = luaL_checkinteger(L, 2);

    luaL_argcheck(L, sequence >= 0, 2, "no sequence number");
    return answer(L, process_request(object->client, WIRE_ACKNOWLEDGE, NULL, WIRE_TAG_SEQUENCE, (uint64_t)sequence));
}

static int renew(lua_State *L)
{
    struct lua_process *object = check_client(L);
    lua_Number at_ms = luaL_checknumber(L, 2);

    luaL_argcheck(L, at_ms >= 0 && at_ms < 1e15, 2, "no moment");
    return answer(L, process_request(object->client, WIRE_RENEW, NULL, WIRE_TAG_RENEWED_MS, (uint64_t)at_ms));
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
    int *const references[] = {&object->on_ready, &object->on_event, &object->on_lost, &object->on_silent, &object->on_ended,
                               &object->on_upgraded, &object->list};

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

/* Leaves the functions on the stack. */
static void push_functions(lua_State *L)
{
    static const char *const names[] = {"on_ready", "on_event", "on_lost", "on_silent"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (lua_getfield(L, 1, names[i]) != LUA_TFUNCTION)
            luaL_error(L, "core.process: %s must be a function", names[i]);
}

static int open_client(lua_State *L)
{
    static const struct process_callbacks callbacks = {on_child, on_ready, on_event, on_lost, on_ended, on_upgraded,
                                                        on_silent};
    char error[512] = "out of memory";

    luaL_checktype(L, 1, LUA_TTABLE);
    const char *keeper_path = lua_process_text(L, 1, "keeper_path"), *state_dir = lua_process_text(L, 1, "state_dir");
    luaL_argcheck(L, keeper_path && state_dir, 1, "keeper_path and state_dir must be given");
    lua_getfield(L, 1, "awaits_keeper");
    bool awaits_keeper = lua_toboolean(L, -1);
    int functions = lua_gettop(L);
    push_functions(L);
    struct handle *handle = lua_handle_new(L, class_name);
    struct lua_process *object = calloc(1, sizeof *object);
    if (!object)
        goto failed;
    object->L = script_main_thread(L);
    object->on_ended = object->on_upgraded = object->list = LUA_NOREF;
    object->on_ready = script_keep(L, functions + 1);
    object->on_event = script_keep(L, functions + 2);
    object->on_lost = script_keep(L, functions + 3);
    object->on_silent = script_keep(L, functions + 4);
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
