/* timer and loop: order, stopping from inside, missed beats, deferred calls. */
#include "cmocka_all.h"

#include "loop.h"
#include "timer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

static int order[64], fired;

struct numbered {
    struct timer timer;
    int number;
};

static void note(struct timer *timer, void *data)
{
    order[fired++] = ((struct numbered *)data)->number;
}

static void stop_loop(struct timer *timer, void *data)
{
    loop_stop();
}

static void run_for(uint64_t ms)
{
    struct timer end = {0};

    timer_start(&end, ms, 0, stop_loop, NULL);
    loop_run();
}

static int reset(void **state)
{
    fired = 0;
    return 0;
}

static int shut_down(void **state)
{
    timer_shutdown();
    loop_shutdown();
    return 0;
}

static void the_wall_clock_is_told_in_milliseconds(void **state)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    assert_in_range(timer_wall_ms() - (uint64_t)now.tv_sec * 1000, 0, 5000);
}

static void they_fire_in_order_of_their_deadlines(void **state)
{
    static const int delays[] = {30, 10, 20, 0, 40, 15};
    struct numbered timers[6] = {0};

    for (int i = 0; i < 6; i++) {
        timers[i].number = i;
        assert_int_equal(timer_start(&timers[i].timer, (uint64_t)delays[i], 0, note, &timers[i]), 0);
    }
    run_for(60);
    assert_int_equal(fired, 6);
    for (int i = 1; i < 6; i++) /* not of their delays: they were started one after the other */
        assert_true(timers[order[i - 1]].timer.deadline_ns <= timers[order[i]].timer.deadline_ns);
}

static void none_fires_early(void **state)
{
    struct timer end = {0};

    for (uint64_t delay = 1; delay < 20; delay += 3) {
        uint64_t before = timer_now_ns();
        timer_start(&end, delay, 0, stop_loop, NULL);
        loop_run();
        assert_true(timer_now_ns() - before >= delay * 1000000);
        assert_false(timer_is_active(&end));
    }
}

static void stopped_ones_stay_silent(void **state)
{
    enum { COUNT = 200 };
    static struct numbered timers[COUNT];

    srand(7);
    for (int i = 0; i < COUNT; i++) {
        timers[i].number = i;
        timer_start(&timers[i].timer, (uint64_t)(rand() % 30), 0, note, &timers[i]);
    }
    for (int i = 0; i < COUNT; i++)
        if (i % 10 != 0)
            timer_stop(&timers[i].timer);
    timer_stop(&timers[1].timer);
    run_for(40);
    assert_int_equal(fired, COUNT / 10);
    for (int i = 0; i < fired; i++)
        assert_int_equal(order[i] % 10, 0);
}

static void stop_after_three(struct timer *timer, void *data)
{
    if (++fired == 3) {
        timer_stop(timer);
        timer_start(data, 30, 0, stop_loop, NULL);
    }
}

static void a_beat_may_stop_itself(void **state)
{
    struct timer beat = {0}, end = {0};

    timer_start(&beat, 2, 2, stop_after_three, &end);
    loop_run();
    assert_int_equal(fired, 3);
}

static void dawdle_once(struct timer *timer, void *data)
{
    struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};

    if (fired++ == 0)
        nanosleep(&pause, NULL);
    else
        timer_start(data, 5, 0, stop_loop, NULL);
}

static void missed_beats_are_skipped(void **state)
{
    struct timer beat = {0}, end = {0};
    uint64_t began_ms = timer_now_ms();

    timer_start(&beat, 10, 10, dawdle_once, &end);
    loop_run(); /* beats at 10 (until 60), at 70, and maybe at 80, not at 20 to 60 */
    timer_stop(&beat);
    timer_stop(&end); /* a beat that was due with it has started it once more */
    assert_true(fired >= 2);
    assert_true((uint64_t)fired <= 1 + (timer_now_ms() - began_ms - 50) / 10);
}

static void free_owner(struct timer *timer, void *data)
{
    fired++;
    free(data);
}

static void the_owner_may_be_freed_by_its_timer(void **state)
{
    struct numbered *owner = calloc(1, sizeof *owner);

    timer_start(&owner->timer, 1, 0, free_owner, owner);
    run_for(10);
    assert_int_equal(fired, 1);
}

/* ---- loop ---- */

static void defer_again(void *data)
{
    int *left = data;

    fired++;
    if (--*left > 0)
        loop_defer(defer_again, data);
}

static void deferred_calls_wait_for_the_next_turn(void **state)
{
    int left = 3;

    loop_defer(defer_again, &left);
    loop_step(0);
    assert_int_equal(fired, 1);
    loop_step(0);
    assert_int_equal(fired, 2);
    loop_step(1000); /* returns at once: something is to be done */
    assert_int_equal(fired, 3);
}

static void a_deferred_call_can_be_taken_back(void **state)
{
    int left = 1;

    loop_defer(defer_again, &left);
    assert_true(loop_undefer(defer_again, &left));
    assert_false(loop_undefer(defer_again, &left));
    loop_step(0);
    assert_int_equal(fired, 0);
}

static void run_inside(struct timer *timer, void *data)
{
    assert_int_equal(loop_run(), -EBUSY);
    assert_int_equal(loop_step(0), -EBUSY);
    loop_stop();
}

static void it_does_not_run_inside_itself(void **state)
{
    struct timer timer = {0};

    timer_start(&timer, 0, 0, run_inside, NULL);
    assert_int_equal(loop_run(), 0);
}

static void a_step_waits_no_longer_than_told(void **state)
{
    uint64_t before = timer_now_ms();

    loop_step(20);
    assert_in_range(timer_now_ms() - before, 15, 10000); /* and not for ever */
}

static void note_signal(int number, void *data)
{
    fired = number;
    loop_stop();
}

static void signals_arrive_on_the_loop(void **state)
{
    assert_int_equal(loop_on_signal(SIGHUP, note_signal, NULL), 0);
    assert_int_equal(loop_on_signal(SIGHUP, note_signal, NULL), 0);
    raise(SIGHUP);
    assert_int_equal(fired, 0);
    loop_run();
    assert_int_equal(fired, SIGHUP);
    assert_int_equal(loop_on_signal(SIGHUP, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wall_clock_is_told_in_milliseconds),
        cmocka_unit_test_setup(they_fire_in_order_of_their_deadlines, reset),
        cmocka_unit_test_setup(none_fires_early, reset),
        cmocka_unit_test_setup(stopped_ones_stay_silent, reset),
        cmocka_unit_test_setup(a_beat_may_stop_itself, reset),
        cmocka_unit_test_setup(missed_beats_are_skipped, reset),
        cmocka_unit_test_setup(the_owner_may_be_freed_by_its_timer, reset),
        cmocka_unit_test_setup(deferred_calls_wait_for_the_next_turn, reset),
        cmocka_unit_test_setup(a_deferred_call_can_be_taken_back, reset),
        cmocka_unit_test_setup(it_does_not_run_inside_itself, reset),
        cmocka_unit_test_setup(a_step_waits_no_longer_than_told, reset),
        cmocka_unit_test_setup(signals_arrive_on_the_loop, reset),
    };

    return cmocka_run_group_tests(tests, NULL, shut_down);
}
