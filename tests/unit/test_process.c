/* process: the agent's client starts a keeper, loses it, finds it again. */
#include "keeper_fixture.h"

#include "loop.h"
#include "process.h"
#include "timer.h"

static struct process_client *client;
static char told[256 << 10];
static struct timer deadline;

static void note(const char *what, const char *id)
{
    size_t used = strlen(told);

    if (used + 100 < sizeof told)
        snprintf(told + used, sizeof told - used, "%s%s%.60s ", what, id ? ":" : "", id ? id : "");
}

static uint64_t last_pid, last_sequence;
static pid_t silent_pid;
static char lost_reason[512], last_error[512];

static void on_child(const struct wire_message *child, void *data)
{
    last_pid = wire_number(child, WIRE_TAG_PID, 0);
    note("child", wire_text(child, WIRE_TAG_ID));
}

static void on_ready(const struct wire_message *end, void *data) { note("ready", NULL); }
static void on_ended(void *data) { note("ended", NULL); }

static void on_lost(const char *reason, void *data)
{
    snprintf(lost_reason, sizeof lost_reason, "%s", reason);
    note("lost", NULL);
}

static bool asks_when_heard;
static int answer_when_heard;

static void on_silent(pid_t pid, void *data)
{
    if (!pid && asks_when_heard)
        answer_when_heard = process_request(client, WIRE_RENEW, NULL, WIRE_TAG_RENEWED_MS, 1);
    silent_pid = pid;
    note(pid ? "silent" : "heard", NULL);
}

static void on_event(const struct wire_message *event, void *data)
{
    static const char *const names[] = {"started", "exited", "spawn_failed", "stopping", "stopped", "gave_up", "error"};

    last_pid = event->type == WIRE_STARTED ? wire_number(event, WIRE_TAG_PID, 0) : last_pid;
    last_sequence = event->type == WIRE_EXITED ? wire_number(event, WIRE_TAG_SEQUENCE, 0) : last_sequence;
    if (wire_has(event, WIRE_TAG_ERROR))
        snprintf(last_error, sizeof last_error, "%s", wire_text(event, WIRE_TAG_ERROR));
    note(names[event->type - WIRE_STARTED], wire_text(event, WIRE_TAG_ID));
}

static void on_upgraded(const char *failure, void *data)
{
    snprintf(last_error, sizeof last_error, "%s", failure ? failure : "");
    note("upgraded", NULL);
}

static const struct process_callbacks callbacks = {on_child, on_ready, on_event, on_lost, on_ended, on_upgraded, on_silent};

/* A test cannot fail inside of a turn of the loop: nothing would end that. */
static void give_up(struct timer *timer, void *data)
{
    *(bool *)data = true;
}

/* Turns the loop until `what` has been told. */
static const char *wait_until_told(const char *what)
{
    const char *found;
    bool is_late = false;

    timer_start(&deadline, PATIENCE_MS, 0, give_up, &is_late);
    while (!(found = strstr(told, what)) && !is_late)
        loop_step(100);
    timer_stop(&deadline);
    if (!found)
        fail_msg("waited in vain for \"%s\" after \"%.200s\"", what, told);
    return found + strlen(what);
}

/* The same; forgets what was told up to there. */
static void hear(const char *what)
{
    const char *rest = wait_until_told(what);

    memmove(told, rest, strlen(rest) + 1);
}

static void open_client(void)
{
    char error[256] = "";

    told[0] = '\0';
    client = process_open(KEEPER, directory, false, &callbacks, NULL, error, sizeof error);
    if (!client)
        fail_msg("%s", error);
}

/* "bad" seconds make it end at once. */
static void start(const char *id, const char *seconds, bool restarts)
{
    struct wire_writer *frame = process_begin(client, WIRE_SPAWN, id);

    assert_non_null(frame);
    wire_put_text(frame, WIRE_TAG_LABEL, "{}");
    wire_put_text(frame, WIRE_TAG_ARGUMENT, "sleep");
    wire_put_text(frame, WIRE_TAG_ARGUMENT, seconds);
    wire_put_text(frame, WIRE_TAG_ENVIRONMENT, "PATH=/usr/bin:/bin");
    if (restarts) {
        wire_put_number(frame, WIRE_TAG_RESTART_ENABLED, 1);
        wire_put_number(frame, WIRE_TAG_RESTART_DELAY_MS, 20);
    }
    assert_int_equal(process_end(client), 0);
}

static void start_sleep(const char *id, const char *seconds)
{
    start(id, seconds, true);
}

static pid_t keeper_pid(void)
{
    return (pid_t)atoi(contents("keeper.lock"));
}

static int set_up_client(void **state)
{
    if (make_directory(state) != 0)
        return -1;
    open_client();
    hear("ready ");
    return 0;
}

static int tear_down_client(void **state)
{
    char command[128];

    if (client) {
        process_shutdown(client);
        hear("ended ");
        process_close(client);
        client = NULL;
    }
    timer_shutdown();
    loop_shutdown();
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 ? 0 : -1;
}

static void it_starts_a_keeper_of_its_own(void **state)
{
    char path[64], text[256] = "";
    pid_t pid = keeper_pid();
    int fd;

    assert_true(is_alive(pid));
    assert_int_equal(getsid(pid), pid);
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof text - 1) >= 0);
    close(fd);
    assert_null(memmem(text, sizeof text, "SECRET", 6));
    for (int standard = 0; standard < 3; standard++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, standard);
        memset(text, 0, sizeof text);
        assert_true(readlink(path, text, sizeof text - 1) > 0);
        assert_string_equal(text, "/dev/null");
    }
}

static void children_outlive_the_client_and_are_found_again(void **state)
{
    uint64_t pid;

    start_sleep("a", "100");
    hear("started:a ");
    pid = last_pid;
    process_close(client);
    open_client();
    hear("child:a ");
    assert_int_equal(last_pid, pid);
    hear("ready ");
    start_sleep("a", "100");
    process_request(client, WIRE_STOP, "a", WIRE_TAG_NONE, 0);
    hear("stopping:a ");
    hear("exited:a ");
    hear("stopped:a ");
}

static void an_exit_that_was_not_acknowledged_comes_again(void **state)
{
    uint64_t sequence;

    start("a", "bad", false);
    hear("exited:a ");
    sequence = last_sequence;
    hear("stopped:a ");
    process_close(client);
    open_client();
    hear("ready ");
    hear("exited:a ");
    assert_int_equal(last_sequence, sequence);
    process_request(client, WIRE_ACKNOWLEDGE, NULL, WIRE_TAG_SEQUENCE, UINT64_MAX);
    process_close(client);
    open_client();
    hear("ready ");
    process_request(client, WIRE_FORGET, "a", WIRE_TAG_NONE, 0);
    process_request(client, WIRE_FORGET, "a", WIRE_TAG_NONE, 0);
    hear("error:a ");
    assert_null(strstr(told, "exited"));
    assert_non_null(strstr(last_error, "not known"));
}

static void a_killed_keeper_is_replaced(void **state)
{
    pid_t first = keeper_pid();
    uint64_t pid;

    start_sleep("a", "100");
    hear("started:a ");
    pid = last_pid;
    kill(first, SIGKILL);
    hear("lost ");
    assert_int_equal(process_request(client, WIRE_STOP, "a", WIRE_TAG_NONE, 0), -ENOTCONN);
    hear("child:a ");
    assert_int_equal(last_pid, pid);
    hear("ready ");
    assert_true(is_alive((pid_t)pid));
    assert_int_not_equal(keeper_pid(), first);
    start_sleep("a", "100");
    process_request(client, WIRE_STOP, "a", WIRE_TAG_NONE, 0);
    hear("stopped:a ");
    assert_false(is_alive((pid_t)pid));
}

static void an_upgraded_keeper_is_the_same(void **state)
{
    pid_t first = keeper_pid();
    uint64_t pid;

    start_sleep("a", "100");
    hear("started:a ");
    pid = last_pid;
    assert_int_equal(process_upgrade(client), 0);
    hear("child:a ");
    assert_int_equal(last_pid, pid);
    hear("ready upgraded ");
    assert_string_equal(last_error, "");
    assert_int_equal(keeper_pid(), first);
    mkdir(in_directory("keeper.records.new"), 0700);
    assert_int_equal(process_upgrade(client), 0);
    hear("upgraded ");
    assert_non_null(strstr(last_error, "keeper.records cannot be written"));
    rmdir(in_directory("keeper.records.new"));
    process_request(client, WIRE_STOP, "a", WIRE_TAG_NONE, 0);
    hear("stopped:a ");
}

static void a_shutdown_ends_children_and_keeper(void **state)
{
    pid_t pid = keeper_pid();
    uint64_t child;

    start_sleep("a", "100");
    hear("started:a ");
    child = last_pid;
    process_shutdown(client);
    hear("stopped:a ");
    hear("ended ");
    WAIT_FOR(!is_alive(pid));
    assert_false(is_alive((pid_t)child));
    process_shutdown(client); /* and once more: nobody is there any more */
    hear("ended ");
    process_close(client);
    client = NULL;
}

static void a_keeper_that_is_killed_while_it_ends_is_replaced_by_one_that_ends_the_rest(void **state)
{
    pid_t pid = keeper_pid();
    uint64_t child;

    start_sleep("a", "100");
    hear("started:a ");
    child = last_pid;
    kill(pid, SIGSTOP);
    process_shutdown(client);
    kill(pid, SIGKILL);
    hear("ended ");
    assert_false(is_alive((pid_t)child));
    assert_int_equal(access(in_directory("keeper.records"), F_OK), -1);
    process_close(client);
    client = NULL;
}

static void a_keeper_that_is_stopped_is_told_of_until_it_goes_on(void **state)
{
    pid_t pid = keeper_pid();

    kill(pid, SIGSTOP);
    start_sleep("a", "100");
    hear("silent ");
    assert_int_equal(silent_pid, pid);
    kill(pid, SIGCONT);
    hear("started:a ");
    hear("heard ");
    assert_null(strstr(told, "lost"));
}

static void a_keeper_that_is_stopped_when_an_agent_comes_is_told_of(void **state)
{
    pid_t pid = keeper_pid();

    process_close(client);
    kill(pid, SIGSTOP);
    open_client();
    hear("silent ");
    assert_int_equal(silent_pid, pid);
    kill(pid, SIGKILL); /* another one answers instead */
    hear("heard ");
    hear("ready ");
}

/* Else it would be taken and go nowhere. */
static void what_is_asked_of_a_silent_keeper_that_is_killed_is_refused(void **state)
{
    char error[256] = "";
    pid_t pid = keeper_pid();

    process_close(client);
    told[0] = '\0';
    client = process_open(KEEPER, directory, true, &callbacks, NULL, error, sizeof error); /* nobody starts another keeper */
    assert_non_null(client);
    hear("ready ");
    kill(pid, SIGSTOP);
    start_sleep("a", "100");
    hear("silent ");
    asks_when_heard = true;
    kill(pid, SIGKILL);
    hear("heard ");
    asks_when_heard = false;
    hear("lost ");
    assert_int_equal(answer_when_heard, -ENOTCONN);
    process_close(client);
    open_client();
    hear("ready ");
}

static void two_agents_do_not_share_a_keeper(void **state)
{
    struct process_client *first = client;

    open_client();
    hear("lost ");
    assert_non_null(strstr(lost_reason, "controlled by process"));
    process_close(first);
    hear("ready ");
}

static int spawn_with(const char *argument)
{
    struct wire_writer *frame = process_begin(client, WIRE_SPAWN, "a");

    assert_non_null(frame);
    wire_put_text(frame, WIRE_TAG_ARGUMENT, "true");
    wire_put_text(frame, WIRE_TAG_ARGUMENT, argument);
    return process_end(client);
}

static void what_is_too_large_is_refused_here(void **state)
{
    char *big = malloc(5 << 20);

    memset(big, 'x', 5 << 20);
    big[(5 << 20) - 1] = '\0';
    assert_int_equal(spawn_with(big), -E2BIG);
    big[3 << 20] = '\0';
    assert_int_equal(spawn_with(big), 0);
    hear("spawn_failed:a ");
    assert_non_null(strstr(last_error, "E2BIG"));
    free(big);
}

static void hundreds_at_once_are_no_trouble(void **state)
{
    char id[16];

    for (int i = 0; i < 500; i++) {
        snprintf(id, sizeof id, "c%d", i);
        start_sleep(id, "100");
    }
    for (int i = 0; i < 500; i++) {
        snprintf(id, sizeof id, "started:c%d ", i);
        wait_until_told(id); /* on a busy machine some take longer than those after them */
    }
    process_close(client);
    open_client();
    hear("child:c499 ");
    hear("ready ");
}

static int set_up_nothing(void **state)
{
    return make_directory(state);
}

static void a_keeper_that_others_start_is_waited_for(void **state)
{
    char error[256] = "", command[512];

    told[0] = '\0';
    client = process_open(KEEPER, directory, true, &callbacks, NULL, error, sizeof error);
    assert_non_null(client);
    hear("lost ");
    assert_non_null(strstr(lost_reason, "it is waited for"));
    assert_non_null(strstr(lost_reason, directory));
    snprintf(command, sizeof command, "%s --state-dir %s --detach", KEEPER, directory);
    assert_int_equal(system(command), 0);
    hear("ready ");
}

static void a_keeper_that_cannot_start_says_why(void **state)
{
    char error[256];

    assert_null(process_open("/no/such/keeper", directory, false, &callbacks, NULL, error, sizeof error));
    assert_non_null(strstr(error, "/no/such/keeper: No such file"));
    assert_null(process_open(KEEPER, "/no/such/directory", false, &callbacks, NULL, error, sizeof error));
    assert_non_null(strstr(error, "/no/such/directory: No such file"));
    assert_int_equal(mkdir(in_directory("keeper.lock"), 0700), 0);
    open_client();
    hear("lost ");
    assert_non_null(strstr(lost_reason, "keeper.lock: Is a directory"));
    assert_int_equal(rmdir(in_directory("keeper.lock")), 0);
    hear("ready ");
}

/* A peer that says what no keeper says. */
static int listen_falsely(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/keeper.sock", directory);
    unlink(address.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int accept_client(int listener)
{
    struct pollfd pending = {.fd = listener, .events = POLLIN};

    for (uint64_t until_ms = now_ms() + PATIENCE_MS; poll(&pending, 1, 0) == 0;) {
        assert_true(now_ms() < until_ms);
        loop_step(10);
    }
    return accept(listener, NULL, NULL);
}

static void nonsense_from_a_keeper_is_survived(void **state)
{
    static const uint8_t absurd[] = {255, 255, 255, 255, 0, 0, 0, 0};
    static const uint8_t out_of_turn[] = {0, 0, 0, 0, WIRE_LIST_END, 0, 0, 0};
    int listener = listen_falsely(), fd;

    open_client();
    fd = accept_client(listener);
    assert_int_equal(send(fd, absurd, sizeof absurd, 0), sizeof absurd);
    hear("lost ");
    assert_non_null(strstr(lost_reason, "malformed"));
    close(fd);
    fd = accept_client(listener);
    assert_int_equal(send(fd, out_of_turn, sizeof out_of_turn, 0), sizeof out_of_turn);
    hear("lost ");
    assert_non_null(strstr(lost_reason, "not understood"));
    close(fd);
    close(listener);
    unlink(in_directory("keeper.sock"));
    hear("ready ");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does: a keeper that is killed may be written to */
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_client, tear_down_client)
    const struct CMUnitTest tests[] = {
        TEST(it_starts_a_keeper_of_its_own),
        TEST(children_outlive_the_client_and_are_found_again),
        TEST(an_exit_that_was_not_acknowledged_comes_again),
        TEST(a_killed_keeper_is_replaced),
        TEST(an_upgraded_keeper_is_the_same),
        TEST(a_shutdown_ends_children_and_keeper),
        TEST(a_keeper_that_is_killed_while_it_ends_is_replaced_by_one_that_ends_the_rest),
        TEST(a_keeper_that_is_stopped_is_told_of_until_it_goes_on),
        TEST(a_keeper_that_is_stopped_when_an_agent_comes_is_told_of),
        TEST(what_is_asked_of_a_silent_keeper_that_is_killed_is_refused),
        TEST(two_agents_do_not_share_a_keeper),
        TEST(what_is_too_large_is_refused_here),
        TEST(hundreds_at_once_are_no_trouble),
        cmocka_unit_test_setup_teardown(a_keeper_that_others_start_is_waited_for, set_up_nothing, tear_down_client),
        cmocka_unit_test_setup_teardown(a_keeper_that_cannot_start_says_why, set_up_nothing, tear_down_client),
        cmocka_unit_test_setup_teardown(nonsense_from_a_keeper_is_survived, set_up_nothing, tear_down_client),
    };

    setenv("CONSUL_HTTP_TOKEN", "SECRET", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
