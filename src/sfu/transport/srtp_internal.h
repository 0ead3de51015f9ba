/*
 * srtp_internal: the layers beneath srtp.h. From above: a context (srtp_tx.c, srtp_rx.c) keeps
 * streams (srtp_streams.c) and asks its suite (srtp_suite_gcm.c, srtp_suite_cm.c) to seal and open
 * whole packets; the GCM suite asks an engine for the arithmetic (srtp_gcm_openssl.c,
 * srtp_gcm_ipsec_mb.c). Nothing here keeps state that a failed packet could change.
 */
#pragma once

#include "sfu/transport/srtp.h"

#define SRTP_GCM_TAG_BYTES 16
#define SRTP_GCM_IV_BYTES 12
#define SRTP_CM_TAG_BYTES 10
#define SRTCP_HEADER_BYTES 8 /* stays in the clear */
#define SRTCP_INDEX_BYTES 4  /* |E| index 31 */
#define SRTCP_ENCRYPTED 0x80000000u

static inline uint16_t srtp_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t srtp_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void srtp_put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* ---- keys, RFC 3711 section 4.3 ---- */

enum srtp_label {
    SRTP_LABEL_RTP = 0,  /* +0 cipher key, +1 authentication key, +2 salt */
    SRTP_LABEL_RTCP = 3, /* likewise */
};
struct srtp_session_keys {
    uint8_t cipher[32];
    uint8_t auth[20];
    uint8_t salt[14]; /* GCM uses the first 12 */
};
MUST_USE bool srtp_derive(struct srtp_session_keys *out, enum srtp_profile profile,
                          const struct srtp_key *master, enum srtp_label base);

/* ---- GCM engines ---- */

struct srtp_gcm_job {
    const uint8_t *iv; /* SRTP_GCM_IV_BYTES */
    const uint8_t *aad;
    size_t aad_bytes;
    const uint8_t *src;
    uint8_t *dst; /* may be src */
    size_t n;
    uint8_t *tag; /* seal: written; open: compared */
};
struct srtp_gcm_engine {
    void *(*create)(const uint8_t *key, size_t key_bytes); /* NULL: crypto failed */
    void (*destroy)(void *state);
    bool (*seal)(void *state, const struct srtp_gcm_job *job);
    bool (*open)(void *state, const struct srtp_gcm_job *job);
};
extern const struct srtp_gcm_engine srtp_gcm_openssl;
/* NULL where the build or the CPU has it not. */
const struct srtp_gcm_engine *srtp_gcm_ipsec_mb(void);

/* ---- suites: how a profile lays out packets ---- */

struct srtp_suite;

/* One cipher: a direction's RTP or its RTCP. */
struct srtp_cipher {
    const struct srtp_suite *suite;
    const struct srtp_gcm_engine *engine; /* of GCM */
    void *state;
    uint8_t salt[14];
};

struct srtp_suite {
    size_t tag_bytes;
    bool (*init)(struct srtp_cipher *c, const struct srtp_session_keys *keys, size_t key_bytes,
                 enum srtp_engine engine);
    void (*deinit)(struct srtp_cipher *c);
    /* The header stands at `packet`; ciphers src (n bytes) to behind it and appends the tag. */
    bool (*seal_rtp)(struct srtp_cipher *c, uint8_t *packet, size_t header_bytes,
                     const uint8_t *src, size_t n, uint64_t index);
    /* `n` counts ciphertext without tag; false: not authentic. */
    bool (*open_rtp)(struct srtp_cipher *c, uint8_t *packet, size_t header_bytes, size_t n,
                     uint64_t index);
    /* `n` counts the plain packet with its header; appends tag and index word in their order. */
    bool (*seal_rtcp)(struct srtp_cipher *c, uint8_t *packet, size_t n, uint32_t index_word);
    bool (*open_rtcp)(struct srtp_cipher *c, uint8_t *packet, size_t n, uint32_t index_word);
    /* Where the index word stands behind a plain packet of n bytes. */
    size_t index_offset;
};
extern const struct srtp_suite srtp_suite_gcm;
extern const struct srtp_suite srtp_suite_cm;

/* Both ciphers of a direction, from its master key. Half-built ones are fit for deinit. */
enum err srtp_ciphers_init(struct srtp_cipher *rtp, struct srtp_cipher *rtcp,
                           const struct sfu_srtp_options *opt);
void srtp_cipher_deinit(struct srtp_cipher *c);

/* ---- streams: what is remembered of an SSRC ---- */

#define SRTCP_WINDOW 128

struct srtp_stream {
    uint32_t ssrc;
    bool has_rtp;
    bool has_rtcp;
    uint32_t rtcp_highest;             /* 31 bits; sending: the last one used */
    uint64_t highest;                  /* 48 bits: roll-over counter and sequence number */
    uint64_t window[SRTP_WINDOW / 64]; /* bit index % SRTP_WINDOW: seen */
    uint64_t rtcp_window[SRTCP_WINDOW / 64];
};

/* The index that a sequence number most likely stands for (RFC 3711 appendix A). */
uint64_t srtp_stream_index(const struct srtp_stream *s, uint16_t seq);
/* Neither seen nor too old. */
bool srtp_stream_is_new(const struct srtp_stream *s, uint64_t index);
void srtp_stream_accept(struct srtp_stream *s, uint64_t index);
bool srtp_stream_is_new_rtcp(const struct srtp_stream *s, uint32_t index);
void srtp_stream_accept_rtcp(struct srtp_stream *s, uint32_t index);

/* Hash table by SSRC: open addressing, keyed, at most three quarters full. */
struct srtp_streams {
    struct srtp_stream **slots;
    struct srtp_stream *last; /* what was found last: packets come in runs */
    uint64_t multiplier;
    unsigned bits; /* 2^bits slots; 0: none yet */
    size_t count;
    size_t max;
};
void srtp_streams_init(struct srtp_streams *t, size_t max);
void srtp_streams_deinit(struct srtp_streams *t);
struct srtp_stream *srtp_streams_find(struct srtp_streams *t, uint32_t ssrc); /* or NULL */
static inline bool srtp_streams_is_full(const struct srtp_streams *t)
{
    return t->count >= t->max;
}
/* Adds a copy; the SSRC must be absent and the table not full. */
struct srtp_stream *srtp_streams_add(struct srtp_streams *t, const struct srtp_stream *stream);
void srtp_streams_remove(struct srtp_streams *t, uint32_t ssrc);
