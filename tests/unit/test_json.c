/* json: what is read, what is refused and where, one text for one value; the glue with memory that runs out. */
#include "cmocka_all.h"

#include "core_modules.h"
#include "json.h"
#include "json_keys.h"

#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char error_text[160];

static int parse(const char *text)
{
    struct json_object *value;
    int status = json_parse(text, strlen(text), JSON_DEPTH_DEFAULT, &value, error_text, sizeof error_text);

    json_object_put(value);
    return status;
}

static void json_is_read(void **state)
{
    static const char *const good[] = {
        "null", "true", " false ", "0", "-0", "123", "-1.5e+3", "1E5", "\"\"", "\"\\u00e9 \\ud83d\\ude00 \\\\ \\\" \\/\"",
        "[]", "[[], {}]", "{\"a\":{\"b\":[1,2,3]}}", "\t\r\n[1 ,2]\n", "18446744073709551615",
        "{\"quoted \\\"name\\\": with colon\":1}", "\"\\u0000\"",
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(parse(good[i]), 0);
}

/* Whether `name` is the first that stands twice, again on `line`; NULL: none does. */
static void expect_duplicate(const char *text, const char *name, size_t line)
{
    struct json_duplicate found = {0};
    assert_int_equal(json_find_duplicate(text, strlen(text), &found), name != NULL);
    if (!name)
        return;
    assert_int_equal(found.length, strlen(name));
    assert_memory_equal(found.name, name, found.length);
    assert_int_equal(found.line, line);
}

static void names_that_stand_twice_are_found(void **state)
{
    expect_duplicate("{\"a\":1,\n\"b\":2,\n\"a\" :3,\"b\":4}", "a", 3);
    expect_duplicate("[{\"x\":{\"b\":[{\"c\":1,\"c\":2}]},\"b\":1}]", "c", 1);
    expect_duplicate("{\"\":1,\"\":2}", "", 1);
    expect_duplicate("{\"q\\\"\":1,\"q\\\"\":2}", "q\\\"", 1);
    expect_duplicate("{\"a\":\"a\",\"b\":\"a\",\"c\":[\"a\",\"a\"]}", NULL, 0); /* values are no names */
    expect_duplicate("{\"a\":{\"a\":1},\"b\":{\"a\":2},\"A\":3}", NULL, 0); /* nor are others' */
    expect_duplicate("{\"a\":[{\"b\":1},{\"b\":2}],\"ab\":1}", NULL, 0);
    expect_duplicate("", NULL, 0);
    expect_duplicate("{\"a", NULL, 0);
}

static void what_is_no_json_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "  ", "nul", "True", "NaN", "Infinity", "-Infinity", "01", "-01", "1.", ".5", "+1", "-", "1e", "1e+", "0x10",
        "1 2", "[1,]", "[,1]", "[1 2]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{1:2}", "[", "]", "{\"a\":", "\"open", "'a'",
        "\"a\nb\"", "\"\\x\"", "\"\\u12\"", "\"\x80\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf5\x80\x80\x80\"",
        "/* c */ 1", "// c\n1", "\xef\xbb\xbf{}", "[1]x", "18446744073709551616", "-9223372036854775809", "1e999",
        "{\"a\\u0000b\":1}", "\"a\\\"", "[1]]", "\f1",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i]) == 0)
            fail_msg("was read: %s", bad[i]);
        assert_memory_equal(error_text, "line ", 5);
    }
}

static void a_zero_byte_ends_nothing_silently(void **state)
{
    struct json_object *value;

    assert_int_equal(json_parse("1\0002", 3, 8, &value, error_text, sizeof error_text), -1);
    assert_int_equal(json_parse("[1]\000", 4, 8, &value, error_text, sizeof error_text), -1);
    assert_int_equal(json_parse("\"a\000b\"", 5, 8, &value, error_text, sizeof error_text), -1);
}

static void errors_say_where(void **state)
{
    parse("{\n  \"a\": 1,\n  \"b\": 01\n}");
    assert_string_equal(error_text, "line 3, column 8: a number must not begin with 0");
    parse("[1, 2");
    assert_string_equal(error_text, "line 1, column 6: unexpected end of data");
    parse("\xef\xbb\xbf[]");
    assert_string_equal(error_text, "line 1, column 1: a byte order mark, which no editor shows, stands before the text");
}

static void depth_is_limited(void **state)
{
    char text[400] = "";
    struct json_object *value;

    memset(text, '[', 70);
    text[70] = '1';
    memset(text + 71, ']', 70);
    assert_int_equal(json_parse(text, 141, 70, &value, error_text, sizeof error_text), 0);
    json_object_put(value);
    assert_int_equal(json_parse(text, 141, 69, &value, error_text, sizeof error_text), -1);
    assert_non_null(strstr(error_text, "nested too deep"));
}

static void written(const char *expected, struct json_text *text)
{
    assert_int_equal(text->length, strlen(expected));
    assert_memory_equal(text->bytes, expected, text->length);
    text->length = 0;
}

static void numbers_are_short_and_come_back(void **state)
{
    static const double doubles[] = {0.1, 1.0 / 3, 1e300, 5e-324, 123456789.125, -2.5, 1e15, 1e16, 9007199254740993.0};
    struct json_text text = {0};

    json_append_integer(&text, INT64_MIN);
    written("-9223372036854775808", &text);
    json_append_double(&text, 0.1);
    written("0.1", &text);
    json_append_double(&text, 3);
    written("3.0", &text);
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
        json_append_double(&text, doubles[i]);
        json_append(&text, "", 1);
        assert_true(strtod(text.bytes, NULL) == doubles[i]);
        assert_non_null(strpbrk(text.bytes, ".e"));
        text.length = 0;
    }
    assert_true(json_append_double(&text, NAN) < 0);
    assert_true(json_append_double(&text, INFINITY) < 0);
    assert_int_equal(text.length, 0);
    json_text_free(&text);
}

static void strings_are_escaped_and_made_utf8(void **state)
{
    struct json_text text = {0};

    json_append_string(&text, "a\"\\/\b\f\n\r\t\001\000\x7f", 12);
    written("\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u0000\x7f\"", &text);
    json_append_string(&text, "\xc3\xa9\xff\xe2\x82", 5);
    written("\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", &text);
    json_append_string(&text, "", 0);
    written("\"\"", &text);
    json_text_free(&text);
}

static void utf8_is_checked_to_the_letter(void **state)
{
    assert_int_equal(json_utf8_length("\xf4\x8f\xbf\xbf", 4), 4);
    assert_int_equal(json_utf8_length("\xf4\x90\x80\x80", 4), 0);
    assert_int_equal(json_utf8_length("\xe0\x9f\xbf", 3), 0);
    assert_int_equal(json_utf8_length("\xed\x9f\xbf", 3), 3);
    assert_int_equal(json_utf8_length("\xc3", 1), 0);
}

/* ---- glue ---- */

struct allowance {
    long left; /* allocations until they fail; negative: never */
};

static void *allocate(void *data, void *block, size_t old_size, size_t new_size)
{
    struct allowance *allowance = data;

    if (new_size == 0) {
        free(block);
        return NULL;
    }
    if (allowance->left == 0 && (!block || new_size > old_size))
        return NULL;
    if (allowance->left > 0 && (!block || new_size > old_size))
        allowance->left--;
    return realloc(block, new_size);
}

/* Runs protected: a light text becomes the string that decoding and encoding it gives. */
static int round_trip(lua_State *L)
{
    static const char source[] =
        "local json, text = ...\n"
        "return json.encode(assert(json.decode(text)))";
    const char *text = lua_touserdata(L, 1);

    luaL_loadstring(L, source);
    luaL_requiref(L, "core.json", lua_json_open, 0);
    lua_pushstring(L, text);
    lua_call(L, 2, 1);
    return 1;
}

static int try_round_trip(lua_State *L, const char *text)
{
    lua_pushcfunction(L, round_trip);
    lua_pushlightuserdata(L, (void *)(uintptr_t)text);
    return lua_pcall(L, 1, 1, 0);
}

/* Every allocation fails once; the sanitizer sees what was lost then. */
static void running_out_of_memory_loses_nothing(void **state)
{
    static const char text[] = "{\"a\":[1,2.5,\"x\",[],{}],\"b\":{\"c\":true},\"long\":\"0123456789012345678901234567890123456789012\"}";

    for (long granted = 0; granted < 2000; granted++) {
        struct allowance allowance = {.left = -1};
        lua_State *L = lua_newstate(allocate, &allowance);
        luaL_openlibs(L);
        allowance.left = granted;
        int status = try_round_trip(L, text);
        allowance.left = -1;
        bool done = status == LUA_OK;
        if (done)
            assert_string_equal(lua_tostring(L, -1), text);
        else
            assert_int_equal(status, LUA_ERRMEM);
        lua_close(L);
        if (done)
            return;
    }
    fail_msg("never got through");
}

static void lua_values_come_back(void **state)
{
    static const char *const same[] = {
        "[]", "{}", "[[],{}]", "{\"a\":[],\"b\":{},\"c\":[null,1,1.0,\"\",false]}", "9223372036854775807",
        "-9223372036854775808", "1.5", "[{\"x\":-0.0}]", "\"\\u0000\"", "null",
    };
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_int_equal(try_round_trip(L, same[i]), LUA_OK);
        assert_string_equal(lua_tostring(L, -1), same[i]);
        lua_settop(L, 0);
    }
    lua_close(L);
}

static void misuse_raises(void **state)
{
    static const char source[] =
        "local json = ...\n"
        "local loop = {} loop.loop = loop\n"
        "for _, v in ipairs{ {1, nil, 3}, {1, a = 2}, {[0] = 1}, {[1.5] = 1}, {[true] = 1}, loop, {f = print},\n"
        "    0/0, 1/0, coroutine.create(print), io.stdout, json.array{a = 1} } do\n"
        "  local ok, message = pcall(json.encode, v)\n"
        "  assert(not ok and message:find('core.json.encode', 1, true), message)\n"
        "end\n"
        "assert(not pcall(json.encode)) assert(not pcall(json.decode)) assert(not pcall(json.decode, '1', 0))\n"
        "assert(not pcall(json.array, 5))\n"
        "assert(json.is_array(json.array()) and json.is_array{1} and not json.is_array{} and not json.is_array'x')\n"
        "assert(json.decode('{\"a\":null}').a == nil and json.decode('[null]')[1] == json.null)\n"
        "assert(json.encode({b = 1, a = {1}, c = {}}, {pretty = true}) ==\n"
        "  '{\\n  \"a\": [\\n    1\\n  ],\\n  \"b\": 1,\\n  \"c\": {}\\n}')\n";
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    luaL_loadstring(L, source);
    luaL_requiref(L, "core.json", lua_json_open, 0);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        fail_msg("%s", lua_tostring(L, -1));
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_read),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(a_zero_byte_ends_nothing_silently),
        cmocka_unit_test(names_that_stand_twice_are_found),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(numbers_are_short_and_come_back),
        cmocka_unit_test(strings_are_escaped_and_made_utf8),
        cmocka_unit_test(utf8_is_checked_to_the_letter),
        cmocka_unit_test(running_out_of_memory_loses_nothing),
        cmocka_unit_test(lua_values_come_back),
        cmocka_unit_test(misuse_raises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
