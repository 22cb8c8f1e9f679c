/* notify: what the service manager receives, and paths that are none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "notify.h"

static int listen_at(const char *path, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    memcpy(address.sun_path, path, length);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)), 0);
    return fd;
}

static void expect_ready(int fd)
{
    char text[64];
    ssize_t length = recv(fd, text, sizeof text, 0);

    assert_int_equal(length, 7);
    assert_memory_equal(text, "READY=1", 7);
    close(fd);
}

static void reaches_a_socket_in_the_file_system(void **state)
{
    char folder[] = "/tmp/notify.XXXXXX", path[64];
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    fd = listen_at(path, strlen(path));
    assert_int_equal(notify_send(path, "READY=1"), 0);
    expect_ready(fd);
    unlink(path);
    rmdir(folder);
}

static void reaches_an_abstract_socket(void **state)
{
    char name[64];
    int fd, length;

    (void)state;
    length = snprintf(name, sizeof name, "@appmgr-notify-%d", (int)getpid());
    name[0] = '\0';
    fd = listen_at(name, (size_t)length);
    name[0] = '@';
    assert_int_equal(notify_send(name, "READY=1"), 0);
    expect_ready(fd);
}

static void says_what_is_wrong(void **state)
{
    char longest[200];

    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(notify_send("", "READY=1"), -EINVAL);
    assert_int_equal(notify_send("relative", "READY=1"), -EINVAL);
    assert_int_equal(notify_send(longest, "READY=1"), -EINVAL);
    assert_int_equal(notify_send("/nowhere/at/all", "READY=1"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reaches_a_socket_in_the_file_system),
        cmocka_unit_test(reaches_an_abstract_socket),
        cmocka_unit_test(says_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
