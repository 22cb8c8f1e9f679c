#include "codec.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t codec_base64_encoded_size(size_t length)
{
    return (length + 2) / 3 * 4 + 1;
}

size_t codec_base64_encode(const char *bytes, size_t length, char *out)
{
    /* OpenSSL counts in int: pieces that are multiples of 3 join without padding. */
    static const size_t piece = 3 << 20;
    size_t written = 0;

    out[0] = '\0';
    while (length > 0) {
        size_t part = length < piece ? length : piece;
        written += (size_t)EVP_EncodeBlock((unsigned char *)out + written,
                                           (const unsigned char *)bytes, (int)part);
        bytes += part;
        length -= part;
    }
    return written;
}

/* How many `=` end the text, or -1 when it is not base64. */
static int check_base64(const char *text, size_t length)
{
    size_t letters = 0;
    int padding = 0;

    if (length % 4 != 0 || length > INT_MAX)
        return -1;
    while (length > 0 && padding < 2 && text[length - 1 - (size_t)padding] == '=')
        padding++;
    /* Lua's strings and ours end with a NUL, which ends the span at the latest. */
    letters = strspn(text, alphabet);
    return letters == length - (size_t)padding ? padding : -1;
}

long codec_base64_decode(const char *text, size_t length, char *out)
{
    int padding = check_base64(text, length);

    if (padding < 0)
        return -1;
    if (length == 0)
        return 0;
    int decoded = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)length);
    return decoded < 0 ? -1 : decoded - padding;
}

static void to_hex(const unsigned char *bytes, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < length; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

int codec_sha256(const char *bytes, size_t length, char out[CODEC_SHA256_HEX + 1])
{
    unsigned char hash[SHA256_DIGEST_LENGTH];

    if (EVP_Digest(bytes, length, hash, NULL, EVP_sha256(), NULL) != 1)
        return -1;
    to_hex(hash, sizeof hash, out);
    return 0;
}

int codec_uuid(char out[CODEC_UUID + 1])
{
    unsigned char random[16];
    char hex[33];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return -errno;
    random[6] = (unsigned char)(0x40 | (random[6] & 0x0f));
    random[8] = (unsigned char)(0x80 | (random[8] & 0x3f));
    to_hex(random, sizeof random, hex);
    snprintf(out, CODEC_UUID + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return 0;
}
