/* The keeper's leases: what must not outlive its agent's word is stopped in time, with an agent or without. */
#include "keeper_fixture.h"

static uint64_t boot_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void renew(uint64_t at_ms)
{
    begin(WIRE_RENEW, NULL);
    wire_put_number(&writer, WIRE_TAG_RENEWED_MS, at_ms);
    end(&agent);
}

static pid_t start(const char *id, const char *script)
{
    begin_script(id, script);
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 100);
    put_restart(1, 1);
    end(&agent);
    expect(&agent, WIRE_STARTED, id);
    return (pid_t)number(WIRE_TAG_PID);
}

/* What runs already, so that a short lease does not end before a busy machine has started it. */
static void lease(const char *id, uint64_t lease_ms)
{
    begin(WIRE_UPDATE, id);
    wire_put_number(&writer, WIRE_TAG_LEASE_MS, lease_ms);
    end(&agent);
}

static void is_in_state(const char *id, enum wire_state state)
{
    expect(&agent, WIRE_CHILD, id);
    assert_int_equal(number(WIRE_TAG_STATE), state);
}

static bool listed_state_is(const char *id, enum wire_state state)
{
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, id);
    return number(WIRE_TAG_STATE) == state;
}

static void a_child_is_stopped_when_its_lease_ends(void **state)
{
    uint64_t renewed_ms;

    start("free", "sleep 100");
    start("long", "sleep 100");
    start("short", "sleep 100");
    renewed_ms = boot_ms();
    renew(renewed_ms);
    lease("long", 3600000);
    lease("short", 300);
    expect(&agent, WIRE_STOPPING, NULL);
    assert_true(is_about("short"));
    assert_true(boot_ms() >= renewed_ms + 300);
    expect(&agent, WIRE_STOPPED, "short");
    say(&agent, WIRE_LIST, NULL);
    is_in_state("free", WIRE_STATE_RUNNING);
    is_in_state("long", WIRE_STATE_RUNNING);
    is_in_state("short", WIRE_STATE_STOPPED);
}

static void no_agent_is_needed_for_it(void **state)
{
    pid_t pid = start("a", "trap '' TERM; while :; do sleep 0.05; done");

    renew(boot_ms());
    lease("a", 500);
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_LIST_END, NULL); /* it has read all this */
    close(agent.fd);
    WAIT_FOR(!is_alive(pid)); /* it ignores the stop signal, and is killed */
    rejoin();
    WAIT_FOR(listed_state_is("a", WIRE_STATE_STOPPED)); /* a dead one is still to be reaped */
}

static void renewals_keep_it_running_and_only_the_newest_counts(void **state)
{
    uint64_t began_ms, last_ms = 0;

    start("a", "sleep 100");
    began_ms = boot_ms();
    renew(began_ms);
    lease("a", 6000); /* longer than a busy machine keeps us from renewing */
    while (boot_ms() < began_ms + 7000) {
        last_ms = boot_ms();
        renew(last_ms);
        renew(last_ms - 10000); /* came late: says nothing new */
        usleep(50000);
    }
    lease("a", 1000);
    expect(&agent, WIRE_STOPPING, "a");
    assert_true(boot_ms() >= last_ms + 1000);
}

static void a_renewal_from_the_future_counts_from_now(void **state)
{
    start("a", "sleep 100");
    renew(boot_ms() + 3600000);
    lease("a", 200);
    expect(&agent, WIRE_STOPPING, "a");
}

static void an_update_takes_a_lease_away(void **state)
{
    start("a", "sleep 100");
    start("b", "sleep 100");
    renew(boot_ms());
    lease("a", 3600000);
    lease("b", 3600000);
    lease("b", 0);
    lease("a", 100);
    expect(&agent, WIRE_STOPPED, "a");
    say(&agent, WIRE_LIST, NULL);
    is_in_state("b", WIRE_STATE_RUNNING);
}

static void what_waits_for_its_next_start_is_not_started(void **state)
{
    renew(boot_ms());
    begin_script("a", "exit 1");
    put_restart(3600000, 3600000);
    end(&agent);
    expect(&agent, WIRE_EXITED, "a");
    expect(&agent, WIRE_EXITED, "a"); /* the first restart is immediate, the second waits */
    lease("a", 1);
    expect(&agent, WIRE_STOPPED, "a");
}

static void nothing_is_started_on_a_lease_that_has_ended(void **state)
{
    begin_script("a", "echo > ran; sleep 100");
    wire_put_number(&writer, WIRE_TAG_LEASE_MS, 100);
    end(&agent);
    expect(&agent, WIRE_STOPPED, "a");
    renew(boot_ms());
    assert_string_equal(contents("ran"), "");
    start("b", "sleep 100");
    say(&agent, WIRE_LIST, NULL);
    is_in_state("a", WIRE_STATE_STOPPED); /* a renewal starts nothing either */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_child_is_stopped_when_its_lease_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_agent_is_needed_for_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(renewals_keep_it_running_and_only_the_newest_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_renewal_from_the_future_counts_from_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_update_takes_a_lease_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_waits_for_its_next_start_is_not_started, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_started_on_a_lease_that_has_ended, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
