/*
 * json_keys: which member name stands twice in one object.
 *
 * json-c keeps the last of such members without a word, and so does everybody else; who wrote both meant something. For
 * texts that json_parse() takes: of any other nothing can be said. Owns nothing, keeps nothing.
 */
#ifndef APPMGR_JSON_KEYS_H
#define APPMGR_JSON_KEYS_H

#include <stddef.h>

struct json_duplicate {
    const char *name; /* into the text, between its quotes, as it is written there */
    size_t length;
    size_t line; /* of the second one, from 1 */
};

/*
 * Looks for the first name that stands in its object already. Names are compared as they are written: an escaped
 * letter is not the letter. Returns 1 with *found, 0 when there is none, -ENOMEM.
 */
int json_find_duplicate(const char *text, size_t length, struct json_duplicate *found);

#endif
