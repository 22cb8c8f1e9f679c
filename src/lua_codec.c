/*
 * core.codec: glue for codec.c.
 *
 *   base64_encode(bytes) → text
 *   base64_decode(text) → bytes | nil, err     strict: padded, no blanks
 *   sha256(bytes) → 64 hexadecimal digits
 *   uuid() → text                              random, version 4
 */
#include "codec.h"
#include "core_modules.h"

#include <lauxlib.h>

static int base64_encode(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, codec_base64_encoded_size(length));

    luaL_pushresultsize(&buffer, codec_base64_encode(bytes, length, out));
    return 1;
}

static int base64_decode(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, length / 4 * 3 + 1);
    long decoded = codec_base64_decode(text, length, out);

    if (decoded < 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "not base64");
        return 2;
    }
    luaL_pushresultsize(&buffer, (size_t)decoded);
    return 1;
}

static int sha256(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    char hex[CODEC_SHA256_HEX + 1];

    if (codec_sha256(bytes, length, hex) != 0)
        return luaL_error(L, "core.codec.sha256: OpenSSL offers no SHA-256 here");
    lua_pushlstring(L, hex, CODEC_SHA256_HEX);
    return 1;
}

static int uuid(lua_State *L)
{
    char text[CODEC_UUID + 1];

    if (codec_uuid(text) != 0)
        return luaL_error(L, "core.codec.uuid: the kernel gives no random bytes");
    lua_pushlstring(L, text, CODEC_UUID);
    return 1;
}

int lua_codec_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"base64_encode", base64_encode}, {"base64_decode", base64_decode},
        {"sha256", sha256},               {"uuid", uuid},
        {NULL, NULL},
    };

    luaL_newlib(L, functions);
    return 1;
}
