/* appmgr-keeper: options, the lock on the state directory, becoming a daemon. */
#include "keeper.h"
#include "logger.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char usage[] =
    "Usage: appmgr-keeper --state-dir DIR [--detach] [--linger-ms N]\n"
    "       appmgr-keeper ls|stop|make-way --state-dir DIR\n"
    "       appmgr-keeper --check-records --state-dir DIR\n"
    "\n"
    "Holds the applications of an appmgr agent: starts, restarts, stops and reaps them, agent or not.\n"
    "\n"
    "  --state-dir DIR   where its socket, lock and records are\n"
    "  --detach          go to the background once clients can connect\n"
    "  --linger-ms N     end after so long without child and client (default 10000)\n"
    "  --check-records   say whether this program can go on from DIR's records\n"
    "  ls                list the children of the keeper that runs on DIR, or that one left there\n"
    "  stop              stop them and the keeper\n"
    "  make-way          run by the service manager when a keeper was killed, so that it can start the next one\n";

struct options {
    const char *directory, *command;
    bool detach, logger, check, stop;
    struct keeper_options keeper;
};

/* Returns the exit code of wrong usage. `what` may be NULL: getopt has said it. */
static int misuse(const char *what, const char *word)
{
    if (what)
        fprintf(stderr, "appmgr-keeper: %s%s\n", what, word);
    fputs("try \"appmgr-keeper --help\"\n", stderr);
    return 2;
}

/* Returns -1 to go on, else an exit code. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"state-dir", required_argument, NULL, 'd'}, {"detach", no_argument, NULL, 'b'},
        {"linger-ms", required_argument, NULL, 'l'}, {"logger", no_argument, NULL, 'o'},
        {"inherit", required_argument, NULL, 'i'},   {"check-records", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},            {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'd': options->directory = optarg; break;
        case 'b': options->detach = true; break;
        case 'l': options->keeper.linger_ms = strtoull(optarg, NULL, 10); break;
        case 'o': options->logger = true; break;
        case 'c': options->check = true; break;
        case 'i': sscanf(optarg, "%d,%d", &options->keeper.lock_fd, &options->keeper.listen_fd); break;
        case 'h': fputs(usage, stdout); return 0;
        case 'v': puts("appmgr-keeper " APPMGR_VERSION); return 0;
        default: return misuse(NULL, "");
        }
    }
    options->command = optind < argc ? argv[optind] : NULL;
    if (options->logger)
        return -1;
    if (!options->directory)
        return misuse("--state-dir DIR is missing", "");
    return argc - optind <= 1 ? -1 : misuse("unexpected argument: ", argv[optind + 1]);
}

/* The descriptors 0, 1 and 2 must be taken, or a pipe of ours would get their numbers. */
static void fill_stdio(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= 2);
    if (fd >= 0)
        close(fd);
}

/* Closes what this program was not meant to get. After an upgrade there are two descriptors that it was, and no others. */
static void close_rest(const struct keeper_options *keeper)
{
    if (keeper->lock_fd < 0) {
        closefrom(3);
        return;
    }
    fcntl(keeper->lock_fd, F_SETFD, FD_CLOEXEC);
    fcntl(keeper->listen_fd, F_SETFD, FD_CLOEXEC);
}

static void leave_stdio(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int standard = 0; standard <= 2; standard++)
        dup2(fd, standard);
    if (fd > 2)
        close(fd);
}

/* Tries for a moment: a child of a keeper that was just killed has its descriptors until it is another program. */
static bool take_lock(int fd)
{
    for (int tries = 0; tries < 20; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        usleep(10000);
    }
    return false;
}

/* Returns the lock's descriptor, or -1 after saying who holds it. */
static int lock(const struct options *options)
{
    char holder[16] = "";
    int fd = openat(options->keeper.directory_fd, "keeper.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || !take_lock(fd)) {
        if (fd >= 0 && errno == EWOULDBLOCK && read(fd, holder, sizeof holder - 1) >= 0)
            fprintf(stderr, "appmgr-keeper: a keeper runs on %s already: process %s\n", options->directory, holder);
        else
            fprintf(stderr, "appmgr-keeper: %s/keeper.lock: %s\n", options->directory, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* Goes to the background: the parent waits until clients can connect, and ends with an exit code that says so. */
static int detach(void)
{
    int ready[2];
    char byte;
    pid_t pid;

    if (pipe2(ready, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
        perror("appmgr-keeper: cannot go to the background");
        exit(1);
    }
    if (pid > 0) {
        close(ready[1]);
        _exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(ready[0]);
    setsid();
    return ready[1];
}

static void write_pid(int lock_fd)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%d", (int)getpid());

    if (ftruncate(lock_fd, 0) != 0 || pwrite(lock_fd, text, (size_t)length, 0) != length)
        fprintf(stderr, "appmgr-keeper: keeper.lock: %s\n", strerror(errno));
}

static int keep(struct options *options)
{
    char why[480];
    int ready = -1;

    if (options->keeper.lock_fd < 0)
        options->keeper.lock_fd = lock(options);
    if (options->keeper.lock_fd < 0)
        return 1;
    if (options->detach)
        ready = detach(); /* before anything that a fork would not take along, as subreaping */
    write_pid(options->keeper.lock_fd);
    if (keeper_open(&options->keeper, why, sizeof why) != 0) {
        fprintf(stderr, "appmgr-keeper: %s: %s\n", options->directory, why);
        return 1;
    }
    if (chdir("/") != 0)
        return 1;
    if (ready >= 0) {
        leave_stdio();
        if (write(ready, "", 1) != 1)
            return 1;
        close(ready);
    }
    if (options->stop)
        keeper_shut_down();
    if (keeper_run() != 0)
        return 1;
    unlinkat(options->keeper.directory_fd, "keeper.sock", 0);
    unlinkat(options->keeper.directory_fd, "logger.sock", 0);
    return 0;
}

static int run(struct options *options)
{
    struct keeper_options *keeper = &options->keeper;

    if (options->check)
        return tool_check(options->directory, keeper->directory_fd);
    if (!options->command)
        return keep(options);
    if (strcmp(options->command, "ls") == 0)
        return tool_list(options->directory, keeper->directory_fd);
    if (strcmp(options->command, "make-way") == 0)
        return tool_make_way(options->directory, keeper->directory_fd);
    if (strcmp(options->command, "stop") == 0) {
        int code = tool_stop(options->directory, keeper->directory_fd);

        options->stop = true; /* where one left children behind, this one becomes their keeper to stop them */
        return code == TOOL_NO_KEEPER ? keep(options) : code;
    }
    return misuse("there is no command ", options->command);
}

int main(int argc, char **argv)
{
    struct options options = {.keeper = {.linger_ms = 10000, .lock_fd = -1, .listen_fd = -1}};
    int result = parse(argc, argv, &options);

    if (result >= 0)
        return result;
    fill_stdio();
    if (options.logger)
        return logger_main();
    close_rest(&options.keeper);
    options.keeper.directory_fd = open(options.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (options.keeper.directory_fd >= 0)
        options.keeper.directory = realpath(options.directory, NULL);
    if (!options.keeper.directory) {
        fprintf(stderr, "appmgr-keeper: %s: %s\n", options.directory, strerror(errno));
        return 1;
    }
    result = run(&options);
    free((char *)(uintptr_t)options.keeper.directory);
    return result;
}
