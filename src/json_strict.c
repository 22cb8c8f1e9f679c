#include "json_strict.h"

#include "json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* Whether the integer fits: exactly, or (from 2^63 to 2^64-1, as Consul's flags) as a float. */
static int fits(const char *number)
{
    errno = 0;
    if (number[0] == '-')
        (void)strtoll(number, NULL, 10);
    else
        (void)strtoull(number, NULL, 10);
    return errno == 0;
}

/* Checks the number at `text` and sets its length. */
static const char *check_number(const char *text, size_t *length)
{
    size_t at = text[0] == '-';
    size_t whole = digits(text + at);

    if (whole == 0)
        return "a number needs a digit here";
    if (whole > 1 && text[at] == '0')
        return "a number must not begin with 0";
    at += whole;
    int is_float = text[at] == '.' || text[at] == 'e' || text[at] == 'E';
    if (text[at] == '.') {
        size_t fraction = digits(text + at + 1);
        if (fraction == 0)
            return "a number needs a digit after the point";
        at += 1 + fraction;
    }
    if (text[at] == 'e' || text[at] == 'E') {
        at++;
        at += text[at] == '+' || text[at] == '-';
        size_t exponent = digits(text + at);
        if (exponent == 0)
            return "a number needs a digit in its exponent";
        at += exponent;
    }
    *length = at;
    if (is_float ? isinf(strtod(text, NULL)) : !fits(text))
        return "a number is too large";
    return NULL;
}

/* json-c keeps member names as C strings: one with a NUL would be cut there. */
static const char *check_name(const char *text, size_t available, size_t length)
{
    size_t next = length + strspn(text + length, " \t\r\n");

    if (next < available && text[next] == ':' && memmem(text, length, "\\u0000", 6))
        return "a member name must not hold \\u0000";
    return NULL;
}

/* Checks the string whose opening quote is at `text` and sets its length; open ends are for json-c. */
static const char *check_string(const char *text, size_t available, size_t *length)
{
    size_t at = 1;

    while (at < available && text[at] != '"') {
        size_t size = json_utf8_length(text + at, available - at);
        *length = at;
        if (size == 0)
            return "the text is not valid UTF-8";
        if ((unsigned char)text[at] < 0x20)
            return "a control character in a string must be written as \\u00XX";
        at += size;
        if (text[at - 1] == '\\' && at < available && (text[at] == '"' || text[at] == '\\'))
            at++;
    }
    *length = at < available ? at + 1 : at;
    return check_name(text, available, *length);
}

const char *json_strict_check(const char *text, size_t length, size_t *offset)
{
    size_t at = 0;

    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        *offset = 0;
        return "a byte order mark, which no editor shows, stands before the text";
    }
    while (at < length) {
        const char *reason = NULL;
        size_t size = 1;
        char c = text[at];
        if (c == '"')
            reason = check_string(text + at, length - at, &size);
        else if (c == '-' || (c >= '0' && c <= '9'))
            reason = check_number(text + at, &size);
        else if (c == '\0' || !strchr("{}[]:, \t\r\ntruefalsn", c))
            reason = "unexpected character";
        if (reason) {
            *offset = at + (c == '"' ? size : 0);
            return reason;
        }
        at += size;
    }
    return NULL;
}
