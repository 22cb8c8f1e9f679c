#include "control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 64, LOCK_ATTEMPTS = 50, LOCK_WAIT_MS = 10 };

/* A path taken apart, with its folder held open. */
struct place {
    const char *path;
    char folder[PATH_MAX];
    char name[NAME_MAX + 1];
    int folder_fd;
};

static int place_split(struct place *place, const char *path, char *error, size_t error_size)
{
    char copy[PATH_MAX];
    *place = (struct place){.path = path, .folder_fd = -1};
    if (strlen(path) >= sizeof copy || strlen(strrchr(path, '/') ? strrchr(path, '/') : path) > NAME_MAX) {
        snprintf(error, error_size, "%.64s…: the path is too long", path);
        return -1;
    }
    strcpy(copy, path);
    strcpy(place->name, basename(copy));
    strcpy(copy, path);
    strcpy(place->folder, dirname(copy));
    return 0;
}

static int place_open(struct place *place, char *error, size_t error_size)
{
    place->folder_fd = open(place->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->folder_fd >= 0)
        return 0;
    snprintf(error, error_size, "%s: its folder cannot be opened: %s", place->path, strerror(errno));
    return -1;
}

static void place_close(struct place *place)
{
    if (place->folder_fd >= 0)
        close(place->folder_fd);
}

/* An address holds 107 characters; a longer path is reached through the folder's descriptor. */
static int place_address(const struct place *place, struct sockaddr_un *address, char *error, size_t error_size)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t size = sizeof address->sun_path;
    int length = snprintf(address->sun_path, size, "%s", place->path);
    if (length < 0 || (size_t)length >= size)
        length = snprintf(address->sun_path, size, "/proc/self/fd/%d/%s", place->folder_fd, place->name);
    if (length > 0 && (size_t)length < size)
        return 0;
    snprintf(error, error_size, "%s: the file's name is too long for a socket", place->path);
    return -1;
}

/* ---- listening ---- */

static int check_folder(const struct place *place, char *error, size_t error_size)
{
    struct stat stat;
    if (fstat(place->folder_fd, &stat) != 0) {
        snprintf(error, error_size, "%s: %s", place->folder, strerror(errno));
        return -1;
    }
    if (stat.st_uid != 0 && stat.st_uid != geteuid()) {
        snprintf(error, error_size, "%s: belongs to uid %u, not to us or root; choose another socket path", place->folder,
                 (unsigned)stat.st_uid);
        return -1;
    }
    if ((stat.st_mode & S_IWOTH) && !(stat.st_mode & S_ISVTX)) {
        snprintf(error, error_size, "%s: everybody may write there; choose another socket path or chmod it",
                 place->folder);
        return -1;
    }
    return 0;
}

/*
 * Between "nobody listens" and our bind() another process must not do the same. Locks are tried, not waited for,
 * so that a process which holds one for ever cannot hold us.
 */
static int lock_folder(const struct place *place, char *error, size_t error_size)
{
    const struct timespec pause = {.tv_nsec = LOCK_WAIT_MS * 1000000L};
    for (int i = 0; i < LOCK_ATTEMPTS; i++) {
        if (flock(place->folder_fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EINTR)
            break;
        nanosleep(&pause, NULL);
    }
    snprintf(error, error_size, "%s: cannot be locked: %s", place->folder,
             errno == EWOULDBLOCK ? "another process holds it" : strerror(errno));
    return -1;
}

/* Asks the socket whether somebody listens: 0 with a text when so or when it cannot be told, 1 when nobody does. */
static int is_stale(const struct place *place, const struct sockaddr_un *address, char *error, size_t error_size)
{
    struct control_peer peer = {0};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int reason = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;

    if (reason == 0 && control_socket_peer(fd, &peer) == 0)
        snprintf(error, error_size, "%s: in use by pid %d", place->path, (int)peer.pid);
    else if (reason == 0 || reason == EAGAIN)
        snprintf(error, error_size, "%s: in use", place->path);
    else if (reason != ECONNREFUSED)
        snprintf(error, error_size, "%s: cannot tell whether it is in use: %s", place->path, strerror(reason));
    if (fd >= 0)
        close(fd);
    return reason == ECONNREFUSED;
}

/* Makes sure that the path is free: absent, or a socket without a listener, which is removed. */
static int clear_path(const struct place *place, const struct sockaddr_un *address, char *error, size_t error_size)
{
    struct stat stat;
    if (fstatat(place->folder_fd, place->name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
            return 0;
        snprintf(error, error_size, "%s: %s", place->path, strerror(errno));
        return -1;
    }
    if (!S_ISSOCK(stat.st_mode)) {
        snprintf(error, error_size, "%s: exists and is no socket; remove it or choose another path", place->path);
        return -1;
    }
    if (!is_stale(place, address, error, error_size))
        return -1;
    if (unlinkat(place->folder_fd, place->name, 0) == 0 || errno == ENOENT)
        return 0;
    snprintf(error, error_size, "%s: a stale socket that cannot be removed: %s", place->path, strerror(errno));
    return -1;
}

static int bind_and_listen(const struct place *place, const struct sockaddr_un *address,
                           struct control_socket_file *file, char *error, size_t error_size)
{
    struct stat stat;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The file gets the mode that the socket has when it is bound: at no moment can others open it. */
    if (fd < 0 || fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        goto failed;
    if (fstatat(place->folder_fd, place->name, &stat, AT_SYMLINK_NOFOLLOW) != 0)
        goto failed;
    *file = (struct control_socket_file){.device = stat.st_dev, .inode = stat.st_ino};
    if (listen(fd, BACKLOG) == 0)
        return fd;
    control_socket_remove(place->path, file);
failed:
    snprintf(error, error_size, "%s: cannot listen: %s", place->path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int control_socket_listen(const char *path, struct control_socket_file *file, char *error, size_t error_size)
{
    struct place place;
    struct sockaddr_un address;
    int fd = -1;

    if (place_split(&place, path, error, error_size) < 0)
        return -1;
    if (mkdir(place.folder, 0700) != 0 && errno != EEXIST) {
        snprintf(error, error_size, "%s: cannot be created: %s", place.folder, strerror(errno));
        return -1;
    }
    if (place_open(&place, error, error_size) == 0 && check_folder(&place, error, error_size) == 0 &&
        place_address(&place, &address, error, error_size) == 0 && lock_folder(&place, error, error_size) == 0 &&
        clear_path(&place, &address, error, error_size) == 0)
        fd = bind_and_listen(&place, &address, file, error, error_size);
    place_close(&place); /* ends the lock */
    return fd;
}

void control_socket_remove(const char *path, const struct control_socket_file *file)
{
    struct stat stat;
    if (lstat(path, &stat) == 0 && stat.st_dev == file->device && stat.st_ino == file->inode)
        unlink(path);
}

/* ---- both ends ---- */

int control_socket_connect(const char *path, char *error, size_t error_size)
{
    struct place place;
    struct sockaddr_un address;
    int fd = -1;

    if (place_split(&place, path, error, error_size) < 0 || place_open(&place, error, error_size) < 0)
        return -1;
    if (place_address(&place, &address, error, error_size) == 0) {
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
            snprintf(error, error_size, "%s: %s", path, strerror(errno));
            if (fd >= 0)
                close(fd);
            fd = -1;
        }
    }
    place_close(&place);
    return fd;
}

int control_socket_peer(int fd, struct control_peer *peer)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return -errno;
    *peer = (struct control_peer){.pid = credentials.pid, .uid = credentials.uid};
    return 0;
}
