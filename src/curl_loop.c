#include "curl_loop.h"

#include "log.h"
#include "loop.h"
#include "timer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct watch {
    uv_poll_t poll;
    curl_socket_t fd;
    struct watch *next;
};

static struct {
    CURLM *multi;
    struct timer timer;
    struct watch *watches;
    curl_loop_finished_fn finished;
    bool initialised;
} driver;

/* ---- after curl has returned ---- */

static void tell_finished(void)
{
    CURLMsg *message;
    int left;

    while (driver.multi && (message = curl_multi_info_read(driver.multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result; /* read before the message is freed with the transfer */
        curl_multi_remove_handle(driver.multi, easy);
        driver.finished(easy, result);
    }
}

static void act(curl_socket_t fd, int events)
{
    int running;

    curl_multi_socket_action(driver.multi, fd, events, &running);
    tell_finished();
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);

    act(watch->fd, status < 0 ? CURL_CSELECT_ERR : flags);
}

static void on_timeout(struct timer *timer, void *data)
{
    (void)timer, (void)data;
    act(CURL_SOCKET_TIMEOUT, 0);
}

/* ---- curl's callbacks: they only note what it wants ---- */

static void free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

/* Before the descriptor is closed: libuv must not poll a number that means something else. */
static void end_watch(struct watch *watch)
{
    for (struct watch **at = &driver.watches; *at; at = &(*at)->next) {
        if (*at == watch) {
            *at = watch->next;
            break;
        }
    }
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, free_watch);
}

static struct watch *new_watch(curl_socket_t fd)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return NULL;
    int status = uv_poll_init_socket(loop_uv(), &watch->poll, fd);
    if (status != 0) {
        log_write(LOG_LEVEL_ERROR, "http: cannot watch a socket: %s", uv_strerror(status));
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    watch->fd = fd;
    watch->next = driver.watches;
    driver.watches = watch;
    curl_multi_assign(driver.multi, fd, watch); /* curl allows this one in its callback */
    return watch;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
    struct watch *watch = socket_data;

    (void)easy, (void)data;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            curl_multi_assign(driver.multi, fd, NULL);
            end_watch(watch);
        }
        return 0;
    }
    if (!watch && !(watch = new_watch(fd)))
        return -1;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->poll, events, on_poll) == 0 ? 0 : -1;
}

static int on_timer(CURLM *multi, long timeout_ms, void *data)
{
    (void)multi, (void)data;
    if (timeout_ms < 0) {
        timer_stop(&driver.timer);
        return 0;
    }
    return timer_start(&driver.timer, (uint64_t)timeout_ms, 0, on_timeout, NULL) == 0 ? 0 : -1;
}

/* curl's own sockets would be inherited by every child. */
static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)data, (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int close_socket(void *data, curl_socket_t fd)
{
    (void)data;
    for (struct watch *watch = driver.watches; watch; watch = watch->next) {
        if (watch->fd == fd) {
            end_watch(watch);
            break;
        }
    }
    return close(fd);
}

/* ---- for owners ---- */

static int initialise(void)
{
    if (driver.multi)
        return 0;
    if (!driver.initialised && curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return -1;
    driver.initialised = true;
    driver.multi = curl_multi_init();
    if (!driver.multi)
        return -1;
    curl_multi_setopt(driver.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(driver.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(driver.multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return 0;
}

CURL *curl_loop_new_easy(void)
{
    CURL *easy = initialise() == 0 ? curl_easy_init() : NULL;

    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Without it, ending a transfer waits for the thread that still asks DNS. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    return easy;
}

int curl_loop_add(CURL *easy, curl_loop_finished_fn finished)
{
    driver.finished = finished;
    return curl_multi_add_handle(driver.multi, easy) == CURLM_OK ? 0 : -1;
}

void curl_loop_remove(CURL *easy)
{
    if (driver.multi)
        curl_multi_remove_handle(driver.multi, easy);
}

void curl_loop_shutdown(void)
{
    if (driver.multi) {
        curl_multi_cleanup(driver.multi);
        driver.multi = NULL;
    }
    while (driver.watches)
        end_watch(driver.watches);
    timer_stop(&driver.timer);
    if (driver.initialised)
        curl_global_cleanup();
    driver.initialised = false;
}
