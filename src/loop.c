#include "loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct deferred {
    loop_fn fn;
    void *data;
    uint64_t turn;
    struct deferred *next;
};

struct signal_watch {
    uv_signal_t handle;
    loop_signal_fn fn;
    void *data;
    struct signal_watch *next;
};

static struct {
    uv_loop_t uv;
    uv_prepare_t stay;   /* active in loop_run(): it waits even when nothing else is active */
    uv_idle_t idle;      /* active while calls are deferred: the poll does not wait then */
    uv_timer_t step_end; /* bounds the wait of loop_step() */
    struct deferred *first, **last;
    uint64_t turn_number;
    struct signal_watch *signals;
    bool open, running, stopping;
} loop;

static void on_stay(uv_prepare_t *handle)
{
    (void)handle;
}

uv_loop_t *loop_uv(void)
{
    if (loop.open)
        return &loop.uv;
    int status = uv_loop_init(&loop.uv);
    if (status != 0) {
        fprintf(stderr, "appmgr: cannot make the event loop: %s\n", uv_strerror(status));
        abort();
    }
    uv_prepare_init(&loop.uv, &loop.stay);
    uv_idle_init(&loop.uv, &loop.idle);
    uv_timer_init(&loop.uv, &loop.step_end);
    loop.last = &loop.first;
    loop.open = true;
    return &loop.uv;
}

/* ---- deferred calls ---- */

/* What is deferred while these run carries a later turn, and waits for it. */
static void run_deferred(uv_idle_t *handle)
{
    uint64_t turn = loop.turn_number++;

    while (loop.first && loop.first->turn <= turn) {
        struct deferred *call = loop.first;
        loop_fn fn = call->fn;
        void *data = call->data;
        loop.first = call->next;
        if (!loop.first)
            loop.last = &loop.first;
        free(call);
        fn(data);
    }
    if (!loop.first)
        uv_idle_stop(handle);
}

int loop_defer(loop_fn fn, void *data)
{
    struct deferred *call = malloc(sizeof *call);

    if (!call)
        return -ENOMEM;
    loop_uv();
    *call = (struct deferred){.fn = fn, .data = data, .turn = loop.turn_number};
    *loop.last = call;
    loop.last = &call->next;
    uv_idle_start(&loop.idle, run_deferred);
    return 0;
}

bool loop_undefer(loop_fn fn, void *data)
{
    for (struct deferred **at = &loop.first; *at; at = &(*at)->next) {
        struct deferred *call = *at;
        if (call->fn != fn || call->data != data)
            continue;
        *at = call->next;
        if (loop.last == &call->next)
            loop.last = at;
        free(call);
        return true;
    }
    return false;
}

/* ---- running ---- */

int loop_run(void)
{
    if (loop.running)
        return -EBUSY;
    loop_uv();
    loop.running = true;
    loop.stopping = false;
    uv_prepare_start(&loop.stay, on_stay);
    while (!loop.stopping)
        uv_run(&loop.uv, UV_RUN_ONCE);
    uv_prepare_stop(&loop.stay);
    loop.running = false;
    return 0;
}

static void on_step_end(uv_timer_t *timer)
{
    (void)timer;
}

int loop_step(unsigned timeout_ms)
{
    if (loop.running)
        return -EBUSY;
    loop_uv();
    loop.running = true;
    if (timeout_ms > 0) {
        uv_update_time(&loop.uv);
        uv_timer_start(&loop.step_end, on_step_end, timeout_ms, 0);
    }
    uv_run(&loop.uv, timeout_ms > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    uv_timer_stop(&loop.step_end);
    loop.running = false;
    return 0;
}

void loop_stop(void)
{
    loop.stopping = true;
    if (loop.open)
        uv_stop(&loop.uv);
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int number)
{
    struct signal_watch *watch = handle->data;

    watch->fn(number, watch->data);
}

static void free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

static void remove_watch(struct signal_watch **at)
{
    struct signal_watch *watch = *at;

    *at = watch->next;
    uv_close((uv_handle_t *)&watch->handle, free_watch);
}

static int add_watch(int number, loop_signal_fn fn, void *data)
{
    struct signal_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return -ENOMEM;
    watch->fn = fn;
    watch->data = data;
    watch->handle.data = watch;
    uv_signal_init(loop_uv(), &watch->handle);
    watch->next = loop.signals;
    loop.signals = watch;
    int status = uv_signal_start(&watch->handle, on_signal, number);
    if (status != 0)
        remove_watch(&loop.signals);
    return status;
}

int loop_on_signal(int number, loop_signal_fn fn, void *data)
{
    for (struct signal_watch **at = &loop.signals; *at; at = &(*at)->next) {
        if ((*at)->handle.signum == number) {
            remove_watch(at);
            break;
        }
    }
    return fn ? add_watch(number, fn, data) : 0;
}

/* ---- the end ---- */

static void close_foreign(uv_handle_t *handle, void *data)
{
    (void)data;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_shutdown(void)
{
    if (!loop.open)
        return;
    while (loop.signals)
        remove_watch(&loop.signals);
    while (loop.first) {
        struct deferred *call = loop.first;
        loop.first = call->next;
        free(call);
    }
    uv_walk(&loop.uv, close_foreign, NULL);
    uv_run(&loop.uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop.uv);
    loop.open = loop.running = false;
}
