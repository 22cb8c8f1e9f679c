/* host_changes: told once for each change of mounts and addresses, tried in namespaces of a child's own. */
#include "cmocka_all.h"

#include "host.h"
#include "host_changes.h"

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WELL = 0, IMPOSSIBLE = 77 };

/* What fails in the child is the line of it. */
#define CHECK(condition)      \
    do {                      \
        if (!(condition))     \
            return __LINE__ % 64 + 1; \
    } while (0)

static int try_mounts(void)
{
    char directory[] = "/tmp/appmgr-mounts-XXXXXX";

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || !mkdtemp(directory))
        return IMPOSSIBLE;
    CHECK(host_changes_mounts());
    CHECK(!host_changes_mounts());
    CHECK(mount("none", directory, "tmpfs", 0, NULL) == 0);
    CHECK(host_changes_mounts());
    CHECK(!host_changes_mounts());
    CHECK(umount(directory) == 0);
    CHECK(host_changes_mounts());
    rmdir(directory);
    host_changes_shutdown();
    CHECK(host_changes_mounts());
    return WELL;
}

static int set_loopback(short flags)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = flags};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result = fd >= 0 ? ioctl(fd, SIOCSIFFLAGS, &request) : -1;

    if (fd >= 0)
        close(fd);
    return result;
}

static int try_addresses(void)
{
    if (unshare(CLONE_NEWNET) != 0)
        return IMPOSSIBLE;
    CHECK(host_changes_addresses());
    CHECK(!host_changes_addresses());
    CHECK(set_loopback(IFF_UP) == 0);
    CHECK(host_changes_addresses());
    CHECK(!host_changes_addresses());
    /* More than the socket holds: the kernel says that it could not tell all. */
    for (int i = 0; i < 1000; i++)
        CHECK(set_loopback((short)(i % 2 ? IFF_UP : 0)) == 0);
    CHECK(host_changes_addresses());
    CHECK(!host_changes_addresses());
    host_changes_shutdown();
    CHECK(host_changes_addresses());
    return WELL;
}

static void in_a_child(int (*try)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(try());
    assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    if (WEXITSTATUS(status) == IMPOSSIBLE)
        skip();
    assert_int_equal(WEXITSTATUS(status), WELL);
}

static void mounts_are_told(void **state)
{
    in_a_child(try_mounts);
}

static void addresses_are_told(void **state)
{
    in_a_child(try_addresses);
}

/* What is kept is given out again as it was read. */
static void what_is_kept_is_the_same(void **state)
{
    struct host_resource first, again;

    assert_int_equal(host_resource_read(&first), 0);
    assert_int_equal(host_resource_read(&again), 0);
    assert_int_equal(first.filesystem_count, again.filesystem_count);
    for (size_t i = 0; i < first.filesystem_count; i++) {
        assert_string_equal(first.filesystems[i].device, again.filesystems[i].device);
        assert_string_equal(first.filesystems[i].mount_point, again.filesystems[i].mount_point);
    }
    assert_int_equal(first.address_count, again.address_count);
    for (size_t i = 0; i < first.address_count; i++) {
        assert_string_equal(first.addresses[i].interface, again.addresses[i].interface);
        assert_string_equal(first.addresses[i].address, again.addresses[i].address);
        assert_int_equal(first.addresses[i].ipv4, again.addresses[i].ipv4);
    }
    host_resource_free(&first);
    host_resource_free(&again);
    host_changes_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mounts_are_told),
        cmocka_unit_test(addresses_are_told),
        cmocka_unit_test(what_is_kept_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
