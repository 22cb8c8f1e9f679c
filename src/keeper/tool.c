#include "tool.h"
#include "containment.h"
#include "proc.h"
#include "records.h"
#include "server.h"
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CHECKS = 5, CHECK_PAUSE_US = 20000, NAME_WIDTH = 20, PATIENCE_S = 5 };
enum { NOBODY = -1, SILENT = -2 };

/* Larger than any frame a keeper sends. */
static uint8_t buffer[64 << 10];
static size_t filled, used; /* `used` is what the last frame took */

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

/* Waits for the next frame. Returns 1, or 0 at the end of the connection or of the patience with it. */
static int next(int fd, struct wire_message *message)
{
    struct wire_frame frame;
    long size;

    memmove(buffer, buffer + used, filled - used);
    filled -= used;
    used = 0;
    while ((size = wire_find(buffer, filled, &frame)) == 0) {
        ssize_t got = recv(fd, buffer + filled, sizeof buffer - filled, 0);

        if (got <= 0)
            return 0;
        filled += (size_t)got;
    }
    if (size < 0 || wire_decode(&frame, message) != 0)
        return 0;
    used = (size_t)size;
    return 1;
}

/* How long an answer may take; 0: as long as it does. */
static void be_patient(int fd, time_t seconds)
{
    struct timeval patience = {.tv_sec = seconds};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

/* Says why a keeper that is there is of no use; to be called right after it failed. Returns SILENT. */
static int tell_silent(int fd, const char *directory)
{
    bool is_late = errno == EAGAIN;
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    int pid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? (int)peer.pid : 0;

    if (is_late)
        fprintf(stderr, "appmgr-keeper: the keeper on %s (process %d) does not answer: it is stopped or hangs; \"kill -CONT %d\" "
                        "lets a stopped one go on; \"kill -9 %d\" ends it and leaves what it holds running\n",
                directory, pid, pid, pid);
    else
        fprintf(stderr, "appmgr-keeper: the keeper on %s ended the connection\n", directory);
    return SILENT;
}

/* Returns a descriptor, NOBODY when nobody listens, or SILENT after saying why there is no answer. */
static int dial(const char *directory, int directory_fd)
{
    struct wire_message message;
    int fd = server_connect(directory_fd, "keeper.sock", SOCK_STREAM), result = NOBODY;

    if (fd < 0)
        return NOBODY;
    be_patient(fd, PATIENCE_S);
    errno = 0;
    if (say(fd, WIRE_HELLO) == 0) {
        if (next(fd, &message))
            return fd;
        result = tell_silent(fd, directory);
    }
    close(fd);
    return result;
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
    int fd = dial(directory, directory_fd);

    if (fd < 0)
        return fd == SILENT ? 1 : list_records(directory, directory_fd);
    say(fd, WIRE_LIST);
    print_head();
    while (next(fd, &message)) {
        if (message.type == WIRE_CHILD)
            print_child(wire_text(&message, WIRE_TAG_OUTPUT_PATH), wire_text(&message, WIRE_TAG_ID),
                        wire_state_name(wire_number(&message, WIRE_TAG_STATE, 0)), wire_number(&message, WIRE_TAG_PID, 0),
                        wire_number(&message, WIRE_TAG_STARTS, 0), told_level(&message), wire_text(&message, WIRE_TAG_ERROR));
        if (message.type == WIRE_LIST_END) {
            close(fd);
            return 0;
        }
    }
    tell_silent(fd, directory);
    close(fd);
    return 1;
}

int tool_stop(const char *directory, int directory_fd)
{
    struct wire_message message;
    int fd = dial(directory, directory_fd), ended = 0;

    if (fd == SILENT)
        return 1;
    if (fd < 0 && faccessat(directory_fd, "keeper.records", F_OK, 0) == 0)
        return TOOL_NO_KEEPER;
    if (fd < 0) {
        fprintf(stderr, "appmgr-keeper: no keeper runs on %s\n", directory);
        return 1;
    }
    be_patient(fd, 0); /* applications may take long to stop */
    say(fd, WIRE_SHUTDOWN);
    while (!ended && next(fd, &message))
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
