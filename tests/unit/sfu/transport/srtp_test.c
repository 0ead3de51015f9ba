/*
 * srtp_test: the vectors of RFC 3711 and RFC 7714 on every engine, then what the contexts promise:
 * replay, roll-over, refusal without a trace, and the parts that a subscriber's packet is made of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/str.h"
#include "sfu/transport/srtp_internal.h"

static const struct {
    enum srtp_profile profile;
    enum srtp_engine engine;
} VARIANTS[] = {
    {SRTP_PROFILE_GCM_128, SRTP_ENGINE_OPENSSL}, {SRTP_PROFILE_GCM_128, SRTP_ENGINE_IPSEC_MB},
    {SRTP_PROFILE_GCM_256, SRTP_ENGINE_OPENSSL}, {SRTP_PROFILE_GCM_256, SRTP_ENGINE_IPSEC_MB},
    {SRTP_PROFILE_SHA1_80, SRTP_ENGINE_OPENSSL},
};

/* False where this machine has no ipsec-mb. */
static bool is_possible(size_t variant)
{
    return VARIANTS[variant].engine != SRTP_ENGINE_IPSEC_MB || srtp_gcm_ipsec_mb();
}

static size_t unhex(uint8_t *out, const char *hex)
{
    struct str s = str_from(hex);
    assert_true(str_unhex(s, out, s.n / 2));
    return s.n / 2;
}

static const struct srtp_key KEY = {
    .key = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
            17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32},
    .salt = {101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114},
};

struct pair {
    struct sfu_srtp_tx *tx;
    struct sfu_srtp_rx *rx;
};

static struct pair pair_of(size_t variant, size_t max_streams)
{
    struct sfu_srtp_options opt = {
        .profile = VARIANTS[variant].profile,
        .engine = VARIANTS[variant].engine,
        .key = &KEY,
        .max_streams = max_streams,
    };
    struct pair p;
    assert_int_equal(sfu_srtp_tx_create(&p.tx, &opt), ERR_OK);
    assert_int_equal(sfu_srtp_rx_create(&p.rx, &opt), ERR_OK);
    return p;
}

static void pair_deinit(struct pair *p)
{
    sfu_srtp_tx_destroy(&p->tx);
    sfu_srtp_rx_destroy(&p->rx);
    assert_null(p->tx);
    assert_null(p->rx);
}

static void make_header(uint8_t header[12], uint16_t seq, uint32_t ssrc)
{
    memcpy(header, "\x80\x60\0\0\1\2\3\4", 8);
    header[2] = (uint8_t)(seq >> 8);
    header[3] = (uint8_t)seq;
    srtp_put_u32(header + 8, ssrc);
}

static enum err protect(struct pair *p, uint16_t seq, uint32_t ssrc, const char *text, uint8_t *out,
                        size_t *n)
{
    uint8_t header[12];
    make_header(header, seq, ssrc);
    struct sfu_srtp_parts parts = {.header = header,
                                   .header_bytes = 12,
                                   .payload = (const uint8_t *)text,
                                   .payload_bytes = strlen(text)};
    return sfu_srtp_protect(p->tx, &parts, out, 1500, n);
}

/* Sends one packet across and expects it to come out. */
static void pass(struct pair *p, uint16_t seq, uint32_t ssrc)
{
    uint8_t packet[1500];
    size_t n;
    assert_int_equal(protect(p, seq, ssrc, "some payload", packet, &n), ERR_OK);
    assert_int_equal(sfu_srtp_unprotect(p->rx, packet, &n), ERR_OK);
    assert_int_equal(n, 12 + 12);
    assert_memory_equal(packet + 12, "some payload", 12);
}

static void derives_keys_as_rfc3711_b3(void **state)
{
    struct srtp_key master = {0};
    struct srtp_session_keys keys;
    uint8_t expected[32];
    unhex(master.key, "E1F97A0D3E018BE0D64FA32C06DE4139");
    unhex(master.salt, "0EC675AD498AFEEBB6960B3AABE6");
    assert_true(srtp_derive(&keys, SRTP_PROFILE_SHA1_80, &master, SRTP_LABEL_RTP));
    unhex(expected, "C61E7A93744F39EE10734AFE3FF7A087");
    assert_memory_equal(keys.cipher, expected, 16);
    unhex(expected, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4");
    assert_memory_equal(keys.auth, expected, 20);
    unhex(expected, "30CBBC08863D8C85D49DB34A9AE1");
    assert_memory_equal(keys.salt, expected, 14);
}

/* RFC 3711 B.2: the keystream for SSRC 0 and index 0, seen by ciphering zeros. */
static void makes_the_keystream_of_rfc3711_b2(void **state)
{
    struct srtp_session_keys keys = {0};
    struct srtp_cipher cipher = {.suite = &srtp_suite_cm};
    uint8_t packet[12 + 48 + 10] = {0x80}, zeros[48] = {0}, expected[48];
    unhex(keys.cipher, "2B7E151628AED2A6ABF7158809CF4F3C");
    unhex(keys.salt, "F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    unhex(expected, "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB"
                    "41E95B3BB0A2E8DD477901E4FCA894C0");
    assert_true(srtp_suite_cm.init(&cipher, &keys, 16, SRTP_ENGINE_OPENSSL));
    assert_true(srtp_suite_cm.seal_rtp(&cipher, packet, 12, zeros, sizeof(zeros), 0));
    assert_memory_equal(packet + 12, expected, 48);
    srtp_cipher_deinit(&cipher);
}

static const char RFC7714_RTP[] =
    "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669"
    "736120696e207061727465732074726573";
static const char RFC7714_RTCP[] =
    "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61"
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
static const struct {
    const char *key;
    const char *srtp;  /* sections 16.1.1, 16.2.1 */
    const char *srtcp; /* sections 17.1, 17.2; index 0x5d4 */
} RFC7714[] = {
    {"000102030405060708090a0b0c0d0e0f",
     "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3"
     "a"
     "df8833899d7f27beb16a9152cf765ee4390cce",
     "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303"
     "d"
     "ed0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63"
     "7"
     "99b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
     "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de"
     "0"
     "476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4"},
};

static void seals_and_opens_as_rfc7714(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(RFC7714) * 2; i++) {
        enum srtp_engine engine = i % 2 ? SRTP_ENGINE_IPSEC_MB : SRTP_ENGINE_OPENSSL;
        if (engine == SRTP_ENGINE_IPSEC_MB && !srtp_gcm_ipsec_mb())
            continue;
        struct srtp_session_keys keys = {0};
        struct srtp_cipher cipher = {.suite = &srtp_suite_gcm};
        uint8_t plain[128], packet[128], expected[128];
        size_t key_bytes = unhex(keys.cipher, RFC7714[i / 2].key);
        unhex(keys.salt, "517569642070726f2071756f");
        assert_true(srtp_suite_gcm.init(&cipher, &keys, key_bytes, engine));

        size_t n = unhex(plain, RFC7714_RTP), sealed = unhex(expected, RFC7714[i / 2].srtp);
        assert_int_equal(sealed, n + 16);
        memcpy(packet, plain, 12);
        assert_true(srtp_suite_gcm.seal_rtp(&cipher, packet, 12, plain + 12, n - 12, 0xf17b));
        assert_memory_equal(packet, expected, sealed);
        assert_true(srtp_suite_gcm.open_rtp(&cipher, packet, 12, n - 12, 0xf17b));
        assert_memory_equal(packet, plain, n);

        n = unhex(plain, RFC7714_RTCP);
        sealed = unhex(expected, RFC7714[i / 2].srtcp);
        assert_int_equal(sealed, n + 20);
        memcpy(packet, plain, n);
        assert_true(srtp_suite_gcm.seal_rtcp(&cipher, packet, n, 0x800005d4));
        assert_memory_equal(packet, expected, sealed);
        assert_true(srtp_suite_gcm.open_rtcp(&cipher, packet, n, 0x800005d4));
        assert_memory_equal(packet, plain, n);
        srtp_cipher_deinit(&cipher);
    }
}

/* Every combination of prefix and padding, every payload size around the block sizes. */
static void puts_a_packet_together_from_parts(void **state)
{
    static const uint8_t PAYLOAD[1200] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
    uint8_t payload[1200];
    memcpy(payload, PAYLOAD, sizeof(payload));
    for (size_t v = 0; v < ARRAY_LEN(VARIANTS); v++) {
        if (!is_possible(v))
            continue;
        struct pair p = pair_of(v, 0);
        uint16_t seq = 65000;
        for (size_t size = 0; size < 1200; size = size < 70 ? size + 1 : size + 97) {
            for (unsigned kind = 0; kind < 8; kind++) {
                uint8_t header[20] = {0}, out[1500];
                size_t header_bytes = kind & 4 ? 20 : 12, n = 0;
                struct sfu_srtp_parts parts = {.header = kind & 4 ? out : header,
                                               .header_bytes = header_bytes,
                                               .prefix = (const uint8_t *)"descriptor",
                                               .prefix_bytes = kind & 1 ? 10 : 0,
                                               .payload = payload,
                                               .payload_bytes = size,
                                               .pad_bytes = kind & 2 ? 3 : 0};
                make_header(header, seq++, 7);
                if (kind & 4) {
                    header[0] |= 0x10;
                    memcpy(header + 12, "\xbe\xde\0\1\x10\x2a\0\0", 8);
                    memcpy(out, header, 20); /* the header already stands where it goes */
                }
                size_t plain = header_bytes + parts.prefix_bytes + size + parts.pad_bytes;
                size_t total = plain + sfu_srtp_overhead(p.tx);
                assert_int_equal(sfu_srtp_protect(p.tx, &parts, out, total - 1, &n),
                                 ERR_OUT_OF_RANGE);
                assert_int_equal(sfu_srtp_protect(p.tx, &parts, out, total, &n), ERR_OK);
                assert_int_equal(n, total);
                assert_memory_equal(payload, PAYLOAD, sizeof(payload));
                assert_memory_equal(out, header, header_bytes);
                assert_int_equal(sfu_srtp_unprotect(p.rx, out, &n), ERR_OK);
                assert_int_equal(n, plain);
                assert_memory_equal(out, header, header_bytes);
                const uint8_t *at = out + header_bytes;
                assert_memory_equal(at, "descriptor", parts.prefix_bytes);
                assert_memory_equal(at + parts.prefix_bytes, payload, size);
                if (parts.pad_bytes)
                    assert_memory_equal(at + parts.prefix_bytes + size, "\0\0\3", 3);
            }
        }
        pair_deinit(&p);
    }
}

static void refuses_a_replay(void **state)
{
    for (size_t v = 0; v < ARRAY_LEN(VARIANTS); v++) {
        if (!is_possible(v))
            continue;
        struct pair p = pair_of(v, 0);
        uint8_t packets[3][1500], copy[1500];
        size_t sizes[3];
        for (uint16_t i = 0; i < 3; i++)
            assert_int_equal(protect(&p, 100 + i, 1, "x", packets[i], &sizes[i]), ERR_OK);
        static const int ORDER[] = {2, 0, 1};
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 3; i++) {
                size_t n = sizes[ORDER[i]];
                memcpy(copy, packets[ORDER[i]], n);
                assert_int_equal(sfu_srtp_unprotect(p.rx, copy, &n),
                                 round ? ERR_ALREADY_EXISTS : ERR_OK);
            }
        }
        pair_deinit(&p);
    }
}

static void takes_late_packets_within_the_window_only(void **state)
{
    struct pair p = pair_of(0, 0);
    uint8_t old[1500], older[1500], oldest[1500];
    size_t old_n, older_n, oldest_n;
    assert_int_equal(protect(&p, 99, 1, "x", oldest, &oldest_n), ERR_OK);
    assert_int_equal(protect(&p, 100, 1, "x", older, &older_n), ERR_OK);
    assert_int_equal(protect(&p, 101, 1, "x", old, &old_n), ERR_OK);
    pass(&p, (uint16_t)(100 + SRTP_WINDOW), 1);
    assert_int_equal(sfu_srtp_unprotect(p.rx, older, &older_n), ERR_ALREADY_EXISTS);
    assert_int_equal(sfu_srtp_unprotect(p.rx, oldest, &oldest_n), ERR_ALREADY_EXISTS);
    assert_int_equal(sfu_srtp_unprotect(p.rx, old, &old_n), ERR_OK);
    pair_deinit(&p);
}

/* The same index twice would be the same nonce twice. */
static void never_sends_an_index_twice(void **state)
{
    struct pair p = pair_of(0, 0);
    uint8_t out[1500];
    size_t n;
    assert_int_equal(protect(&p, 10, 1, "x", out, &n), ERR_OK);
    assert_int_equal(protect(&p, 10, 1, "y", out, &n), ERR_ALREADY_EXISTS);
    assert_int_equal(protect(&p, 9, 1, "late", out, &n), ERR_OK);
    assert_int_equal(protect(&p, 9, 1, "late", out, &n), ERR_ALREADY_EXISTS);
    assert_int_equal(protect(&p, 10, 2, "x", out, &n), ERR_OK);
    assert_int_equal(protect(&p, (uint16_t)(10 + SRTP_WINDOW), 1, "x", out, &n), ERR_OK);
    assert_int_equal(protect(&p, 10, 1, "x", out, &n), ERR_ALREADY_EXISTS);
    pair_deinit(&p);
}

static void follows_the_roll_over_counter(void **state)
{
    for (size_t v = 0; v < ARRAY_LEN(VARIANTS); v++) {
        if (!is_possible(v))
            continue;
        struct pair p = pair_of(v, 0);
        for (uint32_t i = 0, seq = 60000; i < 400; i++, seq += 997)
            pass(&p, (uint16_t)seq, 1);
        pair_deinit(&p);
    }
    /* Reordered across the border, and lost around it. */
    struct pair p = pair_of(0, 0);
    static const uint16_t SEQS[] = {65530, 65535, 1, 0, 65534, 2, 65533, 900};
    for (int cycle = 0; cycle < 3; cycle++) {
        for (size_t i = 0; i < ARRAY_LEN(SEQS); i++)
            pass(&p, SEQS[i], 1);
        pass(&p, 30000, 1);
        pass(&p, 60000, 1);
    }
    pair_deinit(&p);
}

static void estimates_the_index_as_rfc3711_appendix_a(void **state)
{
    static const struct {
        uint64_t highest;
        uint16_t seq;
        uint64_t index;
    } CASES[] = {
        {0x10000 + 10, 20, 0x10000 + 20},
        {0x10000 + 10, 65530, 65530},
        {0x1fff0, 5, 0x20005},
        {0x18000, 0, 0x10000},
        {0x18001, 0, 0x20000},
        {0x10000, 0x8000, 0x18000},
        {0x10000, 0x8001, 0x8001},
        {5, 65000, 65000}, /* nothing is before the start */
        {0xffffffff0005, 4, 0xffffffff0004},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct srtp_stream s = {.has_rtp = true, .highest = CASES[i].highest};
        assert_int_equal(srtp_stream_index(&s, CASES[i].seq), CASES[i].index);
    }
}

/* Each byte of a packet damaged in turn: refused, and without any trace in the context. */
static void a_refused_packet_leaves_no_trace(void **state)
{
    for (size_t v = 0; v < ARRAY_LEN(VARIANTS); v++) {
        if (!is_possible(v))
            continue;
        struct pair p = pair_of(v, 2);
        uint8_t packet[1500], copy[1500], next[1500];
        size_t n, next_n;
        pass(&p, 1, 1); /* one stream known, one place left */
        for (uint32_t ssrc = 1; ssrc <= 2; ssrc++) {
            assert_int_equal(protect(&p, 2, ssrc, "a payload of some length", packet, &n), ERR_OK);
            assert_int_equal(protect(&p, 3, ssrc, "next", next, &next_n), ERR_OK);
            for (size_t i = 0; i < n * 8; i++) {
                size_t size = n;
                memcpy(copy, packet, n);
                copy[i / 8] ^= (uint8_t)(1 << i % 8);
                assert_int_not_equal(sfu_srtp_unprotect(p.rx, copy, &size), ERR_OK);
            }
            for (size_t size = 0; size < n; size++) {
                size_t cut = size;
                memcpy(copy, packet, n);
                assert_int_not_equal(sfu_srtp_unprotect(p.rx, copy, &cut), ERR_OK);
            }
            assert_int_equal(sfu_srtp_unprotect(p.rx, packet, &n), ERR_OK);
            assert_int_equal(sfu_srtp_unprotect(p.rx, next, &next_n), ERR_OK);
        }
        pair_deinit(&p);
    }
}

static void rtcp_goes_both_ways_and_only_once(void **state)
{
    static const char REPORT[] = "\x80\xc9\0\1\0\0\0\1" /* RR of SSRC 1 */
                                 "\x81\xca\0\2\0\0\0\1\1\1x\0";
    for (size_t v = 0; v < ARRAY_LEN(VARIANTS); v++) {
        if (!is_possible(v))
            continue;
        struct pair p = pair_of(v, 0);
        uint8_t packet[128], copy[128], kept[3][128];
        size_t n = 0;
        for (int i = 0; i < 300; i++) {
            n = sizeof(REPORT) - 1;
            memcpy(packet, REPORT, n);
            assert_int_equal(sfu_srtcp_protect(p.tx, packet, n + SRTCP_MAX_TRAILER, &n), ERR_OK);
            if (i < 3)
                memcpy(kept[i], packet, n);
            if (i == 1)
                continue; /* lost for now */
            size_t size = n;
            memcpy(copy, packet, n);
            assert_int_equal(sfu_srtcp_unprotect(p.rx, copy, &size), ERR_OK);
            assert_int_equal(size, sizeof(REPORT) - 1);
            assert_memory_equal(copy, REPORT, size);
            memcpy(copy, packet, n);
            size = n;
            assert_int_equal(sfu_srtcp_unprotect(p.rx, copy, &size), ERR_ALREADY_EXISTS);
            if (i == 5) { /* the lost one comes late, once */
                size = n;
                memcpy(copy, kept[1], n);
                assert_int_equal(sfu_srtcp_unprotect(p.rx, copy, &size), ERR_OK);
            }
        }
        size_t size = n;
        assert_int_equal(sfu_srtcp_unprotect(p.rx, kept[2], &size), ERR_ALREADY_EXISTS);
        for (size_t i = 0; i < n * 8; i++) {
            size = n;
            memcpy(copy, packet, n);
            copy[i / 8] ^= (uint8_t)(1 << i % 8);
            assert_int_not_equal(sfu_srtcp_unprotect(p.rx, copy, &size), ERR_OK);
        }
        for (size = 0; size < n; size++) {
            size_t cut = size;
            memcpy(copy, packet, n);
            assert_int_not_equal(sfu_srtcp_unprotect(p.rx, copy, &cut), ERR_OK);
        }
        pair_deinit(&p);
    }
}

static void rtcp_needs_room_and_a_header(void **state)
{
    struct pair p = pair_of(0, 0);
    uint8_t packet[64] = {0x80, 201, 0, 1};
    size_t n = 8;
    assert_int_equal(sfu_srtcp_protect(p.tx, packet, 8 + SRTCP_MAX_TRAILER - 1, &n),
                     ERR_OUT_OF_RANGE);
    n = 7;
    assert_int_equal(sfu_srtcp_protect(p.tx, packet, sizeof(packet), &n), ERR_OUT_OF_RANGE);
    n = 8;
    assert_int_equal(sfu_srtcp_protect(p.tx, packet, sizeof(packet), &n), ERR_OK);
    packet[n - 4] &= 0x7f; /* the E bit: authenticated but not encrypted is not for us */
    assert_int_equal(sfu_srtcp_unprotect(p.rx, packet, &n), ERR_INVALID_ARGUMENT);
    pair_deinit(&p);
}

static void length_fields_cannot_lead_outside(void **state)
{
    struct pair p = pair_of(0, 0);
    static const uint8_t VALUES[] = {0, 1, 0x7f, 0x80, 0xff};
    uint8_t packet[1500], header[12];
    size_t n;
    assert_int_equal(protect(&p, 1, 1, "0123456789", packet, &n), ERR_OK);
    memcpy(header, packet, 12);
    for (unsigned cc = 0; cc < 16; cc++) {
        for (size_t i = 0; i < ARRAY_LEN(VALUES) * ARRAY_LEN(VALUES); i++) {
            uint8_t *bad = malloc(n); /* of exact size: a sanitizer sees any overrun */
            size_t size = n;
            memcpy(bad, packet, n);
            bad[0] = (uint8_t)(0x90 | cc);
            bad[14] = VALUES[i / ARRAY_LEN(VALUES)];
            bad[15] = VALUES[i % ARRAY_LEN(VALUES)];
            assert_int_not_equal(sfu_srtp_unprotect(p.rx, bad, &size), ERR_OK);
            free(bad);
        }
    }
    pair_deinit(&p);
}

static void streams_are_bounded_and_can_be_forgotten(void **state)
{
    struct pair p = pair_of(0, 100);
    uint8_t out[1500];
    size_t n;
    for (uint32_t ssrc = 0; ssrc < 100; ssrc++)
        pass(&p, 1, ssrc * 2654435761u);
    assert_int_equal(protect(&p, 1, 12345, "x", out, &n), ERR_RESOURCE_EXHAUSTED);
    sfu_srtp_tx_retire(p.tx, 0);
    sfu_srtp_tx_retire(p.tx, 0);
    assert_int_equal(protect(&p, 1, 12345, "x", out, &n), ERR_OK);
    size_t again = n;
    assert_int_equal(sfu_srtp_unprotect(p.rx, out, &n), ERR_RESOURCE_EXHAUSTED);
    sfu_srtp_rx_forget(p.rx, 0);
    assert_int_equal(sfu_srtp_unprotect(p.rx, out, &again), ERR_OK);
    pair_deinit(&p);
}

/* The table against a plain array, under random adding and removing. */
static void the_stream_table_keeps_what_it_holds(void **state)
{
    enum { COUNT = 300 };
    struct srtp_streams t;
    bool held[COUNT] = {false};
    size_t count = 0;
    uint32_t seed = 42;
    srtp_streams_init(&t, COUNT);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t ssrc = (seed >> 8) % COUNT;
        if (!held[ssrc] && seed >> 31)
            srtp_streams_add(&t, &(struct srtp_stream){.ssrc = ssrc}), held[ssrc] = true, count++;
        else if (held[ssrc] && !(seed >> 31))
            srtp_streams_remove(&t, ssrc), held[ssrc] = false, count--;
        uint32_t probe = (seed >> 3) % COUNT;
        struct srtp_stream *found = srtp_streams_find(&t, probe);
        assert_true(held[probe] ? found && found->ssrc == probe : !found);
        assert_int_equal(t.count, count);
    }
    srtp_streams_deinit(&t);
}

static void refuses_what_it_has_not(void **state)
{
    struct sfu_srtp_tx *tx;
    struct sfu_srtp_rx *rx;
    struct sfu_srtp_options opt = {.profile = SRTP_PROFILE_NONE, .key = &KEY};
    assert_int_equal(sfu_srtp_tx_create(&tx, &opt), ERR_INVALID_ARGUMENT);
    assert_null(tx);
    opt.profile = SRTP_PROFILE_SHA1_80;
    opt.engine = SRTP_ENGINE_IPSEC_MB;
    assert_int_equal(sfu_srtp_rx_create(&rx, &opt), ERR_UNIMPLEMENTED);
    assert_null(rx);
    assert_string_equal(srtp_profile_name(SRTP_PROFILE_GCM_128), "SRTP_AEAD_AES_128_GCM");
    assert_int_equal(srtp_engine_best(SRTP_PROFILE_SHA1_80), SRTP_ENGINE_OPENSSL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derives_keys_as_rfc3711_b3),
        cmocka_unit_test(makes_the_keystream_of_rfc3711_b2),
        cmocka_unit_test(seals_and_opens_as_rfc7714),
        cmocka_unit_test(puts_a_packet_together_from_parts),
        cmocka_unit_test(refuses_a_replay),
        cmocka_unit_test(takes_late_packets_within_the_window_only),
        cmocka_unit_test(never_sends_an_index_twice),
        cmocka_unit_test(follows_the_roll_over_counter),
        cmocka_unit_test(estimates_the_index_as_rfc3711_appendix_a),
        cmocka_unit_test(a_refused_packet_leaves_no_trace),
        cmocka_unit_test(rtcp_goes_both_ways_and_only_once),
        cmocka_unit_test(rtcp_needs_room_and_a_header),
        cmocka_unit_test(length_fields_cannot_lead_outside),
        cmocka_unit_test(streams_are_bounded_and_can_be_forgotten),
        cmocka_unit_test(the_stream_table_keeps_what_it_holds),
        cmocka_unit_test(refuses_what_it_has_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
