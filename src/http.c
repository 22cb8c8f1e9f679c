#include "http.h"

#include "curl_loop.h"
#include "loop.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http {
    CURL *easy;
    CURLU *url; /* curl borrows it until the transfer ends */
    struct curl_slist *headers, *connect_to;
    char *label; /* "GET http://host:1/path", for messages */
    char *sent;  /* copy of the request's body */
    char *body;
    size_t body_length, body_capacity, body_limit, header_bytes;
    unsigned timeout_ms, connect_timeout_ms;
    enum http_failure failure; /* decided by us and not by curl */
    char refusal[128];         /* its reason */
    char curl_text[CURL_ERROR_SIZE];
    http_done_fn done;
    void *data;
};

const char *http_failure_name(enum http_failure failure)
{
    static const char *const names[] = {
        [HTTP_OK] = "ok",           [HTTP_BAD_URL] = "bad_url", [HTTP_RESOLVE] = "resolve",
        [HTTP_CONNECT] = "connect", [HTTP_TLS] = "tls",         [HTTP_TIMEOUT] = "timeout",
        [HTTP_CUT] = "cut",         [HTTP_TOO_LARGE] = "too_large", [HTTP_PROTOCOL] = "protocol",
    };

    return names[failure];
}

static enum http_failure failure_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return HTTP_OK;
    case CURLE_URL_MALFORMAT:
        return HTTP_BAD_URL;
    case CURLE_COULDNT_RESOLVE_HOST:
        return HTTP_RESOLVE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        return HTTP_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return HTTP_TLS;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return HTTP_CUT;
    default:
        return HTTP_PROTOCOL;
    }
}

/* ---- the answer ---- */

static int refuse(struct http *http, const char *what, size_t limit)
{
    http->failure = HTTP_TOO_LARGE;
    snprintf(http->refusal, sizeof http->refusal, "%s larger than %zu bytes", what, limit);
    return -1;
}

static int reserve_body(struct http *http, size_t needed)
{
    size_t capacity = http->body_capacity ? http->body_capacity : 4096;

    while (capacity < needed)
        capacity *= 2;
    if (capacity == http->body_capacity)
        return 0;
    char *grown = realloc(http->body, capacity);
    if (!grown)
        return -1;
    http->body = grown;
    http->body_capacity = capacity;
    return 0;
}

/* Returning another count than it was given makes curl end the transfer. */
static size_t on_body(char *bytes, size_t size, size_t count, void *data)
{
    struct http *http = data;
    size_t length = size * count;

    if (length > http->body_limit - http->body_length) {
        refuse(http, "the answer is", http->body_limit);
        return 0;
    }
    if (reserve_body(http, http->body_length + length) != 0)
        return 0;
    memcpy(http->body + http->body_length, bytes, length);
    http->body_length += length;
    return length;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *data)
{
    struct http *http = data;

    (void)bytes;
    http->header_bytes += size * count;
    if (http->header_bytes > HTTP_HEADERS_LIMIT) {
        refuse(http, "the answer's headers are", HTTP_HEADERS_LIMIT);
        return 0;
    }
    return size * count;
}

bool http_next_header(struct http *http, void **cursor, const char **name, const char **value)
{
    struct curl_header *header = curl_easy_nextheader(http->easy, CURLH_HEADER, -1, *cursor);

    if (!header)
        return false;
    *cursor = header;
    *name = header->name;
    *value = header->value;
    return true;
}

/* ---- the end ---- */

static void release(struct http *http)
{
    if (http->easy) {
        curl_loop_remove(http->easy);
        curl_easy_cleanup(http->easy);
    }
    curl_url_cleanup(http->url);
    curl_slist_free_all(http->headers);
    curl_slist_free_all(http->connect_to);
    free(http->label);
    free(http->sent);
    free(http->body);
    free(http);
}

static void tell_failure(struct http *http, enum http_failure failure, const char *reason)
{
    char message[2048];
    struct http_result result = {.failure = failure, .message = message};

    snprintf(message, sizeof message, "%s: %s", http->label, reason);
    http->done(http, &result, http->data);
}

/*
 * With TLS 1.3 a server that wants another certificate of us says so after the
 * handshake, by an alert in the place of its answer; to curl that is a cut.
 */
static enum http_failure failure_told(const struct http *http, CURLcode code)
{
    enum http_failure failure = failure_of(code);

    return failure == HTTP_CUT && strstr(http->curl_text, " alert ") ? HTTP_TLS : failure;
}

/*
 * Texts of our own where curl's hold a measured time or its own inner life: who
 * is told the same twice should see that it is the same.
 */
static void tell_curl_failure(struct http *http, CURLcode code)
{
    enum http_failure failure = failure_told(http, code);
    char reason[CURL_ERROR_SIZE];
    long number = 0;
    curl_off_t connected_us = 0;

    curl_easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &number);
    curl_easy_getinfo(http->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    if (code == CURLE_OPERATION_TIMEDOUT && connected_us == 0)
        snprintf(reason, sizeof reason, "no connection within %u ms",
                 http->connect_timeout_ms < http->timeout_ms ? http->connect_timeout_ms : http->timeout_ms);
    else if (code == CURLE_OPERATION_TIMEDOUT)
        snprintf(reason, sizeof reason, "no complete answer within %u ms", http->timeout_ms);
    else if (code == CURLE_COULDNT_CONNECT && number != 0)
        snprintf(reason, sizeof reason, "cannot connect: %s", strerror((int)number));
    else if (failure == HTTP_CUT)
        snprintf(reason, sizeof reason, "the connection was cut before the answer was complete");
    else
        snprintf(reason, sizeof reason, "%s", http->curl_text[0] ? http->curl_text : curl_easy_strerror(code));
    tell_failure(http, failure, reason);
}

static void tell_answer(struct http *http)
{
    long status = 0;

    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    struct http_result result = {
        .status = (int)status,
        .body = http->body ? http->body : "",
        .body_length = http->body_length,
    };
    http->done(http, &result, http->data);
}

static void on_finished(CURL *easy, CURLcode code)
{
    struct http *http;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &http);
    if (http->failure != HTTP_OK)
        tell_failure(http, http->failure, http->refusal);
    else if (code != CURLE_OK)
        tell_curl_failure(http, code);
    else
        tell_answer(http);
    release(http);
}

/* What failed before curl saw it is told in the next turn. */
static void fail_later(void *data)
{
    struct http *http = data;

    tell_failure(http, http->failure, http->refusal);
    release(http);
}

void http_cancel(struct http *http)
{
    loop_undefer(fail_later, http);
    release(http);
}

void http_shutdown(void)
{
    curl_loop_shutdown();
}

/* ---- the request ---- */

/* For messages: the URL as given may hold what nobody should read. */
static char *make_label(const char *method, CURLU *url)
{
    char *clean = NULL, *label = NULL;
    CURLU *copy = url ? curl_url_dup(url) : NULL;

    if (copy) {
        curl_url_set(copy, CURLUPART_USER, NULL, 0);
        curl_url_set(copy, CURLUPART_PASSWORD, NULL, 0);
        curl_url_set(copy, CURLUPART_QUERY, NULL, 0);
        curl_url_set(copy, CURLUPART_FRAGMENT, NULL, 0);
        (void)curl_url_get(copy, CURLUPART_URL, &clean, 0);
    }
    if (asprintf(&label, "%s %s", method, clean ? clean : "request") < 0)
        label = NULL;
    curl_free(clean);
    curl_url_cleanup(copy);
    return label;
}

static int append(struct curl_slist **list, const char *line)
{
    struct curl_slist *grown = curl_slist_append(*list, line);

    if (!grown)
        return -1;
    *list = grown;
    return 0;
}

static int set_headers(struct http *http, const struct http_options *options)
{
    /* curl would wait for a 100 before a large body, and call every body a form. */
    int status = append(&http->headers, "Expect:") | append(&http->headers, "Content-Type:");

    for (size_t i = 0; status == 0 && options->headers && options->headers[i]; i++)
        status = append(&http->headers, options->headers[i]);
    return status;
}

static int set_body(struct http *http, const struct http_options *options)
{
    bool is_write = strcmp(options->method, "PUT") == 0 || strcmp(options->method, "POST") == 0;

    curl_easy_setopt(http->easy, CURLOPT_CUSTOMREQUEST, options->method);
    if (strcmp(options->method, "HEAD") == 0)
        curl_easy_setopt(http->easy, CURLOPT_NOBODY, 1L);
    if (!options->body && !is_write)
        return 0;
    http->sent = malloc(options->body_length + 1);
    if (!http->sent)
        return -1;
    memcpy(http->sent, options->body ? options->body : "", options->body ? options->body_length : 0);
    curl_easy_setopt(http->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     (curl_off_t)(options->body ? options->body_length : 0));
    curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, http->sent);
    return 0;
}

/*
 * curl takes the name for SNI and verification from the URL, so the URL gets
 * the other name, and the connection is sent to where the URL pointed.
 */
static int set_server_name(struct http *http, const char *server_name)
{
    char *host = NULL, *port = NULL, line[1024];
    int status = -1, n;

    if (curl_url_get(http->url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(http->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        goto out;
    n = snprintf(line, sizeof line, "%s:%s:%s:%s", server_name, port, host, port);
    if (n >= (int)sizeof line || append(&http->connect_to, line) != 0)
        goto out;
    snprintf(line, sizeof line, "Host: %s:%s", host, port);
    if (append(&http->headers, line) != 0 ||
        curl_url_set(http->url, CURLUPART_HOST, server_name, 0) != CURLUE_OK)
        goto out;
    curl_easy_setopt(http->easy, CURLOPT_CONNECT_TO, http->connect_to);
    status = 0;
out:
    curl_free(host);
    curl_free(port);
    return status;
}

static void set_tls(struct http *http, const struct http_options *options)
{
    if (options->ca_file) {
        curl_easy_setopt(http->easy, CURLOPT_CAINFO, options->ca_file);
        curl_easy_setopt(http->easy, CURLOPT_CAPATH, NULL); /* this one and not the system's */
    }
    if (options->cert_file)
        curl_easy_setopt(http->easy, CURLOPT_SSLCERT, options->cert_file);
    if (options->key_file)
        curl_easy_setopt(http->easy, CURLOPT_SSLKEY, options->key_file);
    curl_easy_setopt(http->easy, CURLOPT_SSL_VERIFYPEER, options->verify ? 1L : 0L);
    curl_easy_setopt(http->easy, CURLOPT_SSL_VERIFYHOST, options->verify ? 2L : 0L);
}

static void set_transfer(struct http *http, const struct http_options *options)
{
    CURL *easy = http->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, http);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->curl_text);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (options->compressed)
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
    if (options->fresh) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    if (options->connect_only)
        curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    if (options->unix_socket)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options->unix_socket);
}

static bool is_http(CURLU *url)
{
    char *scheme = NULL;
    bool same = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

    curl_free(scheme);
    return same;
}

/* Sets http->failure and refusal when the URL is none of ours. */
static CURLU *parse_url(struct http *http, const char *text)
{
    CURLU *url = curl_url();
    CURLUcode code = url ? curl_url_set(url, CURLUPART_URL, text, 0) : CURLUE_OUT_OF_MEMORY;
    const char *reason = code != CURLUE_OK ? curl_url_strerror(code)
                         : !is_http(url) ? "only http:// and https:// are spoken" : NULL;

    if (!reason)
        return url;
    http->failure = HTTP_BAD_URL;
    snprintf(http->refusal, sizeof http->refusal, "the URL cannot be used: %s", reason);
    curl_url_cleanup(url);
    return NULL;
}

/* Prepares and starts; not 0 when memory is out. */
static int begin(struct http *http, const struct http_options *options)
{
    http->url = parse_url(http, options->url);
    http->label = make_label(options->method, http->url);
    if (!http->label)
        return -1;
    if (!http->url)
        return loop_defer(fail_later, http);
    http->easy = curl_loop_new_easy();
    if (!http->easy || set_headers(http, options) != 0 || set_body(http, options) != 0)
        return -1;
    if (options->tls_server_name && set_server_name(http, options->tls_server_name) != 0)
        return -1;
    set_tls(http, options);
    set_transfer(http, options);
    if (curl_easy_setopt(http->easy, CURLOPT_CURLU, http->url) != CURLE_OK)
        return -1;
    return curl_loop_add(http->easy, on_finished);
}

struct http *http_start(const struct http_options *options, http_done_fn done, void *data)
{
    struct http *http = calloc(1, sizeof *http);

    if (!http)
        return NULL;
    http->done = done;
    http->data = data;
    http->body_limit = options->max_body_bytes;
    http->timeout_ms = options->timeout_ms;
    http->connect_timeout_ms = options->connect_timeout_ms;
    if (begin(http, options) == 0)
        return http;
    release(http);
    return NULL;
}
