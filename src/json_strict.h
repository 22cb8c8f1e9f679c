/*
 * json_strict: refuses what json-c would read although it is not JSON.
 *
 * Looks at characters, strings and numbers only; whether they stand in the
 * right order is for json-c to say. Owns nothing.
 */
#ifndef APPMGR_JSON_STRICT_H
#define APPMGR_JSON_STRICT_H

#include <stddef.h>

/*
 * Checks `length` bytes, which a NUL must follow. Returns NULL, or a static
 * reason with the offset it is about in `offset`.
 */
const char *json_strict_check(const char *text, size_t length, size_t *offset);

#endif
