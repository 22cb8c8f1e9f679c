/*
 * file: small files, read and written whole; parts of larger ones.
 *
 * Calls are synchronous; they are meant for state and configuration files and
 * for short parts of others. Functions return 0 or -errno. Owns nothing: bytes handed out are
 * the caller's to free, a lock is an open descriptor that the caller closes.
 */
#ifndef APPMGR_FILE_H
#define APPMGR_FILE_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { FILE_READ_LIMIT = 64 << 20, FILE_TAIL_LIMIT = 1 << 20 };

struct file_bytes {
    char *bytes; /* owned by the caller; never NULL after success */
    size_t length;
};

/* Reads the whole file; -EFBIG when it is longer than `limit` bytes. */
int file_read(const char *path, size_t limit, struct file_bytes *out);

/* Reads at most `limit` bytes from the end; `*cut` says whether some were left out. */
int file_read_end(const char *path, size_t limit, struct file_bytes *out, int *cut);

/*
 * What is known of a file, `stx_btime` included where its file system has it: with the inode it tells files apart, which the
 * inode alone does not, since the next file gets that of one that was removed. Follows links.
 */
int file_stat(const char *path, struct statx *st);

/*
 * Reads at most `limit` bytes (at most FILE_TAIL_LIMIT) from `*offset` on; a negative one counts from the end, and `*offset`
 * then says where reading began. `*st` is that of the file that was read, whatever the path names by now. Only of
 * regular files: -EINVAL.
 */
int file_read_range(const char *path, off_t *offset, size_t limit, struct file_bytes *out, struct statx *st);

/*
 * Adds to the end of the file, which is made with `mode` when absent. `*size` is what it has now. On a full disk part of
 * the bytes may be there.
 */
int file_append(const char *path, const char *bytes, size_t length, mode_t mode, off_t *size);

/*
 * Replaces the file: a temporary one beside it, fsync, rename. Whoever reads
 * sees the old bytes or the new ones.
 */
int file_write_atomic(const char *path, const char *bytes, size_t length, mode_t mode);

/*
 * The same without waiting for the disk, for what may be large and can be done
 * without: after a power failure the file may be the old one, empty or cut.
 */
int file_replace(const char *path, const char *bytes, size_t length, mode_t mode);

/* Makes the directory and its parents; 0 when it is one already. */
int file_make_directory(const char *path, mode_t mode);

/* Removes a file or an empty directory. */
int file_remove(const char *path);

/* The names in a directory without . and .., sorted by bytes. Free with file_free_names(). */
int file_list(const char *path, char ***names, size_t *count);
void file_free_names(char **names, size_t count);

/*
 * Takes the exclusive lock on the file (made when absent) and writes our pid
 * into it. The descriptor is the lock. -EWOULDBLOCK: held by `*holder` (0 when
 * it did not say).
 */
int file_lock(const char *path, int *descriptor, pid_t *holder);

#endif
