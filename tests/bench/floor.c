/*
 * floor: the least that a supervisor can be, as the benchmark's measure of the kernel itself.
 *
 *     floor FILE
 *
 * Runs each line of FILE (words parted by blanks), starts again at once what ends, and kills all at SIGTERM. It keeps
 * nothing, writes nothing and answers nobody: posix_spawn (which is a vfork in glibc) and waitpid in a loop.
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { MOST = 8192, WORDS = 16 };

extern char **environ;

static char *commands[MOST][WORDS + 1];
static pid_t pids[MOST];
static int count;
static volatile sig_atomic_t is_ending;

static void end_all(int number)
{
    (void)number;
    is_ending = 1;
    for (int i = 0; i < count; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
}

static void start(int i)
{
    if (posix_spawnp(&pids[i], commands[i][0], NULL, NULL, commands[i], environ) != 0)
        pids[i] = 0;
}

static int read_commands(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;

    if (!file)
        return -1;
    while (count < MOST && getline(&line, &size, file) > 0) {
        char *word = strtok(strdup(line), " \n");

        for (int i = 0; i < WORDS && word; i++, word = strtok(NULL, " \n"))
            commands[count][i] = word;
        count += commands[count][0] != NULL;
    }
    free(line);
    fclose(file);
    return 0;
}

int main(int argc, char **argv)
{
    int left;

    if (argc != 2 || read_commands(argv[1]) != 0)
        return 2;
    for (int i = 0; i < count; i++)
        start(i);
    signal(SIGTERM, end_all);
    left = count;
    while (left > 0) {
        pid_t pid = waitpid(-1, NULL, 0);
        int i = 0;

        if (pid < 0)
            continue; /* the signal */
        while (i < count && pids[i] != pid)
            i++;
        left -= is_ending;
        if (i < count && !is_ending)
            start(i);
    }
    return 0;
}
