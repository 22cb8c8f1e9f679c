/* keeper: its clients, good and bad, one after the other and several at once; its own beginning and end. */
#include "keeper_fixture.h"

static struct peer other;

/* --- coming back --- */

static void exits_are_kept_until_they_are_acknowledged(void **state)
{
    uint64_t first, second;

    spawn_script("a", "exit 4");
    expect(&agent, WIRE_EXITED, "a");
    first = number(WIRE_TAG_SEQUENCE);
    begin_script("b", "while ! test -e go; do sleep 0.01; done; exit 5");
    end(&agent);
    expect(&agent, WIRE_STARTED, "b");
    close(agent.fd);
    close(open(in_directory("go"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    usleep(50000);
    rejoin();
    expect(&agent, WIRE_LIST_END, NULL);
    expect(&agent, WIRE_EXITED, "a");
    assert_int_equal(number(WIRE_TAG_SEQUENCE), first);
    assert_int_equal(number(WIRE_TAG_EXIT_CODE), 4);
    expect(&agent, WIRE_EXITED, "b");
    second = number(WIRE_TAG_SEQUENCE);
    assert_true(second > first);
    begin(WIRE_ACKNOWLEDGE, NULL);
    wire_put_number(&writer, WIRE_TAG_SEQUENCE, first);
    end(&agent);
    rejoin();
    expect(&agent, WIRE_LIST_END, NULL);
    expect(&agent, WIRE_EXITED, NULL);
    assert_int_equal(number(WIRE_TAG_SEQUENCE), second);
}

static void restarts_go_on_without_an_agent(void **state)
{
    begin_script("a", "echo x >> runs; exit 1");
    put_restart(10, 10);
    end(&agent);
    expect(&agent, WIRE_STARTED, "a");
    close(agent.fd);
    WAIT_FOR(strlen(contents("runs")) >= 8);
    rejoin();
    expect(&agent, WIRE_CHILD, "a");
    assert_true(number(WIRE_TAG_STARTS) >= 4);
}

/* --- several --- */

static void there_is_one_controller(void **state)
{
    dial(&other);
    begin(WIRE_HELLO, NULL);
    wire_put_number(&writer, WIRE_TAG_VERSION, WIRE_VERSION);
    wire_put_number(&writer, WIRE_TAG_ROLE, WIRE_ROLE_CONTROLLER);
    end(&other);
    expect(&other, WIRE_ERROR, NULL);
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "controlled by process"));
    expect_end(&other);
    spawn_script("a", "sleep 100");
}

static void a_reader_sees_all_and_changes_nothing(void **state)
{
    join(&other, WIRE_ROLE_READER);
    expect(&other, WIRE_LIST_END, NULL);
    spawn_script("a", "sleep 100");
    expect(&other, WIRE_STARTED, "a");
    say(&other, WIRE_STOP, "a");
    expect(&other, WIRE_ERROR, NULL);
    say(&other, WIRE_LIST, NULL);
    expect(&other, WIRE_CHILD, "a");
    assert_int_equal(number(WIRE_TAG_STATE), WIRE_STATE_RUNNING);
    close(other.fd);
}

static void an_unknown_version_is_turned_away(void **state)
{
    dial(&other);
    begin(WIRE_HELLO, NULL);
    wire_put_number(&writer, WIRE_TAG_VERSION, 9);
    wire_put_number(&writer, WIRE_TAG_OLDEST, 7);
    end(&other);
    expect(&other, WIRE_ERROR, NULL);
    assert_non_null(strstr(wire_text(&message, WIRE_TAG_ERROR), "versions"));
    expect_end(&other);
}

static void a_later_version_that_still_speaks_ours_is_welcome(void **state)
{
    dial(&other);
    begin(WIRE_HELLO, NULL);
    wire_put_number(&writer, WIRE_TAG_VERSION, 3);
    wire_put_number(&writer, WIRE_TAG_OLDEST, 1);
    wire_put_number(&writer, WIRE_TAG_ROLE, WIRE_ROLE_READER);
    end(&other);
    expect(&other, WIRE_WELCOME, NULL);
    assert_int_equal(number(WIRE_TAG_VERSION), WIRE_VERSION);
    begin((enum wire_type)40, NULL);
    end(&other);
    expect(&other, WIRE_ERROR, NULL);
    close(other.fd);
}

static void more_clients_than_places_are_turned_away(void **state)
{
    struct peer *many = calloc(12, sizeof *many);
    unsigned welcome = 0;

    for (int i = 0; i < 12; i++) {
        dial(&many[i]);
        begin(WIRE_HELLO, NULL);
        wire_put_number(&writer, WIRE_TAG_VERSION, WIRE_VERSION);
        wire_put_number(&writer, WIRE_TAG_ROLE, WIRE_ROLE_READER);
        wire_end(&writer);
        (void)!send(many[i].fd, out, writer.size, MSG_NOSIGNAL);
        welcome += next_frame(&many[i], now_ms() + PATIENCE_MS);
    }
    assert_int_equal(welcome, 7);
    for (int i = 0; i < 12; i++)
        close(many[i].fd);
    free(many);
    spawn_script("a", "sleep 100");
}

/* --- bad --- */

static void send_raw(const void *data, size_t size)
{
    (void)!send(other.fd, data, size, MSG_NOSIGNAL); /* it may have been thrown out already */
}

static void a_malformed_frame_ends_its_connection_only(void **state)
{
    static const uint8_t absurd[] = {255, 255, 255, 255, WIRE_STOP, 0, 0, 0};
    static const uint8_t bad_field[] = {10, 0, 0, 0, WIRE_STOP, 0, 0, 0, WIRE_TAG_ID, 0, 0, 0, 2, 0, 0, 0, 'a', 'b'};
    static const uint8_t reserved[] = {0, 0, 0, 0, WIRE_LIST, 0, 1, 0};
    static const uint8_t no_id[] = {0, 0, 0, 0, WIRE_STOP, 0, 0, 0};
    static const struct {
        const uint8_t *data;
        size_t size;
    } frames[] = {{absurd, sizeof absurd}, {bad_field, sizeof bad_field}, {reserved, sizeof reserved}, {no_id, sizeof no_id}};

    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        join(&other, WIRE_ROLE_OPERATOR);
        send_raw(frames[i].data, frames[i].size);
        expect_end(&other);
        dial(&other); /* and before any greeting */
        send_raw(frames[i].data, frames[i].size);
        expect_end(&other);
    }
    join(&other, WIRE_ROLE_OPERATOR);
    begin(WIRE_STOP, "");
    end(&other);
    expect_end(&other);
    spawn_script("a", "sleep 100");
}

static void noise_is_survived(void **state)
{
    uint8_t noise[512];
    uint32_t random = 99;

    for (int round = 0; round < 300; round++) {
        dial(&other);
        if (round % 2)
            greet(&other, WIRE_ROLE_OPERATOR);
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
        if (round % 3 == 0)
            memcpy(noise, (uint8_t[]){64, 0, 0, 0, (uint8_t)(round % 9), 0, 0, 0, (uint8_t)(round % 34), 0, 0, 0}, 12);
        send_raw(noise, sizeof noise);
        close(other.fd);
    }
    spawn_script("a", "sleep 100");
}

static void a_frame_in_single_bytes_is_a_frame(void **state)
{
    dial(&other);
    begin(WIRE_HELLO, NULL);
    wire_put_number(&writer, WIRE_TAG_VERSION, WIRE_VERSION);
    wire_end(&writer);
    for (size_t i = 0; i < writer.size; i++) {
        send_raw(out + i, 1);
        usleep(200);
    }
    expect(&other, WIRE_WELCOME, NULL);
    close(other.fd);
}

/* Whether the one who asks as this user is answered. */
static bool answers(uid_t user)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        char byte;
        int fd = setuid(user) == 0 ? try_dial() : -1;

        if (fd < 0)
            _exit(2);
        begin(WIRE_HELLO, NULL);
        wire_put_number(&writer, WIRE_TAG_VERSION, WIRE_VERSION);
        wire_put_number(&writer, WIRE_TAG_OLDEST, WIRE_VERSION);
        wire_put_number(&writer, WIRE_TAG_ROLE, WIRE_ROLE_OPERATOR);
        wire_end(&writer);
        send(fd, out, writer.size, MSG_NOSIGNAL);
        _exit(recv(fd, &byte, 1, 0) == 1 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 0;
}

/* Also where folder and socket let everybody in. */
static void another_user_is_turned_away(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(chmod(in_directory("keeper.sock"), 0666), 0);
    assert_true(answers(0));
    assert_false(answers(65534));
    spawn_script("a", "sleep 100");
}

static void who_does_not_read_is_thrown_out(void **state)
{
    join(&other, WIRE_ROLE_OPERATOR);
    begin(WIRE_STOP, "nobody");
    wire_end(&writer);
    for (int i = 0; i < 100000; i++)
        if (send(other.fd, out, writer.size, MSG_NOSIGNAL) < 0)
            break;
    WAIT_FOR(send(other.fd, out, writer.size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE);
    close(other.fd);
    spawn_script("a", "sleep 100");
}

static void requests_of_one_who_has_gone_are_still_done(void **state)
{
    pid_t pid = spawn_script("a", "sleep 100");

    for (int i = 0; i < 2000; i++) {
        begin(WIRE_UPDATE, "a");
        wire_put_text(&writer, WIRE_TAG_LABEL, "0123456789");
        end(&agent);
    }
    say(&agent, WIRE_STOP, "a");
    close(agent.fd);
    WAIT_FOR(!is_alive(pid));
    dial(&agent);
}

/* --- the keeper's own life --- */

static int run(const char *command)
{
    char line[512];
    int status;

    snprintf(line, sizeof line, KEEPER " --state-dir %s %s > %s/said 2>&1", directory, command, directory);
    status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_second_keeper_refuses(void **state)
{
    char pid[16];

    assert_int_equal(run(""), 1);
    snprintf(pid, sizeof pid, "%d", (int)keeper);
    assert_non_null(strstr(contents("said"), pid));
    assert_int_equal(run("--detach"), 1);
    assert_non_null(strstr(contents("said"), "runs on"));
    spawn_script("a", "sleep 100");
}

static void it_can_be_listed_and_stopped_without_an_agent(void **state)
{
    pid_t pid = spawn_script("web.0", "sleep 100");

    close(agent.fd);
    assert_int_equal(run("ls"), 0);
    assert_non_null(strstr(contents("said"), "web.0                                running"));
    assert_int_equal(run("stop"), 0);
    assert_false(is_alive(pid));
    assert_int_equal(wait_keeper(), 0);
    assert_int_equal(run("ls"), 1);
    assert_non_null(strstr(contents("said"), "no keeper runs on"));
    assert_int_equal(run("--state-dir /no/such/directory"), 1);
    assert_int_equal(run("nonsense"), 2);
    assert_non_null(strstr(contents("said"), "there is no command nonsense"));
    assert_int_equal(run("ls more"), 2);
    assert_non_null(strstr(contents("said"), "unexpected argument: more"));
    agent.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void one_that_is_stopped_is_not_waited_for(void **state)
{
    char pid[32];

    snprintf(pid, sizeof pid, "(process %d)", (int)keeper);
    kill(keeper, SIGSTOP);
    assert_int_equal(run("ls"), 1);
    assert_non_null(strstr(contents("said"), "does not answer"));
    assert_non_null(strstr(contents("said"), pid));
    assert_int_equal(run("stop"), 1);
    assert_non_null(strstr(contents("said"), "does not answer"));
    kill(keeper, SIGCONT);
    assert_int_equal(run("ls"), 0);
}

static void a_state_directory_of_another_user_is_named_as_such(void **state)
{
    char command[256];

    if (geteuid() != 0)
        skip();
    snprintf(command, sizeof command, "setpriv --reuid 65534 --clear-groups %s ls --state-dir %s 2>&1 | grep -q 'Permission denied'",
             KEEPER, directory);
    assert_int_equal(system(command), 0);
}

static void a_signal_stops_all_and_the_keeper(void **state)
{
    pid_t pid = spawn_script("a", "sleep 100");

    kill(keeper, SIGTERM);
    expect(&agent, WIRE_STOPPED, "a");
    expect(&agent, WIRE_BYE, NULL);
    assert_int_equal(wait_keeper(), 0);
    assert_false(is_alive(pid));
    assert_int_not_equal(access(in_directory("keeper.sock"), F_OK), 0);
}

/* False when the keeper had ended before it saw us. */
static bool is_greeted(void)
{
    agent.size = agent.used = 0;
    begin(WIRE_HELLO, NULL);
    wire_put_number(&writer, WIRE_TAG_VERSION, WIRE_VERSION);
    wire_put_number(&writer, WIRE_TAG_ROLE, WIRE_ROLE_CONTROLLER);
    wire_end(&writer);
    if (agent.fd >= 0 && send(agent.fd, out, writer.size, MSG_NOSIGNAL) > 0 && next_frame(&agent, now_ms() + PATIENCE_MS))
        return message.type == WIRE_WELCOME;
    close(agent.fd);
    waitpid(keeper, NULL, 0);
    return false;
}

static int set_up_impatient(void **state)
{
    int status;

    if (make_directory(state) != 0)
        return -1;
    do { /* until we are there before it loses patience */
        start_keeper_limited("100", 0);
        while ((agent.fd = try_dial()) < 0 && waitpid(keeper, &status, WNOHANG) == 0)
            usleep(1000);
    } while (!is_greeted());
    say(&agent, WIRE_LIST, NULL);
    return 0;
}

static void it_ends_when_nobody_needs_it(void **state)
{
    pid_t pid = spawn_script("a", "sleep 100");

    close(agent.fd);
    usleep(300000);
    rejoin(); /* it has stayed for its child */
    say(&agent, WIRE_STOP, "a");
    expect(&agent, WIRE_EXITED, "a");
    begin(WIRE_ACKNOWLEDGE, NULL);
    wire_put_number(&writer, WIRE_TAG_SEQUENCE, number(WIRE_TAG_SEQUENCE));
    end(&agent);
    expect(&agent, WIRE_STOPPED, "a");
    assert_false(is_alive(pid));
    usleep(300000);
    say(&agent, WIRE_LIST, NULL); /* it has stayed for its client */
    expect(&agent, WIRE_LIST_END, NULL);
    close(agent.fd);
    assert_int_equal(wait_keeper(), 0);
    agent.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(exits_are_kept_until_they_are_acknowledged),
        TEST(restarts_go_on_without_an_agent),
        TEST(there_is_one_controller),
        TEST(a_reader_sees_all_and_changes_nothing),
        TEST(an_unknown_version_is_turned_away),
        TEST(a_later_version_that_still_speaks_ours_is_welcome),
        TEST(more_clients_than_places_are_turned_away),
        TEST(a_malformed_frame_ends_its_connection_only),
        TEST(noise_is_survived),
        TEST(a_frame_in_single_bytes_is_a_frame),
        TEST(another_user_is_turned_away),
        TEST(who_does_not_read_is_thrown_out),
        TEST(requests_of_one_who_has_gone_are_still_done),
        TEST(a_second_keeper_refuses),
        TEST(it_can_be_listed_and_stopped_without_an_agent),
        TEST(one_that_is_stopped_is_not_waited_for),
        TEST(a_state_directory_of_another_user_is_named_as_such),
        TEST(a_signal_stops_all_and_the_keeper),
        cmocka_unit_test_setup_teardown(it_ends_when_nobody_needs_it, set_up_impatient, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
