#include "sandbox.h"

#include <lauxlib.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

enum {
    HOOK_STEP = 1000, /* instructions between two looks at the clock: some microseconds */
    FIRST_JOB_STEP = 16, /* of a job, which may call functions that take milliseconds each: it is looked at by time */
    LOOK_SOON_NS = 100000, LOOK_LATE_NS = 1000000,
    MAX_DEPTH = 16000, /* calls within calls, about: each error costs Lua a walk over all of them */
};

/*
 * One call that is going on, or a job. The innermost that runs is `current`; the program has one Lua thread of
 * execution.
 */
struct call {
    struct call *outer;
    struct sandbox_limits limits;
    int64_t deadline_ns; /* by now_ns(); INT64_MAX without limit */
    int64_t instructions_left;
    int step;
    bool tripped; /* past a limit: nothing of this call may run on */
    enum sandbox_outcome tripped_as;
    char reason[64];
    lua_State *thread; /* of a job: the coroutine that may be paused; NULL for a plain call */
    int64_t slice_end_ns;
    int64_t looked_ns; /* at the clock, last */
    bool paused; /* by the hook, not by a yield of the function's own */
    lua_Alloc allocate; /* the state's own allocator */
    void *allocator_data;
    bool limits_memory;
    int64_t memory_left;
    bool memory_tripped; /* refused a block; what follows decides whether that ended the call */
};

static struct call *current;

const char *sandbox_outcome_name(enum sandbox_outcome outcome)
{
    static const char *const names[] = {"ok", "error", "timeout", "no_memory"};
    return names[outcome];
}

/* The processor's time of this thread: what the machine does beside it is not the script's fault. */
static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- time ---- */

/* `instructions`: how many there were since the last look. */
static void check_limits(struct call *call, int instructions, int64_t now)
{
    call->instructions_left -= instructions;
    if (call->instructions_left <= 0)
        snprintf(call->reason, sizeof call->reason, "used more than %lld instructions",
                 (long long)call->limits.instructions);
    else if (now >= call->deadline_ns)
        snprintf(call->reason, sizeof call->reason, "took longer than %lld ms of processor time",
                 (long long)call->limits.deadline_ms);
    call->tripped = call->reason[0] != '\0';
    call->tripped_as = SANDBOX_TIMEOUT;
}

/*
 * Lua itself allows ten times as many, and lets a script catch the overflow and go on at that depth: unwinding
 * would take minutes. So this one cannot be caught.
 */
static void check_depth(lua_State *L, struct call *call)
{
    lua_Debug frame;
    if (!lua_getstack(L, MAX_DEPTH, &frame))
        return;
    snprintf(call->reason, sizeof call->reason, "stack overflow: more than %d calls within calls", MAX_DEPTH);
    call->tripped = true;
    call->tripped_as = SANDBOX_ERROR;
}

static void hook(lua_State *L, lua_Debug *activation);

/* Raises here; from now on every instruction of this coroutine comes by the hook, which raises again. */
static void trip(lua_State *L, int level)
{
    if (lua_gethookcount(L) != 1)
        lua_sethook(L, hook, LUA_MASKCOUNT, 1); /* walks the whole call stack: once is enough */
    luaL_where(L, level);
    lua_pushstring(L, current->reason);
    lua_concat(L, 2);
    lua_error(L);
}

/*
 * As many instructions until the next look as take between LOOK_SOON_NS and LOOK_LATE_NS. Each coroutine has its own number
 * of them: a new one begins with that of who made it, and the hook is set for one.
 */
static void adapt_step(lua_State *L, struct call *call, int64_t now)
{
    int64_t took = now - call->looked_ns, before = lua_gethookcount(L), step = before;

    call->looked_ns = now;
    if (took > LOOK_LATE_NS)
        step = step * LOOK_LATE_NS / took;
    else if (took < LOOK_SOON_NS)
        step = smaller(2 * step, HOOK_STEP);
    step = step > 2 ? step : 2; /* 1 marks a coroutine that went past a limit */
    if (L == call->thread)
        call->step = (int)step; /* it is set again where the job goes on */
    if (step != before)
        lua_sethook(L, hook, LUA_MASKCOUNT, (int)step);
}

/* The hook stays on coroutines that outlive their call: they may be resumed from a later one. */
static void hook(lua_State *L, lua_Debug *activation)
{
    (void)activation;
    struct call *call = current;
    if (!call)
        return;
    int64_t now = now_ns();
    if (!call->tripped)
        check_limits(call, lua_gethookcount(L), now);
    if (!call->tripped)
        check_depth(L, call);
    if (call->tripped)
        trip(L, 0);
    if (call->thread)
        adapt_step(L, call, now);
    if (L == call->thread && now >= call->slice_end_ns && lua_isyieldable(L)) {
        call->paused = true;
        lua_yield(L, 0);
    }
}

/* ---- a head start ---- */

/*
 * A hook costs each instruction something, whether it counts to ten or to a million. A call with a head start runs
 * without one until a timer of the processor's time, whose handler sets it, as Lua's own interpreter does for SIGINT.
 */
static lua_State *volatile running_free;
static volatile int running_free_step;

static void end_head_start(int number)
{
    (void)number;
    lua_State *L = running_free;
    running_free = NULL;
    if (L)
        lua_sethook(L, hook, LUA_MASKCOUNT, running_free_step);
}

void sandbox_init(void)
{
    struct sigaction action = {.sa_handler = end_head_start, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGPROF, &action, NULL);
}

static void set_timer(int64_t ms)
{
    const struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};
    setitimer(ITIMER_PROF, &timer, NULL);
}

/* An inner call is watched from its beginning: the outer one's limits hold for it too. */
static bool start_watching(lua_State *thread, const struct call *call)
{
    bool runs_free = call->limits.head_start_ms > 0 && !call->outer;
    if (!runs_free) {
        lua_sethook(thread, hook, LUA_MASKCOUNT, call->step);
        return false;
    }
    running_free_step = call->step;
    running_free = thread;
    set_timer(smaller(call->limits.head_start_ms, 60000));
    return true;
}

static void stop_watching(lua_State *thread, bool runs_free)
{
    if (runs_free) {
        running_free = NULL;
        set_timer(0);
    }
    lua_sethook(thread, NULL, 0, 0);
}

/* ---- memory ---- */

static void *allocate_limited(void *data, void *block, size_t old_size, size_t new_size)
{
    struct call *call = data;
    int64_t growth = (int64_t)new_size - (block ? (int64_t)old_size : 0);
    if (growth > 0 && growth > call->memory_left) {
        call->memory_tripped = true;
        return NULL;
    }
    void *result = call->allocate(call->allocator_data, block, old_size, new_size);
    if (result || new_size == 0)
        call->memory_left -= growth;
    return result;
}

/* ---- the call ---- */

static void init(struct call *call, const struct sandbox_limits *limits)
{
    int64_t deadline_ms = smaller(limits->deadline_ms, INT64_MAX / 4000000);
    *call = (struct call){
        .limits = *limits,
        .deadline_ns = deadline_ms > 0 ? now_ns() + deadline_ms * 1000000 : INT64_MAX,
        .instructions_left = limits->instructions > 0 ? limits->instructions : INT64_MAX,
        .limits_memory = limits->memory_bytes > 0,
        .memory_left = limits->memory_bytes,
    };
    if (current) {
        call->deadline_ns = smaller(call->deadline_ns, current->deadline_ns);
        call->instructions_left = smaller(call->instructions_left, current->instructions_left);
    }
    int64_t step = smaller(HOOK_STEP, call->instructions_left);
    call->step = (int)(step > 2 ? step : 2); /* 1 marks a coroutine that went past a limit */
}

/*
 * A coroutine whose call has ended well is good for another one. Planning asks tens of thousands of small questions, and
 * a coroutine is costly to make and to collect. Nobody else can resume it in between: it is dead to everyone.
 */
static char spare_key;

/* Pushes the spare coroutine, or a new one. */
static lua_State *push_thread(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &spare_key) != LUA_TTHREAD) {
        lua_pop(L, 1);
        return lua_newthread(L);
    }
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &spare_key);
    return lua_tothread(L, -1);
}

/* Moves the function and its arguments from L into a coroutine, which takes their place. */
static lua_State *new_thread(lua_State *L, int arguments)
{
    int function = lua_gettop(L) - arguments;
    lua_State *thread = push_thread(L);

    lua_insert(L, function);
    if (!lua_checkstack(thread, arguments + 1))
        luaL_error(L, "too many arguments");
    lua_xmove(L, thread, arguments + 1);
    return thread;
}

/* Resumes the coroutine under the call's limits; returns its status. */
static int run(lua_State *L, lua_State *thread, struct call *call, int arguments, int *results)
{
    int64_t instructions_before = call->instructions_left;

    call->outer = current;
    call->allocate = lua_getallocf(L, &call->allocator_data);
    if (call->limits_memory)
        lua_setallocf(L, allocate_limited, call);
    current = call;

    bool runs_free = start_watching(thread, call);
    int status = lua_resume(thread, L, arguments, results);
    stop_watching(thread, runs_free);

    lua_setallocf(L, call->allocate, call->allocator_data);
    current = call->outer;
    if (current && current->instructions_left < INT64_MAX)
        current->instructions_left -= instructions_before - call->instructions_left;
    return status;
}

/* An inner coroutine that ran out of memory passes that on as a plain error. */
static bool is_memory_error(lua_State *thread, int status)
{
    if (status == LUA_ERRMEM)
        return true;
    return status == LUA_ERRRUN && lua_type(thread, -1) == LUA_TSTRING
        && strcmp(lua_tostring(thread, -1), "not enough memory") == 0;
}

static enum sandbox_outcome judge(const struct call *call, lua_State *thread, int status)
{
    if (call->tripped)
        return call->tripped_as;
    if (is_memory_error(thread, status))
        return SANDBOX_NO_MEMORY;
    return status == LUA_OK ? SANDBOX_OK : SANDBOX_ERROR;
}

/* What was raised, as text: __tostring is not called, it would be the script's. */
static const char *message_of(lua_State *thread, const struct call *call, int status)
{
    if (status == LUA_YIELD)
        return "attempt to yield from outside a coroutine";
    if (status != LUA_OK && lua_isstring(thread, -1))
        return lua_tostring(thread, -1);
    return call->tripped ? call->reason : "(error object is no text)";
}

/* Replaces the thread on top of L by message and traceback. */
static void push_failure(lua_State *L, lua_State *thread, const struct call *call, int status)
{
    lua_pushstring(L, message_of(thread, call, status));
    luaL_traceback(L, thread, NULL, 0);
    lua_remove(L, -3);
}

/* The same where memory has run out: first let go of what the thread holds, down to the system's pages. */
static void push_memory_failure(lua_State *L, const struct call *call)
{
    lua_pop(L, 1);
    lua_gc(L, LUA_GCCOLLECT);
    malloc_trim(0);
    lua_pushstring(L, call->memory_tripped ? "went past its memory limit" : "not enough memory");
    lua_pushliteral(L, "");
}

/* Replaces the thread on top of L by what it returned. */
static enum sandbox_outcome move_results(lua_State *L, lua_State *thread, int results)
{
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "returned too many values");
        lua_pushliteral(L, "");
        return SANDBOX_ERROR;
    }
    int at = lua_gettop(L);
    lua_xmove(thread, L, results);
    lua_pushvalue(L, at);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &spare_key);
    lua_remove(L, at);
    return SANDBOX_OK;
}

/* Replaces the thread on top of L by what came of it. */
static enum sandbox_outcome conclude(lua_State *L, lua_State *thread, const struct call *call, int status, int results)
{
    enum sandbox_outcome outcome = judge(call, thread, status);
    if (outcome == SANDBOX_OK)
        return move_results(L, thread, results);
    if (outcome == SANDBOX_NO_MEMORY)
        push_memory_failure(L, call);
    else
        push_failure(L, thread, call, status);
    return outcome;
}

enum sandbox_outcome sandbox_call(lua_State *L, int arguments, const struct sandbox_limits *limits)
{
    struct call call;
    int results = 0;
    lua_State *thread = new_thread(L, arguments);

    init(&call, limits);
    int status = run(L, thread, &call, arguments, &results);
    return conclude(L, thread, &call, status, results);
}

/* ---- jobs ---- */

struct sandbox_job {
    struct call call;
    int arguments; /* that wait on the coroutine's stack for the first step */
    bool ended;
};

void sandbox_job_push(lua_State *L, int arguments, const struct sandbox_limits *limits)
{
    lua_State *thread = new_thread(L, arguments);
    struct sandbox_job *job = lua_newuserdatauv(L, sizeof *job, 1);

    *job = (struct sandbox_job){.arguments = arguments};
    init(&job->call, limits);
    job->call.thread = thread;
    job->call.step = (int)smaller(FIRST_JOB_STEP, job->call.step);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1); /* keeps the coroutine */
}

bool sandbox_job_step(lua_State *L, int index, int64_t slice_ms, enum sandbox_outcome *outcome)
{
    struct sandbox_job *job = lua_touserdata(L, index);
    int results = 0;

    if (job->ended)
        luaL_error(L, "this job has ended");
    index = lua_absindex(L, index);
    lua_getiuservalue(L, index, 1);
    lua_State *thread = lua_tothread(L, -1);
    job->call.paused = false;
    job->call.looked_ns = now_ns();
    job->call.slice_end_ns = job->call.looked_ns + smaller(slice_ms, INT64_MAX / 4000000) * 1000000;
    int status = run(L, thread, &job->call, job->arguments, &results);
    job->arguments = 0;
    if (status == LUA_YIELD && job->call.paused) {
        lua_pop(L, 1);
        return false;
    }
    job->ended = true;
    lua_pushnil(L); /* whoever keeps the job keeps nothing of what it worked on */
    lua_setiuservalue(L, index, 1);
    *outcome = conclude(L, thread, &job->call, status, results);
    return true;
}

/* ---- what a script could run on with ---- */

static bool went_past_limit(void)
{
    return current && current->tripped;
}

/*
 * Resumes as coroutine.resume does. Returns the number of results pushed, or -1 with the error pushed. Where a limit
 * was passed the resumer goes the same way, and variables to be closed are left alone: the dead coroutine's hook is
 * switched off for good (Lua does that while a hook runs, and the hook raised), so closing them could take for ever.
 */
static int resume(lua_State *L, lua_State *thread, int arguments)
{
    int results;
    if (current && !lua_gethook(thread)) /* made outside of any call */
        lua_sethook(thread, hook, LUA_MASKCOUNT, current->step);
    if (!lua_checkstack(thread, arguments))
        luaL_error(L, "too many arguments to resume");
    lua_xmove(L, thread, arguments);
    int status = lua_resume(thread, L, arguments, &results);
    if (went_past_limit())
        trip(L, 1);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(thread, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, results + 1))
        luaL_error(L, "too many results to resume");
    lua_xmove(thread, L, results);
    return results;
}

static lua_State *check_thread(lua_State *L)
{
    lua_State *thread = lua_tothread(L, 1);
    luaL_argexpected(L, thread, 1, "coroutine");
    return thread;
}

int sandbox_resume(lua_State *L)
{
    lua_State *thread = check_thread(L);
    int results = resume(L, thread, lua_gettop(L) - 1);
    lua_pushboolean(L, results >= 0);
    if (results < 0)
        results = 1;
    lua_insert(L, -(results + 1));
    return results + 1;
}

static int resume_wrapped(lua_State *L)
{
    lua_State *thread = lua_tothread(L, lua_upvalueindex(1));
    int results = resume(L, thread, lua_gettop(L));
    if (results >= 0)
        return results;
    int status = lua_status(thread);
    if (status != LUA_OK && status != LUA_YIELD) { /* it died of that: close its variables, whose error counts more */
        lua_pop(L, 1);
        lua_resetthread(thread);
        lua_xmove(thread, L, 1);
    }
    return lua_error(L);
}

int sandbox_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *thread = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, thread, 1);
    lua_pushcclosure(L, resume_wrapped, 1);
    return 1;
}

int sandbox_close(lua_State *L)
{
    lua_State *thread = check_thread(L);
    int status = lua_status(thread);
    bool ended_by_limit = lua_gethook(thread) == hook && lua_gethookcount(thread) == 1;
    if (ended_by_limit && status != LUA_OK && status != LUA_YIELD) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "coroutine went past a limit");
        return 2;
    }
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "coroutine");
    lua_getfield(L, -1, "close");
    lua_pushvalue(L, 1);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L) - 3;
}

/* Upvalue 1 is the script's handler. An error raised by the hook would run it with the hook switched off. */
static int handle_error(lua_State *L)
{
    if (went_past_limit())
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int finish_xpcall(lua_State *L, int status, lua_KContext extra)
{
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - (int)extra;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

int sandbox_xpcall(lua_State *L)
{
    int arguments = lua_gettop(L) - 2;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handle_error, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1); /* the first result */
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2);
    int status = lua_pcallk(L, arguments, LUA_MULTRET, 2, 2, finish_xpcall);
    return finish_xpcall(L, status, 2);
}
