#include "log_file.h"
#include "watch.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RETRY_MS = 1000,       /* between tries to write to a file that refused */
    FILES_MAX = 1000,
    BUCKETS = 4096,
    CHUNK = 32 << 10,      /* written at once: half of what a pipe holds as a rule, so that its writer fills the other half */
};

/* Of the index: bytes of an entry; after so many they lie twice as far apart, and at the most so often. */
enum { ENTRY_SIZE = 16, ENTRIES_A_PACE = 4096, SLOWEST_PACE = 12 };

static const char index_ending[] = ".index";

/* One for all files: they are written one after the other. */
static char chunk[CHUNK];

struct log_files log_files;
static struct log_files by_path[BUCKETS];
static unsigned troubled;      /* files that are not well */

struct log_terms log_terms_read(const struct wire_message *message)
{
    uint64_t files = wire_number(message, WIRE_TAG_OUTPUT_FILES, 2);

    return (struct log_terms){
        .max_bytes = wire_number(message, WIRE_TAG_MAX_OUTPUT_BYTES, 0), .files = files < FILES_MAX ? (uint32_t)files : FILES_MAX,
        .waits = wire_number(message, WIRE_TAG_OUTPUT_WAITS, 0) != 0,
    };
}

void log_terms_put(struct wire_writer *writer, const struct log_terms *terms)
{
    wire_put_number(writer, WIRE_TAG_MAX_OUTPUT_BYTES, terms->max_bytes);
    wire_put_number(writer, WIRE_TAG_OUTPUT_FILES, terms->files);
    wire_put_number(writer, WIRE_TAG_OUTPUT_WAITS, terms->waits);
}

/* --- opening --- */

static void set_state(struct log_file *file, enum wire_output state)
{
    troubled -= file->state != WIRE_OUTPUT_WELL;
    troubled += state != WIRE_OUTPUT_WELL;
    file->state = state;
}

static void refuse(struct log_file *file, int error)
{
    file->error = error;
    set_state(file, file->terms.waits ? WIRE_OUTPUT_WAITING : WIRE_OUTPUT_DROPPING);
    file->retry_ms = watch_now_ms() + RETRY_MS;
}

static const char *index_of(const char *path)
{
    static char name[PATH_MAX + 48];

    snprintf(name, sizeof name, "%s%s", path, index_ending);
    return name;
}

static uint32_t count_entries(const char *path)
{
    struct stat status;

    return stat(index_of(path), &status) == 0 ? (uint32_t)(status.st_size / ENTRY_SIZE) : 0;
}

/* Returns false when the file takes nothing now. */
static bool open_file(struct log_file *file)
{
    struct stat status;

    if (file->fd >= 0)
        return true;
    file->fd = open(file->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (file->fd >= 0 && fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode)) {
        file->size = (uint64_t)status.st_size;
        file->index_count = count_entries(file->path);
        file->index_due_ms = 0;
        return true;
    }
    refuse(file, file->fd < 0 ? errno : EINVAL); /* a FIFO nobody reads would be worse than no output */
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    return false;
}

static struct log_files *chain_of(const char *path)
{
    return &by_path[wire_checksum(path, strlen(path)) % BUCKETS];
}

static struct log_file *add_file(const char *path, const struct log_terms *terms)
{
    struct log_file *file = calloc(1, sizeof *file + strlen(path) + 1);

    if (!file)
        return NULL;
    strcpy(file->path, path);
    file->terms = *terms;
    file->fd = -1;
    LIST_INSERT_HEAD(&log_files, file, in_all);
    LIST_INSERT_HEAD(chain_of(path), file, by_path);
    return file;
}

struct log_file *log_file_use(const char *path, const struct log_terms *terms)
{
    struct log_file *file;

    LIST_FOREACH(file, chain_of(path), by_path)
        if (strcmp(file->path, path) == 0)
            break;
    if (file)
        log_file_change(file, *terms);
    else
        file = add_file(path, terms);
    if (file)
        file->users++;
    return file;
}

void log_file_change(struct log_file *file, struct log_terms terms)
{
    file->terms = terms;
    if (file->state == WIRE_OUTPUT_WELL)
        return;
    set_state(file, terms.waits ? WIRE_OUTPUT_WAITING : WIRE_OUTPUT_DROPPING);
    file->retry_ms = 0;
}

void log_file_leave(struct log_file *file)
{
    if (--file->users > 0)
        return;
    LIST_REMOVE(file, in_all);
    LIST_REMOVE(file, by_path);
    set_state(file, WIRE_OUTPUT_WELL);
    if (file->fd >= 0)
        close(file->fd);
    free(file);
}

bool log_file_any_trouble(void)
{
    return troubled > 0;
}

/* --- rotating --- */

static bool shift(const char *path, const char *ending, uint32_t from)
{
    char old[PATH_MAX + 32], new[PATH_MAX + 32];

    if (from == 0)
        snprintf(old, sizeof old, "%s%s", path, ending);
    else
        snprintf(old, sizeof old, "%s.%" PRIu32 "%s", path, from, ending);
    snprintf(new, sizeof new, "%s.%" PRIu32 "%s", path, from + 1, ending);
    return rename(old, new) == 0;
}

static void remove_from(const char *path, uint32_t number)
{
    char old[PATH_MAX + 32];

    do {
        snprintf(old, sizeof old, "%s.%" PRIu32, path, number++);
        unlink(index_of(old));
    } while (unlink(old) == 0);
}

/* Moves the files up by one; the oldest goes. Returns false when the newest stays as it is: better too large than lost. */
static bool rotate(struct log_file *file)
{
    uint32_t older = file->terms.files > 1 ? file->terms.files - 1 : 0;
    bool moved;

    for (uint32_t from = older; from-- > 1;) {
        shift(file->path, "", from);
        shift(file->path, index_ending, from);
    }
    moved = older > 0 ? shift(file->path, "", 0) : unlink(file->path) == 0;
    if (!moved)
        return false;
    shift(file->path, index_ending, 0);
    remove_from(file->path, older + 1);
    close(file->fd);
    file->fd = -1;
    return true;
}

/* How much of the data goes to the file before it is rotated: whole lines, and the rest of one that has begun unless
 * that is a giant. */
static size_t fitting(const struct log_file *file, size_t size, bool in_line)
{
    uint64_t max = file->terms.max_bytes;
    size_t room = max > file->size ? (size_t)(max - file->size) : 0;
    const char *newline;

    if (max == 0 || size <= room)
        return size;
    newline = memrchr(chunk, '\n', room);
    if (!newline && file->size > 0 && (!in_line || file->size > 2 * max))
        return 0;
    if (!newline)
        newline = memchr(chunk, '\n', size);
    return newline ? (size_t)(newline + 1 - chunk) : size;
}

/* --- writing --- */

/* The index is opened for each entry: thousands of files that are seldom written to cost no descriptor. One that cannot be written
 * is none. */
static void note_time(struct log_file *file)
{
    uint64_t now_ms = watch_now_ms();
    uint32_t pace;
    int fd;

    if (now_ms < file->index_due_ms)
        return;
    fd = open(index_of(file->path), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd >= 0) {
        const uint64_t entry[2] = {htole64(watch_wall_us() / 1000), htole64(file->size)};

        file->index_count += pwrite(fd, entry, sizeof entry, (off_t)file->index_count * ENTRY_SIZE) == (ssize_t)sizeof entry;
        close(fd);
    }
    pace = file->index_count / ENTRIES_A_PACE;
    file->index_due_ms = now_ms + (1000ULL << (pace < SLOWEST_PACE ? pace : SLOWEST_PACE));
}

/* Returns how many bytes the file took; fewer: it refused the rest. */
static size_t write_bytes(struct log_file *file, const char *data, size_t size)
{
    struct stat status;
    size_t done = 0;

    while (done < size) {
        ssize_t written = write(file->fd, data + done, size - done);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            refuse(file, written < 0 ? errno : EIO);
            break;
        }
        done += (size_t)written;
    }
    /* Somebody else may have cut the file. */
    file->size = fstat(file->fd, &status) == 0 ? (uint64_t)status.st_size : file->size + done;
    return done;
}

void log_file_retry(struct log_file *file)
{
    uint64_t dropped = file->dropped;
    char note[160];
    int length;

    if (file->state == WIRE_OUTPUT_WELL || watch_now_ms() < file->retry_ms)
        return;
    length = snprintf(note, sizeof note, "\n[appmgr: %" PRIu64 " bytes of output were dropped here: %s]\n", dropped,
                      strerror(file->error));
    set_state(file, WIRE_OUTPUT_WELL);
    if (open_file(file) && dropped > 0)
        write_bytes(file, note, (size_t)length);
    if (file->state == WIRE_OUTPUT_WELL) {
        file->dropped = 0;
        file->error = 0;
    }
}

/* --- pipes --- */

static enum log_take nothing(ssize_t got)
{
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? LOG_EMPTY : LOG_ENDED;
}

static enum log_take drop(struct log_file *file, int pipe_fd)
{
    ssize_t got = read(pipe_fd, chunk, sizeof chunk);

    if (got <= 0)
        return nothing(got);
    file->dropped += (uint64_t)got;
    return LOG_TOOK;
}

/* Reads what the pipe begins with, and leaves it there. Returns as read does. */
static ssize_t look(int pipe_fd)
{
    static int shown[2] = {-1, -1};
    ssize_t size;

    if (shown[0] < 0 && pipe2(shown, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    size = tee(pipe_fd, shown[1], sizeof chunk, SPLICE_F_NONBLOCK);
    return size > 0 ? read(shown[0], chunk, (size_t)size) : size;
}

/* Takes from the pipe what was written. */
static void consume(int pipe_fd, size_t size)
{
    static int nowhere = -1;

    if (nowhere < 0)
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    while (size > 0) {
        ssize_t gone = splice(pipe_fd, NULL, nowhere, NULL, size, 0);

        if (gone <= 0)
            gone = read(pipe_fd, chunk, size < sizeof chunk ? size : sizeof chunk);
        if (gone <= 0)
            return;
        size -= (size_t)gone;
    }
}

enum log_take log_file_take(struct log_file *file, int pipe_fd, bool *in_line)
{
    ssize_t got;
    size_t part, done;

    log_file_retry(file);
    if (file->state != WIRE_OUTPUT_WELL)
        return file->state == WIRE_OUTPUT_WAITING ? LOG_STUCK : drop(file, pipe_fd);
    got = look(pipe_fd);
    if (got <= 0)
        return nothing(got);
    if (!open_file(file))
        return LOG_TOOK; /* the next look drops it, or waits */
    part = fitting(file, (size_t)got, *in_line);
    if (part == 0 && rotate(file))
        return LOG_TOOK; /* the next look finds another file */
    part = part > 0 ? part : (size_t)got;
    note_time(file);
    done = write_bytes(file, chunk, part);
    if (done > 0)
        *in_line = chunk[done - 1] != '\n';
    consume(pipe_fd, done);
    return file->state == WIRE_OUTPUT_WAITING ? LOG_STUCK : LOG_TOOK;
}

void log_file_end_line(struct log_file *file)
{
    if (file->state == WIRE_OUTPUT_WELL && open_file(file))
        write_bytes(file, "\n", 1);
}
