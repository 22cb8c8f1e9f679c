/* wire: what is written is read, what is cut, absurd or changed at random is refused and never read past its end. */
#include "cmocka_all.h"

#include "wire.h"

#include <stdlib.h>
#include <string.h>

static uint8_t buffer[4096];

static struct wire_writer writer_of(size_t capacity)
{
    return (struct wire_writer){.data = buffer, .capacity = capacity};
}

static size_t write_spawn(void)
{
    struct wire_writer writer = writer_of(sizeof buffer);

    wire_begin(&writer, WIRE_SPAWN);
    wire_put_text(&writer, WIRE_TAG_ID, "web.0");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "/bin/echo");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "");
    wire_put_text(&writer, WIRE_TAG_ENVIRONMENT, "A=1");
    wire_put_text(&writer, WIRE_TAG_ARGUMENT, "last");
    wire_put_text(&writer, WIRE_TAG_USER, NULL);
    wire_put_number(&writer, WIRE_TAG_STOP_TIMEOUT_MS, 0x0123456789abcdef);
    assert_int_equal(wire_end(&writer), 0);
    return writer.size;
}

static void what_is_written_is_read(void **state)
{
    size_t size = write_spawn();
    struct wire_frame frame;
    struct wire_message message;
    const char *text;

    assert_int_equal(wire_find(buffer, size, &frame), size);
    assert_int_equal(wire_decode(&frame, &message), 0);
    assert_int_equal(message.type, WIRE_SPAWN);
    assert_string_equal(wire_text(&message, WIRE_TAG_ID), "web.0");
    assert_null(wire_text(&message, WIRE_TAG_USER));
    assert_true(wire_number(&message, WIRE_TAG_STOP_TIMEOUT_MS, 0) == 0x0123456789abcdef);
    assert_int_equal(wire_number(&message, WIRE_TAG_PID, 7), 7);
    assert_int_equal(message.field[WIRE_TAG_ARGUMENT].count, 3);
    text = wire_next_text(&message, WIRE_TAG_ARGUMENT, NULL);
    assert_string_equal(text, "/bin/echo");
    text = wire_next_text(&message, WIRE_TAG_ARGUMENT, text);
    assert_string_equal(text, "");
    text = wire_next_text(&message, WIRE_TAG_ARGUMENT, text);
    assert_string_equal(text, "last");
    assert_null(wire_next_text(&message, WIRE_TAG_ARGUMENT, text));
    assert_null(wire_next_text(&message, WIRE_TAG_WORKING_DIR, NULL));
}

static void a_frame_that_does_not_fit_leaves_no_trace(void **state)
{
    size_t whole = write_spawn();

    for (size_t capacity = 0; capacity < 64; capacity++) {
        struct wire_writer writer = writer_of(capacity);

        wire_begin(&writer, WIRE_STOP);
        wire_put_text(&writer, WIRE_TAG_ID, "0123456789");
        wire_put_number(&writer, WIRE_TAG_SIGNAL, 15);
        assert_int_equal(wire_end(&writer), capacity < 43 ? -1 : 0);
        assert_int_equal(writer.size, capacity < 43 ? 0 : 43);
    }
    assert_true(whole > 64);
}

/* In a block of its exact size, so that a sanitizer sees a byte read beyond it. */
static void decode_copy(const uint8_t *data, size_t size, long *found, int *decoded)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct wire_frame frame;
    struct wire_message message;
    const char *text = NULL;

    memcpy(copy, data, size);
    *decoded = -1;
    *found = wire_find(copy, size, &frame);
    if (*found > 0) {
        *decoded = wire_decode(&frame, &message);
        if (*decoded == 0)
            for (uint32_t left = message.field[WIRE_TAG_ARGUMENT].count; left > 0; left--) {
                text = wire_next_text(&message, WIRE_TAG_ARGUMENT, text);
                assert_non_null(text);
                assert_true(strlen(text) < size);
            }
    }
    free(copy);
}

static void cut_at_any_byte_it_is_not_yet_a_frame(void **state)
{
    size_t size = write_spawn();
    long found;
    int decoded;

    for (size_t cut = 0; cut < size; cut++) {
        decode_copy(buffer, cut, &found, &decoded);
        assert_int_equal(found, 0);
    }
}

static void a_payload_cut_at_any_byte_is_malformed_but_between_fields(void **state)
{
    size_t size = write_spawn(), whole_fields = 0;

    for (size_t cut = WIRE_HEADER_SIZE; cut < size; cut++) {
        struct wire_frame frame = {.type = WIRE_SPAWN, .payload = buffer + WIRE_HEADER_SIZE,
                                   .length = cut - WIRE_HEADER_SIZE};
        struct wire_message message;

        whole_fields += wire_decode(&frame, &message) == 0;
    }
    assert_int_equal(whole_fields, 6); /* after none, one … five of the six fields */
}

static void refuse(const uint8_t *payload, size_t length)
{
    uint8_t *copy = malloc(length);
    struct wire_frame frame = {.type = WIRE_STOP, .payload = copy, .length = length};
    struct wire_message message;

    memcpy(copy, payload, length);
    assert_int_equal(wire_decode(&frame, &message), -1);
    free(copy);
}

#define FIELD(tag, length) (tag) & 255, (tag) >> 8, 0, 0, (length) & 255, (length) >> 8 & 255, (length) >> 16 & 255, \
                           (uint32_t)(length) >> 24

static void absurd_fields_are_malformed(void **state)
{
    static const uint8_t none[] = {FIELD(WIRE_TAG_NONE, 0)};
    static const uint8_t endless[] = {FIELD(WIRE_TAG_ID, 0xffffffff), 'a', 0};
    static const uint8_t unended[] = {FIELD(WIRE_TAG_ID, 2), 'a', 'b'};
    static const uint8_t empty[] = {FIELD(WIRE_TAG_ID, 0)};
    static const uint8_t two_ends[] = {FIELD(WIRE_TAG_ID, 3), 'a', 0, 0};
    static const uint8_t short_number[] = {FIELD(WIRE_TAG_PID, 4), 1, 0, 0, 0};
    static const uint8_t twice[] = {FIELD(WIRE_TAG_ID, 2), 'a', 0, FIELD(WIRE_TAG_ID, 2), 'b', 0};
    static const uint8_t reserved[] = {WIRE_TAG_ID, 0, 1, 0, 2, 0, 0, 0, 'a', 0};

    refuse(none, sizeof none);
    refuse(endless, sizeof endless);
    refuse(unended, sizeof unended);
    refuse(empty, sizeof empty);
    refuse(two_ends, sizeof two_ends);
    refuse(short_number, sizeof short_number);
    refuse(twice, sizeof twice);
    refuse(reserved, sizeof reserved);
}

static void a_later_versions_field_is_skipped(void **state)
{
    static const uint8_t payload[] = {FIELD(999, 3), 1, 2, 3, FIELD(WIRE_TAG_ID, 2), 'a', 0};
    struct wire_frame frame = {.type = WIRE_STOP, .payload = payload, .length = sizeof payload};
    struct wire_message message;

    assert_int_equal(wire_decode(&frame, &message), 0);
    assert_string_equal(wire_text(&message, WIRE_TAG_ID), "a");
}

static void absurd_lengths_end_the_search(void **state)
{
    static const uint32_t lengths[] = {WIRE_PAYLOAD_MAX + 1, 0x7fffffff, 0x80000000, 0xffffffff};
    uint8_t header[WIRE_HEADER_SIZE] = {0, 0, 0, 0, WIRE_STOP};
    struct wire_frame frame;

    for (size_t i = 0; i < 4; i++) {
        memcpy(header, &lengths[i], 4);
        assert_int_equal(wire_find(header, sizeof header, &frame), -1);
    }
    memset(header, 0, sizeof header);
    header[6] = 1;
    assert_int_equal(wire_find(header, sizeof header, &frame), -1);
}

/* A fixed seed: a failure is seen again. */
static uint32_t random_state = 12345;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static void mutate(uint8_t *data, size_t *size)
{
    switch (next_random() % 4) {
    case 0: data[next_random() % *size] = (uint8_t)next_random(); break;
    case 1: data[next_random() % *size] ^= (uint8_t)(1 << next_random() % 8); break;
    case 2: data[next_random() % *size] = next_random() % 2 ? 0 : 255; break;
    default: *size = 1 + next_random() % *size; break;
    }
}

static void random_changes_are_survived(void **state)
{
    unsigned accepted = 0, refused = 0;

    for (int round = 0; round < 200000; round++) {
        size_t size = write_spawn();
        long found;
        int decoded;

        for (uint32_t changes = 1 + next_random() % 4; changes > 0; changes--)
            mutate(buffer, &size);
        decode_copy(buffer, size, &found, &decoded);
        accepted += decoded == 0;
        refused += decoded != 0;
    }
    assert_true(accepted > 1000 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_frame_that_does_not_fit_leaves_no_trace),
        cmocka_unit_test(cut_at_any_byte_it_is_not_yet_a_frame),
        cmocka_unit_test(a_payload_cut_at_any_byte_is_malformed_but_between_fields),
        cmocka_unit_test(absurd_fields_are_malformed),
        cmocka_unit_test(a_later_versions_field_is_skipped),
        cmocka_unit_test(absurd_lengths_end_the_search),
        cmocka_unit_test(random_changes_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
