#include "log_index.h"

#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_SIZE = 16, ENTRIES_A_PACE = 4096, SLOWEST_PACE = 12 };

static const char *name_of(const char *path)
{
    static char name[PATH_MAX + 16];

    snprintf(name, sizeof name, "%s" LOG_INDEX_ENDING, path);
    return name;
}

uint32_t log_index_count(const char *path)
{
    struct stat status;

    return stat(name_of(path), &status) == 0 ? (uint32_t)(status.st_size / ENTRY_SIZE) : 0;
}

/* Opened for each entry: thousands of files that are seldom written to cost no descriptor. */
uint32_t log_index_add(const char *path, uint64_t unix_ms, uint64_t offset, uint32_t count)
{
    const uint64_t entry[2] = {htole64(unix_ms), htole64(offset)};
    int fd = open(name_of(path), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (fd < 0)
        return count;
    if (pwrite(fd, entry, sizeof entry, (off_t)count * ENTRY_SIZE) == (ssize_t)sizeof entry)
        count++;
    close(fd);
    return count;
}

uint64_t log_index_pause_ms(uint32_t count)
{
    uint32_t pace = count / ENTRIES_A_PACE;

    return 1000ULL << (pace < SLOWEST_PACE ? pace : SLOWEST_PACE);
}

void log_index_remove(const char *path)
{
    unlink(name_of(path));
}
