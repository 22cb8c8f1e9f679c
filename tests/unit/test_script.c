/* script: nothing that Lua raises gets lost or gets through. */
#include "cmocka_all.h"

#include "log.h"
#include "script.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

static int open_state(void **state)
{
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    log_set_level(LOG_LEVEL_ERROR + 1); /* the errors below are wanted */
    *state = L;
    return 0;
}

static int close_state(void **state)
{
    lua_close(*state);
    script_shutdown();
    return 0;
}

static void load(lua_State *L, const char *source)
{
    assert_int_equal(luaL_loadbuffer(L, source, strlen(source), "=test"), LUA_OK);
}

static void arguments_and_results_pass(void **state)
{
    lua_State *L = *state;

    load(L, "local a, b = ... return a + b, a - b");
    lua_pushinteger(L, 5);
    lua_pushinteger(L, 3);
    assert_int_equal(script_call(L, 2, 2, "test"), 0);
    assert_int_equal(lua_gettop(L), 2);
    assert_int_equal(lua_tointeger(L, 1), 8);
    assert_int_equal(lua_tointeger(L, 2), 2);
}

static void an_error_keeps_message_and_traceback_and_is_counted(void **state)
{
    lua_State *L = *state;
    struct script_counters before = script_counters();

    load(L, "local function inner() error('boom') end inner()");
    assert_int_equal(script_call(L, 0, 3, "test"), -1);
    assert_int_equal(lua_gettop(L), 0);
    assert_non_null(strstr(script_error(), "test:1: boom"));
    assert_non_null(strstr(script_error(), "stack traceback:"));
    assert_non_null(strstr(script_error(), "inner"));
    assert_int_equal(script_counters().errors, before.errors + 1);
    assert_int_equal(script_counters().calls, before.calls + 1);
}

static void whatever_is_raised_becomes_text(void **state)
{
    static const char *const cases[][2] = {
        {"error({})", "(error object is a table value)"},
        {"error()", "(error object is a nil value)"},
        {"error(setmetatable({}, {__tostring = function() return 'told' end}))", "told"},
        {"error(setmetatable({}, {__tostring = function() return 'x' end, __name = 'y'}))", "x"},
        {"error(42, 0)", "42"},
    };
    lua_State *L = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        load(L, cases[i][0]);
        assert_int_equal(script_run(L, 0, 0), -1);
        assert_memory_equal(script_error(), cases[i][1], strlen(cases[i][1]));
    }
}

static void an_error_in_the_error_is_survived(void **state)
{
    lua_State *L = *state;

    load(L, "error(setmetatable({}, {__tostring = function() error('again') end}))");
    assert_int_equal(script_run(L, 0, 0), -1);
    assert_true(strlen(script_error()) > 0);
    load(L, "local function f() return 1 + f() end return f()");
    assert_int_equal(script_run(L, 0, 0), -1);
    assert_non_null(strstr(script_error(), "stack overflow"));
}

static void a_slow_callback_is_counted_the_program_is_not(void **state)
{
    static const char slow[] = "local t = os.clock() while os.clock() - t < 0.07 do end";
    lua_State *L = *state;
    uint64_t before = script_counters().slow;

    load(L, slow);
    assert_int_equal(script_run(L, 0, 0), 0);
    assert_int_equal(script_counters().slow, before);
    load(L, slow);
    assert_int_equal(script_call(L, 0, 0, "test"), 0);
    assert_int_equal(script_counters().slow, before + 1);
    assert_true(script_counters().longest_ms >= 69);
}

static void a_callback_is_kept_and_released(void **state)
{
    lua_State *L = *state;

    load(L, "return 7");
    int reference = script_keep(L, -1);
    lua_pop(L, 1);
    script_push(L, reference);
    assert_int_equal(script_call(L, 0, 1, "test"), 0);
    assert_int_equal(lua_tointeger(L, -1), 7);
    script_release(L, &reference);
    assert_int_equal(reference, LUA_NOREF);
    script_release(L, &reference);
}

static void the_main_thread_is_found_from_a_coroutine(void **state)
{
    lua_State *L = *state;
    lua_State *coroutine = lua_newthread(L);

    assert_ptr_equal(script_main_thread(coroutine), L);
    assert_ptr_equal(script_main_thread(L), L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(arguments_and_results_pass, open_state, close_state),
        cmocka_unit_test_setup_teardown(an_error_keeps_message_and_traceback_and_is_counted, open_state,
                                        close_state),
        cmocka_unit_test_setup_teardown(whatever_is_raised_becomes_text, open_state, close_state),
        cmocka_unit_test_setup_teardown(an_error_in_the_error_is_survived, open_state, close_state),
        cmocka_unit_test_setup_teardown(a_slow_callback_is_counted_the_program_is_not, open_state,
                                        close_state),
        cmocka_unit_test_setup_teardown(a_callback_is_kept_and_released, open_state, close_state),
        cmocka_unit_test_setup_teardown(the_main_thread_is_found_from_a_coroutine, open_state, close_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
