/* planner_filter: what a confined planner may still do, and that each thing which it may not do ends it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "planner.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITHOUT_FILTER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITHOUT_FILTER 1
#endif
#endif
#ifndef WITHOUT_FILTER
#define WITHOUT_FILTER 0
#endif

static int a_file = -1, a_pipe[2] = {-1, -1};

struct probe {
    const char *name;
    void (*run)(void);
};

#define PROBE(name, ...) \
    static void name(void) \
    { \
        (void)(__VA_ARGS__); \
    }

PROBE(opens_a_file, syscall(SYS_openat, AT_FDCWD, "/etc/hostname", O_RDONLY))
PROBE(opens_the_old_way, syscall(SYS_open, "/etc/hostname", O_RDONLY))
PROBE(looks_at_a_path, syscall(SYS_stat, "/etc", NULL))
PROBE(removes_a_file, syscall(SYS_unlink, "/nowhere/file"))
PROBE(renames_a_file, syscall(SYS_rename, "/nowhere/a", "/nowhere/b"))
PROBE(makes_a_folder, syscall(SYS_mkdir, "/nowhere/folder", 0700))
PROBE(changes_a_mode, syscall(SYS_fchmod, a_file, 0777))
PROBE(changes_folder, syscall(SYS_chdir, "/"))
PROBE(mounts, syscall(SYS_mount, "a", "/nowhere", "tmpfs", 0, NULL))
PROBE(makes_a_socket, syscall(SYS_socket, AF_INET, SOCK_STREAM, 0))
PROBE(makes_a_pair, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, NULL))
PROBE(sends, syscall(SYS_sendto, a_pipe[1], "x", 1, 0, NULL, 0))
PROBE(makes_a_pipe, syscall(SYS_pipe2, NULL, 0))
PROBE(doubles_a_descriptor, syscall(SYS_dup, a_pipe[1]))
PROBE(controls_a_descriptor, syscall(SYS_fcntl, a_pipe[1], F_GETFL))
PROBE(controls_a_device, syscall(SYS_ioctl, a_pipe[1], 0, NULL))
PROBE(forks, syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL))
PROBE(forks_the_old_way, syscall(SYS_fork))
PROBE(runs_a_program, syscall(SYS_execve, "/bin/true", NULL, NULL))
PROBE(signals_its_parent, syscall(SYS_kill, getppid(), 0))
PROBE(looks_into_a_process, syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0))
PROBE(traces, syscall(SYS_ptrace, 0, 0, NULL, NULL))
PROBE(raises_its_limits, syscall(SYS_prlimit64, 0, 0, NULL, NULL))
PROBE(changes_itself, syscall(SYS_prctl, 1, 0, 0, 0, 0))
PROBE(changes_its_user, syscall(SYS_setuid, 0))
PROBE(handles_signals, syscall(SYS_rt_sigaction, SIGSYS, NULL, NULL, 8))
PROBE(makes_memory_executable, syscall(SYS_mprotect, NULL, 0, PROT_READ | PROT_EXEC))
PROBE(maps_executable_memory, syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
PROBE(maps_a_file, syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, a_file, 0))
PROBE(makes_a_file_in_memory, syscall(SYS_memfd_create, "x", 0))
PROBE(asks_for_a_ring, syscall(SYS_io_uring_setup, 1, NULL))
PROBE(loads_a_filter, syscall(SYS_seccomp, 0, 0, NULL))
PROBE(sets_the_clock, syscall(SYS_clock_settime, CLOCK_REALTIME, NULL))

static const struct probe forbidden[] = {
    {"open", opens_the_old_way}, {"openat", opens_a_file}, {"stat", looks_at_a_path}, {"unlink", removes_a_file},
    {"rename", renames_a_file}, {"mkdir", makes_a_folder}, {"fchmod", changes_a_mode}, {"chdir", changes_folder},
    {"mount", mounts}, {"socket", makes_a_socket}, {"socketpair", makes_a_pair}, {"sendto", sends},
    {"pipe2", makes_a_pipe}, {"dup", doubles_a_descriptor}, {"fcntl", controls_a_descriptor},
    {"ioctl", controls_a_device}, {"clone", forks}, {"fork", forks_the_old_way}, {"execve", runs_a_program},
    {"kill", signals_its_parent}, {"process_vm_readv", looks_into_a_process}, {"ptrace", traces},
    {"prlimit64", raises_its_limits}, {"prctl", changes_itself}, {"setuid", changes_its_user},
    {"rt_sigaction", handles_signals}, {"mprotect with PROT_EXEC", makes_memory_executable},
    {"mmap with PROT_EXEC", maps_executable_memory}, {"mmap of a file", maps_a_file},
    {"memfd_create", makes_a_file_in_memory}, {"io_uring_setup", asks_for_a_ring}, {"seccomp", loads_a_filter},
    {"clock_settime", sets_the_clock},
};

enum { FORBIDDEN_COUNT = sizeof forbidden / sizeof forbidden[0] };

/* Runs it in a confined child; returns what waitpid says. */
static int confined(void (*run)(void))
{
    char error[256];
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (planner_confine(error, sizeof error) != 0)
            _exit(100);
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void everything_else_kills(void **state)
{
    if (WITHOUT_FILTER)
        skip();
    for (size_t i = 0; i < FORBIDDEN_COUNT; i++) {
        int status = confined(forbidden[i].run);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("%s: status %#x instead of a death by SIGSYS", forbidden[i].name, (unsigned)status);
    }
}

/* ---- what is left ---- */

static void require_true(int condition, int code)
{
    if (!condition)
        _exit(code);
}

static void uses_memory(void)
{
    for (size_t size = 16; size < 64u << 20; size *= 4) {
        char *block = malloc(size);
        require_true(block != NULL, 1);
        memset(block, 1, size);
        block = realloc(block, size * 2);
        require_true(block != NULL, 2);
        free(block);
    }
}

static void uses_pipes(void)
{
    char byte = 0;
    require_true(write(a_pipe[1], "x", 1) == 1 && read(a_pipe[0], &byte, 1) == 1 && byte == 'x', 3);
}

static void uses_time(void)
{
    struct timespec now, moment = {0, 1000000};
    struct tm parts;
    char text[64];
    require_true(clock_gettime(CLOCK_BOOTTIME, &now) == 0 && nanosleep(&moment, NULL) == 0, 4);
    require_true(localtime_r(&now.tv_sec, &parts) != NULL && strftime(text, sizeof text, "%Y-%m-%d %Z", &parts) > 0, 5);
    require_true(clock() != (clock_t)-1, 6);
    const struct itimerval none = {{0, 0}, {0, 0}};
    require_true(setitimer(ITIMER_PROF, &none, NULL) == 0, 7);
}

static void prints(void)
{
    fprintf(stderr, "%s", "");
    printf("%s", "");
    fflush(stdout);
}

static void does_what_it_may(void)
{
    uses_memory();
    uses_pipes();
    uses_time();
    prints();
}

static void memory_pipes_and_time_are_left(void **state)
{
    assert_int_equal(confined(does_what_it_may), 0);
}

static int open_files(void **state)
{
    a_file = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    return pipe(a_pipe);
}

static int close_files(void **state)
{
    close(a_file);
    close(a_pipe[0]);
    close(a_pipe[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_else_kills),
        cmocka_unit_test(memory_pipes_and_time_are_left),
    };
    return cmocka_run_group_tests(tests, open_files, close_files);
}
