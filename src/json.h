/*
 * json: reading with json-c, writing by ourselves.
 *
 * json-c reads more than JSON (NaN, `1.`, `-01`, raw control characters,
 * overlong UTF-8) and bends integers that do not fit; json_parse() refuses all
 * of that first. Writing is ours because the text is hashed and compared: one
 * value has one text. Never keeps anything between calls.
 */
#ifndef APPMGR_JSON_H
#define APPMGR_JSON_H

#include <json-c/json_object.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_DEPTH_DEFAULT = 64, JSON_DEPTH_LIMIT = 256 };

/*
 * Parses the `length` bytes, which a NUL must follow, nested at most `depth`
 * deep. Returns 0 with an owned value in `value` (NULL is JSON's null; free it
 * with json_object_put()), -1 with "line L, column C: reason" in `error`, or
 * -ENOMEM, which says nothing of the text.
 */
int json_parse(const char *text, size_t length, int depth, struct json_object **value,
               char *error, size_t error_size);

/* A growing text. All zero is an empty one; json_text_free() when done. */
struct json_text {
    char *bytes;
    size_t length, capacity;
};

void json_text_free(struct json_text *text);

/* Each appends and returns 0, or -ENOMEM with the text unchanged. */
int json_append(struct json_text *text, const char *bytes, size_t length);
int json_append_integer(struct json_text *text, int64_t value);

/* The shortest decimal that reads back the same, always with `.` or `e`. -EDOM for NaN and infinity. */
int json_append_double(struct json_text *text, double value);

/* A string in quotes; bytes that are no UTF-8 become U+FFFD, because JSON cannot carry them. */
int json_append_string(struct json_text *text, const char *bytes, size_t length);

/* Length (1 to 4) of the valid UTF-8 character at `bytes`, or 0 when there is none in `length` bytes. */
size_t json_utf8_length(const char *bytes, size_t length);

#endif
