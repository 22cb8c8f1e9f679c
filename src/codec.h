/*
 * codec: base64, SHA-256 and random UUIDs, by OpenSSL (which libcurl brings
 * anyway) and the kernel. Owns nothing; callers own what they pass.
 */
#ifndef APPMGR_CODEC_H
#define APPMGR_CODEC_H

#include <stddef.h>

enum { CODEC_SHA256_HEX = 64, CODEC_UUID = 36 };

/* Bytes that the encoding of `length` bytes takes, with the NUL. */
size_t codec_base64_encoded_size(size_t length);

/* Encodes into `out` (codec_base64_encoded_size bytes); returns the length without the NUL. */
size_t codec_base64_encode(const char *bytes, size_t length, char *out);

/*
 * Decodes strict base64 (padded, no blanks) into `out`, which needs
 * length / 4 * 3 bytes. Returns the decoded length, or -1 when it is none.
 */
long codec_base64_decode(const char *text, size_t length, char *out);

/* Writes the hash as 64 lower-case digits and a NUL. 0, or -1 when OpenSSL cannot. */
int codec_sha256(const char *bytes, size_t length, char out[CODEC_SHA256_HEX + 1]);

/* Writes a random UUID (version 4) and a NUL. 0 or -errno. */
int codec_uuid(char out[CODEC_UUID + 1]);

#endif
