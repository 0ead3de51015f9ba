/*
 * srtp_oracle_test: ours against libsrtp2, in both directions and for every profile and engine. The
 * traffic is random but seeded: loss, reordering, duplicates and jumps over several roll-overs, RTP
 * with and without extensions, RTCP; and damaged packets, on which both must give the same verdict.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <srtp2/srtp.h>

#include "sfu/transport/srtp_internal.h"

static const struct {
    enum srtp_profile ours;
    srtp_profile_t theirs;
    enum srtp_engine engine;
} VARIANTS[] = {
    {SRTP_PROFILE_GCM_128, srtp_profile_aead_aes_128_gcm, SRTP_ENGINE_OPENSSL},
    {SRTP_PROFILE_GCM_128, srtp_profile_aead_aes_128_gcm, SRTP_ENGINE_IPSEC_MB},
    {SRTP_PROFILE_GCM_256, srtp_profile_aead_aes_256_gcm, SRTP_ENGINE_OPENSSL},
    {SRTP_PROFILE_GCM_256, srtp_profile_aead_aes_256_gcm, SRTP_ENGINE_IPSEC_MB},
    {SRTP_PROFILE_SHA1_80, srtp_profile_aes128_cm_sha1_80, SRTP_ENGINE_OPENSSL},
};

#define SSRCS 3

struct fixture {
    struct sfu_srtp_tx *tx;
    struct sfu_srtp_rx *rx;
    srtp_t their_tx;
    srtp_t their_rx;
    uint32_t seed;
};

static uint32_t random_u32(struct fixture *f)
{
    f->seed = f->seed * 1664525 + 1013904223;
    return f->seed >> 7;
}

static srtp_t create_theirs(size_t variant, const struct srtp_key *key, srtp_ssrc_type_t direction)
{
    uint8_t material[64];
    size_t key_bytes = srtp_profile_key_bytes(VARIANTS[variant].ours);
    memcpy(material, key->key, key_bytes);
    memcpy(material + key_bytes, key->salt, srtp_profile_salt_bytes(VARIANTS[variant].ours));
    srtp_policy_t policy = {.ssrc = {direction, 0}, .key = material, .window_size = SRTP_WINDOW};
    srtp_t session;
    assert_int_equal(
        srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, VARIANTS[variant].theirs), 0);
    assert_int_equal(
        srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, VARIANTS[variant].theirs), 0);
    assert_int_equal(srtp_create(&session, &policy), 0);
    return session;
}

/* False where the engine does not exist here. */
static bool fixture_init(struct fixture *f, size_t variant)
{
    struct srtp_key key;
    *f = (struct fixture){.seed = (uint32_t)variant + 1};
    for (size_t i = 0; i < sizeof(key.key); i++)
        key.key[i] = (uint8_t)random_u32(f);
    for (size_t i = 0; i < sizeof(key.salt); i++)
        key.salt[i] = (uint8_t)random_u32(f);
    struct sfu_srtp_options opt = {
        .profile = VARIANTS[variant].ours, .key = &key, .engine = VARIANTS[variant].engine};
    if (opt.engine == SRTP_ENGINE_IPSEC_MB && !srtp_gcm_ipsec_mb())
        return false;
    assert_int_equal(sfu_srtp_tx_create(&f->tx, &opt), ERR_OK);
    assert_int_equal(sfu_srtp_rx_create(&f->rx, &opt), ERR_OK);
    f->their_tx = create_theirs(variant, &key, ssrc_any_outbound);
    f->their_rx = create_theirs(variant, &key, ssrc_any_inbound);
    return true;
}

static void fixture_deinit(struct fixture *f)
{
    sfu_srtp_tx_destroy(&f->tx);
    sfu_srtp_rx_destroy(&f->rx);
    srtp_dealloc(f->their_tx);
    srtp_dealloc(f->their_rx);
}

/* A plain RTP packet of random shape; returns its size. */
static size_t make_rtp(struct fixture *f, uint8_t *out, uint16_t seq, uint32_t ssrc,
                       size_t *header_bytes)
{
    size_t header = 12, payload = random_u32(f) % 1200;
    out[0] = 0x80;
    out[1] = 96;
    out[2] = (uint8_t)(seq >> 8);
    out[3] = (uint8_t)seq;
    srtp_put_u32(out + 4, random_u32(f));
    srtp_put_u32(out + 8, ssrc);
    unsigned csrcs = random_u32(f) % 4 == 0 ? random_u32(f) % 16 : 0;
    out[0] |= (uint8_t)csrcs;
    memset(out + header, 5, csrcs * 4);
    header += csrcs * 4;
    if (random_u32(f) % 2) {
        size_t words = random_u32(f) % 5;
        out[0] |= 0x10;
        memcpy(out + header, "\xbe\xde\0", 3);
        out[header + 3] = (uint8_t)words;
        memset(out + header + 4, 0, words * 4);
        header += 4 + words * 4;
    }
    for (size_t i = 0; i < payload; i++)
        out[header + i] = (uint8_t)(i * 7 + seq);
    *header_bytes = header;
    return header + payload;
}

/* The next sequence number of a stream under bad weather: mostly +1, sometimes back, sometimes far.
 */
static uint16_t next_seq(struct fixture *f, uint16_t highest)
{
    switch (random_u32(f) % 8) {
    case 0:
        return (uint16_t)(highest - random_u32(f) % 1100);
    case 1:
        return (uint16_t)(highest + random_u32(f) % 9000);
    default:
        return highest + 1;
    }
}

static enum err our_protect(struct fixture *f, const uint8_t *plain, size_t header_bytes, size_t n,
                            uint8_t *out, size_t *out_n)
{
    return sfu_srtp_protect(f->tx,
                            &(struct sfu_srtp_parts){.header = plain,
                                                     .header_bytes = header_bytes,
                                                     .payload = plain + header_bytes,
                                                     .payload_bytes = n - header_bytes},
                            out, 1500, out_n);
}

/* Both senders must write the same bytes or both refuse; both receivers must agree on the result.
 */
static void rtp_agrees(void **state)
{
    for (size_t v = 0; v < ARRAY_LEN(VARIANTS); v++) {
        struct fixture f;
        if (!fixture_init(&f, v))
            continue;
        uint16_t highest[SSRCS] = {100, 32000, 65500};
        size_t passed = 0, refused = 0;
        for (int i = 0; i < 12000; i++) {
            uint8_t plain[1500], ours[1500], theirs[1500];
            size_t s = random_u32(&f) % SSRCS, header, ours_n = 0;
            uint16_t seq = next_seq(&f, highest[s]);
            size_t n = make_rtp(&f, plain, seq, 1000 + (uint32_t)s, &header);
            int theirs_n = (int)n;
            enum err our_verdict = our_protect(&f, plain, header, n, ours, &ours_n);
            memcpy(theirs, plain, n);
            srtp_err_status_t their_verdict = srtp_protect(f.their_tx, theirs, &theirs_n);
            assert_int_equal(our_verdict == ERR_OK, their_verdict == srtp_err_status_ok);
            if (our_verdict) {
                refused++;
                continue;
            }
            passed++;
            if ((uint16_t)(seq - highest[s]) < 0x8000)
                highest[s] = seq;
            assert_int_equal(ours_n, theirs_n);
            assert_memory_equal(ours, theirs, ours_n);
            if (random_u32(&f) % 10 == 0)
                continue;                  /* lost on the way */
            if (random_u32(&f) % 4 == 0) { /* damaged first: the same verdict, and no harm */
                uint8_t bad_a[1500], bad_b[1500];
                size_t at = random_u32(&f) % ours_n, bad_n = ours_n;
                int bad_theirs_n = (int)ours_n;
                memcpy(bad_a, ours, ours_n);
                bad_a[at] ^= (uint8_t)(1 + random_u32(&f) % 255);
                memcpy(bad_b, bad_a, ours_n);
                assert_int_not_equal(sfu_srtp_unprotect(f.rx, bad_a, &bad_n), ERR_OK);
                assert_int_not_equal(srtp_unprotect(f.their_rx, bad_b, &bad_theirs_n), 0);
            }
            for (int copies = random_u32(&f) % 8 == 0 ? 2 : 1; copies; copies--) {
                uint8_t a[1500], b[1500];
                size_t a_n = ours_n;
                int b_n = (int)ours_n;
                memcpy(a, theirs, ours_n);
                memcpy(b, ours, ours_n);
                bool is_ours_ok = sfu_srtp_unprotect(f.rx, a, &a_n) == ERR_OK;
                bool is_theirs_ok = srtp_unprotect(f.their_rx, b, &b_n) == srtp_err_status_ok;
                assert_int_equal(is_ours_ok, is_theirs_ok);
                if (is_ours_ok) {
                    assert_int_equal(a_n, n);
                    assert_int_equal(b_n, n);
                    assert_memory_equal(a, plain, n);
                    assert_memory_equal(b, plain, n);
                }
            }
        }
        assert_true(passed > 5000 && refused > 100);
        assert_true(highest[0] != 100);
        fixture_deinit(&f);
    }
}

static void rtcp_agrees(void **state)
{
    for (size_t v = 0; v < ARRAY_LEN(VARIANTS); v++) {
        struct fixture f;
        if (!fixture_init(&f, v))
            continue;
        for (int i = 0; i < 3000; i++) {
            uint8_t plain[256] = {0x81, 200}, ours[300], theirs[300];
            size_t n = 8 + random_u32(&f) % 60 * 4, ours_n = n;
            int theirs_n = (int)n;
            plain[3] = (uint8_t)(n / 4 - 1);
            srtp_put_u32(plain + 4, 1000 + random_u32(&f) % SSRCS);
            for (size_t k = 8; k < n; k++)
                plain[k] = (uint8_t)random_u32(&f);
            memcpy(ours, plain, n);
            memcpy(theirs, plain, n);
            assert_int_equal(sfu_srtcp_protect(f.tx, ours, sizeof(ours), &ours_n), ERR_OK);
            assert_int_equal(srtp_protect_rtcp(f.their_tx, theirs, &theirs_n), 0);
            assert_int_equal(ours_n, theirs_n);
            assert_memory_equal(ours, theirs, ours_n);
            for (int copies = 1 + i % 2; copies; copies--) {
                uint8_t a[300], b[300];
                size_t a_n = ours_n;
                int b_n = (int)ours_n;
                memcpy(a, ours, ours_n);
                memcpy(b, ours, ours_n);
                bool is_ours_ok = sfu_srtcp_unprotect(f.rx, a, &a_n) == ERR_OK;
                assert_int_equal(is_ours_ok, srtp_unprotect_rtcp(f.their_rx, b, &b_n) == 0);
                if (is_ours_ok) {
                    assert_int_equal(a_n, n);
                    assert_memory_equal(a, plain, n);
                    assert_memory_equal(b, plain, n);
                }
            }
        }
        fixture_deinit(&f);
    }
}

static int setup(void **state)
{
    return srtp_init();
}

static int teardown(void **state)
{
    return srtp_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rtp_agrees),
        cmocka_unit_test(rtcp_agrees),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
