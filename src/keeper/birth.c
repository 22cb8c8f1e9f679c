#include "birth.h"
#include "newborn.h"
#include "proc.h"
#include "record_cell.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

/* Reads /proc/self/stat. */
ON_FOREIGN_STACK static long look_at_self(struct proc_status *status)
{
    char text[PROC_STATUS_SIZE];
    long got, fd = newborn_call(SYS_openat, proc_descriptor(), (long)"self/stat", O_RDONLY | O_CLOEXEC, 0, 0);

    if (fd < 0)
        return fd;
    got = newborn_call(SYS_read, fd, (long)text, sizeof text - 1, 0, 0);
    newborn_call(SYS_close, fd, 0, 0, 0, 0);
    if (got < 0)
        return got;
    text[got] = '\0';
    return proc_read_status(text, status) ? 0 : -EIO;
}

/* Returns what `written` is to be. */
ON_FOREIGN_STACK static long write_cell(const struct birth *birth)
{
    struct record_cell cell;
    long size, wrote;

    record_state_write(&birth->child, true, &cell);
    size = (long)record_cell_seal(&cell, birth->turn);
    wrote = newborn_call(SYS_pwrite64, birth->file_fd, (long)&cell, size, (long)birth->at, 0);
    return wrote == size || wrote < 0 ? wrote : -ENOSPC;
}

ON_FOREIGN_STACK long birth_note(void *data)
{
    struct birth *birth = data;
    struct proc_status status = {0};
    long error = look_at_self(&status);

    birth->start_ticks = status.start_ticks;
    if (error)
        return error;
    birth->child.pid = (pid_t)newborn_call(SYS_getpid, 0, 0, 0, 0, 0);
    birth->child.start_ticks = status.start_ticks;
    birth->child.born = true;
    if (birth->file_fd >= 0)
        birth->written = write_cell(birth);
    __atomic_store_n(&birth->is_noted, true, __ATOMIC_RELEASE);
    return 0;
}

bool birth_is_noted(const struct birth *birth)
{
    return __atomic_load_n(&birth->is_noted, __ATOMIC_ACQUIRE);
}
