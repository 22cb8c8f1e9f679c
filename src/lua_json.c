/*
 * core.json: glue for json.c. lua/appmgr/json.lua documents it, and is the only
 * module that requires it.
 */
#include "core_modules.h"
#include "json.h"
#include "json_keys.h"

#include <errno.h>
#include <json-c/linkhash.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char array_mark[] = "core.json.array";
static const char value_box[] = "core.json.value", text_box[] = "core.json.text";

/* ---- boxes: what C holds while Lua may raise ---- */

static int free_value_box(lua_State *L)
{
    struct json_object **box = lua_touserdata(L, 1);

    json_object_put(*box);
    *box = NULL;
    return 0;
}

static int free_text_box(lua_State *L)
{
    json_text_free(lua_touserdata(L, 1));
    return 0;
}

static void *push_box(lua_State *L, size_t size, const char *class_name)
{
    void *box = lua_newuserdatauv(L, size, 0);

    memset(box, 0, size);
    luaL_setmetatable(L, class_name);
    return box;
}

/* As Lua itself does when it has no memory: whoever catches that need not know where it ran out. */
static int raise_memory_error(lua_State *L)
{
    lua_pushliteral(L, "not enough memory");
    return lua_error(L);
}

/* ---- decode ---- */

static void push_value(lua_State *L, struct json_object *value);

static void push_object(lua_State *L, struct json_object *object)
{
    lua_createtable(L, 0, json_object_object_length(object));
    json_object_object_foreach(object, key, member)
    {
        if (!member)
            continue;
        lua_pushstring(L, key);
        push_value(L, member);
        lua_rawset(L, -3);
    }
}

static void push_array(lua_State *L, struct json_object *array)
{
    size_t length = json_object_array_length(array);

    lua_createtable(L, (int)length, 0);
    luaL_setmetatable(L, array_mark);
    for (size_t i = 0; i < length; i++) {
        push_value(L, json_object_array_get_idx(array, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_integer(lua_State *L, struct json_object *value)
{
    uint64_t magnitude = json_object_get_uint64(value);

    if (magnitude > INT64_MAX)
        lua_pushnumber(L, (lua_Number)magnitude);
    else
        lua_pushinteger(L, json_object_get_int64(value));
}

static void push_value(lua_State *L, struct json_object *value)
{
    luaL_checkstack(L, 4, "JSON value");
    switch (json_object_get_type(value)) {
    case json_type_null:
        lua_pushlightuserdata(L, NULL);
        break;
    case json_type_boolean:
        lua_pushboolean(L, json_object_get_boolean(value));
        break;
    case json_type_double:
        lua_pushnumber(L, json_object_get_double(value));
        break;
    case json_type_int:
        push_integer(L, value);
        break;
    case json_type_string:
        lua_pushlstring(L, json_object_get_string(value), (size_t)json_object_get_string_len(value));
        break;
    case json_type_object:
        push_object(L, value);
        break;
    case json_type_array:
        push_array(L, value);
        break;
    }
}

static int decode(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_Integer depth = luaL_optinteger(L, 2, JSON_DEPTH_DEFAULT);
    char error[160];

    luaL_argcheck(L, depth > 0 && depth <= JSON_DEPTH_LIMIT, 2, "expected 1 to 256 levels");
    struct json_object **box = push_box(L, sizeof *box, value_box);
    int result = json_parse(text, length, (int)depth, box, error, sizeof error);
    if (result == -ENOMEM)
        return raise_memory_error(L);
    if (result != 0) {
        lua_pushnil(L);
        lua_pushstring(L, error);
        return 2;
    }
    push_value(L, *box);
    json_object_put(*box); /* at once: its tree is larger than the text */
    *box = NULL;
    return 1;
}

static int duplicate(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    struct json_duplicate found;
    int result = json_find_duplicate(text, length, &found);

    if (result < 0)
        return raise_memory_error(L);
    if (result == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushlstring(L, found.name, found.length);
    lua_pushinteger(L, (lua_Integer)found.line);
    return 2;
}

/* ---- encode ---- */

struct encoder {
    struct json_text *out;
    bool pretty;
    int depth;
};

struct key {
    const char *bytes;
    size_t length;
};

static void encode_value(lua_State *L, struct encoder *encoder, int index);

/* Raises for a failed append. */
static void check(lua_State *L, int status)
{
    if (status == -EDOM)
        luaL_error(L, "core.json.encode: JSON has no NaN and no infinity");
    else if (status != 0)
        raise_memory_error(L);
}

static void append(lua_State *L, struct encoder *encoder, const char *bytes, size_t length)
{
    check(L, json_append(encoder->out, bytes, length));
}

static void append_break(lua_State *L, struct encoder *encoder)
{
    if (!encoder->pretty)
        return;
    append(L, encoder, "\n", 1);
    for (int i = 0; i < encoder->depth; i++)
        append(L, encoder, "  ", 2);
}

static bool is_marked(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, array_mark);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* Counts keys by kind; the array part is a sequence when all of 1..n are there. */
static void count_keys(lua_State *L, int index, size_t *names, size_t *positions, bool *other)
{
    lua_Integer length = (lua_Integer)lua_rawlen(L, index);

    *names = *positions = 0;
    *other = false;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            ++*names;
        else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1 && lua_tointeger(L, -1) <= length)
            ++*positions;
        else
            *other = true;
    }
    if (*positions != (size_t)length)
        *other = true;
}

enum shape { SHAPE_ARRAY, SHAPE_OBJECT, SHAPE_NEITHER };

static enum shape shape_of(lua_State *L, int index, size_t *count)
{
    size_t names, positions;
    bool other;

    count_keys(L, index, &names, &positions, &other);
    *count = names + positions;
    if (other || (names > 0 && positions > 0))
        return SHAPE_NEITHER;
    if (is_marked(L, index))
        return names == 0 ? SHAPE_ARRAY : SHAPE_NEITHER;
    return positions > 0 ? SHAPE_ARRAY : SHAPE_OBJECT;
}

static int compare_keys(const void *left, const void *right)
{
    const struct key *a = left, *b = right;
    int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);

    return order ? order : (a->length > b->length) - (a->length < b->length);
}

/* Pushes a userdata with the sorted keys; their bytes belong to the table. */
static struct key *push_sorted_keys(lua_State *L, int index, size_t count)
{
    struct key *keys = lua_newuserdatauv(L, count * sizeof *keys, 0);
    size_t i = 0;

    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        keys[i].bytes = lua_tolstring(L, -1, &keys[i].length);
        i++;
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    return keys;
}

static void encode_object(lua_State *L, struct encoder *encoder, int index, size_t count)
{
    struct key *keys = push_sorted_keys(L, index, count);

    append(L, encoder, "{", 1);
    encoder->depth++;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            append(L, encoder, ",", 1);
        append_break(L, encoder);
        check(L, json_append_string(encoder->out, keys[i].bytes, keys[i].length));
        append(L, encoder, ": ", encoder->pretty ? 2 : 1);
        lua_pushlstring(L, keys[i].bytes, keys[i].length);
        lua_rawget(L, index);
        encode_value(L, encoder, lua_gettop(L));
        lua_pop(L, 1);
    }
    encoder->depth--;
    if (count > 0)
        append_break(L, encoder);
    append(L, encoder, "}", 1);
    lua_pop(L, 1);
}

static void encode_array(lua_State *L, struct encoder *encoder, int index, size_t count)
{
    append(L, encoder, "[", 1);
    encoder->depth++;
    for (size_t i = 1; i <= count; i++) {
        if (i > 1)
            append(L, encoder, ",", 1);
        append_break(L, encoder);
        lua_rawgeti(L, index, (lua_Integer)i);
        encode_value(L, encoder, lua_gettop(L));
        lua_pop(L, 1);
    }
    encoder->depth--;
    if (count > 0)
        append_break(L, encoder);
    append(L, encoder, "]", 1);
}

static void encode_table(lua_State *L, struct encoder *encoder, int index)
{
    size_t count;

    if (encoder->depth >= JSON_DEPTH_LIMIT)
        luaL_error(L, "core.json.encode: nested deeper than %d levels; does a table contain itself?",
                   JSON_DEPTH_LIMIT);
    luaL_checkstack(L, 8, "JSON value");
    switch (shape_of(L, index, &count)) {
    case SHAPE_OBJECT:
        encode_object(L, encoder, index, count);
        break;
    case SHAPE_ARRAY:
        encode_array(L, encoder, index, count);
        break;
    case SHAPE_NEITHER:
        luaL_error(L, "core.json.encode: a table is neither an object (all keys strings) "
                      "nor an array (keys 1 to n without a gap)");
    }
}

static void encode_value(lua_State *L, struct encoder *encoder, int index)
{
    size_t length;
    const char *bytes;

    switch (lua_type(L, index)) {
    case LUA_TTABLE:
        encode_table(L, encoder, index);
        return;
    case LUA_TSTRING:
        bytes = lua_tolstring(L, index, &length);
        check(L, json_append_string(encoder->out, bytes, length));
        return;
    case LUA_TNUMBER:
        check(L, lua_isinteger(L, index)
                     ? json_append_integer(encoder->out, lua_tointeger(L, index))
                     : json_append_double(encoder->out, lua_tonumber(L, index)));
        return;
    case LUA_TBOOLEAN:
        bytes = lua_toboolean(L, index) ? "true" : "false";
        append(L, encoder, bytes, strlen(bytes));
        return;
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, index)) {
            append(L, encoder, "null", 4);
            return;
        }
    }
    luaL_error(L, "core.json.encode: JSON has no %s", luaL_typename(L, index));
}

static int encode(lua_State *L)
{
    luaL_checkany(L, 1);
    struct encoder encoder = {0};
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "pretty");
        encoder.pretty = lua_toboolean(L, -1);
    }
    encoder.out = push_box(L, sizeof *encoder.out, text_box);
    encode_value(L, &encoder, 1);
    lua_pushlstring(L, encoder.out->bytes, encoder.out->length);
    json_text_free(encoder.out);
    return 1;
}

/* ---- arrays ---- */

static int array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_setmetatable(L, array_mark);
    return 1;
}

static int is_array(lua_State *L)
{
    size_t count;

    lua_pushboolean(L, lua_istable(L, 1) && shape_of(L, 1, &count) == SHAPE_ARRAY);
    return 1;
}

static void make_box_class(lua_State *L, const char *name, lua_CFunction collect)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

int lua_json_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", decode}, {"duplicate", duplicate}, {"encode", encode}, {"array", array}, {"is_array", is_array}, {NULL, NULL}};

    make_box_class(L, value_box, free_value_box);
    make_box_class(L, text_box, free_text_box);
    luaL_newmetatable(L, array_mark);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
