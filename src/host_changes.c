#include "host_changes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int mounts_fd = -1, addresses_fd = -1;

/* The kernel remembers for each that has the file open which mounts it was told of: those of the open, then of each poll. */
bool host_changes_mounts(void)
{
    struct pollfd told = {.fd = mounts_fd, .events = POLLPRI};

    if (mounts_fd >= 0)
        return poll(&told, 1, 0) != 0;
    mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    return true;
}

static int subscribe(void)
{
    struct sockaddr_nl groups = {
        .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (const struct sockaddr *)&groups, sizeof groups) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* What the kernel says is not looked at: that it says something is enough. So is that it could not (ENOBUFS). */
bool host_changes_addresses(void)
{
    char byte;
    ssize_t got;
    bool changed = addresses_fd < 0;

    if (addresses_fd < 0)
        addresses_fd = subscribe();
    while (addresses_fd >= 0) {
        got = recv(addresses_fd, &byte, sizeof byte, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            break;
        changed = true;
        if (got < 0 && errno != ENOBUFS && errno != EINTR) {
            close(addresses_fd);
            addresses_fd = -1;
        }
    }
    return changed;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void host_changes_shutdown(void)
{
    close_one(&mounts_fd);
    close_one(&addresses_fd);
}
