/* codec: known answers, and what is refused. */
#include "cmocka_all.h"

#include "codec.h"

#include <stdlib.h>
#include <string.h>

static void base64_known_answers(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},         {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
    };
    char out[32];

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t length = strlen(pairs[i][0]);
        assert_int_equal(codec_base64_encode(pairs[i][0], length, out), strlen(pairs[i][1]));
        assert_string_equal(out, pairs[i][1]);
        assert_int_equal(codec_base64_decode(pairs[i][1], strlen(pairs[i][1]), out), length);
        assert_memory_equal(out, pairs[i][0], length);
    }
}

static void base64_of_every_byte_comes_back(void **state)
{
    char bytes[256], text[400], back[400];

    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    size_t length = codec_base64_encode(bytes, sizeof bytes, text);
    assert_int_equal(length + 1, codec_base64_encoded_size(sizeof bytes));
    assert_int_equal(codec_base64_decode(text, length, back), sizeof bytes);
    assert_memory_equal(back, bytes, sizeof bytes);
}

static void base64_longer_than_one_piece_has_no_padding_inside(void **state)
{
    size_t length = (3u << 20) + 5;
    char *bytes = malloc(length), *text = malloc(codec_base64_encoded_size(length)), *back = malloc(length + 4);

    memset(bytes, 0x5a, length);
    size_t encoded = codec_base64_encode(bytes, length, text);
    assert_int_equal(encoded + 1, codec_base64_encoded_size(length));
    assert_int_equal(codec_base64_decode(text, encoded, back), length);
    assert_memory_equal(back, bytes, length);
    free(bytes);
    free(text);
    free(back);
}

static void what_is_no_base64_is_refused(void **state)
{
    static const char *const bad[] = {"Zg=",    "Zg",    "Z===",  "====",     "Zg==Zg==", " Zg==",
                                      "Zg== ", "Zg==\n", "Zm 9v", "Zm9-", "Zm9_",     "=m9v"};
    char out[32];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(codec_base64_decode(bad[i], strlen(bad[i]), out), -1);
    assert_int_equal(codec_base64_decode("Zm\0v", 4, out), -1);
}

static void sha256_known_answers(void **state)
{
    char hex[CODEC_SHA256_HEX + 1];

    assert_int_equal(codec_sha256("", 0, hex), 0);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(codec_sha256("abc", 3, hex), 0);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void uuids_are_random_and_of_version_4(void **state)
{
    char one[CODEC_UUID + 1], two[CODEC_UUID + 1];

    assert_int_equal(codec_uuid(one), 0);
    assert_int_equal(codec_uuid(two), 0);
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), CODEC_UUID);
    assert_int_equal(one[14], '4');
    assert_non_null(strchr("89ab", one[19]));
    assert_int_equal(strspn(one, "0123456789abcdef-"), CODEC_UUID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_known_answers),
        cmocka_unit_test(base64_of_every_byte_comes_back),
        cmocka_unit_test(base64_longer_than_one_piece_has_no_padding_inside),
        cmocka_unit_test(what_is_no_base64_is_refused),
        cmocka_unit_test(sha256_known_answers),
        cmocka_unit_test(uuids_are_random_and_of_version_4),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
