/* http over TLS: whom we trust, under which name, and with which certificate of our own. */
#include "cmocka_all.h"

#include "http_client.h"
#include "socket_server.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static char ca_file[] = "/tmp/appmgr-test-tls.XXXXXX", other_ca_file[] = "/tmp/appmgr-test-tls.XXXXXX",
            key_file[] = "/tmp/appmgr-test-tls.XXXXXX";

struct identity {
    EVP_PKEY *key;
    X509 *certificate; /* signed by itself, for DNS:agent.test */
};

static struct identity ours, others;

static struct identity make_identity(void)
{
    struct identity made = {EVP_EC_gen("P-256"), X509_new()};
    X509_NAME *name = X509_get_subject_name(made.certificate);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:agent.test");

    X509_set_version(made.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"agent.test", -1, -1, 0);
    X509_set_issuer_name(made.certificate, name);
    X509_set_pubkey(made.certificate, made.key);
    X509_add_ext(made.certificate, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(made.certificate, made.key, EVP_sha256());
    return made;
}

static void free_identity(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
}

static void write_certificate(char *path, X509 *certificate)
{
    FILE *file = fdopen(mkstemp(path), "w");

    PEM_write_X509(file, certificate);
    fclose(file);
}

static int make_files(void **state)
{
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to clients that have refused us */
    ours = make_identity();
    others = make_identity();
    write_certificate(ca_file, ours.certificate);
    write_certificate(other_ca_file, others.certificate);
    FILE *file = fdopen(mkstemp(key_file), "w");
    PEM_write_PrivateKey(file, ours.key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    return 0;
}

static int remove_files(void **state)
{
    free_identity(&ours);
    free_identity(&others);
    unlink(ca_file);
    unlink(other_ca_file);
    unlink(key_file);
    return shut_down_client(state);
}

/* ---- a server for one connection ---- */

struct tls_server {
    int listener, port;
    bool demand_certificate;
    char server_name[64]; /* that the client asked for */
    pthread_t thread;
};

static void serve_one(struct tls_server *server, SSL *ssl)
{
    char request[2048];

    if (SSL_accept(ssl) != 1)
        return;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(server->server_name, sizeof server->server_name, "%s", name ? name : "");
    if (SSL_read(ssl, request, sizeof request) > 0)
        SSL_write(ssl, answer, sizeof answer - 1);
    SSL_shutdown(ssl);
}

static void *run_tls_server(void *data)
{
    struct tls_server *server = data;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    int fd = accept(server->listener, NULL, NULL);
    SSL *ssl;

    SSL_CTX_use_certificate(context, ours.certificate);
    SSL_CTX_use_PrivateKey(context, ours.key);
    if (server->demand_certificate) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ours.certificate);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    serve_one(server, ssl);
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    return NULL;
}

/* Asks a fresh server on https://127.0.0.1; `server` holds what it saw. */
static struct outcome ask_tls(struct tls_server *server, struct http_options options)
{
    char url[64];

    server->listener = server_listen(&server->port);
    pthread_create(&server->thread, NULL, run_tls_server, server);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", server->port);
    struct outcome outcome = ask_url(options, url);
    http_shutdown(); /* no connection and no TLS session is left for the next test */
    pthread_join(server->thread, NULL);
    close(server->listener);
    return outcome;
}

static struct outcome ask_with(const char *ca, const char *name, bool verify)
{
    struct tls_server server = {0};
    struct http_options options = default_options();

    options.ca_file = ca;
    options.tls_server_name = name;
    options.verify = verify;
    return ask_tls(&server, options);
}

static void assert_outcome(struct outcome outcome, enum http_failure failure)
{
    if (outcome.failure != failure)
        fail_msg("expected %s, got %s: %s", http_failure_name(failure), http_failure_name(outcome.failure),
                 outcome.message);
}

/* ---- tests ---- */

static void a_known_authority_and_the_right_name_are_trusted(void **state)
{
    struct tls_server server = {0};
    struct http_options options = default_options();

    options.ca_file = ca_file;
    options.tls_server_name = "agent.test";
    struct outcome outcome = ask_tls(&server, options);
    assert_outcome(outcome, HTTP_OK);
    assert_string_equal(outcome.body, "ok");
    assert_string_equal(server.server_name, "agent.test");
}

static void an_unknown_authority_is_refused(void **state)
{
    assert_outcome(ask_with(NULL, "agent.test", true), HTTP_TLS);
    assert_outcome(ask_with(other_ca_file, "agent.test", true), HTTP_TLS);
}

static void a_wrong_name_is_refused(void **state)
{
    assert_outcome(ask_with(ca_file, NULL, true), HTTP_TLS); /* the URL's 127.0.0.1 */
    assert_outcome(ask_with(ca_file, "other.test", true), HTTP_TLS);
}

static void without_verification_anything_goes(void **state)
{
    assert_outcome(ask_with(NULL, NULL, false), HTTP_OK);
}

static void a_certificate_of_our_own_is_shown(void **state)
{
    struct tls_server server = {.demand_certificate = true};
    struct http_options options = default_options();

    options.ca_file = ca_file;
    options.tls_server_name = "agent.test";
    struct outcome without = ask_tls(&server, options);
    assert_true(without.failure == HTTP_TLS || without.failure == HTTP_CUT);
    options.cert_file = ca_file;
    options.key_file = key_file;
    assert_outcome(ask_tls(&server, options), HTTP_OK);
}

static void missing_files_are_a_tls_failure(void **state)
{
    struct http_options options = default_options();
    int port;
    int fd = server_listen(&port); /* accepts, says nothing */
    char url[64];

    snprintf(url, sizeof url, "https://127.0.0.1:%d/", port);
    options.ca_file = "/nowhere/ca.pem";
    assert_outcome(ask_url(options, url), HTTP_TLS);
    options.ca_file = NULL;
    options.cert_file = "/nowhere/cert.pem";
    assert_outcome(ask_url(options, url), HTTP_TLS);
    close(fd);
}

/* A port where something else listens, which greets first and stays until the client goes. */
static void *greet(void *data)
{
    int fd = accept(*(int *)data, NULL, NULL);
    char hello[2048];

    (void)!write(fd, "220 mail ESMTP\r\n", 16);
    while (read(fd, hello, sizeof hello) > 0)
        ;
    close(fd);
    return NULL;
}

static void plain_text_instead_of_tls_is_a_tls_failure(void **state)
{
    int port, listener = server_listen(&port);
    pthread_t thread;
    char url[64];

    pthread_create(&thread, NULL, greet, &listener);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", port);
    assert_outcome(ask_url(default_options(), url), HTTP_TLS);
    pthread_join(thread, NULL);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_authority_and_the_right_name_are_trusted),
        cmocka_unit_test(an_unknown_authority_is_refused),
        cmocka_unit_test(a_wrong_name_is_refused),
        cmocka_unit_test(without_verification_anything_goes),
        cmocka_unit_test(a_certificate_of_our_own_is_shown),
        cmocka_unit_test(missing_files_are_a_tls_failure),
        cmocka_unit_test(plain_text_instead_of_tls_is_a_tls_failure),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
