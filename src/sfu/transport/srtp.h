/*
 * srtp: SRTP and SRTCP (RFC 3711, RFC 7714) for one peer. Made for fan-out: a subscriber's packet
 * is a header of its own and the publisher's plaintext, which is read and never changed; the result
 * is written straight into the send arena. The crypto comes from libipsec-mb (GCM, chosen for the
 * CPU at run time) or OpenSSL. Names carry the room: libsrtp2, the oracle of the tests, owns
 * `srtp_`.
 *
 * A send context refuses to protect the same SSRC and sequence number twice: under GCM that would
 * give away the authentication key. Retransmit as RTX, or send the very same bytes again.
 */
#pragma once

#include "core/err.h"

#define SRTP_MAX_TRAILER 16   /* bytes that sfu_srtp_protect adds at most */
#define SRTCP_MAX_TRAILER 20  /* the same for sfu_srtcp_protect: tag and index word */
#define SRTP_WINDOW 1024      /* packets of replay window, per SSRC */
#define SRTP_MAX_STREAMS 4096 /* SSRCs of one context and direction */

/* By the ids of RFC 5764 and 7714 (openssl/srtp.h has macros of those names). */
enum srtp_profile {
    SRTP_PROFILE_NONE = 0,
    SRTP_PROFILE_SHA1_80 = 0x0001,
    SRTP_PROFILE_GCM_128 = 0x0007,
    SRTP_PROFILE_GCM_256 = 0x0008,
};
const char *srtp_profile_name(enum srtp_profile p); /* as in RFC 5764; "none" */
size_t srtp_profile_key_bytes(enum srtp_profile p);
size_t srtp_profile_salt_bytes(enum srtp_profile p);

/* Master key and salt of one direction. */
struct srtp_key {
    uint8_t key[32];
    uint8_t salt[14];
};

/* Which implementation does the ciphering. */
enum srtp_engine {
    SRTP_ENGINE_BEST = 0,
    SRTP_ENGINE_OPENSSL,
    SRTP_ENGINE_IPSEC_MB, /* GCM only; UNIMPLEMENTED where the CPU or the build has it not */
};
const char *srtp_engine_name(enum srtp_engine engine);
/* What SRTP_ENGINE_BEST means here for this profile. */
enum srtp_engine srtp_engine_best(enum srtp_profile p);

struct sfu_srtp_options {
    enum srtp_profile profile;
    const struct srtp_key *key;
    enum srtp_engine engine;
    size_t max_streams; /* 0: SRTP_MAX_STREAMS */
};

/* ---- sending: one context per peer ---- */
struct sfu_srtp_tx;
MUST_USE enum err sfu_srtp_tx_create(struct sfu_srtp_tx **out, const struct sfu_srtp_options *opt);
void sfu_srtp_tx_destroy(struct sfu_srtp_tx **tx); /* wipes the keys */

/* One packet in parts. The plaintext is prefix, then payload, then pad_bytes of RTP padding. */
struct sfu_srtp_parts {
    const uint8_t *header; /* RTP header with extensions; may already stand at `out` */
    size_t header_bytes;
    const uint8_t *prefix; /* rewritten codec descriptor, or RTX's original sequence number */
    size_t prefix_bytes;
    const uint8_t *payload; /* shared; not modified; must not overlap `out` */
    size_t payload_bytes;
    uint8_t pad_bytes; /* 0: none; the header's P bit must say the same */
};

/*
 * Writes header and ciphertext to `out` and gives its size: header + prefix + payload + pad_bytes +
 * sfu_srtp_overhead. Without prefix and padding the payload is ciphered straight across.
 * OUT_OF_RANGE: no room. ALREADY_EXISTS: this sequence number was sent before, or is older than
 * SRTP_WINDOW. RESOURCE_EXHAUSTED: too many SSRCs, or 2^48 packets. On error `out` is undefined and
 * the context unchanged.
 */
MUST_USE enum err sfu_srtp_protect(struct sfu_srtp_tx *tx, const struct sfu_srtp_parts *parts,
                                   uint8_t *out, size_t capacity, size_t *n);
/* A compound RTCP packet in place; capacity must leave SRTCP_MAX_TRAILER bytes behind *n. */
MUST_USE enum err sfu_srtcp_protect(struct sfu_srtp_tx *tx, uint8_t *packet, size_t capacity,
                                    size_t *n);
/* Bytes that protecting an RTP packet adds: 16 (GCM) or 10. */
size_t sfu_srtp_overhead(const struct sfu_srtp_tx *tx);
/* Fan-out meets every context cold. Its two steps down the pointers, each called when the one
 * before had time to arrive: the context itself, then its keys and the stream used last. */
static inline void sfu_srtp_tx_fetch(const struct sfu_srtp_tx *tx)
{
    for (unsigned i = 0; i < 3; i++)
        __builtin_prefetch((const char *)tx + (size_t)64 * i);
}
void sfu_srtp_tx_fetch_keys(const struct sfu_srtp_tx *tx);
/* Forgets an SSRC that will not be used again (it must not: its keystream would repeat). */
void sfu_srtp_tx_retire(struct sfu_srtp_tx *tx, uint32_t ssrc);

/* ---- receiving ---- */
struct sfu_srtp_rx;
MUST_USE enum err sfu_srtp_rx_create(struct sfu_srtp_rx **out, const struct sfu_srtp_options *opt);
void sfu_srtp_rx_destroy(struct sfu_srtp_rx **rx);

/*
 * In place: *n becomes the size of the plain packet. UNAUTHENTICATED: forged or damaged.
 * ALREADY_EXISTS: replayed, or older than the window. INVALID_ARGUMENT: no SRTP packet.
 * RESOURCE_EXHAUSTED: too many SSRCs. Nothing but success changes the context (an SSRC costs memory
 * only once a packet of it proved authentic); the bytes of a refused packet are undefined.
 */
MUST_USE enum err sfu_srtp_unprotect(struct sfu_srtp_rx *rx, uint8_t *packet, size_t *n);
MUST_USE enum err sfu_srtcp_unprotect(struct sfu_srtp_rx *rx, uint8_t *packet, size_t *n);
/* Forgets the state of an SSRC that left (its replay window with it). */
void sfu_srtp_rx_forget(struct sfu_srtp_rx *rx, uint32_t ssrc);
