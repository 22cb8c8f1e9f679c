#include "tool.h"
#include "containment.h"
#include "proc.h"
#include "records.h"
#include "server.h"
#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHECKS = 5, CHECK_PAUSE_US = 20000, NAME_WIDTH = 20 };

/* Larger than any frame a keeper sends. */
static uint8_t buffer[64 << 10];
static size_t filled;

static int say(int fd, enum wire_type type)
{
    uint8_t data[128];
    struct wire_writer writer = {.data = data, .capacity = sizeof data};

    wire_begin(&writer, type);
    if (type == WIRE_HELLO) {
        wire_put_number(&writer, WIRE_TAG_VERSION, WIRE_VERSION);
        wire_put_number(&writer, WIRE_TAG_OLDEST, WIRE_OLDEST);
        wire_put_number(&writer, WIRE_TAG_ROLE, WIRE_ROLE_OPERATOR);
    }
    wire_end(&writer);
    return send(fd, data, writer.size, MSG_NOSIGNAL) == (ssize_t)writer.size ? 0 : -1;
}

/* Returns a descriptor, or -1 when nobody listens. */
static int dial(int directory_fd)
{
    int fd = server_connect(directory_fd, "keeper.sock", SOCK_STREAM);

    if (fd >= 0 && say(fd, WIRE_HELLO) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Waits for the next frame. Returns 1, or 0 at the end of the connection. `used` is what the last one took. */
static int next(int fd, size_t *used, struct wire_message *message)
{
    struct wire_frame frame;
    long size;

    memmove(buffer, buffer + *used, filled - *used);
    filled -= *used;
    while ((size = wire_find(buffer, filled, &frame)) == 0) {
        ssize_t got = recv(fd, buffer + filled, sizeof buffer - filled, 0);

        if (got <= 0)
            return 0;
        filled += (size_t)got;
    }
    if (size < 0 || wire_decode(&frame, message) != 0)
        return 0;
    *used = (size_t)size;
    return 1;
}

/* The keeper knows no names; the file of an application's output has it. */
static void print_name(const char *output_path)
{
    const char *slash = output_path ? strrchr(output_path, '/') : NULL;
    const char *name = slash ? slash + 1 : output_path ? output_path : "-";
    const char *end = strrchr(name, '.');
    int size = (int)(end && strcmp(end, ".log") == 0 ? (size_t)(end - name) : strlen(name));

    printf("%-*.*s ", NAME_WIDTH, size, name);
}

static void print_child(const char *output_path, const char *id, const char *state, uint64_t pid, uint64_t starts,
                        const char *level, const char *error)
{
    print_name(output_path);
    printf("%-36s %-9s %8" PRIu64 " %7" PRIu64 "  %-9s  %s\n", id ? id : "?", state ? state : "?", pid, starts,
           pid ? level : "-", error ? error : "");
}

static const char *told_level(const struct wire_message *message)
{
    return wire_has(message, WIRE_TAG_CGROUP) ? "cgroup" : wire_has(message, WIRE_TAG_GROUP) ? "group" : "session";
}

static void print_head(void)
{
    printf("%-*s %-36s %-9s %8s %7s  %-9s  %s\n", NAME_WIDTH, "NAME", "ID", "STATE", "PID", "STARTS", "CONTAINED", "ERROR");
}

/* What a keeper left that was killed. */
static int list_records(const char *directory, int directory_fd)
{
    char why[160] = "";

    if (proc_open(directory_fd) != 0 || records_load(directory_fd, why, sizeof why) != RECORDS_TAKEN || !table_first()) {
        fprintf(stderr, "appmgr-keeper: no keeper runs on %s%s%s\n", directory, why[0] ? "; " : "", why);
        return 1;
    }
    fprintf(stderr, "appmgr-keeper: no keeper runs on %s; one that was killed had these:%s%s\n", directory,
            why[0] ? " " : "", why);
    print_head();
    for (const struct child *child = table_first(); child; child = child->next)
        print_child(child->spec->output_path, child->id, wire_state_name(child_wire_state(child)), 
                    child->ended ? 0 : (uint64_t)child->pid, child->starts, containment_level_seen(child), child->failure);
    return 0;
}

int tool_list(const char *directory, int directory_fd)
{
    struct wire_message message;
    size_t used = 0;
    int fd = dial(directory_fd);

    if (fd < 0)
        return list_records(directory, directory_fd);
    say(fd, WIRE_LIST);
    print_head();
    while (next(fd, &used, &message)) {
        if (message.type == WIRE_CHILD)
            print_child(wire_text(&message, WIRE_TAG_OUTPUT_PATH), wire_text(&message, WIRE_TAG_ID),
                        wire_state_name(wire_number(&message, WIRE_TAG_STATE, 0)), wire_number(&message, WIRE_TAG_PID, 0),
                        wire_number(&message, WIRE_TAG_STARTS, 0), told_level(&message), wire_text(&message, WIRE_TAG_ERROR));
        if (message.type == WIRE_LIST_END) {
            close(fd);
            return 0;
        }
    }
    close(fd);
    fprintf(stderr, "appmgr-keeper: the keeper on %s ended the connection\n", directory);
    return 1;
}

int tool_stop(const char *directory, int directory_fd)
{
    struct wire_message message;
    size_t used = 0;
    int fd = dial(directory_fd), ended = 0;

    if (fd < 0 && faccessat(directory_fd, "keeper.records", F_OK, 0) == 0)
        return TOOL_NO_KEEPER;
    if (fd < 0) {
        fprintf(stderr, "appmgr-keeper: no keeper runs on %s\n", directory);
        return 1;
    }
    say(fd, WIRE_SHUTDOWN);
    while (!ended && next(fd, &used, &message))
        ended = message.type == WIRE_BYE;
    close(fd);
    if (!ended)
        fprintf(stderr, "appmgr-keeper: the keeper on %s ended the connection before it had stopped all\n", directory);
    return ended ? 0 : 1;
}

int tool_make_way(const char *directory, int directory_fd)
{
    const char *why = proc_open(directory_fd) == 0 ? containment_make_way() : "/proc cannot be read";

    if (why)
        fprintf(stderr, "appmgr-keeper: %s: %s\n", directory, why);
    return why ? 1 : 0;
}

int tool_check(const char *directory, int directory_fd)
{
    char why[160] = "/proc cannot be read";

    /* Again, because a record that is being written may look damaged. */
    for (int left = proc_open(directory_fd) == 0 ? CHECKS : 0; left > 0; left--) {
        if (records_load(directory_fd, why, sizeof why) == RECORDS_TAKEN)
            return 0;
        usleep(CHECK_PAUSE_US);
    }
    fprintf(stderr, "%s/%s\n", directory, why);
    return 1;
}
