/* The glue of the runtime's modules, driven from Lua: stale handles, callbacks that raise, misuse. */
#include "cmocka_all.h"

#include "core_modules.h"
#include "log.h"
#include "script.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_state(void **state)
{
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    core_modules_preload(L);
    log_set_level(LOG_LEVEL_ERROR + 1);
    *state = L;
    return 0;
}

static int close_state(void **state)
{
    core_modules_shutdown(*state);
    lua_close(*state);
    return 0;
}

static void check(void **state, const char *source)
{
    lua_State *L = *state;

    if (luaL_loadbuffer(L, source, strlen(source), "=case") != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    if (script_run(L, 0, 0) != 0)
        fail_msg("%s", script_error());
}

static void timers_fire_and_are_cancelled(void **state)
{
    check(state,
          "local timer, loop = require('core.timer'), require('core.loop')\n"
          "local told = {}\n"
          "local gone = timer.after(1, function() told.gone = true end)\n"
          "gone:cancel() gone:cancel()\n"
          "local once once = timer.after(1, function() told.once = true once:cancel() end)\n"
          "local beats, beat = 0, nil\n"
          "beat = timer.every(1, function()\n"
          "  beats = beats + 1\n"
          "  if beats == 3 then beat:cancel() timer.after(20, loop.stop) end\n"
          "end)\n"
          "timer.after(10000, loop.stop)\n"
          "loop.run()\n"
          "assert(not told.gone and told.once and beats == 3)\n"
          "assert(math.type(timer.now_ms()) == 'integer')\n");
}

static void callbacks_from_a_coroutine_run_on(void **state)
{
    check(state,
          "local timer, loop = require('core.timer'), require('core.loop')\n"
          "local told\n"
          "coroutine.wrap(function() timer.after(1, function() told = coroutine.isyieldable() loop.stop() end) end)()\n"
          "collectgarbage()\n"
          "loop.run()\n"
          "assert(told == false)\n");
}

static void an_error_in_a_callback_is_counted_and_stops_nothing(void **state)
{
    check(state,
          "local timer, loop, runtime = require('core.timer'), require('core.loop'), require('core.runtime')\n"
          "local before = runtime.counters().errors\n"
          "timer.after(0, function() error('boom') end)\n"
          "loop.defer(function() error({}) end)\n"
          "timer.after(5, loop.stop)\n"
          "loop.run()\n"
          "assert(runtime.counters().errors == before + 2)\n");
    assert_non_null(strstr(script_error(), "boom"));
}

static void http_tells_failures_and_honours_cancel(void **state)
{
    check(state,
          "local http, loop, timer = require('core.http'), require('core.loop'), require('core.timer')\n"
          "local told\n"
          "http.request({url = 'http://127.0.0.1:1/x?token=s'}, function(r, err) told = {r, err} loop.stop() end)\n"
          "local never = http.request({url = 'http://127.0.0.1:1/'}, function() error('called') end)\n"
          "never:cancel() never:cancel()\n"
          "local bad bad = http.request({url = 'nonsense://'}, function(r, err) assert(err.code == 'bad_url') bad:cancel() end)\n"
          "loop.run()\n"
          "assert(told[1] == nil and told[2].code == 'connect' and not told[2].message:find('token'))\n");
}

static void what_still_runs_at_the_end_is_ended(void **state)
{
    check(state,
          "local http, loop, timer, file = require('core.http'), require('core.loop'), require('core.timer'), require('core.file')\n"
          "local none = function() end\n"
          "timer.every(1000, none) timer.after(1000, none)\n"
          "loop.defer(none) loop.on_signal('HUP', none)\n"
          "http.request({url = 'http://127.0.0.1:1/'}, none)\n"
          "http.request({url = 'nonsense://'}, none)\n"
          "loop.step(0)\n"
          "http.request({url = 'http://127.0.0.1:1/'}, none)\n"
          "http.request({url = 'nonsense://'}, none)\n"
          "loop.defer(none)\n");
}

static void misuse_raises(void **state)
{
    check(state,
          "local http, loop, timer, file, codec, log = require('core.http'), require('core.loop'), require('core.timer'),\n"
          "  require('core.file'), require('core.codec'), require('core.log')\n"
          "local none = function() end\n"
          "local function raises(fn, ...) assert(not pcall(fn, ...), 'did not raise') end\n"
          "raises(timer.after, -1, none) raises(timer.after, 1) raises(timer.every, 0, none) raises(timer.after, 'x', none)\n"
          "raises(loop.step, -1) raises(loop.defer) raises(loop.on_signal, 'KILL', none)\n"
          "raises(http.request, {}, none) raises(http.request, {url = 'http://x'}) raises(http.request, 'http://x', none)\n"
          "local function bad(name, value) raises(http.request, {url = 'http://127.0.0.1:1/', [name] = value}, none) end\n"
          "bad('methd', 'GET') bad('method', 'get') bad('method', '') bad('timeout_ms', 0) bad('timeout_ms', 1.5)\n"
          "bad('timeout_ms', '1s') bad('headers', 'X: y') bad('headers', {'X'}) bad('headers', {'X: y\\r\\nZ: z'})\n"
          "bad('headers', {1}) bad('url', 'http://x\\0y') bad('ca_file', 'a\\0b') bad('body', {}) bad('verify_', true) bad(1, 2)\n"
          "raises(file.read) raises(file.read, '/x', 0) raises(file.write_atomic, '/x', 'y', 512) raises(codec.sha256)\n"
          "raises(log.info) raises(log.info, {}) raises(log.set_level, 'LOUD')\n"
          "local handle = timer.after(1, none)\n"
          "raises(handle.cancel) raises(handle.cancel, 5) raises(handle.cancel, io.stdout)\n"
          "assert(getmetatable(handle) == 'handle')\n"
          "handle:cancel()\n");
}

static void files_give_nil_text_and_name(void **state)
{
    check(state,
          "local file = require('core.file')\n"
          "local value, err, name = file.read('/nowhere/x')\n"
          "assert(value == nil and err == '/nowhere/x: No such file or directory' and name == 'ENOENT')\n"
          "local path = os.tmpname()\n"
          "assert(file.write_atomic(path, 'a\\nbb\\n\\nlast'))\n"
          "local function tail(...) return table.concat(file.tail(path, ...), '|') end\n"
          "assert(tail(0) == '' and tail(1) == 'last' and tail(2) == '|last' and tail(4) == 'a|bb||last' and tail(9) == tail(4))\n"
          "assert(tail(9, 6) == '|last')\n"
          "assert(file.write_atomic(path, '')) assert(tail(3) == '')\n"
          "local st = file.stat(path)\n"
          "assert(st.type == 'file' and st.size == 0 and st.mode == 0x180 and math.abs(st.mtime_s - os.time()) < 10)\n"
          "assert(file.append(path, 'abc') == 3 and file.append(path, 'def') == 6)\n"
          "local bytes, range = file.read_range(path, -4, 3)\n"
          "assert(bytes == 'cde' and range.offset == 2 and range.inode == st.inode and range.born == st.born and range.size == 6)\n"
          "assert(not file.read_range('/nowhere/x', 0) and not file.append('/nowhere/x', 'y'))\n"
          "local lock = assert(file.lock(path))\n"
          "local second, why = file.lock(path)\n"
          "assert(second == nil and why == path .. ': locked by process ' .. require('core.runtime').pid)\n"
          "lock:release() lock:release() assert(file.lock(path)):release()\n"
          "assert(file.remove(path) and not file.remove(path))\n");
}

/* ---- memory that runs out: every allocation of Lua's fails once ---- */

struct allowance {
    long left; /* allocations until they fail; negative: never */
};

static void *allocate(void *data, void *block, size_t old_size, size_t new_size)
{
    struct allowance *allowance = data;
    bool grows = !block || new_size > old_size;

    if (new_size == 0) {
        free(block);
        return NULL;
    }
    if (grows && allowance->left == 0)
        return NULL;
    if (grows && allowance->left > 0)
        allowance->left--;
    return realloc(block, new_size);
}

static const char everything[] =
    "local http, loop, timer, file, codec = require('core.http'), require('core.loop'), require('core.timer'),\n"
    "  require('core.file'), require('core.codec')\n"
    "local path, told = '/tmp/appmgr-test-memory.' .. require('core.runtime').pid, 0\n"
    "local function count() told = told + 1 end\n"
    "timer.after(0, count) timer.every(1, count) loop.defer(count) loop.on_signal('HUP', count)\n"
    "http.request({url = 'nonsense://', headers = {'A: b'}}, function(_, err) assert(err.message) count() end)\n"
    "assert(codec.base64_decode(codec.base64_encode(('x'):rep(5000))) == ('x'):rep(5000))\n"
    "file.mkdir(path)\n"
    "local lock = file.lock(path .. '/lock')\n"
    "if lock then file.lock(path .. '/lock') lock:release() end\n"
    "file.write_atomic(path .. '/f', 'a\\nb\\n') file.read(path .. '/f') file.tail(path .. '/f', 1) file.list(path)\n"
    "for _ = 1, 3 do loop.step(2) end\n"
    "return told\n";

/* Runs protected; everything that may raise is inside. */
static int run_everything(lua_State *L)
{
    luaL_openlibs(L);
    core_modules_preload(L);
    if (luaL_loadbuffer(L, everything, sizeof everything - 1, "=everything") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    return 1;
}

/* True when `granted` allocations were enough. The sanitizer sees what a failure lost. */
static bool try_everything(long granted)
{
    struct allowance allowance = {.left = -1};
    lua_State *L = lua_newstate(allocate, &allowance);

    lua_pushcfunction(L, run_everything);
    allowance.left = granted;
    int status = script_run(L, 0, 1);
    bool enough = allowance.left != 0;
    allowance.left = -1;
    if (enough && status != 0)
        fail_msg("%s", script_error());
    core_modules_shutdown(L);
    lua_close(L);
    return enough;
}

static void running_out_of_memory_loses_nothing(void **state)
{
    long granted = 0;

    log_set_level(LOG_LEVEL_ERROR + 1);
    while (!try_everything(granted))
        granted++;
    assert_in_range(granted, 300, 5000);
    char command[64];
    snprintf(command, sizeof command, "rm -r /tmp/appmgr-test-memory.%d", (int)getpid());
    assert_int_equal(system(command), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_state, close_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(timers_fire_and_are_cancelled),
        CASE(callbacks_from_a_coroutine_run_on),
        CASE(an_error_in_a_callback_is_counted_and_stops_nothing),
        CASE(http_tells_failures_and_honours_cancel),
        CASE(what_still_runs_at_the_end_is_ended),
        CASE(misuse_raises),
        CASE(files_give_nil_text_and_name),
        cmocka_unit_test(running_out_of_memory_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
