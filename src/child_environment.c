#include "child_environment.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void child_environment(char *environment[CHILD_ENVIRONMENT_SIZE])
{
    static const char *const passed[] = {"PATH", "LANG", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"};
    size_t count = 0;

    _Static_assert(sizeof passed / sizeof *passed < CHILD_ENVIRONMENT_SIZE, "the array ends with NULL");
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        char *value = getenv(passed[i]);
        if (value)
            environment[count++] = value - strlen(passed[i]) - 1; /* the entry is NAME=value in one piece */
    }
    environment[count] = NULL;
}
