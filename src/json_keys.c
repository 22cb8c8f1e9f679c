#include "json_keys.h"

#include "json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct name {
    const char *bytes;
    size_t length;
    size_t object; /* which one it stands in, counted as they open */
};

struct names {
    struct name *list;
    size_t count, capacity;
};

static int add(struct names *names, struct name name)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 64;
        struct name *grown = realloc(names->list, capacity * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        names->list = grown;
        names->capacity = capacity;
    }
    names->list[names->count++] = name;
    return 0;
}

/* The length of the string whose opening quote is at `text`, quotes included. */
static size_t string_length(const char *text, size_t available)
{
    size_t at = 1;
    while (at < available && text[at] != '"')
        at += text[at] == '\\' ? 2 : 1;
    return at < available ? at + 1 : available;
}

static int is_name(const char *text, size_t available, size_t after)
{
    after += strspn(text + after, " \t\r\n");
    return after < available && text[after] == ':';
}

/* Collects all member names. Of what is deeper than any text that is read, nothing is said. */
static int collect(const char *text, size_t length, struct names *names)
{
    size_t open[JSON_DEPTH_LIMIT + 1] = {0}, depth = 0, objects = 0, size;
    int result = 0;

    for (size_t at = 0; at < length && result == 0; at += size) {
        size = 1;
        if ((text[at] == '{' || text[at] == '[') && depth == JSON_DEPTH_LIMIT)
            return 0;
        if (text[at] == '{' || text[at] == '[')
            open[++depth] = ++objects;
        else if ((text[at] == '}' || text[at] == ']') && depth > 0)
            depth--;
        else if (text[at] == '"') {
            size = string_length(text + at, length - at);
            if (is_name(text + at, length - at, size))
                result = add(names, (struct name){text + at + 1, size - 2, open[depth]});
        }
    }
    return result;
}

/* By object and name; of the same ones the first in the text first. */
static int compare(const void *left, const void *right)
{
    const struct name *a = left, *b = right;
    if (a->object != b->object)
        return a->object < b->object ? -1 : 1;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    int order = memcmp(a->bytes, b->bytes, a->length);
    if (order != 0)
        return order;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

static int is_same(const struct name *a, const struct name *b)
{
    return a->object == b->object && a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

/* The first in the text of those that stand there already; NULL when there is none. */
static const struct name *first_second(const struct names *names)
{
    const struct name *first = NULL;
    for (size_t i = 1; i < names->count; i++) {
        const struct name *name = &names->list[i];
        if (is_same(name - 1, name) && (!first || name->bytes < first->bytes))
            first = name;
    }
    return first;
}

int json_find_duplicate(const char *text, size_t length, struct json_duplicate *found)
{
    struct names names = {0};
    int result = collect(text, length, &names);

    if (result == 0 && names.count > 1) {
        qsort(names.list, names.count, sizeof *names.list, compare);
        const struct name *second = first_second(&names);
        if (second) {
            *found = (struct json_duplicate){.name = second->bytes, .length = second->length, .line = 1};
            for (const char *byte = text; byte < second->bytes; byte++)
                found->line += *byte == '\n';
            result = 1;
        }
    }
    free(names.list);
    return result;
}
