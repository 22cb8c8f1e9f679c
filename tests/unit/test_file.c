/* file: whole files, directories, locks, in a temporary directory. */
#include "cmocka_all.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[] = "/tmp/appmgr-test-file.XXXXXX";
static char path_buffer[8][256];

static const char *at(const char *name)
{
    static int turn;
    char *path = path_buffer[turn++ % 8];

    snprintf(path, sizeof path_buffer[0], "%s/%s", base, name);
    return path;
}

static int make_base(void **state)
{
    return mkdtemp(base) ? 0 : -1;
}

static int remove_base(void **state)
{
    char command[64];

    snprintf(command, sizeof command, "rm -rf %s", base);
    return system(command);
}

static void what_was_written_is_read(void **state)
{
    struct file_bytes read;
    struct stat st;

    assert_int_equal(file_write_atomic(at("a"), "x\0y", 3, 0640), 0);
    assert_int_equal(file_write_atomic(at("a"), "long\0er", 7, 0640), 0);
    assert_int_equal(file_read(at("a"), 7, &read), 0);
    assert_int_equal(read.length, 7);
    assert_memory_equal(read.bytes, "long\0er", 7);
    free(read.bytes);
    assert_int_equal(stat(at("a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(file_read(at("a"), 6, &read), -EFBIG);
    assert_int_equal(file_replace(at("a"), "new", 3, 0600), 0);
    assert_int_equal(file_read(at("a"), 7, &read), 0);
    assert_memory_equal(read.bytes, "new", read.length);
    free(read.bytes);
}

static void what_is_appended_stands_at_the_end(void **state)
{
    struct file_bytes read;
    struct stat st;
    off_t size = 0;

    assert_int_equal(file_append(at("appended"), "one\n", 4, 0640, &size), 0);
    assert_int_equal(size, 4);
    assert_int_equal(file_append(at("appended"), "two\n", 4, 0600, &size), 0);
    assert_int_equal(size, 8);
    assert_int_equal(file_read(at("appended"), 100, &read), 0);
    assert_int_equal(read.length, 8);
    assert_memory_equal(read.bytes, "one\ntwo\n", 8);
    free(read.bytes);
    assert_int_equal(stat(at("appended"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(file_append(at("none/x"), "x", 1, 0600, &size), -ENOENT);
}

static void expect_range(off_t offset, size_t limit, off_t began, const char *bytes)
{
    struct file_bytes read;
    struct statx st;

    assert_int_equal(file_read_range(at("range"), &offset, limit, &read, &st), 0);
    assert_int_equal(offset, began);
    assert_int_equal(read.length, strlen(bytes));
    assert_memory_equal(read.bytes, bytes, read.length);
    assert_int_equal(st.stx_size, 6);
    free(read.bytes);
}

static void a_part_is_read_from_either_end(void **state)
{
    struct file_bytes read;
    struct statx st, other;
    off_t offset = 0;

    assert_int_equal(file_write_atomic(at("range"), "abcdef", 6, 0600), 0);
    expect_range(0, 100, 0, "abcdef");
    expect_range(2, 3, 2, "cde");
    expect_range(-2, 100, 4, "ef");
    expect_range(-100, 100, 0, "abcdef");
    expect_range(6, 100, 6, "");
    expect_range(9, 100, 9, "");
    assert_int_equal(file_read_range(at("range"), &offset, 1, &read, &st), 0);
    free(read.bytes);
    assert_int_equal(file_stat(at("range"), &other), 0);
    assert_int_equal(st.stx_ino, other.stx_ino);
    assert_memory_equal(&st.stx_btime, &other.stx_btime, sizeof st.stx_btime);
    assert_int_equal(file_stat(at("nothing"), &other), -ENOENT);
    assert_int_equal(file_read_range(base, &offset, 1, &read, &st), -EINVAL);
    assert_int_equal(file_read_range(at("nothing"), &offset, 1, &read, &st), -ENOENT);
}

static void a_failed_write_leaves_the_old_file_and_nothing_else(void **state)
{
    char **names;
    size_t count;

    assert_int_equal(file_make_directory(at("w/target/inner"), 0755), 0);
    assert_int_equal(file_write_atomic(at("w/target"), "x", 1, 0600), -EISDIR);
    assert_int_equal(file_list(at("w"), &names, &count), 0);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "target");
    file_free_names(names, count);
    assert_int_equal(file_write_atomic(at("absent/x"), "x", 1, 0600), -ENOENT);
    assert_int_equal(file_replace(at("w/target"), "x", 1, 0600), -EISDIR);
    assert_int_equal(file_list(at("w"), &names, &count), 0);
    assert_int_equal(count, 1);
    file_free_names(names, count);
}

static void what_is_no_file_is_not_read(void **state)
{
    struct file_bytes read;

    assert_int_equal(file_read(at("absent"), 10, &read), -ENOENT);
    assert_int_equal(file_read(base, 10, &read), -EISDIR);
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(file_read(at("fifo"), 10, &read), 0); /* and does not wait for a writer */
    assert_int_equal(read.length, 0);
    free(read.bytes);
}

static void directories_are_made_with_parents(void **state)
{
    assert_int_equal(file_make_directory(at("d/e/f"), 0700), 0);
    assert_int_equal(file_make_directory(at("d/e/f"), 0700), 0);
    assert_int_equal(file_make_directory(at("d/e/f/"), 0700), 0);
    assert_int_equal(file_write_atomic(at("d/plain"), "", 0, 0600), 0);
    assert_int_equal(file_make_directory(at("d/plain"), 0700), -ENOTDIR);
    assert_int_equal(file_make_directory(at("d/plain/x"), 0700), -ENOTDIR);
    assert_int_equal(file_remove(at("d/e")), -ENOTEMPTY);
    assert_int_equal(file_remove(at("d/e/f")), 0);
    assert_int_equal(file_remove(at("d/e/f")), -ENOENT);
}

static void names_are_sorted(void **state)
{
    static const char *const expected[] = {".hidden", "a", "b", "c"};
    char **names;
    size_t count;

    assert_int_equal(file_make_directory(at("list"), 0700), 0);
    assert_int_equal(file_list(at("list"), &names, &count), 0);
    assert_int_equal(count, 0);
    file_free_names(names, count);
    file_write_atomic(at("list/c"), "", 0, 0600);
    file_write_atomic(at("list/a"), "", 0, 0600);
    file_write_atomic(at("list/b"), "", 0, 0600);
    file_write_atomic(at("list/.hidden"), "", 0, 0600);
    assert_int_equal(file_list(at("list"), &names, &count), 0);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(names[i], expected[i]);
    file_free_names(names, count);
    assert_int_equal(file_list(at("absent"), &names, &count), -ENOENT);
}

static void the_end_of_a_file_is_read(void **state)
{
    struct file_bytes read;
    int cut;

    file_write_atomic(at("end"), "0123456789", 10, 0600);
    assert_int_equal(file_read_end(at("end"), 4, &read, &cut), 0);
    assert_true(cut);
    assert_int_equal(read.length, 4);
    assert_memory_equal(read.bytes, "6789", 4);
    free(read.bytes);
    assert_int_equal(file_read_end(at("end"), 10, &read, &cut), 0);
    assert_false(cut);
    assert_int_equal(read.length, 10);
    free(read.bytes);
}

static void a_lock_is_exclusive_and_names_its_holder(void **state)
{
    int first, second;
    pid_t holder;

    assert_int_equal(file_lock(at("lock"), &first, &holder), 0);
    assert_int_equal(file_lock(at("lock"), &second, &holder), -EWOULDBLOCK);
    assert_int_equal(holder, getpid());
    assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
    close(first);
    assert_int_equal(file_lock(at("lock"), &second, &holder), 0);
    close(second);
    assert_int_equal(file_lock(at("absent/lock"), &second, &holder), -ENOENT);
}

static void a_lock_ends_with_its_process(void **state)
{
    int fd, status;
    pid_t holder, child = fork();

    if (child == 0)
        _exit(file_lock(at("dead"), &fd, &holder) == 0 ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(file_lock(at("dead"), &fd, &holder), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(what_is_appended_stands_at_the_end),
        cmocka_unit_test(a_part_is_read_from_either_end),
        cmocka_unit_test(a_failed_write_leaves_the_old_file_and_nothing_else),
        cmocka_unit_test(what_is_no_file_is_not_read),
        cmocka_unit_test(directories_are_made_with_parents),
        cmocka_unit_test(names_are_sorted),
        cmocka_unit_test(the_end_of_a_file_is_read),
        cmocka_unit_test(a_lock_is_exclusive_and_names_its_holder),
        cmocka_unit_test(a_lock_ends_with_its_process),
    };

    return cmocka_run_group_tests(tests, make_base, remove_base);
}
