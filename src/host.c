#include "host.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/*
 * A whole file as terminated text, owned by the caller. Files in /proc have no size to ask for, so the buffer
 * grows until the end. Returns NULL with errno set.
 */
static char *read_text(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *text = NULL;
    size_t size = 0, used = 0;
    ssize_t got = 1;
    while (got > 0) {
        if (size - used < 2) {
            size = size ? 2 * size : 4096;
            char *larger = realloc(text, size);
            if (!larger) {
                got = -1;
                break;
            }
            text = larger;
        }
        do
            got = read(fd, text + used, size - used - 1);
        while (got < 0 && errno == EINTR);
        used += got > 0 ? (size_t)got : 0;
    }
    int error = errno;
    close(fd);
    if (got < 0) {
        free(text);
        errno = error;
        return NULL;
    }
    text[used] = '\0';
    return text;
}

/* ---- identity ---- */

int host_name(char *name, size_t size)
{
    if (gethostname(name, size) != 0)
        return -errno;
    name[size - 1] = '\0'; /* a name that was cut may come without its end */
    return 0;
}

/* An id is one line of hexadecimal digits and dashes of a known length. */
static int read_id(const char *path, size_t length, char id[HOST_ID_SIZE])
{
    char *text = read_text(path);
    if (!text)
        return -errno;
    int result = strcspn(text, "\n") == length && strspn(text, "0123456789abcdef-") == length ? 0 : -EINVAL;
    if (result == 0) {
        memcpy(id, text, length);
        id[length] = '\0';
    }
    free(text);
    return result;
}

int host_machine_id(char id[HOST_ID_SIZE])
{
    if (read_id("/etc/machine-id", 32, id) == 0 || read_id("/var/lib/dbus/machine-id", 32, id) == 0)
        return 0;
    return -ENOENT;
}

int host_boot_id(char id[HOST_ID_SIZE])
{
    return read_id("/proc/sys/kernel/random/boot_id", 36, id);
}

/* ---- one process ---- */

static int read_stat(pid_t pid, struct host_stat *stat)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    char *text = pid > 0 ? read_text(path) : NULL;
    if (!text)
        return -ESRCH;
    int result = host_parse_stat(text, stat);
    free(text);
    return result;
}

int host_start_ticks(pid_t pid, uint64_t *ticks)
{
    struct host_stat stat;
    int result = read_stat(pid, &stat);
    *ticks = result == 0 ? stat.start_ticks : 0;
    return result;
}

/* ---- resources ---- */

static void read_cpu(struct host_cpu *out)
{
    static struct host_cpu known;
    static long known_online;
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    if (known.processors == 0 || online != known_online) {
        char *text = read_text("/proc/cpuinfo");
        if (!text || host_parse_cpuinfo(text, &known) < 0 || known.processors == 0)
            known = (struct host_cpu){.processors = (unsigned)online, .cores = (unsigned)online, .sockets = 1};
        free(text);
        known_online = online;
    }
    *out = known;
}

static void read_memory(struct host_memory *out)
{
    char *text = read_text("/proc/meminfo");
    host_parse_meminfo(text ? text : "", out);
    free(text);
}

static void read_load(struct host_load *out)
{
    char *text = read_text("/proc/loadavg");
    host_parse_loadavg(text ? text : "", out); /* unreadable is zero */
    free(text);
}

/* Takes the names out of the mount. A filesystem that does not answer, or holds nothing, is left out. */
static void add_filesystem(struct host_resource *resource, struct host_mount *mount)
{
    struct statvfs stat;
    if (statvfs(mount->mount_point, &stat) != 0 || stat.f_blocks == 0)
        return;
    uint64_t used = stat.f_blocks - (stat.f_bfree < stat.f_blocks ? stat.f_bfree : stat.f_blocks);
    resource->filesystems[resource->filesystem_count++] = (struct host_filesystem){
        .device = mount->device,
        .mount_point = mount->mount_point,
        .size_bytes = stat.f_blocks * stat.f_frsize,
        .used_bytes = used * stat.f_frsize,
        .usage = (double)used / (double)stat.f_blocks,
    };
    mount->device = mount->mount_point = NULL;
}

static int read_filesystems(struct host_resource *out)
{
    char *text = read_text("/proc/self/mountinfo");
    if (!text)
        return 0;
    struct host_mounts mounts;
    int result = host_parse_mountinfo(text, &mounts);
    free(text);
    if (result < 0)
        return result;
    if (mounts.count > 0) {
        out->filesystems = calloc(mounts.count, sizeof *out->filesystems);
        result = out->filesystems ? 0 : -ENOMEM;
    }
    for (size_t i = 0; result == 0 && i < mounts.count; i++)
        add_filesystem(out, &mounts.items[i]);
    host_mounts_free(&mounts);
    return result;
}

static bool is_reported(const struct ifaddrs *entry)
{
    return entry->ifa_addr && (entry->ifa_flags & IFF_UP) && !(entry->ifa_flags & IFF_LOOPBACK) &&
           (entry->ifa_addr->sa_family == AF_INET || entry->ifa_addr->sa_family == AF_INET6);
}

static int add_address(struct host_resource *resource, const struct ifaddrs *entry)
{
    bool ipv4 = entry->ifa_addr->sa_family == AF_INET;
    char text[INET6_ADDRSTRLEN];
    const void *address = ipv4 ? (const void *)&((const struct sockaddr_in *)(const void *)entry->ifa_addr)->sin_addr
                               : (const void *)&((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr;
    if (!inet_ntop(entry->ifa_addr->sa_family, address, text, sizeof text))
        return 0;
    struct host_address *item = &resource->addresses[resource->address_count++];
    *item = (struct host_address){.interface = strdup(entry->ifa_name), .address = strdup(text), .ipv4 = ipv4};
    return item->interface && item->address ? 0 : -ENOMEM;
}

static int read_addresses(struct host_resource *out)
{
    struct ifaddrs *list;
    size_t count = 0;
    int result = 0;

    if (getifaddrs(&list) != 0)
        return 0;
    for (struct ifaddrs *entry = list; entry; entry = entry->ifa_next)
        count += is_reported(entry);
    if (count > 0) {
        out->addresses = calloc(count, sizeof *out->addresses);
        result = out->addresses ? 0 : -ENOMEM;
    }
    for (struct ifaddrs *entry = list; result == 0 && entry; entry = entry->ifa_next)
        if (is_reported(entry))
            result = add_address(out, entry);
    freeifaddrs(list);
    return result;
}

int host_resource_read(struct host_resource *out)
{
    *out = (struct host_resource){0};
    read_cpu(&out->cpu);
    read_memory(&out->memory);
    read_load(&out->load);
    int result = read_filesystems(out);
    if (result == 0)
        result = read_addresses(out);
    if (result < 0)
        host_resource_free(out);
    return result;
}

void host_resource_free(struct host_resource *resource)
{
    for (size_t i = 0; i < resource->filesystem_count; i++) {
        free(resource->filesystems[i].device);
        free(resource->filesystems[i].mount_point);
    }
    for (size_t i = 0; i < resource->address_count; i++) {
        free(resource->addresses[i].interface);
        free(resource->addresses[i].address);
    }
    free(resource->filesystems);
    free(resource->addresses);
    *resource = (struct host_resource){0};
}
