#include "host.h"

#include "host_changes.h"

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

/* A filesystem that does not answer, or holds nothing, is left out. Returns 0 or -ENOMEM. */
static int add_filesystem(struct host_resource *resource, const struct host_mount *mount)
{
    struct statvfs stat;
    if (statvfs(mount->mount_point, &stat) != 0 || stat.f_blocks == 0)
        return 0;
    uint64_t used = stat.f_blocks - (stat.f_bfree < stat.f_blocks ? stat.f_bfree : stat.f_blocks);
    struct host_filesystem *item = &resource->filesystems[resource->filesystem_count++];
    *item = (struct host_filesystem){
        .device = strdup(mount->device),
        .mount_point = strdup(mount->mount_point),
        .size_bytes = stat.f_blocks * stat.f_frsize,
        .used_bytes = used * stat.f_frsize,
        .usage = (double)used / (double)stat.f_blocks,
    };
    return item->device && item->mount_point ? 0 : -ENOMEM;
}

/* The mounts as they were read when they last changed. Returns 0 or -ENOMEM; then they are read again next time. */
static int read_mounts(struct host_mounts *known)
{
    static bool are_known;

    if (!host_changes_mounts() && are_known)
        return 0;
    char *text = read_text("/proc/self/mountinfo");
    host_mounts_free(known);
    int result = host_parse_mountinfo(text ? text : "", known);
    are_known = text && result == 0;
    free(text);
    return result;
}

static int read_filesystems(struct host_resource *out)
{
    static struct host_mounts mounts;

    int result = read_mounts(&mounts);
    if (result == 0 && mounts.count > 0) {
        out->filesystems = calloc(mounts.count, sizeof *out->filesystems);
        result = out->filesystems ? 0 : -ENOMEM;
    }
    for (size_t i = 0; result == 0 && i < mounts.count; i++)
        result = add_filesystem(out, &mounts.items[i]);
    return result;
}

static bool is_reported(const struct ifaddrs *entry)
{
    return entry->ifa_addr && (entry->ifa_flags & IFF_UP) && !(entry->ifa_flags & IFF_LOOPBACK) &&
           (entry->ifa_addr->sa_family == AF_INET || entry->ifa_addr->sa_family == AF_INET6);
}

struct addresses {
    struct host_address *items;
    size_t count;
};

static void free_addresses(struct addresses *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].interface);
        free(list->items[i].address);
    }
    free(list->items);
    *list = (struct addresses){0};
}

/* Returns 0 or -ENOMEM. */
static int append_address(struct addresses *list, const char *interface, const char *address, bool ipv4)
{
    struct host_address *item = &list->items[list->count++];
    *item = (struct host_address){.interface = strdup(interface), .address = strdup(address), .ipv4 = ipv4};
    return item->interface && item->address ? 0 : -ENOMEM;
}

static int add_address(struct addresses *list, const struct ifaddrs *entry)
{
    bool ipv4 = entry->ifa_addr->sa_family == AF_INET;
    char text[INET6_ADDRSTRLEN];
    const void *address = ipv4 ? (const void *)&((const struct sockaddr_in *)(const void *)entry->ifa_addr)->sin_addr
                               : (const void *)&((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr;
    if (!inet_ntop(entry->ifa_addr->sa_family, address, text, sizeof text))
        return 0;
    return append_address(list, entry->ifa_name, text, ipv4);
}

/* Returns 0, or -ENOMEM with a list to be freed. */
static int list_addresses(const struct ifaddrs *all, struct addresses *list)
{
    size_t count = 0;
    int result = 0;

    for (const struct ifaddrs *entry = all; entry; entry = entry->ifa_next)
        count += is_reported(entry);
    if (count > 0) {
        list->items = calloc(count, sizeof *list->items);
        result = list->items ? 0 : -ENOMEM;
    }
    for (const struct ifaddrs *entry = all; result == 0 && entry; entry = entry->ifa_next)
        if (is_reported(entry))
            result = add_address(list, entry);
    return result;
}

/* The addresses as they were read when they last changed. Returns 0 or -ENOMEM; then they are read again next time. */
static int look_at_addresses(struct addresses *known)
{
    static bool are_known;
    struct ifaddrs *all;

    if (!host_changes_addresses() && are_known)
        return 0;
    free_addresses(known);
    are_known = false;
    if (getifaddrs(&all) != 0)
        return 0;
    int result = list_addresses(all, known);
    freeifaddrs(all);
    are_known = result == 0;
    return result;
}

static int read_addresses(struct host_resource *out)
{
    static struct addresses known;
    struct addresses copy = {0};

    int result = look_at_addresses(&known);
    if (result == 0 && known.count > 0) {
        copy.items = calloc(known.count, sizeof *copy.items);
        result = copy.items ? 0 : -ENOMEM;
    }
    for (size_t i = 0; result == 0 && i < known.count; i++)
        result = append_address(&copy, known.items[i].interface, known.items[i].address, known.items[i].ipv4);
    out->addresses = copy.items;
    out->address_count = copy.count;
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
    struct addresses addresses = {.items = resource->addresses, .count = resource->address_count};

    for (size_t i = 0; i < resource->filesystem_count; i++) {
        free(resource->filesystems[i].device);
        free(resource->filesystems[i].mount_point);
    }
    free(resource->filesystems);
    free_addresses(&addresses);
    *resource = (struct host_resource){0};
}
