/* file_watch: changes of one file among others, however they are made. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "file_watch.h"

static uv_loop_t loop;
static char folder[] = "/tmp/file_watch.XXXXXX", path[64], other[64];
static int told;

static void count(void *data)
{
    ++*(int *)data;
}

static void write_text(const char *to, const char *text)
{
    FILE *file = fopen(to, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void on_deadline(uv_timer_t *timer)
{
    *(int *)timer->data = 1;
}

/* Turns the loop until something was told, or for so long. */
static int wait_told(unsigned ms)
{
    uv_timer_t timer;
    int late = 0;

    uv_timer_init(&loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, on_deadline, ms, 0);
    while (told == 0 && !late)
        uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    int result = told;
    told = 0;
    return result;
}

/* What of one change is told late belongs to it. */
static void settle(void)
{
    while (wait_told(50) > 0)
        ;
}

static int open_folder(void **state)
{
    strcpy(folder, "/tmp/file_watch.XXXXXX");
    if (!mkdtemp(folder) || uv_loop_init(&loop) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/policy.lua", folder);
    snprintf(other, sizeof other, "%s/other.lua", folder);
    told = 0;
    return 0;
}

static int close_folder(void **state)
{
    uv_run(&loop, UV_RUN_DEFAULT);
    unlink(path);
    unlink(other);
    rmdir(folder);
    return uv_loop_close(&loop);
}

static struct file_watch *start(void)
{
    struct file_watch *watch = NULL;
    assert_int_equal(file_watch_start(&loop, path, count, &told, &watch), 0);
    return watch;
}

static void tells_what_is_written_replaced_and_removed(void **state)
{
    struct file_watch *watch = start();

    write_text(path, "one");
    assert_true(wait_told(5000) > 0);
    settle();
    write_text(other, "two");
    rename(other, path);
    assert_true(wait_told(5000) > 0);
    settle();
    unlink(path);
    assert_true(wait_told(5000) > 0);
    file_watch_close(watch);
}

static void says_nothing_of_the_files_beside_it(void **state)
{
    struct file_watch *watch = start();

    write_text(other, "two");
    assert_int_equal(wait_told(200), 0);
    file_watch_close(watch);
}

static void is_quiet_once_it_is_closed(void **state)
{
    struct file_watch *watch = start();

    write_text(path, "one");
    file_watch_close(watch);
    assert_int_equal(wait_told(200), 0);
}

static void needs_a_folder(void **state)
{
    struct file_watch *watch = NULL;

    assert_int_equal(file_watch_start(&loop, "/nowhere/policy.lua", count, &told, &watch), -ENOENT);
    assert_null(watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_what_is_written_replaced_and_removed, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(says_nothing_of_the_files_beside_it, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(is_quiet_once_it_is_closed, open_folder, close_folder),
        cmocka_unit_test_setup_teardown(needs_a_folder, open_folder, close_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
