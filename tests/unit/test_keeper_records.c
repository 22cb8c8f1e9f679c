/* keeper: its records, and what is done with those that are not as they should be. */
#include "keeper_death_fixture.h"

#include "keeper/pass.h"
#include "keeper/record_cell.h"

#include <sched.h>
#include <seccomp.h>

/* --- what is in the file --- */

static uint8_t file[4 << 20];
static size_t file_size;

static void read_records(void)
{
    int fd = open(in_directory("keeper.records"), O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, file, sizeof file);

    close(fd);
    assert_true(size >= RECORD_CHILDREN_AT);
    file_size = (size_t)size;
}

static void write_records(void)
{
    int fd = open(in_directory("keeper.records"), O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_int_equal(write(fd, file, file_size), file_size);
    close(fd);
}

/* Where the cells of the last record of that child begin. */
static size_t cells_of(const char *id)
{
    size_t found = 0, size;

    for (size_t at = RECORD_CHILDREN_AT; at < file_size && (size = record_head_read(file + at, file_size - at)) > 0;
         at += record_size(size)) {
        struct wire_frame frame;
        struct wire_message spawn;

        assert_true(wire_find(file + at + RECORD_FRAME_AT, size, &frame) > 0);
        assert_int_equal(wire_decode(&frame, &spawn), 0);
        if (strcmp(wire_text(&spawn, WIRE_TAG_ID), id) == 0)
            found = at + RECORD_HEAD_SIZE;
    }
    assert_true(found > 0);
    return found;
}

/* Which of two cells is the newer. */
static size_t newer_of(size_t cells)
{
    struct record_cell a, b;

    memcpy(&a, file + cells, sizeof a);
    memcpy(&b, file + cells + RECORD_CELL_SIZE, sizeof b);
    return a.turn > b.turn ? cells : cells + RECORD_CELL_SIZE;
}

/* Sets numbers in the newest cell of `count` at `cells`. `changes` is a frame of them. */
static void change_cell(size_t cells, unsigned count, const struct wire_writer *changes)
{
    struct record_cell cell = {0};
    struct wire_writer changed = {.data = cell.frame, .capacity = sizeof cell.frame};
    struct wire_message before, change;
    struct wire_frame frame;
    uint64_t turn = 0;

    assert_true(record_cell_read(file + cells, count, &before, &turn));
    assert_true(wire_find(changes->data, changes->size, &frame) > 0);
    assert_int_equal(wire_decode(&frame, &change), 0);
    wire_begin(&changed, (enum wire_type)before.type);
    wire_put_fields(&changed, &before, &change);
    wire_put_fields(&changed, &change, NULL);
    assert_int_equal(wire_end(&changed), 0);
    record_cell_seal(&cell, turn + 1);
    memcpy(file + cells, &cell, sizeof cell);
}

static struct wire_writer change(enum wire_tag tag, uint64_t value)
{
    begin(WIRE_RECORD_CHILD, NULL);
    wire_put_number(&writer, tag, value);
    wire_end(&writer);
    return writer;
}

static void change_number(const char *id, enum wire_tag tag, uint64_t value)
{
    struct wire_writer changes = change(tag, value);

    change_cell(cells_of(id), 2, &changes);
}

/* --- they are current --- */

static void update_label(const char *id, size_t size)
{
    char *label = malloc(size + 1);

    memset(label, 'x', size);
    label[size] = '\0';
    begin(WIRE_UPDATE, id);
    wire_put_text(&writer, WIRE_TAG_LABEL, label);
    end(&agent);
    free(label);
}

static void expect_child(const char *id, pid_t pid, size_t label_size)
{
    expect(&agent, WIRE_CHILD, id);
    assert_int_equal(number(WIRE_TAG_PID), pid);
    assert_int_equal(strlen(wire_text(&message, WIRE_TAG_LABEL)), label_size);
}

static void a_record_that_grows_harms_no_neighbour(void **state)
{
    static const char *const ids[] = {"a", "b", "c"};
    pid_t pids[3];

    for (int i = 0; i < 3; i++)
        pids[i] = spawn_script(ids[i], "exec sleep 1000");
    for (size_t size = 1; size < 16000; size = size * 3 + 1)
        for (int i = 0; i < 3; i++)
            update_label(ids[i], size + (size_t)i);
    update_label("b", 5);
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    begin_script("a", "exec sleep 1000 # a longer specification than it had before");
    wire_put_text(&writer, WIRE_TAG_ENVIRONMENT, "MORE=much more than it had before");
    wire_put_text(&writer, WIRE_TAG_LABEL, "xxxxxxx");
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pids[0] = (pid_t)number(WIRE_TAG_PID);
    kill_keeper();
    revive();
    for (int left = 3; left > 0; left--) { /* the longer record went to the end */
        expect(&agent, WIRE_CHILD, NULL);
        for (int i = 0; i < 3; i++)
            if (is_about(ids[i]))
                assert_int_equal(number(WIRE_TAG_PID), pids[i]);
    }
    kill_keeper();
    revive();
    say(&agent, WIRE_LIST, NULL);
    expect_child("b", pids[1], 5);
    for (int i = 0; i < 3; i++)
        assert_true(is_alive(pids[i]));
}

static void a_file_that_doubled_is_written_anew(void **state)
{
    struct stat status;
    pid_t pid = spawn_script("a", "exec sleep 1000");

    for (int i = 0; i < 400; i++)
        update_label("a", 15000);
    update_label("a", 77);
    say(&agent, WIRE_LIST, NULL);
    expect_child("a", pid, 77);
    assert_int_equal(stat(in_directory("keeper.records"), &status), 0);
    assert_true(status.st_size < 3 << 20);
    kill_keeper();
    revive();
    expect_child("a", pid, 77);
}

/* --- moments at which a keeper may be killed --- */

static void of_two_cells_the_whole_one_counts(void **state)
{
    pid_t pid = spawn_script("a", "exec sleep 1000");

    kill_keeper();
    read_records();
    change_number("a", WIRE_TAG_STARTS, 7);
    file[newer_of(cells_of("a")) + 40] ^= 0xff; /* torn */
    write_records();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
    assert_int_not_equal(number(WIRE_TAG_STARTS), 7);
}

static void a_process_that_was_about_to_be_the_program_has_become_it(void **state)
{
    pid_t pid = spawn_script("a", "exec sleep 1000");

    kill_keeper();
    read_records();
    change_number("a", WIRE_TAG_BORN, 1);
    change_number("a", WIRE_TAG_STATE, CHILD_STARTING);
    change_number("a", WIRE_TAG_STARTS, 0);
    write_records();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
    assert_int_equal(number(WIRE_TAG_PID), pid);
    assert_int_equal(number(WIRE_TAG_STARTS), 1);
}

/* As on a full disk: the successor that the second keeper starts is known to the third. */
static void what_is_started_while_no_new_file_can_be_written_is_known(void **state)
{
    pid_t pid;

    begin_script("a", "exec sleep 1000");
    put_restart(20, 20);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    kill_keeper();
    assert_int_equal(mkdir(in_directory("keeper.records.new"), 0700), 0);
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    kill(pid, SIGKILL);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    kill_keeper();
    assert_int_equal(rmdir(in_directory("keeper.records.new")), 0);
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    assert_false(is_alive(pid));
}

/* What the records say of the run before is not said of it. */
static void what_was_about_to_be_the_next_run_can_be_stopped(void **state)
{
    pid_t pid = spawn_script("a", "exec sleep 1000");

    kill_keeper();
    read_records();
    change_number("a", WIRE_TAG_BORN, 1);
    change_number("a", WIRE_TAG_ENDED, 1);
    change_number("a", WIRE_TAG_STATE, CHILD_STARTING);
    write_records();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
    assert_int_equal(number(WIRE_TAG_PID), pid);
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    assert_false(is_alive(pid));
}

static void what_was_to_be_started_is_started(void **state)
{
    pid_t pid = spawn_script("a", "exec sleep 1000");

    kill_keeper();
    kill(pid, SIGKILL);
    read_records();
    change_number("a", WIRE_TAG_STATE, CHILD_STARTING);
    change_number("a", WIRE_TAG_PID, 0);
    write_records();
    revive();
    do {
        say(&agent, WIRE_LIST, NULL);
        expect(&agent, WIRE_CHILD, "a");
    } while (number(WIRE_TAG_STATE) != WIRE_STATE_RUNNING);
    assert_int_not_equal(number(WIRE_TAG_PID), pid);
}

static void an_exit_that_missed_the_ring_is_told(void **state)
{
    spawn_script("a", "exit 5");
    expect(&agent, WIRE_EXITED, "a");
    kill_keeper();
    read_records();
    memset(file + RECORD_RING_AT, 0, sizeof(struct exit_record));
    write_records();
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 5);
    assert_int_equal(number(WIRE_TAG_SEQUENCE), 1);
}

static void an_exit_of_what_was_forgotten_is_nobody_elses(void **state)
{
    spawn_script("a", "exit 5");
    expect(&agent, WIRE_STOPPED, "a");
    say(&agent, WIRE_FORGET, "a");
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_LIST_END, NULL);
    kill_keeper();
    revive();
    spawn_script("b", "exec sleep 1000");
    rejoin();
    expect(&agent, WIRE_LIST_END, NULL);
    say(&agent, WIRE_STOP, "b");
    for (uint64_t until_ms = now_ms() + PATIENCE_MS; message.type != WIRE_STOPPED;) {
        assert_true(next_frame(&agent, until_ms));
        if (message.type == WIRE_EXITED)
            assert_true(wire_has(&message, WIRE_TAG_EXIT_SIGNAL)); /* its own, and not that of a */
    }
}

static void an_unfinished_record_does_not_exist(void **state)
{
    pid_t pid = spawn_script("a", "exec sleep 1000");
    size_t frame_size, record, begun;

    kill_keeper();
    read_records();
    frame_size = record_head_read(file + RECORD_CHILDREN_AT, file_size - RECORD_CHILDREN_AT);
    record = record_size(frame_size);
    begun = RECORD_FRAME_AT + frame_size - 10;
    memset(file + RECORD_CHILDREN_AT + record, 0, record);
    memcpy(file + RECORD_CHILDREN_AT + record, file + RECORD_CHILDREN_AT, begun); /* a keeper was killed as it wrote it */
    file_size = RECORD_CHILDREN_AT + 2 * record;
    write_records();
    assert_int_equal(run("--check-records"), 0);
    file_size = RECORD_CHILDREN_AT + record + begun;
    write_records();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
}

/* --- records that are not as they should be --- */

/* The keeper does not start, says why, and touches nothing. */
static void expect_refusal(const char *why, pid_t pid)
{
    write_records();
    assert_int_equal(run("--check-records"), 1);
    assert_non_null(strstr(contents("said"), why));
    assert_int_equal(run(""), 1);
    if (!strstr(contents("said"), why) || !strstr(contents("said"), "then remove keeper.records"))
        fail_msg("\"%s\" does not say \"%s\"", contents("said"), why);
    assert_true(is_alive(pid));
}

static void unreadable_records_stop_the_keeper_and_nothing_else(void **state)
{
    static uint8_t whole[sizeof file];
    pid_t pid = spawn_script("a", "exec sleep 1000");
    size_t size, cells;

    spawn_script("b", "exec sleep 1000");
    kill_keeper();
    read_records();
    memcpy(whole, file, sizeof file);
    size = file_size;
    cells = cells_of("a");
    memcpy(file, "garbage!", 8);
    expect_refusal("does not begin as it must", pid);
    memcpy(file, whole, sizeof file);
    file_size = 100;
    expect_refusal("too short", pid);
    file_size = size;
    file[cells + 40] ^= 0xff;
    file[cells + RECORD_CELL_SIZE + 40] ^= 0xff;
    expect_refusal("the record at byte", pid);
    memcpy(file, whole, sizeof file);
    file[RECORD_CHILDREN_AT + RECORD_FRAME_AT + 20] ^= 0xff;
    expect_refusal("the record at byte", pid);
    memcpy(file, whole, sizeof file);
    file_size = size - 10;
    expect_refusal("the record at byte", pid);
    file_size = RECORD_CHILDREN_AT + record_size(record_head_read(file + RECORD_CHILDREN_AT, size - RECORD_CHILDREN_AT));
    expect_refusal("its records end at byte", pid);
    file_size = size;
    write_records();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
}

static void random_damage_never_harms(void **state)
{
    static uint8_t whole[sizeof file];
    pid_t pid = spawn_script("a", "exec sleep 1000");
    uint32_t random = 7;

    kill_keeper();
    read_records();
    memcpy(whole, file, sizeof file);
    for (int round = 0; round < 200; round++) {
        memcpy(file, whole, sizeof file);
        for (int i = 0; i < 20; i++) {
            random = random * 1664525 + 1013904223;
            file[i < 5 ? random % 4096 : RECORD_CHILDREN_AT + random % (file_size - RECORD_CHILDREN_AT)] ^= (uint8_t)(random >> 24);
        }
        write_records();
        assert_true(run("--check-records") <= 1); /* under sanitizers, an overrun would be another code */
    }
    memcpy(file, whole, sizeof file);
    write_records();
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
}

static void a_later_version_is_not_read(void **state)
{
    struct wire_writer changes = change(WIRE_TAG_VERSION, 99);
    pid_t pid = spawn_script("a", "exec sleep 1000");

    changes = change(WIRE_TAG_VERSION, 99);
    kill_keeper();
    read_records();
    change_cell(0, 1, &changes);
    expect_refusal("later version", pid);
    changes = change(WIRE_TAG_VERSION, 1);
    change_cell(0, 1, &changes);
    write_records();
    revive();
    expect(&agent, WIRE_CHILD, "a");
}

/* The records say another boot than this one. */
static void write_boot(const char *boot)
{
    read_records();
    begin(WIRE_RECORD_FILE, NULL);
    wire_put_text(&writer, WIRE_TAG_BOOT_ID, boot);
    wire_end(&writer);
    change_cell(0, 1, &writer);
    write_records();
}

static void records_of_another_boot_are_no_records(void **state)
{
    pid_t pid = spawn_script("a", "exec sleep 1000");

    kill_keeper();
    kill(pid, SIGKILL); /* as the machine's end would have */
    write_boot("00000000-0000-0000-0000-000000000000");
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    expect_notice("earlier boot");
    spawn_script("a", "exec sleep 100");
}

/* The kernel's id of this boot, as text of at most `size` bytes with its NUL. */
static void read_boot_id(char *text, size_t size)
{
    FILE *stream = fopen("/proc/sys/kernel/random/boot_id", "r");

    assert_non_null(stream);
    assert_non_null(fgets(text, (int)size, stream));
    text[strcspn(text, "\n")] = '\0';
    fclose(stream);
}

static void records_of_a_container_before_are_no_records(void **state)
{
    char boot[64], text[96];
    pid_t pid = spawn_script("a", "exec sleep 1000");

    kill_keeper();
    kill(pid, SIGKILL); /* as the container's end would have */
    read_boot_id(boot, sizeof boot);
    snprintf(text, sizeof text, "%s pid:[1]", boot);
    write_boot(text);
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    expect_notice("of the container");
}

static void records_that_name_no_container_are_taken(void **state)
{
    char boot[64];
    pid_t pid = spawn_script("a", "exec sleep 1000");

    kill_keeper();
    read_boot_id(boot, sizeof boot);
    write_boot(boot);
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(wire_number(&message, WIRE_TAG_PID, 0), pid);
}

static void what_the_machine_did_not_write_before_it_went_down_is_nothing(void **state)
{
    kill_keeper();
    read_records();
    memset(file, 0, file_size);
    write_records();
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    expect_notice("never came whole");
    kill_keeper();
    file_size = 0;
    write_records();
    revive();
    spawn_script("a", "exec sleep 100");
}

static void a_copied_directory_touches_nothing_of_the_original(void **state)
{
    pid_t pid = spawn_script("a", "exec sleep 1000");
    char original[sizeof directory], line[256];

    strcpy(original, directory);
    kill_keeper();
    snprintf(line, sizeof line, "cp -a %s %s.copy", directory, directory);
    assert_int_equal(system(line), 0);
    snprintf(directory, sizeof directory, "%.50s.copy", original);
    revive();
    expect(&agent, WIRE_LIST_END, NULL);
    expect_notice("copy");
    assert_true(is_alive(pid));
    say(&agent, WIRE_SHUTDOWN, NULL);
    expect(&agent, WIRE_BYE, NULL);
    assert_int_equal(wait_keeper(), 0);
    close(agent.fd);
    assert_true(is_alive(pid));
    snprintf(line, sizeof line, "rm -rf %s", directory);
    assert_int_equal(system(line), 0);
    strcpy(directory, original);
    revive();
    expect(&agent, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_PID), pid);
}

/* Its number has become another process's, here one without our mark. */
/* A stranger is not in the cgroup of a child either. */
static void leave_cgroup(pid_t pid, const char *cgroup)
{
    char path[512];
    FILE *members;

    snprintf(path, sizeof path, "%s/../../cgroup.procs", cgroup);
    members = fopen(path, "w");
    assert_non_null(members);
    fprintf(members, "%d\n", (int)pid);
    fclose(members);
}

static void a_recycled_pid_is_a_stranger(void **state)
{
    char cgroup[400] = "";
    pid_t pid;

    begin(WIRE_SPAWN, "a");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/usr/bin/env");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "-i");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/bin/sleep");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "1000");
    put_restart(20, 20);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    pid = (pid_t)number(WIRE_TAG_PID);
    if (wire_has(&message, WIRE_TAG_CGROUP))
        snprintf(cgroup, sizeof cgroup, "%s", wire_text(&message, WIRE_TAG_CGROUP));
    WAIT_FOR(!has_environment(pid, "APPMGR_KEEPER"));
    kill_keeper();
    if (cgroup[0])
        leave_cgroup(pid, cgroup);
    read_records();
    change_number("a", WIRE_TAG_START_TICKS, 1);
    write_records();
    revive();
    expect(&agent, WIRE_EXITED, "a");
    assert_false(wire_has(&message, WIRE_TAG_EXIT_CODE));
    assert_false(wire_has(&message, WIRE_TAG_RAN_MS));
    assert_int_equal(number(WIRE_TAG_PID), pid);
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_STOPPED, "a");
    assert_true(is_alive(pid));
    kill(pid, SIGKILL);
}

/* A peer that is killed with something unread leaves an error before what it had sent. */
static void what_a_killed_peer_sent_is_received_to_its_end(void **state)
{
    struct wire_message received;
    int pair[2], fd;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pass_say(pair[0], WIRE_LIST_END), 0);
    assert_int_equal(pass_say(pair[0], WIRE_BYE), 0);
    assert_int_equal(pass_say(pair[1], WIRE_HELLO), 0);
    close(pair[0]);
    assert_int_equal(pass_receive(pair[1], 0, &received, &fd), 1);
    assert_int_equal(received.type, WIRE_LIST_END);
    assert_int_equal(pass_receive(pair[1], 0, &received, &fd), 1);
    assert_int_equal(received.type, WIRE_BYE);
    assert_int_equal(pass_receive(pair[1], 0, &received, &fd), 0);
    close(pair[1]);
}

/* As where no process can be had: none is born, neither here nor in a cgroup. */
static void bear_nothing(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const struct scmp_arg_cmp by_helper = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_PARENT, CLONE_PARENT);

    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAGAIN), SCMP_SYS(clone3), 0) != 0 ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAGAIN), SCMP_SYS(clone), 1, by_helper) != 0 || seccomp_load(filter) != 0)
        _exit(1);
    seccomp_release(filter);
}

/* The newer cell is never written over: it is the only whole one while the other is being written. */
static void a_child_that_was_not_born_has_noted_nothing(void **state)
{
    struct record_cell cell;
    size_t cells;

    assert_int_equal(make_directory(state), 0);
    prepare_keeper = bear_nothing;
    start_keeper_limited("10000", 0);
    prepare_keeper = NULL;
    join(&agent, WIRE_ROLE_CONTROLLER);
    begin_script("a", "exec sleep 1000");
    end(&agent);
    expect(&agent, WIRE_SPAWN_FAILED, "a");
    assert_string_equal(wire_text(&message, WIRE_TAG_STEP), "fork");
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "EAGAIN"));
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_LIST_END, NULL);
    kill_keeper();
    read_records();
    cells = cells_of("a");
    memcpy(&cell, file + cells + RECORD_CELL_SIZE, sizeof cell);
    assert_int_equal(cell.turn, 1); /* as it was added */
    memcpy(&cell, file + cells, sizeof cell);
    assert_int_equal(cell.turn, 2); /* that it failed */
    revive();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_record_that_grows_harms_no_neighbour),
        TEST(a_file_that_doubled_is_written_anew),
        TEST(of_two_cells_the_whole_one_counts),
        TEST(a_process_that_was_about_to_be_the_program_has_become_it),
        TEST(what_is_started_while_no_new_file_can_be_written_is_known),
        TEST(what_was_about_to_be_the_next_run_can_be_stopped),
        TEST(what_was_to_be_started_is_started),
        TEST(an_exit_that_missed_the_ring_is_told),
        TEST(an_exit_of_what_was_forgotten_is_nobody_elses),
        TEST(an_unfinished_record_does_not_exist),
        TEST(unreadable_records_stop_the_keeper_and_nothing_else),
        TEST(random_damage_never_harms),
        TEST(a_later_version_is_not_read),
        TEST(records_of_another_boot_are_no_records),
        TEST(records_of_a_container_before_are_no_records),
        TEST(records_that_name_no_container_are_taken),
        TEST(what_the_machine_did_not_write_before_it_went_down_is_nothing),
        TEST(a_copied_directory_touches_nothing_of_the_original),
        TEST(a_recycled_pid_is_a_stranger),
        cmocka_unit_test_teardown(a_child_that_was_not_born_has_noted_nothing, tear_down),
        cmocka_unit_test(what_a_killed_peer_sent_is_received_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
