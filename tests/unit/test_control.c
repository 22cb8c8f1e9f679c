/* control: lines in and out over a real socket, and every way a client or a path can be wrong. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"
#include "control_client.h"

/* One server on a loop of its own, in a folder of its own, and what its callbacks saw. */
struct fixture {
    uv_loop_t loop;
    char folder[64];
    char path[128];
    struct control_server *server;
    struct control_conn *conn; /* of the last line */
    char error[512];
    char last[256]; /* start of the last line */
    size_t last_length;
    unsigned lines, inputs_ended, closed, refused, ended;
    void (*answer)(struct fixture *, struct control_conn *);
};

static void on_line(struct control_conn *conn, const char *line, size_t length, void *data)
{
    struct fixture *fixture = data;
    size_t kept = length < sizeof fixture->last ? length : sizeof fixture->last - 1;
    memcpy(fixture->last, line, kept);
    fixture->last[kept] = '\0';
    fixture->last_length = length;
    fixture->lines++;
    fixture->conn = conn;
    if (fixture->answer)
        fixture->answer(fixture, conn);
}

static void on_input_end(struct control_conn *conn, void *data)
{
    (void)conn;
    ((struct fixture *)data)->inputs_ended++;
}

static void on_close(struct control_conn *conn, void *data)
{
    struct fixture *fixture = data;
    fixture->closed++;
    if (fixture->conn == conn)
        fixture->conn = NULL;
}

static void on_refused(uid_t uid, void *data)
{
    ((struct fixture *)data)->refused = (unsigned)uid;
}

static void on_end(void *data)
{
    ((struct fixture *)data)->ended++;
}

static const struct control_callbacks callbacks = {on_line, on_input_end, on_close, on_refused, on_end};

static struct control_server *listen_on(struct fixture *fixture, const char *path)
{
    fixture->error[0] = '\0';
    return control_listen(&fixture->loop, path, &callbacks, fixture, fixture->error, sizeof fixture->error);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&fixture->loop);
    strcpy(fixture->folder, "/tmp/appmgr-control-XXXXXX");
    if (!mkdtemp(fixture->folder))
        return -1;
    snprintf(fixture->path, sizeof fixture->path, "%s/run/a.sock", fixture->folder);
    fixture->server = listen_on(fixture, fixture->path);
    *state = fixture;
    return fixture->server ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    char command[128];
    if (fixture->server)
        control_server_abandon(fixture->server);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&fixture->loop);
    snprintf(command, sizeof command, "rm -r %s", fixture->folder);
    result |= system(command);
    free(fixture);
    return result;
}

enum { PATIENCE_MS = 60000 };

/* Turns the loop until *counter reaches the number. */
static void wait_for(struct fixture *fixture, const unsigned *counter, unsigned number)
{
    for (int i = 0; i < PATIENCE_MS && *counter < number; i++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        if (*counter < number)
            usleep(1000);
    }
    assert_true(*counter >= number);
}

static void turn(struct fixture *fixture, int times)
{
    for (int i = 0; i < times; i++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static struct control_client *connect_to(struct fixture *fixture)
{
    struct control_client *client = control_client_connect(fixture->path, fixture->error, sizeof fixture->error);
    assert_non_null(client);
    return client;
}

/* A client without any manners: a non-blocking socket. */
static int connect_raw(struct fixture *fixture)
{
    int fd = control_socket_connect(fixture->path, fixture->error, sizeof fixture->error);
    assert_true(fd >= 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Sends all of it while the loop turns. False when the other end is gone. */
static bool push(struct fixture *fixture, int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        bytes += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    }
    return true;
}

/* ---- lines ---- */

static void echo(struct fixture *fixture, struct control_conn *conn)
{
    control_conn_send(conn, fixture->last, fixture->last_length);
}

static void a_line_is_answered(void **state)
{
    struct fixture *fixture = *state;
    const char *line;
    size_t length;
    fixture->answer = echo;
    struct control_client *client = connect_to(fixture);
    assert_int_equal(control_client_send(client, "hello", 5), 0);
    wait_for(fixture, &fixture->lines, 1);
    assert_int_equal(control_client_receive(client, PATIENCE_MS, &line, &length), CONTROL_LINE);
    assert_int_equal(length, 5);
    assert_memory_equal(line, "hello", 5);
    assert_int_equal(control_conn_peer(fixture->conn).pid, getpid());
    assert_int_equal(control_conn_peer(fixture->conn).uid, getuid());
    assert_int_equal(control_client_receive(client, 20, &line, &length), CONTROL_TIMEOUT);
    control_client_close(client);
    wait_for(fixture, &fixture->closed, 1);
}

static void lines_in_pieces_and_many_at_once(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_raw(fixture);
    assert_true(push(fixture, fd, "on", 2));
    turn(fixture, 3);
    assert_int_equal(fixture->lines, 0);
    assert_true(push(fixture, fd, "e\ntwo\n\nfour\nfi", 14));
    wait_for(fixture, &fixture->lines, 4);
    assert_string_equal(fixture->last, "four");
    assert_true(push(fixture, fd, "ve\0x\n", 5));
    wait_for(fixture, &fixture->lines, 5);
    assert_int_equal(fixture->last_length, 6);
    assert_memory_equal(fixture->last, "five\0x", 6);
    close(fd);
    wait_for(fixture, &fixture->closed, 1);
    assert_int_equal(fixture->lines, 5);
}

static void a_line_may_be_as_long_as_the_limit(void **state)
{
    struct fixture *fixture = *state;
    char *text = malloc(CONTROL_MAX_LINE + 2);
    memset(text, 'x', CONTROL_MAX_LINE + 2);
    text[CONTROL_MAX_LINE] = '\n';
    int fd = connect_raw(fixture);
    assert_true(push(fixture, fd, text, CONTROL_MAX_LINE + 1));
    wait_for(fixture, &fixture->lines, 1);
    assert_int_equal(fixture->last_length, CONTROL_MAX_LINE);
    close(fd);
    wait_for(fixture, &fixture->closed, 1);
    free(text);
}

static void a_longer_line_is_refused_and_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    char answer[256] = "";
    char *text = malloc(CONTROL_MAX_LINE + 1);
    memset(text, 'x', CONTROL_MAX_LINE + 1);
    int fd = connect_raw(fixture);
    (void)push(fixture, fd, text, CONTROL_MAX_LINE + 1);
    wait_for(fixture, &fixture->closed, 1);
    assert_int_equal(fixture->lines, 0);
    assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
    assert_non_null(strstr(answer, "\"code\":\"too_large\""));
    assert_int_equal(answer[strlen(answer) - 1], '\n');
    close(fd);
    free(text);
}

static void close_conn(struct fixture *fixture, struct control_conn *conn)
{
    assert_true(control_conn_send(conn, "bye", 3));
    control_conn_close(conn);
    control_conn_close(conn);
    assert_false(control_conn_send(conn, "more", 4));
}

static void closing_in_the_middle_of_lines(void **state)
{
    struct fixture *fixture = *state;
    char answer[16] = "";
    fixture->answer = close_conn;
    int fd = connect_raw(fixture);
    assert_true(push(fixture, fd, "a\nb\nc\n", 6));
    wait_for(fixture, &fixture->closed, 1);
    assert_int_equal(fixture->lines, 1);
    assert_int_equal(recv(fd, answer, sizeof answer, 0), 4);
    assert_memory_equal(answer, "bye\n", 4);
    assert_int_equal(recv(fd, answer, sizeof answer, 0), -1 * (errno == ECONNRESET));
    close(fd);
}

static void close_server(struct fixture *fixture, struct control_conn *conn)
{
    control_conn_send(conn, "gone", 4);
    control_server_close(fixture->server);
    fixture->server = NULL;
}

static void a_client_that_sends_no_more_is_answered(void **state)
{
    struct fixture *fixture = *state;
    char answer[16] = "";
    int fd = connect_raw(fixture);

    assert_true(push(fixture, fd, "question\n", 9));
    shutdown(fd, SHUT_WR);
    wait_for(fixture, &fixture->inputs_ended, 1);
    assert_int_equal(fixture->lines, 1);
    assert_int_equal(fixture->closed, 0);
    assert_true(control_conn_send(fixture->conn, "answer", 6));
    control_conn_close(fixture->conn);
    wait_for(fixture, &fixture->closed, 1);
    assert_int_equal(read(fd, answer, sizeof answer), 7);
    assert_string_equal(answer, "answer\n");
    close(fd);
}

static void a_client_that_is_gone_is_closed(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_raw(fixture);

    assert_true(push(fixture, fd, "question\n", 9));
    close(fd);
    wait_for(fixture, &fixture->closed, 1);
    assert_int_equal(fixture->inputs_ended, 0);
}

static void closing_the_server_from_a_line(void **state)
{
    struct fixture *fixture = *state;
    char answer[16];
    fixture->answer = close_server;
    int fd = connect_raw(fixture), other = connect_raw(fixture);
    assert_true(push(fixture, fd, "a\nb\n", 4));
    wait_for(fixture, &fixture->ended, 1);
    assert_int_equal(fixture->closed, 2);
    assert_int_equal(access(fixture->path, F_OK), -1);
    assert_int_equal(recv(fd, answer, sizeof answer, 0), 5);
    close(fd);
    close(other);
}

/* ---- slow clients ---- */

static void flood(struct fixture *fixture, struct control_conn *conn)
{
    static char text[64 * 1024];
    memset(text, 'y', sizeof text);
    unsigned sent = 0;
    while (sent < 1000 && control_conn_send(conn, text, sizeof text))
        sent++;
    /* 8 MiB and what the socket holds, not 64 MiB. */
    assert_in_range(sent, 100, 200);
    assert_false(control_conn_send(conn, text, 1));
}

static void a_client_that_does_not_read_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    fixture->answer = flood;
    int slow = connect_raw(fixture);
    assert_true(push(fixture, slow, "go\n", 3));
    wait_for(fixture, &fixture->closed, 1);
    fixture->answer = echo;
    struct control_client *client = connect_to(fixture); /* the others are served */
    assert_int_equal(control_client_send(client, "x", 1), 0);
    wait_for(fixture, &fixture->lines, 2);
    control_client_close(client);
    wait_for(fixture, &fixture->closed, 2);
    close(slow);
}

static char big_answer[20 << 20];

static void send_big(struct fixture *fixture, struct control_conn *conn)
{
    memset(big_answer, 'z', sizeof big_answer);
    assert_true(control_conn_send(conn, big_answer, sizeof big_answer));
}

static void one_large_answer_reaches_a_client_that_reads(void **state)
{
    struct fixture *fixture = *state;
    fixture->answer = send_big;
    int fd = connect_raw(fixture);
    assert_true(push(fixture, fd, "big\n", 4));
    size_t total = 0;
    char buffer[65536];
    for (int i = 0; i < 100000 && total < sizeof big_answer + 1; i++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        total += got > 0 ? (size_t)got : 0;
    }
    assert_int_equal(total, sizeof big_answer + 1);
    close(fd);
    wait_for(fixture, &fixture->closed, 1);
}

static void the_client_takes_large_lines(void **state)
{
    struct fixture *fixture = *state;
    const char *line;
    size_t length;
    fixture->answer = send_big;
    pid_t child = fork();
    if (child == 0) {
        struct control_client *client = connect_to(fixture);
        bool fine = control_client_send(client, "big", 3) == 0 &&
                    control_client_receive(client, PATIENCE_MS, &line, &length) == CONTROL_LINE &&
                    length == sizeof big_answer && line[length - 1] == 'z' &&
                    control_client_receive(client, PATIENCE_MS, &line, &length) == CONTROL_CLOSED;
        control_client_close(client);
        _exit(fine ? 0 : 1);
    }
    wait_for(fixture, &fixture->lines, 1);
    control_conn_close(fixture->conn);
    wait_for(fixture, &fixture->closed, 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- paths ---- */

static void permissions(void **state)
{
    struct fixture *fixture = *state;
    struct stat stat_buffer;
    char run[128];
    snprintf(run, sizeof run, "%s/run", fixture->folder);
    assert_int_equal(stat(run, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 07777, 0700);
    assert_int_equal(stat(fixture->path, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 07777, 0600);
}

static void a_path_in_use_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char expected[64];
    assert_null(listen_on(fixture, fixture->path));
    snprintf(expected, sizeof expected, "in use by pid %d", getpid());
    assert_non_null(strstr(fixture->error, expected));
    assert_non_null(strstr(fixture->error, fixture->path));
    assert_int_equal(access(fixture->path, F_OK), 0);
    turn(fixture, 3); /* the probe came and went */
    assert_int_equal(fixture->lines, 0);
}

static void a_stale_socket_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(path, sizeof path, "%s/run/stale.sock", fixture->folder);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_null(listen_on(fixture, path));
    close(fd); /* as a killed agent leaves it */
    struct control_server *server = listen_on(fixture, path);
    assert_non_null(server);
    control_server_close(server);
    wait_for(fixture, &fixture->ended, 1);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_successors_socket_is_not_removed(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(unlink(fixture->path), 0);
    struct control_server *successor = listen_on(fixture, fixture->path);
    assert_non_null(successor);
    control_server_close(fixture->server);
    fixture->server = successor;
    wait_for(fixture, &fixture->ended, 1);
    assert_int_equal(access(fixture->path, F_OK), 0);
}

static void expect_refusal(struct fixture *fixture, const char *path, const char *reason)
{
    assert_null(listen_on(fixture, path));
    if (!strstr(fixture->error, reason))
        fail_msg("expected \"%s\" in \"%s\"", reason, fixture->error);
}

static void wrong_paths(void **state)
{
    struct fixture *fixture = *state;
    char path[9000];
    snprintf(path, sizeof path, "%s/run", fixture->folder);
    expect_refusal(fixture, path, "exists and is no socket");
    snprintf(path, sizeof path, "%s/missing/deeper/a.sock", fixture->folder);
    expect_refusal(fixture, path, "cannot be created");
    snprintf(path, sizeof path, "%s/run/file", fixture->folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    expect_refusal(fixture, path, "exists and is no socket");
    snprintf(path, sizeof path, "%s/run/file/a.sock", fixture->folder);
    expect_refusal(fixture, path, "folder cannot be opened");
    snprintf(path, sizeof path, "%s/run/link", fixture->folder);
    assert_int_equal(symlink(fixture->path, path), 0);
    expect_refusal(fixture, path, "exists and is no socket");
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    expect_refusal(fixture, path, "too long");
    snprintf(path, sizeof path, "%s/open", fixture->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    strcat(path, "/a.sock");
    expect_refusal(fixture, path, "everybody may write there");
}

static void a_folder_of_somebody_else_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    if (geteuid() != 0)
        skip();
    snprintf(path, sizeof path, "%s/theirs", fixture->folder);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chown(path, 65534, 65534), 0);
    strcat(path, "/a.sock");
    expect_refusal(fixture, path, "belongs to uid 65534");
}

static void somebody_else_is_refused(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(fixture->folder, 0755), 0);
    char run[128];
    snprintf(run, sizeof run, "%s/run", fixture->folder);
    assert_int_equal(chmod(run, 0755), 0);
    assert_int_equal(chmod(fixture->path, 0666), 0); /* the file's mode is not the only guard */
    pid_t child = fork();
    if (child == 0) {
        const char *line;
        size_t length;
        if (setuid(65534) != 0)
            _exit(2);
        struct control_client *client = control_client_connect(fixture->path, fixture->error, sizeof fixture->error);
        _exit(client && control_client_receive(client, PATIENCE_MS, &line, &length) == CONTROL_CLOSED ? 0 : 1);
    }
    wait_for(fixture, &fixture->refused, 65534);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    wait_for(fixture, &fixture->closed, 1);
    assert_int_equal(fixture->lines, 0);
}

static void paths_longer_than_an_address(void **state)
{
    struct fixture *fixture = *state;
    char path[512], folder[400];
    snprintf(folder, sizeof folder, "%s/run/%0150d", fixture->folder, 7);
    snprintf(path, sizeof path, "%s/agent.sock", folder);
    struct control_server *server = listen_on(fixture, path);
    assert_non_null(server);
    assert_null(listen_on(fixture, path));
    assert_non_null(strstr(fixture->error, "in use by pid"));
    struct control_client *client = control_client_connect(path, fixture->error, sizeof fixture->error);
    assert_non_null(client);
    assert_int_equal(control_client_send(client, "x", 1), 0);
    wait_for(fixture, &fixture->lines, 1);
    control_client_close(client);
    control_server_close(server);
    wait_for(fixture, &fixture->ended, 1);
    assert_int_equal(access(path, F_OK), -1);
}

/* ---- the client ---- */

static void the_client_names_what_is_wrong(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/run/none.sock", fixture->folder);
    assert_null(control_client_connect(path, fixture->error, sizeof fixture->error));
    assert_non_null(strstr(fixture->error, "No such file"));
    snprintf(path, sizeof path, "%s/nowhere/none.sock", fixture->folder);
    assert_null(control_client_connect(path, fixture->error, sizeof fixture->error));
    assert_non_null(strstr(fixture->error, "nowhere"));
}

static void the_client_notices_the_end(void **state)
{
    struct fixture *fixture = *state;
    const char *line;
    size_t length;
    struct control_client *client = connect_to(fixture);
    turn(fixture, 3);
    control_server_abandon(fixture->server);
    fixture->server = NULL;
    wait_for(fixture, &fixture->ended, 1);
    assert_int_equal(control_client_receive(client, -1, &line, &length), CONTROL_CLOSED);
    assert_int_equal(control_client_send(client, "x", 1), -EPIPE);
    control_client_close(client);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void no_descriptor_is_left(void **state)
{
    struct fixture *fixture = *state;
    unsigned before = open_descriptors();
    for (unsigned i = 1; i <= 20; i++) {
        struct control_client *client = connect_to(fixture);
        assert_int_equal(control_client_send(client, "x", 1), 0);
        wait_for(fixture, &fixture->lines, i);
        control_client_close(client);
        wait_for(fixture, &fixture->closed, i);
        assert_null(listen_on(fixture, fixture->path));
        turn(fixture, 1);
    }
    turn(fixture, 5);
    assert_int_equal(open_descriptors(), before);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_answered),
        TEST(lines_in_pieces_and_many_at_once),
        TEST(a_line_may_be_as_long_as_the_limit),
        TEST(a_longer_line_is_refused_and_ends_the_connection),
        TEST(closing_in_the_middle_of_lines),
        TEST(a_client_that_sends_no_more_is_answered),
        TEST(a_client_that_is_gone_is_closed),
        TEST(closing_the_server_from_a_line),
        TEST(a_client_that_does_not_read_is_dropped),
        TEST(one_large_answer_reaches_a_client_that_reads),
        TEST(the_client_takes_large_lines),
        TEST(permissions),
        TEST(a_path_in_use_is_refused),
        TEST(a_stale_socket_is_replaced),
        TEST(a_successors_socket_is_not_removed),
        TEST(wrong_paths),
        TEST(a_folder_of_somebody_else_is_refused),
        TEST(somebody_else_is_refused),
        TEST(paths_longer_than_an_address),
        TEST(the_client_names_what_is_wrong),
        TEST(the_client_notices_the_end),
        TEST(no_descriptor_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
