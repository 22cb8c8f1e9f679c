/* handle: stale handles find nothing, whatever became of their slot. */
#include "cmocka_all.h"

#include "handle.h"

static void a_zeroed_handle_is_stale(void **state)
{
    struct handle_table table = {0};
    int object;

    assert_null(handle_get(&table, (struct handle){0}));
    handle_add(&table, &object);
    assert_null(handle_get(&table, (struct handle){0}));
    handle_table_free(&table);
}

static void a_dropped_handle_is_stale_when_its_slot_lives_again(void **state)
{
    struct handle_table table = {0};
    int first, second;
    struct handle old = handle_add(&table, &first);

    assert_ptr_equal(handle_drop(&table, old), &first);
    assert_null(handle_drop(&table, old));
    struct handle new = handle_add(&table, &second);
    assert_int_equal(new.slot, old.slot);
    assert_null(handle_get(&table, old));
    assert_null(handle_drop(&table, old));
    assert_ptr_equal(handle_get(&table, new), &second);
    handle_table_free(&table);
}

static void many_live_side_by_side(void **state)
{
    enum { COUNT = 1000 };
    struct handle_table table = {0};
    static int objects[COUNT];
    static struct handle handles[COUNT];

    for (int i = 0; i < COUNT; i++)
        handles[i] = handle_add(&table, &objects[i]);
    for (int i = 0; i < COUNT; i += 2)
        handle_drop(&table, handles[i]);
    assert_int_equal(handle_count(&table), COUNT / 2);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(handle_get(&table, handles[i]), i % 2 ? &objects[i] : NULL);
    for (int *object; (object = handle_any(&table));)
        handle_drop(&table, handles[object - objects]);
    assert_int_equal(handle_count(&table), 0);
    handle_table_free(&table);
}

static void a_foreign_slot_is_stale(void **state)
{
    struct handle_table table = {0};

    assert_null(handle_get(&table, (struct handle){.slot = 4000000000u, .generation = 1}));
    handle_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_handle_is_stale),
        cmocka_unit_test(a_dropped_handle_is_stale_when_its_slot_lives_again),
        cmocka_unit_test(many_live_side_by_side),
        cmocka_unit_test(a_foreign_slot_is_stale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
