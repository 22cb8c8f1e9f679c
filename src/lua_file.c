/*
 * core.file: glue for file.c. Failures are nil, "path: reason", "ENAME".
 *
 *   read(path[, max_bytes]) → bytes            whole, or "EFBIG"
 *   write_atomic(path, bytes[, mode=0600]) → true
 *   replace(path, bytes[, mode=0600]) → true   without waiting for the disk: a power failure may spoil the file
 *   append(path, bytes[, mode=0600]) → the file's new size
 *   read_range(path, offset[, max_bytes=1 MiB]) → bytes, stat   from `offset` on, a negative one counts from the end;
 *                                              of the file that was read, with `offset`: where reading began
 *   mkdir(path[, mode=0755]) → true            with parents
 *   list(path) → sorted names
 *   remove(path) → true                        a file or an empty directory
 *   stat(path) → {type, size, mtime_s, mode, uid, inode, born}; type "file", "directory", "socket", "other"; born: when it was
 *                                              made, as a text, nil where the file system does not say
 *   lock(path) → lock                          "EWOULDBLOCK": the text names the holder's pid
 *   lock:release()                             harmless when released; a lock ends with the process
 *   tail(path, lines[, max_bytes=1 MiB]) → the last lines
 */
#include "core_modules.h"
#include "file.h"
#include "lua_handle.h"

#include <lauxlib.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char lock_class[] = "core.file.lock", bytes_box[] = "core.file.bytes",
                  names_box[] = "core.file.names";

struct lock {
    struct handle handle;
    int fd;
};

static struct handle_table locks;

static int fail(lua_State *L, const char *path, int status)
{
    const char *name = strerrorname_np(-status);

    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(-status));
    lua_pushstring(L, name ? name : "?");
    return 3;
}

/* Result of an operation that gives nothing back. */
static int done(lua_State *L, const char *path, int status)
{
    if (status != 0)
        return fail(L, path, status);
    lua_pushboolean(L, 1);
    return 1;
}

static mode_t check_mode(lua_State *L, int index, mode_t fallback)
{
    lua_Integer mode = luaL_optinteger(L, index, fallback);

    luaL_argcheck(L, mode >= 0 && mode <= 0777, index, "expected a mode from 0 to 511 (0777)");
    return (mode_t)mode;
}

static size_t check_limit(lua_State *L, int index, size_t fallback)
{
    lua_Integer limit = luaL_optinteger(L, index, (lua_Integer)fallback);

    luaL_argcheck(L, limit > 0 && limit <= 1 << 30, index, "expected 1 byte to 1 GiB");
    return (size_t)limit;
}

/* ---- boxes: what C holds while Lua may raise ---- */

struct names {
    char **list;
    size_t count;
};

static int free_bytes(lua_State *L)
{
    struct file_bytes *box = lua_touserdata(L, 1);

    free(box->bytes);
    *box = (struct file_bytes){0};
    return 0;
}

static int free_names(lua_State *L)
{
    struct names *box = lua_touserdata(L, 1);

    file_free_names(box->list, box->count);
    *box = (struct names){0};
    return 0;
}

static struct file_bytes *push_bytes_box(lua_State *L)
{
    struct file_bytes *box = lua_newuserdatauv(L, sizeof *box, 0);

    *box = (struct file_bytes){0};
    luaL_setmetatable(L, bytes_box);
    return box;
}

/* ---- functions ---- */

static int read_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    size_t limit = check_limit(L, 2, FILE_READ_LIMIT);
    struct file_bytes *box = push_bytes_box(L);
    int status = file_read(path, limit, box);

    if (status != 0)
        return fail(L, path, status);
    lua_pushlstring(L, box->bytes, box->length);
    free(box->bytes);
    *box = (struct file_bytes){0};
    return 1;
}

static int write_atomic(lua_State *L)
{
    size_t length;
    const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &length);

    return done(L, path, file_write_atomic(path, bytes, length, check_mode(L, 3, 0600)));
}

static int replace_file(lua_State *L)
{
    size_t length;
    const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &length);

    return done(L, path, file_replace(path, bytes, length, check_mode(L, 3, 0600)));
}

static int make_directory(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);

    return done(L, path, file_make_directory(path, check_mode(L, 2, 0755)));
}

static int remove_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);

    return done(L, path, file_remove(path));
}

static int list(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct names *box = lua_newuserdatauv(L, sizeof *box, 0);

    *box = (struct names){0};
    luaL_setmetatable(L, names_box);
    int status = file_list(path, &box->list, &box->count);
    if (status != 0) {
        *box = (struct names){0};
        return fail(L, path, status);
    }
    lua_createtable(L, (int)box->count, 0);
    for (size_t i = 0; i < box->count; i++) {
        lua_pushstring(L, box->list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const char *type_name(mode_t mode)
{
    if (S_ISREG(mode))
        return "file";
    if (S_ISDIR(mode))
        return "directory";
    if (S_ISSOCK(mode))
        return "socket";
    return "other";
}

static void push_stat(lua_State *L, const struct statx *st)
{
    lua_createtable(L, 0, 8);
    lua_pushstring(L, type_name(st->stx_mode));
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, (lua_Integer)st->stx_size);
    lua_setfield(L, -2, "size");
    lua_pushnumber(L, (lua_Number)st->stx_mtime.tv_sec + (lua_Number)st->stx_mtime.tv_nsec / 1e9);
    lua_setfield(L, -2, "mtime_s");
    lua_pushinteger(L, st->stx_mode & 07777);
    lua_setfield(L, -2, "mode");
    lua_pushinteger(L, st->stx_uid);
    lua_setfield(L, -2, "uid");
    lua_pushinteger(L, (lua_Integer)st->stx_ino);
    lua_setfield(L, -2, "inode");
    if (st->stx_mask & STATX_BTIME) {
        lua_pushfstring(L, "%I.%d", (lua_Integer)st->stx_btime.tv_sec, (int)st->stx_btime.tv_nsec);
        lua_setfield(L, -2, "born");
    }
}

static int stat_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct statx st;
    int status = file_stat(path, &st);

    if (status != 0)
        return fail(L, path, status);
    push_stat(L, &st);
    return 1;
}

static int read_range(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    off_t offset = (off_t)luaL_checkinteger(L, 2);
    size_t limit = check_limit(L, 3, FILE_TAIL_LIMIT);
    struct file_bytes *box = push_bytes_box(L);
    struct statx st;
    int status = file_read_range(path, &offset, limit, box, &st);

    if (status != 0)
        return fail(L, path, status);
    lua_pushlstring(L, box->bytes, box->length);
    free(box->bytes);
    *box = (struct file_bytes){0};
    push_stat(L, &st);
    lua_pushinteger(L, (lua_Integer)offset);
    lua_setfield(L, -2, "offset");
    return 2;
}

static int append(lua_State *L)
{
    size_t length;
    off_t size = 0;
    const char *path = luaL_checkstring(L, 1), *bytes = luaL_checklstring(L, 2, &length);
    int status = file_append(path, bytes, length, check_mode(L, 3, 0600), &size);

    if (status != 0)
        return fail(L, path, status);
    lua_pushinteger(L, (lua_Integer)size);
    return 1;
}

/* Where the last `wanted` lines begin. */
static const char *last_lines(const char *begin, const char *end, lua_Integer wanted)
{
    const char *at = end;

    if (at > begin && at[-1] == '\n')
        at--;
    while (at > begin && wanted > 0) {
        const char *newline = memrchr(begin, '\n', (size_t)(at - begin));
        if (!newline)
            return begin;
        if (--wanted == 0)
            return newline + 1;
        at = newline;
    }
    return wanted > 0 ? begin : end;
}

static void push_lines(lua_State *L, const char *at, const char *end)
{
    lua_newtable(L);
    for (lua_Integer i = 1; at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        lua_pushlstring(L, at, (size_t)(stop - at));
        lua_rawseti(L, -2, i);
        at = stop + 1;
    }
}

static int tail(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    lua_Integer wanted = luaL_checkinteger(L, 2);
    size_t limit = check_limit(L, 3, FILE_TAIL_LIMIT);
    struct file_bytes *box = push_bytes_box(L);
    int cut, status = file_read_end(path, limit, box, &cut);

    if (status != 0)
        return fail(L, path, status);
    const char *begin = box->bytes, *end = box->bytes + box->length;
    if (cut) { /* the first line is only a part of one */
        const char *newline = memchr(begin, '\n', box->length);
        begin = newline ? newline + 1 : end;
    }
    push_lines(L, last_lines(begin, end, wanted), end);
    return 1;
}

/* ---- locks ---- */

static void unlock(struct lock *lock)
{
    handle_drop(&locks, lock->handle);
    close(lock->fd);
    free(lock);
}

static int lock_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct handle *handle = lua_handle_new(L, lock_class);
    struct lock *lock = calloc(1, sizeof *lock);
    pid_t holder;

    if (!lock)
        return fail(L, path, -ENOMEM);
    lock->handle = handle_add(&locks, lock);
    int status = lock->handle.generation ? file_lock(path, &lock->fd, &holder) : -ENOMEM;
    if (status == 0) {
        *handle = lock->handle;
        return 1;
    }
    handle_drop(&locks, lock->handle);
    free(lock);
    if (status != -EWOULDBLOCK)
        return fail(L, path, status);
    lua_pushnil(L);
    if (holder > 0)
        lua_pushfstring(L, "%s: locked by process %d", path, (int)holder);
    else
        lua_pushfstring(L, "%s: locked by another process", path);
    lua_pushliteral(L, "EWOULDBLOCK");
    return 3;
}

static int release(lua_State *L)
{
    struct lock *lock = handle_get(&locks, lua_handle_read(L, 1, lock_class));

    if (lock)
        unlock(lock);
    return 0;
}

void lua_file_shutdown(lua_State *L)
{
    struct lock *lock;

    (void)L;
    while ((lock = handle_any(&locks)))
        unlock(lock);
    handle_table_free(&locks);
}

static void make_box_class(lua_State *L, const char *name, lua_CFunction collect)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

int lua_file_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read", read_file}, {"write_atomic", write_atomic}, {"replace", replace_file}, {"mkdir", make_directory},
        {"list", list},      {"remove", remove_file},        {"stat", stat_file},
        {"lock", lock_file}, {"tail", tail},                 {"read_range", read_range},
        {"append", append},  {NULL, NULL},
    };
    static const luaL_Reg lock_methods[] = {{"release", release}, {NULL, NULL}};

    make_box_class(L, bytes_box, free_bytes);
    make_box_class(L, names_box, free_names);
    lua_handle_class(L, lock_class, lock_methods);
    luaL_newlib(L, functions);
    return 1;
}
