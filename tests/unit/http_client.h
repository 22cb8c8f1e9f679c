/* What the tests of http share: one request, its outcome copied, the loop run until it is there. */
#ifndef APPMGR_TEST_HTTP_CLIENT_H
#define APPMGR_TEST_HTTP_CLIENT_H

#include "http.h"
#include "loop.h"
#include "timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outcome {
    int calls, status;
    enum http_failure failure;
    char message[1024], body[1024], header[1024]; /* header: "name=value;" of each */
    size_t body_length;
};

static inline void note_outcome(struct http *http, const struct http_result *result, void *data)
{
    struct outcome *outcome = data;
    const char *name, *value;
    void *cursor = NULL;

    outcome->calls++;
    outcome->failure = result->failure;
    outcome->status = result->status;
    outcome->body_length = result->body_length;
    if (result->failure != HTTP_OK) {
        snprintf(outcome->message, sizeof outcome->message, "%s", result->message);
        return;
    }
    snprintf(outcome->body, sizeof outcome->body, "%.*s", (int)result->body_length, result->body);
    while (http_next_header(http, &cursor, &name, &value)) {
        size_t used = strlen(outcome->header);
        snprintf(outcome->header + used, sizeof outcome->header - used, "%s=%s;", name, value);
    }
}

static inline struct http_options default_options(void)
{
    return (struct http_options){
        .method = "GET",
        .timeout_ms = 60000,
        .connect_timeout_ms = 60000,
        .verify = true,
        .max_body_bytes = 1 << 20,
    };
}

static inline void wait_for(const struct outcome *outcome)
{
    uint64_t end = timer_now_ms() + 90000;

    while (outcome->calls == 0 && timer_now_ms() < end)
        loop_step(50);
}

/* Asks http(s)://127.0.0.1:port/path and waits for the outcome. */
static inline struct outcome ask_url(struct http_options options, const char *url)
{
    struct outcome outcome = {0};

    options.url = url;
    if (http_start(&options, note_outcome, &outcome))
        wait_for(&outcome);
    return outcome;
}

static inline struct outcome ask(struct http_options options, int port)
{
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%d/path?secret=1", port);
    return ask_url(options, url);
}

static inline int shut_down_client(void **state)
{
    (void)state;
    http_shutdown();
    timer_shutdown();
    loop_shutdown();
    return 0;
}

#endif
