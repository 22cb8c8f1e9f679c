#include "permit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RULES_MAX = 256 << 10 };

static int directory = -1;
static char rules[RULES_MAX + 2];
static char found[PATH_MAX];
static char reason[PATH_MAX + 160];

/* What the lines say of one specification. */
struct verdict {
    bool is_whole;              /* the last line was read, and all were understood */
    bool no_tasks;
    bool limits_users, has_user;
    bool limits_commands, has_command;
};

void permit_open(int directory_fd)
{
    directory = directory_fd;
}

bool permit_matches(const char *pattern, const char *path)
{
    const char *star = NULL, *tried = NULL; /* after the last `*`, and where what it stands for ends */

    while (*path) {
        if (*pattern == '*') {
            star = ++pattern;
            tried = path;
        } else if (*pattern == *path) {
            pattern++;
            path++;
        } else if (star && *tried != '/') {
            path = ++tried;
            pattern = star;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* --- the program --- */

/* An absolute path that leads where its text says: no empty, `.` or `..` parts. */
static bool is_plain(const char *path)
{
    for (const char *part = path; *part == '/'; part += strcspn(part, "/")) {
        size_t length = strcspn(++part, "/");

        if (length == 0 || (length == 1 && *part == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
    }
    return *path == '/';
}

static bool is_program(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* The first program of that name in PATH. What is found here is what is executed. */
static bool look_up(const char *name, char *const *environment)
{
    for (const char *at = spawn_search_path(environment); *at; at += strspn(at, ":")) {
        int length = (int)strcspn(at, ":");

        if (snprintf(found, sizeof found, "%.*s/%s", length, at, name) < (int)sizeof found && is_plain(found) &&
            is_program(found))
            return true;
        at += length;
    }
    return false;
}

/* Finds what a command executes. Returns why it cannot be compared with any pattern, or NULL. */
static const char *find_program(const char *name, char *const *environment)
{
    if (strchr(name, '/'))
        return is_plain(name) && snprintf(found, sizeof found, "%s", name) < (int)sizeof found
                   ? NULL : ", which is no absolute path without . and ..";
    return *name && look_up(name, environment) ? NULL : ", which is not found in PATH";
}

/* Whether the environment makes the loader run other code in an allowed program, and by which variable. */
static bool loader_variable(char *const *environment, char *name, size_t size)
{
    for (; *environment; environment++)
        if (strncmp(*environment, "LD_", 3) == 0) {
            snprintf(name, size, "%.*s", (int)strcspn(*environment, "="), *environment);
            return true;
        }
    return false;
}

/* --- the rules --- */

/* Reads the file. Returns its size, 0 when there is none, -1 when it is not to be believed. */
static long read_rules(void)
{
    struct stat status;
    size_t size = 0;
    ssize_t got = 1;
    int fd = openat(directory, "permit", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
        (status.st_uid != 0 && status.st_uid != geteuid()))
        got = -1;
    while (got > 0 && size < RULES_MAX) {
        got = read(fd, rules + size, RULES_MAX - size);
        size += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    if (got != 0 || size == 0 || memchr(rules, '\0', size))
        return -1;
    rules[size] = rules[size + 1] = '\0';
    for (char *line = rules; (line = strchr(line, '\n'));)
        *line++ = '\0';
    return (long)size;
}

static void take_line(const char *line, const struct child_spec *spec, struct verdict *verdict)
{
    verdict->is_whole = strcmp(line, "end") == 0;
    if (strcmp(line, "no-tasks") == 0)
        verdict->no_tasks = true;
    else if (strcmp(line, "users") == 0)
        verdict->limits_users = true;
    else if (strcmp(line, "own-user") == 0)
        verdict->has_user |= !spec->user;
    else if (strncmp(line, "user ", 5) == 0)
        verdict->has_user |= spec->user && strcmp(line + 5, spec->user) == 0;
    else if (strcmp(line, "commands") == 0)
        verdict->limits_commands = true;
    else if (strncmp(line, "command ", 8) == 0)
        verdict->has_command |= permit_matches(line + 8, found);
    else if (!verdict->is_whole)
        verdict->no_tasks = true; /* a rule of a later version is not passed over */
}

/* The lines have been made strings by then. An empty one is what follows the last. */
static struct verdict judge(const struct child_spec *spec)
{
    struct verdict verdict = {0};

    if (strcmp(rules, "appmgr permit 1") != 0)
        return verdict;
    for (const char *line = rules + strlen(rules) + 1; *line; line += strlen(line) + 1)
        take_line(line, spec, &verdict);
    return verdict;
}

static const char *refuse(const char *what, const char *value, const char *why)
{
    snprintf(reason, sizeof reason, "not allowed to tasks here: %s %.2048s%s", what, value, why);
    return reason;
}

/* Why one of the commands may not be executed where programs are limited, or NULL. `found` is its program then. */
static const char *check_command(const struct child_spec *spec, enum child_phase phase)
{
    const char *unknown = find_program(spec->command[phase][0], spec->environment);

    if (unknown)
        return refuse("command", spec->command[phase][0], unknown);
    return judge(spec).has_command ? NULL : refuse("command", found, " (Tasks.commands)");
}

/* All commands of a specification: a run that could not be ended as it asks is not begun. `phase` is the last. */
static const char *check_commands(const struct child_spec *spec, enum child_phase phase)
{
    const char *why = NULL;
    char name[64];

    if (loader_variable(spec->environment, name, sizeof name))
        return refuse("environment", name, ", where Tasks.commands limits programs");
    for (unsigned other = 0; !why && other < CHILD_PHASE_COUNT; other++)
        if (spec->command[other] && other != phase)
            why = check_command(spec, other);
    return why ? why : check_command(spec, phase);
}

/* A user that is allowed could be as good as root with them; what names no user can only give some up. */
static bool adds_capabilities(const struct child_spec *spec)
{
    return spec->user && spec->settings.has_capabilities && spec->settings.capabilities;
}

const char *permit_check(const struct child_spec *spec, enum child_phase phase, const char **program)
{
    struct verdict verdict = {0};
    long size;

    *program = NULL;
    found[0] = '\0';
    if (spec->is_local || (size = read_rules()) == 0)
        return NULL;
    if (size > 0)
        verdict = judge(spec);
    if (!verdict.is_whole)
        return "not allowed to tasks here: the file permit in the state directory cannot be believed; restart the agent";
    if (verdict.no_tasks)
        return "not allowed to tasks here: the node takes none (Tasks.enabled)";
    if (verdict.limits_users && !verdict.has_user)
        return refuse("user", spec->user ? spec->user : "of the agent", " (Tasks.users)");
    if (verdict.limits_users && adds_capabilities(spec))
        return refuse("capabilities", "beyond those of its user", ", where Tasks.users limits users");
    if (!verdict.limits_commands)
        return NULL;
    *program = found;
    return check_commands(spec, phase);
}
