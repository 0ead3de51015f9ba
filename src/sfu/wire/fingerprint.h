/* fingerprint: the hash of a certificate as SDP carries it (RFC 8122) and DTLS checks it. */
#pragma once

#include "core/str.h"

enum fingerprint_hash {
    FINGERPRINT_NONE = 0,
    FINGERPRINT_SHA256,
    FINGERPRINT_SHA384,
    FINGERPRINT_SHA512,
};

struct fingerprint {
    enum fingerprint_hash hash;
    uint8_t n; /* 32, 48 or 64 */
    uint8_t bytes[64];
};

#define FINGERPRINT_TEXT_SIZE (8 + 64 * 3 + 1) /* "sha-512 " "AB:" x 64, NUL */

/* "sha-256 AB:CD:..." in any case. Weaker hashes (sha-1, md5) and wrong lengths are refused. */
MUST_USE bool fingerprint_parse(struct str text, struct fingerprint *out);
void fingerprint_text(const struct fingerprint *f, char out[FINGERPRINT_TEXT_SIZE]);
