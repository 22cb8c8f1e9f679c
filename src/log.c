#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    TEXT_LIMIT = 16 * 1024,
    LINE_LIMIT = TEXT_LIMIT + 1024,
    PATIENCE_MS = 20, /* how long a full stderr is waited for, once */
};

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};

static struct {
    enum log_level level;
    char name[256];
    int fd;          /* where lines go; -1 until the first one */
    bool is_socket;
    bool full;       /* the last line was lost: do not wait for the next */
    uint64_t lost, lost_told;
} logger = {.level = LOG_LEVEL_INFO, .fd = -1};

void log_set_level(enum log_level level)
{
    logger.level = level;
}

int log_level_from_name(const char *name)
{
    for (int i = 0; i <= LOG_LEVEL_ERROR; i++)
        if (strcmp(level_names[i], name) == 0)
            return i;
    return -1;
}

void log_set_name(const char *name)
{
    snprintf(logger.name, sizeof logger.name, "%s", name);
}

uint64_t log_lost_lines(void)
{
    return logger.lost;
}

/*
 * A pipe or terminal is opened anew, so that non-blocking mode is ours alone:
 * set on the inherited description it would hit everybody who shares it.
 */
static void open_output(void)
{
    struct stat st;

    logger.fd = STDERR_FILENO;
    if (fstat(STDERR_FILENO, &st) != 0)
        return;
    logger.is_socket = S_ISSOCK(st.st_mode);
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        int own = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (own >= 0)
            logger.fd = own;
    }
}

static ssize_t write_some(const char *bytes, size_t length)
{
    if (logger.is_socket)
        return send(logger.fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return write(logger.fd, bytes, length);
}

/* Writes all of the line, or -1 when stderr does not take it now. */
static int write_line(const char *line, size_t length)
{
    bool patient = !logger.full;

    while (length > 0) {
        ssize_t n = write_some(line, length);
        if (n > 0) {
            line += n;
            length -= (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && patient) {
            struct pollfd waiting = {.fd = logger.fd, .events = POLLOUT};
            patient = false;
            (void)poll(&waiting, 1, PATIENCE_MS);
            continue;
        }
        return -1;
    }
    return 0;
}

/* `2026-11-23 16:00:00.123 INFO  alpha: `; returns its length. */
static size_t format_head(char *out, size_t size, enum log_level level)
{
    struct timespec now;
    struct tm local;
    char stamp[32];

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
    int n = snprintf(out, size, "%s.%03d %-5s %s%s", stamp, (int)(now.tv_nsec / 1000000),
                     level_names[level], logger.name, logger.name[0] ? ": " : "");
    return n < 0 ? 0 : (size_t)n;
}

/* Appends the text with control characters escaped; returns the new length. */
static size_t append_escaped(char *out, size_t used, size_t size, const char *text, size_t length)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < length && used + 4 < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n' || c == '\t') {
            out[used++] = '\\';
            out[used++] = c == '\n' ? 'n' : 't';
        } else if (c < 0x20 || c == 0x7f) {
            out[used++] = '\\';
            out[used++] = 'x';
            out[used++] = hex[c >> 4];
            out[used++] = hex[c & 15];
        } else {
            out[used++] = (char)c;
        }
    }
    return used;
}

static void emit(enum log_level level, const char *text, size_t length)
{
    char line[LINE_LIMIT];
    size_t used = format_head(line, sizeof line, level);

    used = append_escaped(line, used, sizeof line - 1, text, length);
    line[used++] = '\n';
    if (logger.fd < 0)
        open_output();
    logger.full = write_line(line, used) != 0;
    if (logger.full)
        logger.lost++;
}

void log_text(enum log_level level, const char *text, size_t length)
{
    if (level < logger.level)
        return;
    int saved = errno;
    emit(level, text, length < TEXT_LIMIT ? length : TEXT_LIMIT);
    if (!logger.full && logger.lost > logger.lost_told) {
        char note[96];
        int n = snprintf(note, sizeof note, "%llu log lines were lost: stderr did not take them",
                         (unsigned long long)(logger.lost - logger.lost_told));
        logger.lost_told = logger.lost;
        emit(LOG_LEVEL_WARN, note, (size_t)n);
    }
    errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
    char text[TEXT_LIMIT];
    va_list args;

    if (level < logger.level)
        return;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0)
        log_text(level, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}
