#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

/* Reads until the end; -EFBIG as soon as it is more than `limit` bytes. */
static int read_up_to(int fd, size_t limit, struct file_bytes *out)
{
    size_t capacity = 4096;
    char *bytes = malloc(capacity);
    size_t length = 0;

    while (bytes) {
        ssize_t n = read(fd, bytes + length, capacity - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || length + (size_t)n > limit) {
            int error = n < 0 ? -errno : -EFBIG;
            free(bytes);
            return error;
        }
        if (n == 0) {
            *out = (struct file_bytes){bytes, length};
            return 0;
        }
        length += (size_t)n;
        if (length == capacity) {
            char *grown = realloc(bytes, capacity *= 2);
            if (!grown)
                free(bytes);
            bytes = grown;
        }
    }
    return -ENOMEM;
}

/* Non-blocking, so that a FIFO in a file's place cannot hold us. */
static int open_for_reading(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    return fd < 0 ? -errno : fd;
}

int file_read(const char *path, size_t limit, struct file_bytes *out)
{
    int fd = open_for_reading(path);

    if (fd < 0)
        return fd;
    int status = read_up_to(fd, limit, out);
    close(fd);
    return status;
}

int file_read_end(const char *path, size_t limit, struct file_bytes *out, int *cut)
{
    struct stat st;
    int fd = open_for_reading(path);

    if (fd < 0)
        return fd;
    int status = fstat(fd, &st) == 0 ? 0 : -errno;
    *cut = status == 0 && st.st_size > (off_t)limit;
    if (*cut && lseek(fd, st.st_size - (off_t)limit, SEEK_SET) < 0)
        status = -errno;
    /* A file that is being written may grow meanwhile: twice the limit is read at most. */
    if (status == 0)
        status = read_up_to(fd, 2 * limit, out);
    close(fd);
    return status;
}

/* Where reading begins: within the file. */
static off_t clamp_offset(off_t offset, off_t size)
{
    if (offset < 0)
        return size + offset > 0 ? size + offset : 0;
    return offset;
}

enum { STAT_FIELDS = STATX_BASIC_STATS | STATX_BTIME };

int file_stat(const char *path, struct statx *st)
{
    return statx(AT_FDCWD, path, 0, STAT_FIELDS, st) == 0 ? 0 : -errno;
}

static int read_range(int fd, off_t *offset, size_t limit, struct file_bytes *out, struct statx *st)
{
    if (statx(fd, "", AT_EMPTY_PATH, STAT_FIELDS, st) != 0)
        return -errno;
    if (!S_ISREG(st->stx_mode))
        return -EINVAL;
    off_t size = (off_t)st->stx_size;
    *offset = clamp_offset(*offset, size);
    off_t left = *offset < size ? size - *offset : 0;
    limit = left < (off_t)limit ? (size_t)left : limit;
    char *bytes = malloc(limit + 1);
    if (!bytes)
        return -ENOMEM;
    ssize_t n = pread(fd, bytes, limit, *offset);
    if (n < 0) {
        int error = -errno;
        free(bytes);
        return error;
    }
    *out = (struct file_bytes){bytes, (size_t)n};
    return 0;
}

int file_read_range(const char *path, off_t *offset, size_t limit, struct file_bytes *out, struct statx *st)
{
    int fd = open_for_reading(path);

    if (fd < 0)
        return fd;
    int status = read_range(fd, offset, limit < FILE_TAIL_LIMIT ? limit : FILE_TAIL_LIMIT, out, st);
    close(fd);
    return status;
}

/* ---- writing ---- */

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

int file_append(const char *path, const char *bytes, size_t length, mode_t mode, off_t *size)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);

    if (fd < 0)
        return -errno;
    int status = write_all(fd, bytes, length);
    if (status == 0 && fstat(fd, &st) != 0)
        status = -errno;
    if (close(fd) != 0 && status == 0)
        status = -errno;
    if (status == 0)
        *size = st.st_size;
    return status;
}

static int fill(int fd, const char *bytes, size_t length, mode_t mode, bool is_durable)
{
    int status = write_all(fd, bytes, length);

    if (status == 0 && (fchmod(fd, mode) != 0 || (is_durable && fsync(fd) != 0)))
        status = -errno;
    return status;
}

/* Makes the rename itself durable. A file system that cannot is left in peace. */
static void sync_parent(const char *path)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash - path) : 0;

    snprintf(parent, sizeof parent, "%.*s%s", length, path, slash ? "/" : ".");
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static int replace(const char *path, const char *bytes, size_t length, mode_t mode, bool is_durable)
{
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return -ENAMETOOLONG;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int status = fill(fd, bytes, length, mode, is_durable);
    if (close(fd) != 0 && status == 0)
        status = -errno;
    if (status == 0 && rename(temporary, path) != 0)
        status = -errno;
    if (status != 0)
        unlink(temporary);
    else if (is_durable)
        sync_parent(path);
    return status;
}

int file_write_atomic(const char *path, const char *bytes, size_t length, mode_t mode)
{
    return replace(path, bytes, length, mode, true);
}

int file_replace(const char *path, const char *bytes, size_t length, mode_t mode)
{
    return replace(path, bytes, length, mode, false);
}

/* ---- directories ---- */

static int make_one(const char *path, mode_t mode)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return 0;
    int error = errno;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    return -error;
}

int file_make_directory(const char *path, mode_t mode)
{
    char part[PATH_MAX];

    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return -ENAMETOOLONG;
    for (char *slash = part; (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        int status = make_one(part, mode);
        if (status != 0)
            return status;
        *slash = '/';
    }
    return make_one(part, mode);
}

int file_remove(const char *path)
{
    return remove(path) == 0 ? 0 : -errno;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void file_free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* Appends a copy of the name, growing the array at powers of two. */
static int add_name(char ***names, size_t *count, const char *name)
{
    if ((*count & (*count - 1)) == 0) {
        char **grown = reallocarray(*names, *count ? 2 * *count : 1, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        *names = grown;
    }
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    (*names)[(*count)++] = copy;
    return 0;
}

int file_list(const char *path, char ***names, size_t *count)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int status = 0;

    *names = NULL;
    *count = 0;
    if (!directory)
        return -errno;
    while (status == 0 && (errno = 0, entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = add_name(names, count, entry->d_name);
    if (status == 0)
        status = -errno;
    closedir(directory);
    if (status != 0)
        file_free_names(*names, *count);
    else if (*count > 1)
        qsort(*names, *count, sizeof **names, compare_names);
    return status;
}

/* ---- locks ---- */

static pid_t read_holder(int fd)
{
    char text[24] = "";

    return pread(fd, text, sizeof text - 1, 0) > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

int file_lock(const char *path, int *descriptor, pid_t *holder)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

    *holder = 0;
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = -errno;
        *holder = read_holder(fd);
        close(fd);
        return error;
    }
    char text[24];
    int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
    /* The pid is for people; the lock holds without it. */
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, text, (size_t)length, 0);
    *descriptor = fd;
    return 0;
}
