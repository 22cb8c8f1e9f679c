/*
 * http: requests whose answer arrives on the loop.
 *
 * A request owns copies of all it was given and lives until its callback
 * returns or it is cancelled. The callback runs on the loop, never inside of
 * http_start(), never after http_cancel(), exactly once otherwise. Redirects
 * are answers like others, proxies of the environment are not used, URLs in
 * messages carry no query and no password.
 */
#ifndef APPMGR_HTTP_H
#define APPMGR_HTTP_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_TIMEOUT_MS = 60 * 1000,
    HTTP_CONNECT_TIMEOUT_MS = 3000,
    HTTP_BODY_LIMIT = 64 << 20,
    HTTP_HEADERS_LIMIT = 256 << 10,
};

/* Borrowed for the call of http_start() only; NULL where nothing is set. */
struct http_options {
    const char *method, *url;
    const char *const *headers; /* "Name: value", ended by NULL */
    const char *body;           /* NULL: none */
    size_t body_length;
    unsigned timeout_ms, connect_timeout_ms;
    const char *ca_file, *cert_file, *key_file; /* PEM */
    const char *tls_server_name;                /* name in the server's certificate when it is not the URL's host */
    const char *unix_socket;                    /* connect to this path whatever the URL's host is */
    bool verify;                                /* the server's certificate */
    bool fresh;                                 /* on a connection of its own, which is closed afterwards */
    bool compressed;                            /* the answer may be; worth it where that is large */
    bool connect_only;                          /* done when it is connected: nothing is asked, the status is 0 */
    size_t max_body_bytes;                      /* after decompression */
};

enum http_failure {
    HTTP_OK,
    HTTP_BAD_URL,
    HTTP_RESOLVE,   /* the host's name has no address */
    HTTP_CONNECT,   /* nobody there */
    HTTP_TLS,       /* certificates or handshake */
    HTTP_TIMEOUT,   /* connection or answer took too long */
    HTTP_CUT,       /* the connection ended before the answer did */
    HTTP_TOO_LARGE, /* the answer exceeds the limit */
    HTTP_PROTOCOL,  /* what came is no HTTP answer */
};

struct http;

/* Borrowed for the callback only. With HTTP_OK status and body count, else the message. */
struct http_result {
    enum http_failure failure;
    const char *message; /* "GET http://host:1/path: reason" */
    int status;
    const char *body;
    size_t body_length;
};

typedef void (*http_done_fn)(struct http *http, const struct http_result *result, void *data);

/* Starts a request. NULL when memory is out; every other failure is told by the callback. */
struct http *http_start(const struct http_options *options, http_done_fn done, void *data);

/* Ends and frees it; the callback is not called. Not from inside its own callback. */
void http_cancel(struct http *http);

/*
 * In the callback: the header after *cursor (begin with NULL), or false after
 * the last one. Name as received, both borrowed.
 */
bool http_next_header(struct http *http, void **cursor, const char **name, const char **value);

/* The failure's short name: "connect", "timeout", … */
const char *http_failure_name(enum http_failure failure);

/* Closes the connections that are kept for reuse. All requests must have ended. */
void http_shutdown(void);

#endif
