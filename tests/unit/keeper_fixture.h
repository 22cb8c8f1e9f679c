/* A real keeper in a directory of its own, driven through its socket. Waits are for conditions, with a deadline that
 * fails the test. Included by the tests that need it; everything is static. */
#ifndef APPMGR_TEST_KEEPER_FIXTURE_H
#define APPMGR_TEST_KEEPER_FIXTURE_H

#include "cmocka_all.h"

#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

#define KEEPER TEST_BUILD_DIR "/appmgr-keeper"
#define UNUSED __attribute__((unused))

struct peer {
    int fd;
    uint8_t in[128 << 10];
    size_t size, used;
};

static char directory[72];
static pid_t keeper;
static struct peer agent;               /* the controller of most tests */
static struct wire_message message;     /* the last that was expected */

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
    return now_us() / 1000;
}

/* Waits until the expression holds. */
#define WAIT_FOR(condition)                                                   \
    do {                                                                      \
        uint64_t until_ms = now_ms() + PATIENCE_MS;                           \
        while (!(condition)) {                                                \
            if (now_ms() > until_ms)                                          \
                fail_msg("waited in vain for: %s", #condition);               \
            usleep(1000);                                                     \
        }                                                                     \
    } while (0)

/* --- connections --- */

static int try_dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/keeper.sock", directory);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static void dial(struct peer *peer)
{
    peer->size = peer->used = 0;
    WAIT_FOR((peer->fd = try_dial()) >= 0);
}

static uint8_t out[512 << 10];
static struct wire_writer writer;

static void begin(enum wire_type type, const char *id)
{
    writer = (struct wire_writer){.data = out, .capacity = sizeof out};
    wire_begin(&writer, type);
    wire_put_text(&writer, WIRE_TAG_ID, id);
}

static void end(struct peer *peer)
{
    assert_int_equal(wire_end(&writer), 0);
    assert_int_equal(send(peer->fd, out, writer.size, MSG_NOSIGNAL), writer.size);
}

static UNUSED void say(struct peer *peer, enum wire_type type, const char *id)
{
    begin(type, id);
    end(peer);
}

/* Reads the next frame into `message`. Returns false at the end of the connection or when nothing came in time. */
static bool next_frame(struct peer *peer, uint64_t until_ms)
{
    struct wire_frame frame;
    long size;

    memmove(peer->in, peer->in + peer->used, peer->size - peer->used);
    peer->size -= peer->used;
    peer->used = 0;
    while ((size = wire_find(peer->in, peer->size, &frame)) == 0) {
        struct pollfd readable = {.fd = peer->fd, .events = POLLIN};
        ssize_t got;

        if (now_ms() >= until_ms || poll(&readable, 1, (int)(until_ms - now_ms())) <= 0)
            return false;
        got = recv(peer->fd, peer->in + peer->size, sizeof peer->in - peer->size, 0);
        if (got <= 0)
            return false;
        peer->size += (size_t)got;
    }
    assert_true(size > 0);
    assert_int_equal(wire_decode(&frame, &message), 0);
    peer->used = (size_t)size;
    return true;
}

static bool is_about(const char *id)
{
    const char *about = wire_text(&message, WIRE_TAG_ID);

    return !id || (about && strcmp(about, id) == 0);
}

/* Reads on until a frame of the type about `id` (NULL: any) comes; it is in `message` then. */
static UNUSED void expect(struct peer *peer, enum wire_type type, const char *id)
{
    uint64_t until_ms = now_ms() + PATIENCE_MS;

    while (next_frame(peer, until_ms))
        if (message.type == type && is_about(id))
            return;
    fail_msg("frame %d about %s did not come", (int)type, id ? id : "anything");
}

static UNUSED void expect_end(struct peer *peer)
{
    uint64_t until_ms = now_ms() + PATIENCE_MS;

    while (next_frame(peer, until_ms))
        ;
    assert_true(now_ms() < until_ms);
    close(peer->fd);
}

static UNUSED uint64_t number(enum wire_tag tag)
{
    return wire_number(&message, tag, UINT64_MAX);
}

static void greet(struct peer *peer, enum wire_role role)
{
    begin(WIRE_HELLO, NULL);
    wire_put_number(&writer, WIRE_TAG_VERSION, WIRE_VERSION);
    wire_put_number(&writer, WIRE_TAG_OLDEST, WIRE_OLDEST);
    wire_put_number(&writer, WIRE_TAG_ROLE, role);
    end(peer);
    expect(peer, WIRE_WELCOME, NULL);
}

static UNUSED void join(struct peer *peer, enum wire_role role)
{
    dial(peer);
    greet(peer, role);
    say(peer, WIRE_LIST, NULL);
}

static UNUSED void rejoin(void)
{
    close(agent.fd);
    for (;;) { /* until the keeper has seen that the last controller went */
        dial(&agent);
        begin(WIRE_HELLO, NULL);
        wire_put_number(&writer, WIRE_TAG_VERSION, WIRE_VERSION);
        wire_put_number(&writer, WIRE_TAG_ROLE, WIRE_ROLE_CONTROLLER);
        end(&agent);
        assert_true(next_frame(&agent, now_ms() + PATIENCE_MS));
        if (message.type == WIRE_WELCOME)
            break;
        close(agent.fd);
    }
    say(&agent, WIRE_LIST, NULL);
}

/* --- children --- */

/* Puts the fields of a restart policy: at once, then after delay_ms, then twice that … */
static UNUSED void put_restart(uint64_t delay_ms, uint64_t max_delay_ms)
{
    wire_put_number(&writer, WIRE_TAG_RESTART_ENABLED, 1);
    wire_put_number(&writer, WIRE_TAG_RESTART_DELAY_MS, delay_ms);
    wire_put_number(&writer, WIRE_TAG_RESTART_MAX_DELAY_MS, max_delay_ms);
}

/* Begins a WIRE_SPAWN of a shell script; end(&agent) sends it. */
static UNUSED void begin_script(const char *id, const char *script)
{
    begin(WIRE_SPAWN, id);
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/bin/sh");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "-c");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, script);
    wire_put_text(&writer, WIRE_TAG_ENVIRONMENT, "PATH=/usr/bin:/bin");
    wire_put_text(&writer, WIRE_TAG_WORKING_DIR, directory);
}

/* Returns its pid. */
static UNUSED pid_t spawn_script(const char *id, const char *script)
{
    begin_script(id, script);
    end(&agent);
    expect(&agent, WIRE_STARTED, id);
    return (pid_t)number(WIRE_TAG_PID);
}

/* One that is ending is not: it is counted out of its cgroup a moment before it is shown as a zombie. */
static UNUSED bool is_alive(pid_t pid)
{
    enum { EXITING = 4 }; /* PF_EXITING of the kernel */
    char path[32], text[256] = "", state;
    const char *at;
    unsigned flags;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    close(fd);
    at = strrchr(text, ')');
    return at && sscanf(at, ") %c %*d %*d %*d %*d %*d %u", &state, &flags) == 2 && state != 'Z' && state != 'X' &&
           !(flags & EXITING);
}

static const char *in_directory(const char *name)
{
    static char path[160];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* The contents of a file in the directory, "" when it is not there. */
static UNUSED const char *contents(const char *name)
{
    static char text[256 << 10];
    int fd = open(in_directory(name), O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

/* The pid that a script wrote to a file, once it has. */
static UNUSED pid_t pid_in(const char *name)
{
    WAIT_FOR(strchr(contents(name), '\n'));
    return (pid_t)atoi(contents(name));
}

/* --- the keeper --- */

/* Called in the process that is to be the keeper, if there is one. */
static UNUSED void (*prepare_keeper)(void);

/* `file_limit` bounds the files that it and its logger may write; 0: none. Does not connect. */
static UNUSED void start_keeper_limited(const char *linger_ms, rlim_t file_limit)
{
    keeper = fork();
    if (keeper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0); /* a test that breaks off leaves nothing behind */
        if (file_limit)
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){file_limit, file_limit});
        if (prepare_keeper)
            prepare_keeper();
        execl(KEEPER, "appmgr-keeper", "--state-dir", directory, "--linger-ms", linger_ms, NULL);
        _exit(127);
    }
}

static int make_directory(void **state)
{
    strcpy(directory, "/tmp/appmgr-keeper-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

/* Waits for the keeper's end; returns its wait status. */
static int wait_keeper(void)
{
    uint64_t until_ms = now_ms() + PATIENCE_MS;
    int status = 0;

    while (waitpid(keeper, &status, WNOHANG) == 0) {
        if (now_ms() > until_ms) {
            kill(keeper, SIGKILL);
            waitpid(keeper, &status, 0);
            fail_msg("the keeper did not end");
        }
        usleep(1000);
    }
    keeper = 0;
    return status;
}

/* What the keeper has used of a processor, in microseconds. */
static uint64_t processor_us(void)
{
    unsigned long long used_ns = 0;
    char path[40];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)keeper);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%llu", &used_ns), 1);
    fclose(file);
    return used_ns / 1000;
}

/* Whether it leaves the processor alone for most of the next half second. */
static UNUSED bool is_quiet(void)
{
    uint64_t before_us = processor_us(), since_us = now_us();

    WAIT_FOR(now_us() >= since_us + 500000);
    return processor_us() - before_us < (now_us() - since_us) / 2;
}

static UNUSED int set_up(void **state)
{
    if (make_directory(state) != 0)
        return -1;
    start_keeper_limited("10000", 0);
    join(&agent, WIRE_ROLE_CONTROLLER);
    expect(&agent, WIRE_LIST_END, NULL);
    return 0;
}

static UNUSED int tear_down(void **state)
{
    char command[128];
    int status = 0;

    if (keeper) {
        kill(keeper, SIGTERM);
        status = wait_keeper();
    }
    close(agent.fd);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) != 0 || status != 0 ? -1 : 0;
}

#endif
