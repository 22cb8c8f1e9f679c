#include "records.h"
#include "exits.h"
#include "lease.h"
#include "proc.h"
#include "record_cell.h"
#include "table.h"
#include "tell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SPARE = 1 << 20,            /* what the file may grow before it is written anew */
    RETRY_MS = 1000,
};

static int directory_fd, file = -1;
static uint64_t end, grown_at;  /* size of the file; the size at which it is written anew */
static uint64_t common_turn;    /* of the cell that is about no child */
static uint64_t next_exit = 1;  /* the first that is not in the ring of the file */
static int trouble;             /* errno of what could not be written */
static bool told;
static uint64_t retry_ms;
static uint64_t instance;

/* --- writing --- */

static bool lose(int error)
{
    trouble = error;
    return false;
}

static bool put(int fd, const void *data, size_t size, uint64_t at)
{
    ssize_t written = pwrite(fd, data, size, (off_t)at);

    return written == (ssize_t)size || lose(written < 0 ? errno : ENOSPC);
}

static bool put_cell(int fd, struct record_cell *cell, uint64_t at, uint64_t *turn)
{
    size_t size = record_cell_seal(cell, *turn + 1);

    if (!put(fd, cell, size, at + (*turn + 1) % 2 * sizeof *cell))
        return false;
    ++*turn; /* after a write that failed the same cell is written again, and never the other, which is whole */
    return true;
}

static struct wire_writer begin_cell(struct record_cell *cell, enum wire_type type)
{
    struct wire_writer writer = {.data = cell->frame, .capacity = sizeof cell->frame};

    wire_begin(&writer, type);
    return writer;
}

/* `children_end`: where the last child's record ends. A file that holds less was cut off. */
static bool put_common(int fd, uint64_t children_end, uint64_t *turn)
{
    static struct record_cell cell;
    struct wire_writer writer = begin_cell(&cell, WIRE_RECORD_COMMON);

    wire_put_number(&writer, WIRE_TAG_SEQUENCE, exits_first() - 1);
    wire_put_number(&writer, WIRE_TAG_RENEWED_MS, lease_renewed_ms());
    wire_put_number(&writer, WIRE_TAG_RECORDS_END, children_end);
    wire_end(&writer);
    return put_cell(fd, &cell, RECORD_COMMON_AT, turn);
}

static bool put_header(int fd)
{
    static struct record_cell cell;
    struct wire_writer writer = begin_cell(&cell, WIRE_RECORD_FILE);

    wire_put_number(&writer, WIRE_TAG_VERSION, RECORDS_VERSION);
    wire_put_number(&writer, WIRE_TAG_INSTANCE, instance);
    wire_put_text(&writer, WIRE_TAG_BOOT_ID, proc_boot());
    wire_put_text(&writer, WIRE_TAG_DIRECTORY, proc_mark());
    wire_end(&writer);
    return put(fd, &cell, record_cell_seal(&cell, 0), 0);
}

static bool put_exit(int fd, uint64_t sequence)
{
    struct exit_record *record = exits_get(sequence);

    record->check = 0;
    record->check = wire_checksum(record, sizeof *record);
    return put(fd, record, sizeof *record, RECORD_RING_AT + exits_place(sequence) * sizeof *record);
}

static bool put_exits(int fd)
{
    next_exit = next_exit > exits_first() ? next_exit : exits_first();
    for (; next_exit < exits_end(); next_exit++)
        if (!put_exit(fd, next_exit))
            return false;
    return true;
}

static bool put_state(int fd, const struct child *child, bool used, uint64_t place, uint64_t *turn)
{
    struct record_cell cell;

    record_state_write(child, used, &cell);
    return put_cell(fd, &cell, place + RECORD_HEAD_SIZE, turn);
}

/* The child as a new record says it: of a process that is about to be its program, what that has noted. */
static const struct child *image_of(const struct child *child)
{
    return child->birth && birth_is_noted(child->birth) ? &child->birth->child : child;
}

/* Writes a record with the child's frame at `at`; its state is the first turn. Returns the place after it, 0 when that
 * failed. */
static uint64_t append(int fd, const struct child *child, uint64_t at)
{
    uint8_t *record = calloc(1, RECORD_FRAME_AT + child->frame_size);
    struct record_head head = record_head_make(child->frame, child->frame_size);
    struct record_cell cell;
    bool is_put;

    if (!record)
        return lose(ENOMEM);
    memcpy(record, &head, sizeof head);
    record_state_write(image_of(child), true, &cell);
    memcpy(record + RECORD_HEAD_SIZE + RECORD_CELL_SIZE, &cell, record_cell_seal(&cell, 1));
    memcpy(record + RECORD_FRAME_AT, child->frame, child->frame_size);
    is_put = put(fd, record, RECORD_FRAME_AT + child->frame_size, at);
    free(record);
    return is_put ? at + record_size(child->frame_size) : 0;
}

static bool put_all(int fd, uint64_t *at)
{
    uint64_t turn = 0;

    next_exit = exits_first();
    *at = RECORD_CHILDREN_AT;
    if ((errno = posix_fallocate(fd, 0, RECORD_CHILDREN_AT)) != 0)
        return lose(errno);
    if (!put_header(fd) || !put_exits(fd))
        return false;
    for (struct child *child = table_first(); child; child = child->next) {
        child->next_place = *at;
        *at = append(fd, child, *at);
        if (*at == 0)
            return false;
    }
    return put_common(fd, *at, &turn) &&
           (renameat(directory_fd, "keeper.records.new", directory_fd, "keeper.records") == 0 || lose(errno));
}

static void set_written(struct child *child, uint64_t place)
{
    child->place = place;
    child->turn = 1;
    if (child->birth)
        child->birth->turn = 1;
    child->is_written = true;
}

bool records_write_anew(void)
{
    int fd = openat(directory_fd, "keeper.records.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    uint64_t at;

    retry_ms = watch_now_ms() + RETRY_MS;
    if (fd < 0)
        return lose(errno);
    if (!put_all(fd, &at)) {
        close(fd);
        unlinkat(directory_fd, "keeper.records.new", 0);
        next_exit = 1; /* the file that stays may miss some */
        return false;
    }
    for (struct child *child = table_first(); child; child = child->next)
        set_written(child, child->next_place);
    if (file >= 0)
        close(file);
    file = fd;
    common_turn = 1;
    trouble = 0;
    end = at;
    grown_at = 2 * at + SPARE;
    return true;
}

void records_begin(int directory)
{
    directory_fd = directory;
    instance = instance ? instance : watch_wall_us();
    /* Where no new file can be had, changes of state still go to the one that was read. */
    if (!records_write_anew())
        file = openat(directory_fd, "keeper.records", O_RDWR | O_CLOEXEC);
}

/* --- what changes --- */

bool records_have(const struct child *child)
{
    return child->place != 0;
}

/* Writes a record of what the file does not have. */
static void put_record(struct child *child)
{
    uint64_t before = child->place, after;

    /* After what failed, bytes of it may be at the end: only a new file is written to then. */
    if (file < 0 || trouble || (after = append(file, child, end)) == 0)
        return;
    put_common(file, after, &common_turn); /* refused or not: who reads a whole record behind the end takes it */
    if (before)
        put_state(file, child, false, before, &child->turn);
    set_written(child, end);
    end = after;
}

void records_add(struct child *child)
{
    if (!child->is_written && !child->birth)
        put_record(child);
}

void records_note(struct child *child)
{
    if (child->birth)
        return;
    /* The state names its exit: one that did not come to the ring any more is put there from it. */
    if (child->place && put_state(file, child, true, child->place, &child->turn))
        put_exits(file);
    if (!child->is_written)
        put_record(child); /* what it was told while it was expected */
}

void records_drop(struct child *child)
{
    if (child->place)
        put_state(file, child, false, child->place, &child->turn);
}

void records_expect(struct birth *birth, struct child *child)
{
    uint64_t turn = child->turn + 1;

    child->birth = birth;
    *birth = (struct birth){.child = *child, .file_fd = -1, .turn = turn};
    if (!child->place)
        return;
    birth->file_fd = file;
    birth->at = child->place + RECORD_HEAD_SIZE + turn % 2 * RECORD_CELL_SIZE;
}

void records_met(const struct birth *birth, struct child *child)
{
    child->birth = NULL;
    child->start_ticks = birth->start_ticks;
    if (birth->written < 0)
        lose((int)-birth->written);
    else if (birth->written > 0)
        child->turn = birth->turn;
}

int records_descriptor(void)
{
    return file > proc_descriptor() ? file : proc_descriptor();
}

void records_note_agent(void)
{
    if (file >= 0)
        put_common(file, end, &common_turn);
}

/* --- keeping it current --- */

const char *records_trouble(void)
{
    static char text[256];

    if (!trouble)
        return NULL;
    snprintf(text, sizeof text, "keeper.records cannot be written: %s; applications go on, but a keeper that is killed now is "
             "followed by one that does not know all of them; it is tried again", strerror(trouble));
    return text;
}

/* Whether a process may yet note its birth in the file that there is. */
static bool is_written_to(void)
{
    const struct child *child = table_first();

    while (child && !(child->birth && !birth_is_noted(child->birth)))
        child = child->next;
    return child != NULL;
}

void records_run(void)
{
    if ((trouble ? watch_now_ms() >= retry_ms : end > grown_at) && !is_written_to())
        records_write_anew();
    if (told != (trouble != 0))
        tell_error(NULL, NULL, "records", records_trouble());
    told = trouble != 0;
    if (trouble && watch_now_ms() < retry_ms)
        watch_wake_at(retry_ms);
}

void records_remove(void)
{
    unlinkat(directory_fd, "keeper.records", 0);
}

uint64_t records_instance(void)
{
    return instance;
}

void records_continue(uint64_t number, uint64_t turn, uint64_t children_end)
{
    instance = number;
    common_turn = turn;
    end = children_end;
}
