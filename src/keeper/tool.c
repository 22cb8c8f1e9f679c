#include "tool.h"
#include "../wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

static int dial(const char *directory, int directory_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/keeper.sock", directory_fd);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 || say(fd, WIRE_HELLO) != 0) {
        fprintf(stderr, "appmgr-keeper: no keeper runs on %s (%s)\n", directory, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
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

static void print_child(const struct wire_message *child)
{
    const char *state = wire_state_name(wire_number(child, WIRE_TAG_STATE, 0));
    const char *error = wire_text(child, WIRE_TAG_ERROR);

    printf("%-36s %-9s %8" PRIu64 " %7" PRIu64 "  %-9s  %s\n", wire_has(child, WIRE_TAG_ID) ? wire_text(child, WIRE_TAG_ID) : "?",
           state ? state : "?", wire_number(child, WIRE_TAG_PID, 0), wire_number(child, WIRE_TAG_STARTS, 0),
           wire_has(child, WIRE_TAG_CGROUP) ? "cgroup" : wire_number(child, WIRE_TAG_PID, 0) ? "session" : "-", error ? error : "");
}

int tool_list(const char *directory, int directory_fd)
{
    struct wire_message message;
    size_t used = 0;
    int fd = dial(directory, directory_fd);

    if (fd < 0)
        return 1;
    say(fd, WIRE_LIST);
    printf("%-36s %-9s %8s %7s  %-9s  %s\n", "ID", "STATE", "PID", "STARTS", "CONTAINED", "ERROR");
    while (next(fd, &used, &message)) {
        if (message.type == WIRE_CHILD)
            print_child(&message);
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
    int fd = dial(directory, directory_fd), ended = 0;

    if (fd < 0)
        return 1;
    say(fd, WIRE_SHUTDOWN);
    while (!ended && next(fd, &used, &message))
        ended = message.type == WIRE_BYE;
    close(fd);
    if (!ended)
        fprintf(stderr, "appmgr-keeper: the keeper on %s ended the connection before it had stopped all\n", directory);
    return ended ? 0 : 1;
}
