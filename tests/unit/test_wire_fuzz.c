/* Frames that nobody meant to send: valid ones, changed at random. The decoder stays inside what it was given, and a keeper
 * that is sent them loses a connection and nothing else.
 *
 * The random numbers are the same in every run; APPMGR_FUZZ_SEED chooses others, APPMGR_FUZZ_ROUNDS how many. */
#include "keeper_fixture.h"

enum { DECODER_ROUNDS = 60000, KEEPER_ROUNDS = 3000, FRAME_MAX = 2048 };

static uint64_t random_state, seed;
static uint8_t frame_space[FRAME_MAX];
static struct peer other;

/* xorshift64* (Vigna 2016): the same everywhere. */
static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545F4914F6CDD1DULL) >> 33) % limit;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* --- frames --- */

/* What the decoder takes a tag for, as it says itself. */
static bool decodes(unsigned tag, const char *text, int times)
{
    struct wire_writer made = {.data = frame_space, .capacity = sizeof frame_space};
    struct wire_frame found;
    struct wire_message decoded;

    wire_begin(&made, WIRE_LIST);
    for (; times > 0; times--) {
        if (text)
            wire_put_text(&made, (enum wire_tag)tag, text);
        else
            wire_put_number(&made, (enum wire_tag)tag, 1);
    }
    assert_int_equal(wire_end(&made), 0);
    assert_true(wire_find(frame_space, made.size, &found) > 0);
    return wire_decode(&found, &decoded) == 0;
}

static bool text_tag[WIRE_TAG_LIMIT], repeated_tag[WIRE_TAG_LIMIT];

static int begin_random(void **state)
{
    seed = number_from("APPMGR_FUZZ_SEED", 20260101);
    random_state = seed * 2 + 1;
    print_message("APPMGR_FUZZ_SEED=%llu\n", (unsigned long long)seed);
    for (unsigned tag = 1; tag < WIRE_TAG_LIMIT; tag++) {
        text_tag[tag] = decodes(tag, "a", 1);
        repeated_tag[tag] = decodes(tag, "a", 2);
    }
    return 0;
}

/* Never a path to write to: what is asked for here may be done. */
static unsigned random_tag(void)
{
    unsigned tag;

    do
        tag = 1 + random_below(WIRE_TAG_LIMIT - 1);
    while (tag == WIRE_TAG_OUTPUT_PATH || tag == WIRE_TAG_USER);
    return tag;
}

static const char *random_text(void)
{
    static const char *const texts[] = {"", "a", "b", "/", "APPMGR", "\xff\xfe", "%s%n", "a.b-c_d",
                                        "a rather long text, longer than any that is expected here, to see what it does"};

    return texts[random_below(sizeof texts / sizeof *texts)];
}

/* A well-formed frame of random fields in frame_space. Returns its size. */
static size_t make_frame(unsigned type)
{
    struct wire_writer made = {.data = frame_space, .capacity = sizeof frame_space};
    bool taken[WIRE_TAG_LIMIT] = {false};

    wire_begin(&made, (enum wire_type)type);
    for (uint32_t left = random_below(8); left > 0; left--) {
        unsigned tag = random_tag();

        if (taken[tag] && !repeated_tag[tag])
            continue;
        taken[tag] = true;
        if (text_tag[tag])
            wire_put_text(&made, (enum wire_tag)tag, random_text());
        else
            wire_put_number(&made, (enum wire_tag)tag, random_below(4) ? random_below(300) : UINT64_MAX - random_below(3));
    }
    assert_int_equal(wire_end(&made), 0);
    return made.size;
}

/* Changes a frame a little. Returns its new size. */
static size_t spoil(size_t size)
{
    static const uint8_t extremes[] = {0, 1, 7, 8, 127, 128, 255};

    for (uint32_t left = 1 + random_below(3); left > 0 && size > 0; left--) {
        size_t at = random_below((uint32_t)size);

        switch (random_below(5)) {
        case 0: frame_space[at] ^= (uint8_t)(1 << random_below(8)); break;
        case 1: frame_space[at] = extremes[random_below(sizeof extremes)]; break;
        case 2: size = at; break;
        case 3: memmove(frame_space + at, frame_space + at + 1, size - at - 1); size--; break;
        default:
            if (size < FRAME_MAX) {
                memmove(frame_space + at + 1, frame_space + at, size - at);
                size++;
            }
        }
    }
    return size;
}

/* --- the decoder --- */

/* Looks at every field the way receivers do. */
static void read_all(const struct wire_message *decoded, const uint8_t *from, const uint8_t *to)
{
    for (unsigned tag = 1; tag < WIRE_TAG_LIMIT; tag++) {
        if (!wire_has(decoded, (enum wire_tag)tag))
            continue;
        assert_true(decoded->field[tag].data >= from && decoded->field[tag].data + decoded->field[tag].length <= to);
        if (repeated_tag[tag]) {
            uint32_t seen = 0;

            for (const char *text = NULL; (text = wire_next_text(decoded, (enum wire_tag)tag, text));) {
                assert_true((const uint8_t *)text >= from && (const uint8_t *)text + strlen(text) < to);
                seen++;
            }
            assert_int_equal(seen, decoded->field[tag].count);
        }
    }
}

/* In memory of exactly its size, so that a sanitizer sees the first byte too many. */
static void decode_copy(size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct wire_frame found;
    struct wire_message decoded;

    assert_non_null(copy);
    memcpy(copy, frame_space, size);
    if (wire_find(copy, size, &found) > 0 && wire_decode(&found, &decoded) == 0)
        read_all(&decoded, copy, copy + size);
    free(copy);
}

static void the_decoder_stays_inside_of_what_it_was_given(void **state)
{
    uint64_t rounds = number_from("APPMGR_FUZZ_ROUNDS", DECODER_ROUNDS);

    for (uint64_t round = 0; round < rounds; round++) {
        size_t size = make_frame(random_below(140));
        struct wire_frame found;
        struct wire_message decoded;

        assert_int_equal(wire_find(frame_space, size, &found), size);
        assert_int_equal(wire_decode(&found, &decoded), 0);
        read_all(&decoded, frame_space, frame_space + size);
        decode_copy(spoil(size));
    }
}

/* --- the keeper --- */

static void swallow(void)
{
    uint8_t rest[4096];

    while (recv(other.fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
        ;
}

static unsigned harmless_request(void)
{
    unsigned type;

    do
        type = 1 + random_below(WIRE_OUTPUT_TERMS);
    while (type == WIRE_SHUTDOWN || type == WIRE_UPGRADE);
    return type;
}

/* All that went over one connection: what is missing of a frame may come with the next one. */
static uint8_t sent[8 * FRAME_MAX];
static size_t sent_size;

/*
 * Sends the first `size` bytes of frame_space, unless they make a frame whole that ends the keeper, or has it replace itself
 * and cut all connections: requests like others, and by chance one may come of bytes that were changed. False when the
 * connection is gone.
 */
static bool send_harmless(int fd, size_t size)
{
    struct wire_frame frame;
    long length;

    assert_true(sent_size + size <= sizeof sent);
    memcpy(sent + sent_size, frame_space, size);
    for (size_t at = 0; (length = wire_find(sent + at, sent_size + size - at, &frame)) > 0; at += (size_t)length)
        if (frame.type == WIRE_SHUTDOWN || frame.type == WIRE_UPGRADE)
            return true;
    sent_size += size;
    return send(fd, frame_space, size, MSG_NOSIGNAL) >= 0;
}

static void fuzz_connection(void)
{
    static const enum wire_role roles[] = {WIRE_ROLE_READER, WIRE_ROLE_OPERATOR};

    sent_size = 0;
    dial(&other);
    if (random_below(4))
        greet(&other, roles[random_below(2)]);
    for (uint32_t left = 1 + random_below(6); left > 0; left--) {
        if (!send_harmless(other.fd, spoil(make_frame(harmless_request()))))
            break;
        swallow();
    }
    close(other.fd);
}

static void a_keeper_loses_connections_and_nothing_else(void **state)
{
    uint64_t rounds = number_from("APPMGR_FUZZ_ROUNDS", KEEPER_ROUNDS);
    pid_t kept = spawn_script("kept", "exec sleep 100");

    for (uint64_t round = 0; round < rounds; round++)
        fuzz_connection();
    assert_true(is_alive(kept));
    assert_true(is_alive(keeper));
    spawn_script("another", "exec sleep 100");
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "kept");
    assert_int_equal(number(WIRE_TAG_PID), kept);
}

static void a_controller_that_talks_nonsense_is_cut_off_and_its_children_stay(void **state)
{
    pid_t kept = spawn_script("kept", "exec sleep 100");

    for (int round = 0; round < 200; round++) {
        sent_size = 0;
        (void)send_harmless(agent.fd, spoil(make_frame(harmless_request())));
        rejoin();
    }
    assert_true(is_alive(kept));
    say(&agent, WIRE_LIST, NULL);
    expect(&agent, WIRE_CHILD, "kept");
    assert_int_equal(number(WIRE_TAG_PID), kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_decoder_stays_inside_of_what_it_was_given, begin_random),
        cmocka_unit_test_setup_teardown(a_keeper_loses_connections_and_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_controller_that_talks_nonsense_is_cut_off_and_its_children_stay, set_up, tear_down),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, begin_random, NULL);
}
