/* exits: kept until acknowledged, in order, and bounded. */
#include "cmocka_all.h"

#include "keeper/exits.h"

static uint64_t add(struct child *child, uint8_t code)
{
    child->last_exit = (struct child_exit){.known = true, .number = code, .at_us = 1};
    return exits_add(child);
}

static int reset(void **state)
{
    exits_acknowledge(UINT64_MAX);
    (void)exits_take_lost();
    return 0;
}

static void they_are_kept_in_order_until_acknowledged(void **state)
{
    struct child child = {0};
    uint64_t first = add(&child, 1);

    assert_int_equal(add(&child, 2), first + 1);
    assert_int_equal(add(&child, 3), first + 2);
    assert_int_equal(exits_first(), first);
    assert_int_equal(exits_end(), first + 3);
    assert_int_equal(exits_get(first + 1)->number, 2);
    exits_acknowledge(first + 1);
    assert_int_equal(exits_first(), first + 2);
    exits_acknowledge(first); /* late: nothing comes back */
    assert_int_equal(exits_first(), first + 2);
    assert_int_equal(exits_get(first + 2)->number, 3);
    exits_acknowledge(first + 100);
    assert_int_equal(exits_first(), exits_end());
    assert_int_equal(add(&child, 4), first + 3);
    assert_int_equal(exits_get(first + 3)->number, 4);
}

static void they_go_on_after_those_of_an_earlier_keeper(void **state)
{
    struct child child = {.number = 7};

    exits_resume(100, 102);
    assert_int_equal(exits_first(), 100);
    assert_int_equal(exits_end(), 103);
    assert_int_equal(exits_place(100), 0);
    assert_int_equal(exits_place(102), 2);
    assert_int_equal(add(&child, 9), 103);
    assert_int_equal(exits_get(103)->child, 7);
    assert_int_equal(exits_get(103)->sequence, 103);
}

static void the_oldest_makes_room_and_is_counted(void **state)
{
    struct child child = {0};
    uint64_t first = add(&child, 0);

    for (int i = 1; i < EXITS_KEPT + 10; i++)
        add(&child, (uint8_t)i);
    assert_int_equal(exits_first(), first + 10);
    assert_int_equal(exits_end() - exits_first(), EXITS_KEPT);
    for (uint64_t i = 10; i < EXITS_KEPT + 10; i++)
        assert_int_equal(exits_get(first + i)->number, i & 255);
    assert_int_equal(exits_take_lost(), 10);
    assert_int_equal(exits_take_lost(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(they_are_kept_in_order_until_acknowledged, reset),
        cmocka_unit_test_setup(they_go_on_after_those_of_an_earlier_keeper, reset),
        cmocka_unit_test_setup(the_oldest_makes_room_and_is_counted, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
