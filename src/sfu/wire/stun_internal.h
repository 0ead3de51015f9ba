/* stun_internal: numbers that the reader and the writer of STUN share. */
#pragma once

#include "sfu/wire/stun.h"

#define STUN_HEADER_BYTES 20
#define STUN_COOKIE 0x2112a442u
#define STUN_FINGERPRINT_XOR 0x5354554eu
#define STUN_INTEGRITY_BYTES 20 /* HMAC-SHA1 */

/* RFC 8489 section 18.3, RFC 8445 section 16.1. From 0x8000 on, ignoring one is allowed. */
enum stun_attribute {
    STUN_MAPPED_ADDRESS = 0x0001,
    STUN_USERNAME = 0x0006,
    STUN_MESSAGE_INTEGRITY = 0x0008,
    STUN_ERROR_CODE = 0x0009,
    STUN_UNKNOWN_ATTRIBUTES = 0x000a,
    STUN_REALM = 0x0014,
    STUN_NONCE = 0x0015,
    STUN_XOR_MAPPED_ADDRESS = 0x0020,
    STUN_PRIORITY = 0x0024,
    STUN_USE_CANDIDATE = 0x0025,
    STUN_FINGERPRINT = 0x8028,
    STUN_ICE_CONTROLLED = 0x8029,
    STUN_ICE_CONTROLLING = 0x802a,
    STUN_NOMINATION = 0xc001, /* draft-thatcher-ice-renomination, as libwebrtc numbers it */
};

/*
 * HMAC-SHA1 of a message up to the MESSAGE-INTEGRITY attribute at `offset`, with the length field
 * saying that the attribute is the last (RFC 8489 section 14.5). False: does not fit, or no crypto.
 */
MUST_USE bool stun_integrity(const uint8_t *bytes, size_t offset, struct str password,
                             uint8_t out[STUN_INTEGRITY_BYTES]);
/* The value of a FINGERPRINT attribute that stands at `offset`, the header's length being final. */
uint32_t stun_fingerprint(const uint8_t *bytes, size_t offset);
