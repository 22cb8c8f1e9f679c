/* sandbox: every way we know to run on past a limit, and what is handed out. The cases are Lua, run for real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lualib.h>

#include "core_modules.h"
#include "sandbox.h"

/* What the cases share: run(source, limits) loads the source into a fresh environment and calls it. */
static const char prelude[] =
    "sandbox = require('core.sandbox')\n"
    "everything = {'assert', 'error', 'getmetatable', 'ipairs', 'next', 'pairs', 'pcall', 'xpcall', 'rawequal',\n"
    "  'rawget', 'rawlen', 'rawset', 'select', 'setmetatable', 'tonumber', 'tostring', 'type',\n"
    "  'coroutine.*', 'math.*', 'string.*', 'table.*', 'utf8.*'}\n"
    "function run(source, limits, ...)\n"
    "  local fn = assert(sandbox.load(source, '=script', sandbox.environment(everything)))\n"
    "  return sandbox.call(fn, limits or {deadline_ms = 50}, ...)\n"
    "end\n"
    "function expect(outcome, ...)\n"
    "  local got = table.pack(...)\n"
    "  if got[1] ~= outcome then\n"
    "    error(('expected %s, got %s: %s %s'):format(outcome, got[1], got[2], got[3]), 2)\n"
    "  end\n"
    "  return table.unpack(got, 2, got.n)\n"
    "end\n";

static int open_state(void **state)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "core.sandbox", lua_sandbox_open, 0);
    lua_pop(L, 1);
    *state = L;
    return luaL_dostring(L, prelude);
}

static int close_state(void **state)
{
    lua_close(*state);
    return 0;
}

/* Of the processor's time, as the limits are: what the machine does beside it is not the script's fault. */
static int64_t used_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * INT64_C(1000) + used.tv_nsec / 1000000;
}

/* Runs a case; it must not raise, and must be over soon, whatever the script in it tries. */
static void check(void **state, const char *source)
{
    lua_State *L = *state;
    int64_t begun = used_ms();
    lua_settop(L, 0);
    if (luaL_dostring(L, source))
        fail_msg("%s", lua_tostring(L, -1));
    assert_int_equal(lua_gettop(L), 0);
    assert_true(used_ms() - begun < 20000);
}

static void results_come_back(void **state)
{
    check(state, "local a, b, c = expect('ok', run('local x, y = ... return x + y, nil, \"z\"', nil, 1, 2))\n"
                 "assert(a == 3 and b == nil and c == 'z')\n"
                 "assert(select('#', run('return')) == 1)");
}

static void results_without_number(void **state)
{
    check(state, "local t = table.pack(expect('ok', run('return table.unpack({}, 1, 5000)')))\n"
                 "assert(t.n == 5000)");
}

static void error_has_message_and_traceback(void **state)
{
    check(state, "local message, traceback = expect('error', run('local function f()\\n error(\"boom\") end\\n f() return 1'))\n"
                 "assert(message == 'script:2: boom', message)\n"
                 "assert(traceback:find('script:2:') and traceback:find('script:3:'), traceback)");
}

static void error_objects_are_not_run(void **state)
{
    check(state, "local message = expect('error', run('error(setmetatable({}, {__tostring = function() while true do end end}))'))\n"
                 "assert(message == '(error object is no text)', message)\n"
                 "expect('error', run('error()'))\n"
                 "assert(expect('error', run('error(42, 0)')) == '42')");
}

static void endless_loop(void **state)
{
    check(state, "local message, traceback = expect('timeout', run('local x = 0\\nwhile true do x = x + 1 end'))\n"
                 "assert(message == 'script:2: took longer than 50 ms of processor time', message)\n"
                 "assert(traceback:find('script:2:'), traceback)");
}

static void instructions_end(void **state)
{
    check(state, "local message = expect('timeout', run('while true do end', {instructions = 5000}))\n"
                 "assert(message == 'script:1: used more than 5000 instructions', message)\n"
                 "expect('ok', run('for i = 1, 100 do end', {instructions = 5000}))\n"
                 "expect('timeout', run('for i = 1, 100 do end', {instructions = 10}))");
}

static void a_head_start_ends(void **state)
{
    check(state,
          "limits = {instructions = 5000, head_start_ms = 20}\n"
          "expect('ok', run('for i = 1, 10000 do end', limits))\n"
          "local message = expect('timeout', run('while true do end', limits))\n"
          "assert(message == 'script:1: used more than 5000 instructions', message)\n"
          "expect('timeout', run('while true do end', {deadline_ms = 50, head_start_ms = 10}))\n"
          "expect('timeout', run('while true do pcall(function() while true do end end) end', limits))\n"
          "expect('timeout', run('coroutine.wrap(function() while true do end end)()', limits))\n"
          "expect('timeout', run('while true do coroutine.wrap(function() end)() end', limits))\n"
          "expect('timeout', run('for i = 1, 10000 do end while true do coroutine.wrap(function() end)() end', limits))\n"
          "expect('error', run('local function f() return 1 + f() end f()', limits))");
}

static void a_head_start_is_for_the_outermost_call_only(void **state)
{
    check(state,
          "local fn = sandbox.load('while true do end', '=inner', {})\n"
          "local function outer() return sandbox.call(fn, {instructions = 5000, head_start_ms = 10000}) end\n"
          "local inner = expect('ok', sandbox.call(outer, {deadline_ms = 5000, head_start_ms = 10000}))\n"
          "assert(inner == 'timeout')\n"
          "expect('ok', run('for i = 1, 1000 do end', {head_start_ms = 10000}))\n"
          "expect('timeout', run('while true do end', {instructions = 5000}))");
}

/* Calls that end well share a coroutine. */
static void a_call_finds_nothing_of_the_one_before(void **state)
{
    check(state,
          "local function own() return run('return coroutine.running()') end\n"
          "local kept = expect('ok', own())\n"
          "assert(expect('ok', own()) == kept)\n"
          "local source = [[local kept = ...\n"
          "  return coroutine.status(kept), coroutine.resume(kept), pcall(coroutine.close, kept)]]\n"
          "assert(coroutine.status(kept) == 'dead' and not coroutine.resume(kept) and coroutine.close(kept))\n"
          "local status, resumed, closed = expect('ok', run(source, nil, kept))\n"
          "assert(status == 'running' and not resumed and not closed)\n"
          "expect('timeout', run('while true do end', {instructions = 5000}))\n"
          "expect('error', run('error(\"boom\")'))\n"
          "assert(select('#', expect('ok', run('return'))) == 0)\n"
          "expect('ok', run('for i = 1, 100000 do end', {deadline_ms = 5000}))\n"
          "local inner = expect('ok', sandbox.call(function() return own() end, {deadline_ms = 50}))\n"
          "assert(inner == 'ok')\n"
          "expect('error', run('local function f() return 1 + f() end f()', {deadline_ms = 5000}))\n"
          "assert(expect('ok', run('return ...', nil, 7)) == 7)");
}

static void loop_inside_pcall(void **state)
{
    check(state, "expect('timeout', run('while true do pcall(function() while true do end end) end'))\n"
                 "expect('error', run('local function f() pcall(f) f() end f()', {deadline_ms = 10000}))\n"
                 "expect('timeout', run('while true do xpcall(error, function() while true do end end) end'))\n"
                 "expect('timeout', run('return pcall(function() while true do end end)'))\n"
                 "expect('timeout', run('local function f() return pcall(f) end while true do f() end'))");
}

static void loop_inside_coroutines(void **state)
{
    check(state,
          "expect('timeout', run('coroutine.wrap(function() while true do end end)()'))\n"
          "expect('timeout', run('while true do pcall(coroutine.wrap(function() while true do end end)) end'))\n"
          "expect('timeout', run('while true do coroutine.resume(coroutine.create(function() while true do end end)) end'))\n"
          "expect('timeout', run('return coroutine.resume(coroutine.create(function() while true do end end))'))\n"
          "expect('timeout', run('local co = coroutine.create(function() while true do coroutine.yield() end end)\\n'\n"
          "  .. 'while true do coroutine.resume(co) end'))\n"
          "expect('timeout', run('local function nest(n) while true do\\n'\n"
          "  .. 'pcall(coroutine.wrap(function() nest(n + 1) end)) end end nest(1)'))");
}

static void loop_inside_metamethods_and_callbacks(void **state)
{
    check(state,
          "expect('timeout', run('local t = setmetatable({}, {__index = function() while true do end end}) return t.x'))\n"
          "expect('timeout', run('table.sort({1, 2, 3}, function() while true do end end)'))\n"
          "expect('timeout', run('string.gsub(\"abc\", \".\", function() while true do end end)'))\n"
          "expect('timeout', run('local x <close> = setmetatable({}, {__close = function() while true do end end})'))\n"
          "expect('timeout', run('local co = coroutine.create(function()\\n'\n"
          "  .. 'local x <close> = setmetatable({}, {__close = function() while true do end end})\\n'\n"
          "  .. 'coroutine.yield() end) coroutine.resume(co) while true do coroutine.close(co) end'))");
}

/* Lua switches a thread's hook off while the hook runs; what runs then, or after the hook raised, is out of reach. */
static void no_code_runs_where_the_hook_is_off(void **state)
{
    check(state,
          "local loop = 'local function loop() while true do end end\\n'\n"
          "local closing = loop .. 'local mt = {} local v = setmetatable({}, mt) mt.__close = loop\\n'\n"
          "  .. 'local function f() local x <close> = v while true do end end\\n'\n"
          "expect('timeout', run(loop .. 'while true do xpcall(loop, loop) end'))\n"
          "expect('timeout', run(loop .. 'xpcall(error, loop)'))\n"
          "expect('timeout', run(closing .. 'coroutine.wrap(f)()'))\n"
          "expect('timeout', run(closing .. 'f()'))\n"
          "expect('timeout', run(closing .. 'pcall(f)'))\n"
          "local co = coroutine.create(function() end)\n"
          "expect('timeout', run(closing .. 'local keep = ... keep.co = coroutine.create(f) coroutine.resume(keep.co)',\n"
          "  nil, _G))\n"
          "local close = sandbox.environment({'coroutine.close'}).coroutine.close\n"
          "assert(expect('ok', sandbox.call(close, {deadline_ms = 50}, _G.co)) == false)");
}

static void guarded_functions_work_as_the_originals(void **state)
{
    check(state,
          "expect('ok', run([[\n"
          "  local ok, message = xpcall(function() error('x', 0) end, function(m) return m .. '!' end)\n"
          "  assert(not ok and message == 'x!')\n"
          "  local all = table.pack(xpcall(function(...) return ... end, error, 1, nil, 3))\n"
          "  assert(all.n == 4 and all[1] == true and all[4] == 3)\n"
          "  local co = coroutine.create(function(a, b)\n"
          "    local c = coroutine.yield(a + b)\n"
          "    xpcall(function() coroutine.yield('inside') end, error)\n"
          "    error({code = c})\n"
          "  end)\n"
          "  assert(select(2, coroutine.resume(co, 1, 2)) == 3)\n"
          "  assert(select(2, coroutine.resume(co, 7)) == 'inside')\n"
          "  local died, object = coroutine.resume(co)\n"
          "  assert(died == false and object.code == 7 and coroutine.status(co) == 'dead')\n"
          "  assert(select(2, coroutine.resume(co)) == 'cannot resume dead coroutine')\n"
          "  assert(select(2, coroutine.close(co)).code == 7)\n"
          "  local failing = coroutine.wrap(function() error('y', 0) end)\n"
          "  assert(select(2, pcall(failing)) == 'y')\n"
          "  assert(select(2, pcall(failing)) == 'cannot resume dead coroutine')\n"
          "  assert(not pcall(coroutine.resume, 1) and not pcall(coroutine.wrap, 1) and not pcall(xpcall, print))\n"
          "]]))");
}

static void deep_recursion_is_an_error(void **state)
{
    check(state, "local message = expect('error', run('local function f() return 1 + f() end f()', {deadline_ms = 2000}))\n"
                 "assert(message:find('stack overflow'), message)");
}

static void memory_limit(void **state)
{
    check(state,
          "local bomb = 'local t = {} for i = 1, 1e9 do t[i] = {i} end'\n"
          "local message = expect('no_memory', run(bomb, {memory_mb = 8, deadline_ms = 4000}))\n"
          "assert(message == 'went past its memory limit', message)\n"
          "expect('no_memory', run('return string.rep(\"x\", 1 << 30)', {memory_mb = 8}))\n"
          "expect('no_memory', run('coroutine.wrap(function() return string.rep(\"x\", 1 << 30) end)()', {memory_mb = 8}))\n"
          "collectgarbage()\n"
          "expect('ok', run('return string.rep(\"x\", 1 << 20)', {memory_mb = 8}))\n"
          "assert(collectgarbage('count') < 8 * 1024)");
}

static void memory_error_can_be_caught_but_not_passed(void **state)
{
    check(state, "local ok = expect('ok', run('return (pcall(string.rep, \"x\", 1 << 30))', {memory_mb = 8}))\n"
                 "assert(ok == false)");
}

static void yield_has_nobody_to_go_to(void **state)
{
    check(state, "local message = expect('error', run('coroutine.yield(1)'))\n"
                 "assert(message:find('yield'), message)\n"
                 "local sum = expect('ok', run('local s = 0 for v in coroutine.wrap(function() for i = 1, 4 do\\n'\n"
                 "  .. 'coroutine.yield(i) end end) do s = s + v end return s'))\n"
                 "assert(sum == 10)");
}

static void calls_nest(void **state)
{
    check(state,
          "local function inner(limits) return run('while true do end', limits) end\n"
          "assert(select(2, sandbox.call(inner, {deadline_ms = 3000}, {deadline_ms = 20})) == 'timeout')\n"
          "local function for_ever(limits) while true do inner(limits) end end\n"
          "local outcome = sandbox.call(for_ever, {deadline_ms = 20}, {deadline_ms = 60000})\n"
          "assert(outcome == 'timeout', outcome)\n"
          "outcome = sandbox.call(for_ever, {instructions = 100000}, {instructions = 90000})\n"
          "assert(outcome == 'timeout', outcome)");
}

static void coroutines_outlive_their_call(void **state)
{
    check(state,
          "local co = expect('ok', run('return coroutine.create(function() coroutine.yield() while true do end end)'))\n"
          "assert(coroutine.resume(co))\n"
          "collectgarbage()\n"
          "local outside = coroutine.create(function() while true do end end)\n"
          "local env = sandbox.environment({'coroutine.*'})\n"
          "for _, thread in ipairs({co, outside}) do\n"
          "  expect('timeout', sandbox.call(env.coroutine.resume, {deadline_ms = 30}, thread))\n"
          "end");
}

static void jobs_run_in_slices(void **state)
{
    check(state,
          "function slices(source, limits, slice_ms)\n"
          "  local job, count = sandbox.start(assert(sandbox.load(source, '=job', sandbox.environment(everything))), limits), 0\n"
          "  while true do\n"
          "    local results = table.pack(job:step(slice_ms))\n"
          "    if results[1] then return count, job, table.unpack(results, 1, results.n) end\n"
          "    count = count + 1\n"
          "  end\n"
          "end\n"
          "local n, job, outcome, a, b = slices('local n = 0 for i = 1, 1e6 do n = n + 1 end return n, nil', {}, 1)\n"
          "assert(n >= 2 and outcome == 'ok' and a == 1e6 and b == nil, n)\n"
          "assert(select(2, pcall(job.step, job, 1)):find('has ended'))\n"
          "n, job, outcome, a = slices('while true do end', {deadline_ms = 500}, 5)\n"
          "assert(n >= 2 and n <= 100 and outcome == 'timeout' and a == 'job:1: took longer than 500 ms of processor time', n)\n"
          "n, job, outcome = slices('while true do pcall(function() while true do end end) end', {deadline_ms = 500}, 5)\n"
          "assert(n >= 2 and outcome == 'timeout')\n"
          "n, job, outcome = slices('coroutine.wrap(function() while true do end end)()', {deadline_ms = 30}, 5)\n"
          "assert(outcome == 'timeout')\n"
          "local env = sandbox.environment(everything)\n"
          "local line = 'calls = 0 local text = (\"x\"):rep(1e7) while true do calls = calls + 1 text:upper() end'\n"
          "job = sandbox.start(assert(sandbox.load(line, '=job', env)), {deadline_ms = 20})\n"
          "repeat outcome = job:step(5) until outcome\n"
          "assert(outcome == 'timeout' and env.calls < 50, env.calls) -- a thousand instructions are more calls\n"
          "line = 'co = coroutine.wrap(function() while true do coroutine.yield() end end)\\n'\n"
          "  .. 'for i = 1, 1e5 do end for i = 1, 2e4 do co() end'\n"
          "n, job, outcome, a = slices(line, {instructions = 1000000}, 1000)\n"
          "assert(outcome == 'ok', a) -- a coroutine has as many instructions as any other code\n"
          "n, job, outcome = slices('coroutine.yield()', {}, 5)\n"
          "assert(outcome == 'error')\n"
          "n, job, outcome = slices('return 1', {}, 5)\n"
          "assert(n == 0 and outcome == 'ok')\n"
          "n, job, outcome = slices('local t = {} for i = 1, 1e9 do t[i] = {i} end', {memory_mb = 8}, 1)\n"
          "assert(collectgarbage('count') < 4096, 'what an ended job held is still there, though the job is')\n"
          "assert(outcome == 'no_memory')");
}

static void jobs_can_be_dropped(void **state)
{
    check(state, "for i = 1, 50 do sandbox.start(assert(sandbox.load('while true do end', '=x', {})), {}):step(1) end\n"
                 "collectgarbage() collectgarbage()");
}

static void no_limits_is_allowed(void **state)
{
    check(state, "assert(expect('ok', run('local n = 0 for i = 1, 1e5 do n = n + 1 end return n', {})) == 1e5)");
}

static void forbidden_names(void **state)
{
    check(state,
          "for _, name in ipairs({'io.open', 'io.*', 'os.execute', 'os.exit', 'os.getenv', 'os.remove', 'require', 'load',\n"
          "  'loadfile', 'loadstring', 'dofile', 'debug.sethook', 'debug.*', 'package.loaded', 'package.*', 'string.dump',\n"
          "  'collectgarbage', '_G', '_G.*', '_G.pairs', 'print', 'warn', 'math.randomseed', '*', '', 'math', 'math.',\n"
          "  'string.nothing', 'mathx.abs'}) do\n"
          "  local ok, err = pcall(sandbox.environment, {name})\n"
          "  assert(not ok and err:find('is not allowed in a sandbox', 1, true), name)\n"
          "end\n"
          "assert(not pcall(sandbox.environment, {42}))\n"
          "assert(not pcall(sandbox.environment, 'math.*'))");
}

static void environments_are_fresh_copies(void **state)
{
    check(state,
          "local one, two = sandbox.environment({'string.*', 'pairs'}), sandbox.environment({'string.*'})\n"
          "assert(one.string ~= string and one.string ~= two.string and one.string.format == string.format)\n"
          "assert(one._G == nil and one.string.dump == nil and two.pairs == nil)\n"
          "one.string.format = nil\n"
          "assert(two.string.format and string.format)");
}

static void wildcards_hold_pure_functions_only(void **state)
{
    check(state,
          "local env = sandbox.environment({'math.*', 'os.*'})\n"
          "assert(env.math.floor and env.math.random == nil and env.os.time == nil and env.os.difftime)\n"
          "assert(sandbox.environment({'math.random', 'os.time'}).math.random)");
}

static void list_names_what_exists(void **state)
{
    check(state,
          "for _, name in ipairs(sandbox.names()) do\n"
          "  local library, field = name:match('^(%w+)%.(%w+)$')\n"
          "  local value = library and _G[library][field] or _G[name]\n"
          "  assert(value ~= nil, name)\n"
          "end");
}

static void no_way_out_through_metatables(void **state)
{
    check(state,
          "expect('error', run('setmetatable({}, {__gc = function() end})'))\n"
          "expect('error', run('setmetatable({}, {__gc = true})'))\n"
          "expect('ok', run('assert(getmetatable(\"\") == nil) assert(getmetatable({}) == nil)'))\n"
          "expect('ok', run('local t = setmetatable({}, {__index = {x = 1}}) assert(t.x == 1 and getmetatable(t))'))\n"
          "expect('error', run('(\"\").format = 1'))\n"
          "expect('error', run('return getmetatable()'))\n"
          "expect('error', run('return os.time()'))");
}

static void bytecode_is_refused(void **state)
{
    check(state, "local fn, err = sandbox.load(string.dump(function() return 1 end), '=x', {})\n"
                 "assert(fn == nil and err:find('binary'), err)\n"
                 "fn, err = sandbox.load('return return', '=policy.lua', {})\n"
                 "assert(fn == nil and err:find('policy.lua:1:'), err)\n"
                 "assert(assert(sandbox.load('x = 1 return x', '=x', {}))() == 1 and x == nil)");
}

static void misuse_raises(void **state)
{
    check(state, "assert(not pcall(sandbox.call, 1, {}))\n"
                 "assert(not pcall(sandbox.call, print))\n"
                 "assert(not pcall(sandbox.call, print, {deadline_ms = 'soon'}))\n"
                 "assert(not pcall(sandbox.call, print, {instructions = -1}))\n"
                 "assert(not pcall(sandbox.load, 'return 1', '=x'))");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_come_back),
        cmocka_unit_test(results_without_number),
        cmocka_unit_test(error_has_message_and_traceback),
        cmocka_unit_test(error_objects_are_not_run),
        cmocka_unit_test(endless_loop),
        cmocka_unit_test(instructions_end),
        cmocka_unit_test(a_head_start_ends),
        cmocka_unit_test(a_head_start_is_for_the_outermost_call_only),
        cmocka_unit_test(a_call_finds_nothing_of_the_one_before),
        cmocka_unit_test(loop_inside_pcall),
        cmocka_unit_test(loop_inside_coroutines),
        cmocka_unit_test(loop_inside_metamethods_and_callbacks),
        cmocka_unit_test(no_code_runs_where_the_hook_is_off),
        cmocka_unit_test(guarded_functions_work_as_the_originals),
        cmocka_unit_test(deep_recursion_is_an_error),
        cmocka_unit_test(memory_limit),
        cmocka_unit_test(memory_error_can_be_caught_but_not_passed),
        cmocka_unit_test(yield_has_nobody_to_go_to),
        cmocka_unit_test(calls_nest),
        cmocka_unit_test(coroutines_outlive_their_call),
        cmocka_unit_test(jobs_run_in_slices),
        cmocka_unit_test(jobs_can_be_dropped),
        cmocka_unit_test(no_limits_is_allowed),
        cmocka_unit_test(forbidden_names),
        cmocka_unit_test(environments_are_fresh_copies),
        cmocka_unit_test(wildcards_hold_pure_functions_only),
        cmocka_unit_test(list_names_what_exists),
        cmocka_unit_test(no_way_out_through_metatables),
        cmocka_unit_test(bytecode_is_refused),
        cmocka_unit_test(misuse_raises),
    };
    return cmocka_run_group_tests(tests, open_state, close_state);
}
