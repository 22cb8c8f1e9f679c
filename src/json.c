#include "json.h"

#include "json_strict.h"

#include <errno.h>
#include <json-c/json_tokener.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static void describe(const char *text, size_t offset, const char *reason, char *error, size_t size)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < offset; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    snprintf(error, size, "line %zu, column %zu: %s", line, column, reason);
}

static size_t skip_blanks(const char *text, size_t at, size_t length)
{
    while (at < length && memchr(" \t\r\n", text[at], 4))
        at++;
    return at;
}

static const char *reason_for(enum json_tokener_error code)
{
    if (code == json_tokener_error_depth)
        return "nested too deep";
    if (code == json_tokener_continue)
        return "unexpected end of data";
    return json_tokener_error_desc(code);
}

int json_parse(const char *text, size_t length, int depth, struct json_object **value,
               char *error, size_t error_size)
{
    size_t end;
    const char *reason = json_strict_check(text, length, &end);

    *value = NULL;
    if (!reason && length >= INT_MAX) {
        reason = "longer than 2 GiB";
        end = 0;
    }
    if (reason) {
        describe(text, end, reason, error, error_size);
        return -1;
    }
    /* json-c counts what stands in the innermost array as a level, too. */
    struct json_tokener *tokener = json_tokener_new_ex(depth + 1);
    if (!tokener)
        return -ENOMEM;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* With the NUL: only then it knows that a number at the end is complete. */
    *value = json_tokener_parse_ex(tokener, text, (int)length + 1);
    enum json_tokener_error code = json_tokener_get_error(tokener);
    end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    if (code == json_tokener_success && skip_blanks(text, end, length) == length)
        return 0;
    json_object_put(*value);
    *value = NULL;
    if (code == json_tokener_success)
        reason = "unexpected text after the value";
    else
        reason = reason_for(code);
    describe(text, end < length ? end : length, reason, error, error_size);
    return -1;
}

/* ---- writing ---- */

void json_text_free(struct json_text *text)
{
    free(text->bytes);
    *text = (struct json_text){0};
}

int json_append(struct json_text *text, const char *bytes, size_t length)
{
    if (length > text->capacity - text->length) {
        size_t capacity = text->capacity ? text->capacity : 256;
        while (capacity - text->length < length)
            capacity *= 2;
        char *grown = realloc(text->bytes, capacity);
        if (!grown)
            return -ENOMEM;
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    return 0;
}

int json_append_integer(struct json_text *text, int64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)value);

    return json_append(text, digits, (size_t)length);
}

int json_append_double(struct json_text *text, double value)
{
    char digits[40];
    int length = 0;

    if (!isfinite(value))
        return -EDOM;
    for (int precision = 15; precision <= 17; precision++) {
        length = snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    if (!strpbrk(digits, ".e")) {
        memcpy(digits + length, ".0", 3);
        length += 2;
    }
    return json_append(text, digits, (size_t)length);
}

size_t json_utf8_length(const char *bytes, size_t length)
{
    const unsigned char *c = (const unsigned char *)bytes;
    size_t size = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;

    if (size > length)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if (size >= 3 && ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
                      (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f)))
        return 0;
    return size;
}

/* What stands for the byte in a JSON string; 0 when it stands for itself. */
static int escape_byte(unsigned char byte, char out[8])
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = byte ? strchr(plain, byte) : NULL;

    if (found)
        return snprintf(out, 8, "\\%c", letters[found - plain]);
    return byte < 0x20 ? snprintf(out, 8, "\\u%04x", byte) : 0;
}

/* How many of the bytes stand for themselves and are ASCII: nearly all of nearly every text. */
static size_t plain_run(const char *bytes, size_t length)
{
    size_t at = 0;

    while (at < length && (unsigned char)bytes[at] >= 0x20 && (unsigned char)bytes[at] < 0x7f && bytes[at] != '"' &&
           bytes[at] != '\\')
        at++;
    return at;
}

int json_append_string(struct json_text *text, const char *bytes, size_t length)
{
    size_t before = text->length, copied = 0, at = 0;
    int status = json_append(text, "\"", 1);

    while (status == 0 && at < length) {
        char escape[8];
        at += plain_run(bytes + at, length - at);
        if (at == length)
            break;
        size_t size = json_utf8_length(bytes + at, length - at);
        int escaped = size == 1 ? escape_byte((unsigned char)bytes[at], escape) : 0;
        if (size == 0)
            escaped = snprintf(escape, sizeof escape, "\xef\xbf\xbd");
        if (escaped == 0) {
            at += size;
            continue;
        }
        status = json_append(text, bytes + copied, at - copied);
        if (status == 0)
            status = json_append(text, escape, (size_t)escaped);
        copied = ++at;
    }
    if (status == 0)
        status = json_append(text, bytes + copied, length - copied);
    if (status == 0)
        status = json_append(text, "\"", 1);
    if (status != 0)
        text->length = before;
    return status;
}
