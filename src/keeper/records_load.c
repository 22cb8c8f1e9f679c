/* Reading keeper.records. */
#include "records.h"
#include "exits.h"
#include "lease.h"
#include "proc.h"
#include "record_cell.h"
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 30 };

/* Sets *why where it is not RECORDS_TAKEN. */
static enum records_found read_header(const uint8_t *data, size_t size, uint64_t *instance, const char **why)
{
    static const uint8_t zeros[64];
    struct wire_message header;
    uint64_t turn = 0;

    *why = "never came whole to the disk: the machine went down before";
    if (size == 0 || (size >= sizeof zeros && memcmp(data, zeros, sizeof zeros) == 0))
        return RECORDS_STRANGE;
    *why = "is damaged: it is too short";
    if (size < RECORD_CHILDREN_AT)
        return RECORDS_UNREADABLE;
    *why = "is damaged: it does not begin as it must";
    if (!record_cell_read(data, 1, &header, &turn) || header.type != WIRE_RECORD_FILE ||
        !wire_has(&header, WIRE_TAG_BOOT_ID) || !wire_has(&header, WIRE_TAG_DIRECTORY))
        return RECORDS_UNREADABLE;
    *why = "is of an earlier boot of the machine, or of the container";
    if (!proc_is_boot(wire_text(&header, WIRE_TAG_BOOT_ID)))
        return RECORDS_STRANGE;
    *why = "is of another state directory: this one is a copy";
    if (strcmp(wire_text(&header, WIRE_TAG_DIRECTORY), proc_mark()) != 0)
        return RECORDS_STRANGE;
    *why = "was written by a later version than this program knows";
    *instance = wire_number(&header, WIRE_TAG_INSTANCE, 0);
    return wire_number(&header, WIRE_TAG_VERSION, UINT64_MAX) <= RECORDS_VERSION ? RECORDS_TAKEN : RECORDS_UNREADABLE;
}

/* False when there is no such exit at the place. */
static bool read_exit(const uint8_t *ring, unsigned place, struct exit_record *record)
{
    uint32_t check;

    memcpy(record, ring + place * sizeof *record, sizeof *record);
    check = record->check;
    record->check = 0;
    return record->sequence > 0 && check == wire_checksum(record, sizeof *record);
}

/* `taken`: the last that the agent has. */
static void read_exits(const uint8_t *data, uint64_t taken)
{
    struct exit_record record;
    uint64_t first = taken + 1, newest = taken;

    for (unsigned place = 0; place < EXITS_KEPT; place++) {
        if (!read_exit(data + RECORD_RING_AT, place, &record))
            continue;
        newest = record.sequence > newest ? record.sequence : newest;
        table_skip_number(record.child); /* of one forgotten since: no other may be taken for it */
    }
    /* One of them may not have come to the ring: the child that it is of names it. */
    for (const struct child *child = table_first(); child; child = child->next)
        newest = child->exit_sequence > newest ? child->exit_sequence : newest;
    if (newest - first >= EXITS_KEPT && newest >= first)
        first = newest + 1 - EXITS_KEPT;
    exits_resume(first, newest);
    for (unsigned place = 0; place < EXITS_KEPT; place++)
        if (read_exit(data + RECORD_RING_AT, place, &record) && record.sequence >= first)
            *exits_get(record.sequence) = record;
    for (const struct child *child = table_first(); child; child = child->next)
        if (child->exit_sequence >= first && exits_get(child->exit_sequence)->sequence != child->exit_sequence)
            exits_put(child, child->exit_sequence);
}

/* Returns false when the record makes no sense. */
static bool read_child(const uint8_t *record, uint64_t place, size_t frame_size)
{
    struct wire_message spawn, state;
    struct wire_frame frame;
    struct child *child;
    uint64_t turn = 0;
    pid_t pid;

    if (!record_cell_read(record + RECORD_HEAD_SIZE, 2, &state, &turn) || state.type != WIRE_RECORD_CHILD)
        return false;
    if (!wire_has(&state, WIRE_TAG_STATE))
        return true; /* forgotten, or written again further on */
    if (wire_find(record + RECORD_FRAME_AT, frame_size, &frame) != (long)frame_size || wire_decode(&frame, &spawn) != 0 ||
        !wire_has(&spawn, WIRE_TAG_ID) || spawn.field[WIRE_TAG_ID].length > WIRE_ID_MAX + 1)
        return false;
    child = table_find(wire_text(&spawn, WIRE_TAG_ID));
    if (child) /* a keeper was killed between a new record and the end of the old one */
        table_remove(child);
    child = table_add(wire_text(&spawn, WIRE_TAG_ID));
    if (!child || child_configure(child, &spawn) != NULL || !record_state_read(child, &state))
        return false;
    if (child->born)
        child->ended = child->overran = false; /* said of the process before it */
    child->place = place;
    child->turn = turn;
    pid = (pid_t)wire_number(&state, WIRE_TAG_PID, 0);
    table_set_pid(child, pid);
    table_skip_number(child->number);
    return true;
}

/* Returns the place after the last one, or 0 with the reason. `known_end`: where it is at least; what begins there may not
 * have come to its end. 0: nobody knows, an earlier version wrote this. */
static uint64_t read_children(const uint8_t *data, size_t size, uint64_t known_end, const char **why)
{
    static const uint8_t zeros[sizeof(struct record_head)];
    static char text[96];
    size_t at = RECORD_CHILDREN_AT;

    *why = text;
    while (at + sizeof zeros <= size && memcmp(data + at, zeros, sizeof zeros) != 0) {
        size_t frame_size = record_head_read(data + at, size - at);

        if (frame_size == 0 && known_end > 0 && at >= known_end)
            break;
        if (frame_size == 0 || !read_child(data + at, at, frame_size)) {
            snprintf(text, sizeof text, "is damaged: the record at byte %zu cannot be read", at);
            return 0;
        }
        at += record_size(frame_size);
    }
    if (at >= known_end)
        return at;
    snprintf(text, sizeof text, "is damaged: its records end at byte %zu and not at %ju", at, (uintmax_t)known_end);
    return 0;
}

/* All that comes after the header. Returns false with the reason. */
static bool read_all(const uint8_t *data, size_t size, uint64_t instance, const char **why)
{
    struct wire_message common = {0};
    uint64_t turn = 0, end;

    if (record_cell_read(data + RECORD_COMMON_AT, 2, &common, &turn))
        lease_renew(wire_number(&common, WIRE_TAG_RENEWED_MS, 0));
    end = read_children(data, size, wire_number(&common, WIRE_TAG_RECORDS_END, 0), why);
    if (end == 0)
        return false;
    read_exits(data, wire_number(&common, WIRE_TAG_SEQUENCE, 0));
    records_continue(instance, turn, end);
    return true;
}

/* Returns the file's bytes, for the caller to free; NULL with errno. */
static uint8_t *read_file(int directory, size_t *size)
{
    int fd = openat(directory, "keeper.records", O_RDONLY | O_CLOEXEC), error;
    struct stat status = {0};
    uint8_t *data;
    ssize_t got;

    if (fd < 0)
        return NULL;
    data = fstat(fd, &status) == 0 && status.st_size <= FILE_MAX ? malloc((size_t)status.st_size + 1) : NULL;
    got = data ? pread(fd, data, (size_t)status.st_size, 0) : 0;
    error = !data ? ENOMEM : got < 0 ? errno : EIO;
    close(fd);
    *size = (size_t)status.st_size;
    if (data && got == status.st_size)
        return data;
    free(data);
    errno = error;
    return NULL;
}

enum records_found records_load(int directory, char *why, size_t why_size)
{
    enum records_found found;
    const char *reason;
    uint64_t instance;
    size_t size = 0;
    uint8_t *data = read_file(directory, &size);

    why[0] = '\0';
    if (!data && errno == ENOENT)
        return RECORDS_TAKEN;
    if (!data) {
        snprintf(why, why_size, "keeper.records cannot be read: %s", strerror(errno));
        return RECORDS_UNREADABLE;
    }
    found = read_header(data, size, &instance, &reason);
    if (found == RECORDS_TAKEN && !read_all(data, size, instance, &reason))
        found = RECORDS_UNREADABLE;
    if (found != RECORDS_TAKEN) {
        snprintf(why, why_size, "keeper.records %s", reason);
        while (table_first())
            table_remove(table_first());
    }
    free(data);
    return found;
}
