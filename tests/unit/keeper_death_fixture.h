/* What tests of a keeper's death and upgrade share. Everything is static. */
#ifndef APPMGR_TEST_KEEPER_DEATH_FIXTURE_H
#define APPMGR_TEST_KEEPER_DEATH_FIXTURE_H

#include "keeper_fixture.h"

#include <sys/ioctl.h>
#include <sys/pidfd.h>

static bool listens(void)
{
    int fd = try_dial();

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The keeper is killed; nobody is there until revive. */
static UNUSED void kill_keeper(void)
{
    kill(keeper, SIGKILL);
    waitpid(keeper, NULL, 0);
    close(agent.fd);
    WAIT_FOR(!listens()); /* what it was just starting had its descriptors for a moment longer */
}

static UNUSED void revive(void)
{
    start_keeper_limited("10000", 0);
    join(&agent, WIRE_ROLE_CONTROLLER);
}

static UNUSED void touch(const char *name)
{
    close(open(in_directory(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

/* Runs the keeper's program beside the one that runs; what it says is in "said". */
static UNUSED int run(const char *arguments)
{
    char line[512];
    int status;

    snprintf(line, sizeof line, KEEPER " --state-dir %s %s > %s/said 2>&1", directory, arguments, directory);
    status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static UNUSED void expect_notice(const char *says)
{
    expect(&agent, WIRE_ERROR, NULL);
    if (!strstr(wire_text(&message, WIRE_TAG_ERROR), says))
        fail_msg("\"%s\" does not say \"%s\"", wire_text(&message, WIRE_TAG_ERROR), says);
}

/* True where the kernel tells the exit of a process to one that is not its parent. */
static UNUSED bool exits_are_told_to_strangers(void)
{
    uint64_t info[8] = {1u << 3};
    pid_t pid = fork();
    int fd, status;
    bool told;

    if (pid == 0)
        _exit(3);
    fd = pidfd_open(pid, 0);
    waitpid(pid, &status, 0);
    told = ioctl(fd, _IOWR(0xFF, 11, uint64_t[8]), info) == 0 && (info[0] & 1u << 3);
    close(fd);
    return told;
}

static UNUSED bool has_environment(pid_t pid, const char *name)
{
    char path[48], text[4096] = "";
    int fd;
    ssize_t size;

    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    size = read(fd, text, sizeof text - 1);
    close(fd);
    return size > 0 && memmem(text, (size_t)size, name, strlen(name));
}

/* Numbered lines at full speed, until "end" is there. */
static UNUSED const char numbers[] = "i=0; while ! test -e end; do n=$((i+200)); while test $i -lt $n; do echo $i; i=$((i+1));"
                              "done; done; echo last $i; exec sleep 100";

static UNUSED void begin_numbers(const char *id)
{
    begin_script(id, numbers);
    wire_put_text(&writer, WIRE_TAG_OUTPUT_PATH, in_directory(id));
    end(&agent);
}

/* Fails where a line is missing, doubled or torn. */
static UNUSED void check_numbers(const char *id)
{
    char line[64] = "";
    long wanted = 0;
    FILE *file;

    for (uint64_t until_ms = now_ms() + PATIENCE_MS;; usleep(10000)) {
        file = fopen(in_directory(id), "r");
        assert_non_null(file);
        for (wanted = 0; fgets(line, sizeof line, file) && strncmp(line, "last ", 5) != 0; wanted++)
            if (strchr(line, '\n') && atol(line) != wanted)
                fail_msg("%s: line %ld says %s", id, wanted, line);
        fclose(file);
        if (strncmp(line, "last ", 5) == 0)
            break;
        if (now_ms() > until_ms)
            fail_msg("%s: the last line did not come, after %ld", id, wanted);
    }
    assert_int_equal(atol(line + 5), wanted);
    assert_true(wanted > 0);
}

static UNUSED void ask_upgrade(const char *program)
{
    begin(WIRE_UPGRADE, NULL);
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, program);
    end(&agent);
}

static UNUSED void come_back(void)
{
    while (next_frame(&agent, now_ms() + PATIENCE_MS))
        if (message.type == WIRE_UPGRADE_FAILED)
            fail_msg("%s", wire_text(&message, WIRE_TAG_ERROR));
    close(agent.fd);
    join(&agent, WIRE_ROLE_CONTROLLER);
    assert_int_equal(waitpid(keeper, NULL, WNOHANG), 0);
}

#endif
