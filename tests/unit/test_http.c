/* http: answers, refusals, cut and oversized bodies, timeouts, cancelling. */
#include "cmocka_all.h"

#include "http_client.h"
#include "socket_server.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define OK_REPLY OK_HEAD "Content-Length: 2\r\nX-Consul-Index: 7\r\n\r\nok"

static struct outcome ask_once(struct http_options options, struct server *server, const struct reply *reply)
{
    server_start(server, reply, 1);
    struct outcome outcome = ask(options, server->port);
    server_stop(server);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

static struct outcome get(const char *bytes, enum after after)
{
    struct server server;
    struct reply reply = {bytes, after, 0};

    return ask_once(default_options(), &server, &reply);
}

static struct http_options compressed_options(void)
{
    struct http_options options = default_options();

    options.compressed = true;
    return options;
}

static void assert_failed(struct outcome outcome, enum http_failure failure)
{
    if (outcome.failure != failure)
        fail_msg("expected %s, got %s: %s", http_failure_name(failure), http_failure_name(outcome.failure),
                 outcome.message);
    assert_null(strstr(outcome.message, "secret"));
}

/* ---- answers ---- */

static void an_answer_arrives_whole(void **state)
{
    struct outcome outcome = get(OK_REPLY, CLOSE);

    assert_failed(outcome, HTTP_OK);
    assert_int_equal(outcome.status, 200);
    assert_string_equal(outcome.body, "ok");
    assert_string_equal(outcome.header, "Content-Length=2;X-Consul-Index=7;");
}

static void any_status_is_an_answer_and_redirects_are_not_followed(void **state)
{
    struct outcome outcome = get("HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", CLOSE);

    assert_int_equal(outcome.status, 301);
    assert_int_equal(outcome.body_length, 0);
    outcome = get("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", CLOSE);
    assert_int_equal(outcome.status, 500);
    assert_string_equal(outcome.body, "oops");
}

static void chunks_and_gzip_are_decoded(void **state)
{
    static const char gzipped[] = OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n"
        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
    struct server server;
    struct reply reply = {gzipped, CLOSE, sizeof gzipped - 1};
    struct outcome outcome = get(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", CLOSE);

    assert_string_equal(outcome.body, "abc");
    outcome = ask_once(compressed_options(), &server, &reply);
    assert_failed(outcome, HTTP_OK);
    assert_string_equal(outcome.body, "hello");
    assert_non_null(strstr(server.received, "\r\nAccept-Encoding: gzip\r\n"));
}

static void a_request_is_sent_as_told(void **state)
{
    static const char *const headers[] = {"X-Consul-Token: t", NULL};
    struct server server;
    struct reply reply = {OK_REPLY, CLOSE, 0};
    struct http_options options = default_options();

    options.method = "PUT";
    options.body = "value";
    options.body_length = 5;
    options.headers = headers;
    assert_failed(ask_once(options, &server, &reply), HTTP_OK);
    assert_memory_equal(server.received, "PUT /path?secret=1 HTTP/1.1\r\n", 29);
    assert_non_null(strstr(server.received, "\r\nX-Consul-Token: t\r\n"));
    assert_non_null(strstr(server.received, "\r\nContent-Length: 5\r\n"));
    assert_non_null(strstr(server.received, "\r\n\r\nvalue"));
    assert_null(strstr(server.received, "Expect:"));
    assert_null(strstr(server.received, "Accept-Encoding:"));
    assert_null(strstr(server.received, "Content-Type:"));
}

static void a_put_without_body_says_so(void **state)
{
    struct server server;
    struct reply reply = {OK_REPLY, CLOSE, 0};
    struct http_options options = default_options();

    options.method = "PUT";
    assert_failed(ask_once(options, &server, &reply), HTTP_OK);
    assert_non_null(strstr(server.received, "\r\nContent-Length: 0\r\n"));
}

static void connections_are_used_again(void **state)
{
    static const struct reply replies[] = {{OK_REPLY, KEEP, 0}, {OK_REPLY, KEEP, 0}, {OK_REPLY, KEEP, 0}};
    struct server server;

    server_start(&server, replies, 3);
    for (int i = 0; i < 3; i++)
        assert_failed(ask(default_options(), server.port), HTTP_OK);
    server_stop(&server);
    assert_int_equal(server.connections, 1);
}

static void a_connection_closed_while_idle_is_no_failure(void **state)
{
    static const struct reply replies[] = {{OK_REPLY, CLOSE, 0}, {OK_REPLY, CLOSE, 0}};
    struct server server;

    server_start(&server, replies, 2);
    assert_failed(ask(default_options(), server.port), HTTP_OK);
    loop_step(30);
    assert_failed(ask(default_options(), server.port), HTTP_OK);
    server_stop(&server);
    assert_int_equal(server.connections, 2);
}

/* ---- failures ---- */

static void nobody_there_is_told_the_same_way_each_time(void **state)
{
    char expected[100];
    int port, reserved = server_reserve(&port);
    struct outcome outcome = ask(default_options(), port);

    close(reserved);
    snprintf(expected, sizeof expected, "GET http://127.0.0.1:%d/path: cannot connect: Connection refused", port);
    assert_failed(outcome, HTTP_CONNECT);
    assert_string_equal(outcome.message, expected);
}

static void a_fresh_request_has_a_connection_of_its_own(void **state)
{
    struct http_options options = default_options();
    struct reply replies[] = {{OK_HEAD "Content-Length: 0\r\n\r\n", KEEP, 0}, {OK_HEAD "Content-Length: 0\r\n\r\n", KEEP, 0}};
    struct server server;

    options.fresh = true;
    server_start(&server, replies, 2);
    assert_failed(ask(options, server.port), HTTP_OK);
    assert_failed(ask(options, server.port), HTTP_OK);
    server_stop(&server);
    assert_int_equal(server.connections, 2);
}

static void a_connection_alone_asks_nothing(void **state)
{
    struct server server;
    struct reply reply = {"", HOLD, 0};
    struct http_options options = default_options();

    options.connect_only = true;
    for (int i = 0; i < 3; i++) {
        struct outcome outcome = ask_once(options, &server, &reply);
        assert_failed(outcome, HTTP_OK);
        assert_int_equal(outcome.status, 0);
    }
    int reserved = server_reserve(&server.port);
    assert_failed(ask(options, server.port), HTTP_CONNECT);
    close(reserved);
}

static void an_unknown_host_is_not_resolved(void **state)
{
    /* A label longer than names have: known to be nobody's without asking a server that may be away. */
    struct outcome outcome =
        ask_url(default_options(), "http://nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-nowhere-1.invalid/");

    assert_failed(outcome, HTTP_RESOLVE);
}

static void silence_ends_with_a_timeout(void **state)
{
    struct server server;
    struct reply reply = {"", HOLD, 0};
    struct http_options options = default_options();

    options.timeout_ms = 80;
    uint64_t begun = timer_now_ms();
    struct outcome outcome = ask_once(options, &server, &reply);
    assert_failed(outcome, HTTP_TIMEOUT);
    assert_true(timer_now_ms() - begun >= 75);
    assert_non_null(strstr(outcome.message, "no complete answer within 80 ms"));
}

static void half_an_answer_ends_with_a_timeout(void **state)
{
    struct server server;
    struct reply reply = {OK_HEAD "Content-Length: 10\r\n\r\nhalf", HOLD, 0};
    struct http_options options = default_options();

    options.timeout_ms = 80;
    assert_failed(ask_once(options, &server, &reply), HTTP_TIMEOUT);
}

static void cut_answers_are_no_answers(void **state)
{
    assert_failed(get(OK_HEAD "Content-Length: 10\r\n\r\nhalf", CLOSE), HTTP_CUT);
    assert_failed(get(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nab", CLOSE), HTTP_CUT);
    assert_failed(get(OK_HEAD "Content-Length: 10\r\n\r\nhalf", RESET), HTTP_CUT);
    assert_failed(get("", CLOSE), HTTP_CUT);
    assert_failed(get("", RESET), HTTP_CUT);
}

static void what_is_no_http_is_refused(void **state)
{
    assert_failed(get("SSH-2.0-OpenSSH_9.2\r\n", CLOSE), HTTP_PROTOCOL);
    assert_failed(get("HTTP/1.1 2x0 OK\r\n\r\n", CLOSE), HTTP_PROTOCOL);
    struct server server;
    struct reply reply = {OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", CLOSE, 0};
    assert_failed(ask_once(compressed_options(), &server, &reply), HTTP_PROTOCOL);
}

static void a_body_that_is_too_large_is_not_kept(void **state)
{
    struct server server;
    struct reply reply = {OK_HEAD "Content-Length: 10\r\n\r\n0123456789", CLOSE, 0};
    struct http_options options = default_options();

    options.max_body_bytes = 9;
    struct outcome outcome = ask_once(options, &server, &reply);
    assert_failed(outcome, HTTP_TOO_LARGE);
    assert_non_null(strstr(outcome.message, "larger than 9 bytes"));
    options.max_body_bytes = 10;
    assert_failed(ask_once(options, &server, &reply), HTTP_OK);
}

static void headers_without_end_are_refused(void **state)
{
    enum { LINE = 1024, LINES = 2 * HTTP_HEADERS_LIMIT / LINE };
    char *bytes = malloc(sizeof OK_HEAD + (size_t)LINE * LINES), *at = bytes + sizeof OK_HEAD - 1;
    struct server server;

    memcpy(bytes, OK_HEAD, sizeof OK_HEAD);
    for (int i = 0; i < LINES; i++, at += LINE) {
        memset(at, 'x', LINE);
        memcpy(at, "X-A: ", 5);
        memcpy(at + LINE - 2, "\r\n", 2);
    }
    struct reply reply = {bytes, CLOSE, (size_t)(at - bytes)};
    assert_failed(ask_once(default_options(), &server, &reply), HTTP_TOO_LARGE);
    free(bytes);
}

static void a_bad_url_is_told_later_and_without_it(void **state)
{
    static const char *const bad[] = {"", "ftp://127.0.0.1/", "http://", "http://a b/?secret", "http://h:99999/"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_failed(ask_url(default_options(), bad[i]), HTTP_BAD_URL);
}

/* ---- cancelling ---- */

static void a_cancelled_request_is_never_told(void **state)
{
    static const struct reply replies[] = {{OK_REPLY, KEEP, 0}};
    struct server server;
    struct http_options options = default_options();
    char url[64];

    server_start(&server, replies, 1);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", server.port);
    options.url = url;
    /* At every stage: before the first turn, while connecting, with the answer under way. */
    for (int turns = 0; turns < 6; turns++) {
        struct outcome outcome = {0};
        struct http *http = http_start(&options, note_outcome, &outcome);
        for (int i = 0; i < turns && outcome.calls == 0; i++)
            loop_step(2);
        if (outcome.calls == 0)
            http_cancel(http);
        int before = outcome.calls;
        for (int i = 0; i < 5; i++)
            loop_step(2);
        assert_int_equal(outcome.calls, before);
    }
    server_stop(&server);
}

static void a_failure_that_waits_can_be_cancelled(void **state)
{
    struct outcome outcome = {0};
    struct http_options options = default_options();

    options.url = "ftp://x/";
    http_cancel(http_start(&options, note_outcome, &outcome));
    loop_step(5);
    assert_int_equal(outcome.calls, 0);
}

struct pair {
    struct http *other;
    struct outcome outcome;
    int told;
};

/* Of two that are done in the same turn the first told cancels the second. */
static void cancel_other(struct http *http, const struct http_result *result, void *data)
{
    struct pair *pair = data;

    pair->told++;
    if (pair->other != http)
        http_cancel(pair->other);
}

static void one_callback_may_cancel_another_request(void **state)
{
    static const struct reply held[] = {{"", HOLD, 0}};
    struct server server;
    struct pair pair = {0};
    struct http_options options = default_options();
    char held_url[64];
    int port;

    server_start(&server, held, 1);
    snprintf(held_url, sizeof held_url, "http://127.0.0.1:%d/", server.port);
    options.url = held_url;
    pair.other = http_start(&options, cancel_other, &pair);
    loop_step(10);
    int reserved = server_reserve(&port);
    char refused_url[64];
    snprintf(refused_url, sizeof refused_url, "http://127.0.0.1:%d/", port);
    options.url = refused_url;
    assert_non_null(http_start(&options, cancel_other, &pair));
    for (uint64_t until_ms = timer_now_ms() + 60000; pair.told == 0 && timer_now_ms() < until_ms;)
        loop_step(50);
    for (int i = 0; i < 20; i++)
        loop_step(5);
    assert_int_equal(pair.told, 1);
    close(reserved);
    server_stop(&server);
}

static void start_another(struct http *http, const struct http_result *result, void *data)
{
    struct http_options options = default_options();

    options.url = "http://127.0.0.1:1/";
    http_start(&options, note_outcome, data);
}

static void a_callback_may_start_another_request(void **state)
{
    struct http_options options = default_options();
    struct outcome outcome = {0};

    options.url = "http://127.0.0.1:1/";
    http_start(&options, start_another, &outcome);
    wait_for(&outcome);
    assert_failed(outcome, HTTP_CONNECT);
}

/* ---- many at once, unix sockets ---- */

static void many_run_side_by_side(void **state)
{
    enum { COUNT = 40 };
    static struct reply replies[COUNT];
    static struct outcome outcomes[COUNT];
    struct server server;
    struct http_options options = default_options();
    char url[64];

    for (int i = 0; i < COUNT; i++)
        replies[i] = (struct reply){OK_REPLY, CLOSE, 0};
    server_start(&server, replies, COUNT);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", server.port);
    options.url = url;
    for (int i = 0; i < COUNT; i++)
        http_start(&options, note_outcome, &outcomes[i]);
    for (int i = 0; i < COUNT; i++) {
        wait_for(&outcomes[i]);
        assert_failed(outcomes[i], HTTP_OK);
    }
    server_stop(&server);
}

static void a_unix_socket_that_is_absent_is_told(void **state)
{
    struct http_options options = default_options();

    options.unix_socket = "/tmp/appmgr-test-no-such-socket";
    assert_failed(ask_url(options, "http://localhost/"), HTTP_CONNECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_arrives_whole),
        cmocka_unit_test(any_status_is_an_answer_and_redirects_are_not_followed),
        cmocka_unit_test(chunks_and_gzip_are_decoded),
        cmocka_unit_test(a_request_is_sent_as_told),
        cmocka_unit_test(a_put_without_body_says_so),
        cmocka_unit_test(connections_are_used_again),
        cmocka_unit_test(a_connection_closed_while_idle_is_no_failure),
        cmocka_unit_test(nobody_there_is_told_the_same_way_each_time),
        cmocka_unit_test(an_unknown_host_is_not_resolved),
        cmocka_unit_test(silence_ends_with_a_timeout),
        cmocka_unit_test(half_an_answer_ends_with_a_timeout),
        cmocka_unit_test(cut_answers_are_no_answers),
        cmocka_unit_test(a_fresh_request_has_a_connection_of_its_own),
        cmocka_unit_test(a_connection_alone_asks_nothing),
        cmocka_unit_test(what_is_no_http_is_refused),
        cmocka_unit_test(a_body_that_is_too_large_is_not_kept),
        cmocka_unit_test(headers_without_end_are_refused),
        cmocka_unit_test(a_bad_url_is_told_later_and_without_it),
        cmocka_unit_test(a_cancelled_request_is_never_told),
        cmocka_unit_test(a_failure_that_waits_can_be_cancelled),
        cmocka_unit_test(one_callback_may_cancel_another_request),
        cmocka_unit_test(a_callback_may_start_another_request),
        cmocka_unit_test(many_run_side_by_side),
        cmocka_unit_test(a_unix_socket_that_is_absent_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, shut_down_client);
}
