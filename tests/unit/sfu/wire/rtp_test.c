/*
 * rtp_test: headers as browsers write them, both extension forms, what a subscriber gets instead,
 * and every length that can lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/wire/rtp.h"

/* One-byte form: mid (1) "0", abs-send-time (2), transport seq (3), audio level (4), rid (10) "hi".
 */
static const uint8_t ONE_BYTE[] = {
    0x90, 0xef, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 0xca, 0xfe, 0xba, 0xbe, /* fixed: M, PT 111 */
    0xbe, 0xde, 0x00, 0x05,                                                 /* five words */
    0x10, '0',                                                              /* mid */
    0x22, 0x11, 0x22, 0x33,                                                 /* abs-send-time */
    0x00, 0x00,                                                             /* padding between */
    0x31, 0xab, 0xcd,                                                       /* transport seq */
    0x40, 0x85,                                                             /* level 5, voice */
    0xa1, 'h',  'i',                                                        /* rid */
    0x00, 0x00, 0x00, 0x00,                                                 /* padding at the end */
    'p',  'a',  'y',
};

/* Two-byte form with an empty value, a long one, an id above our table, and padding of 4. */
static const uint8_t TWO_BYTE[] = {
    0xb2, 0x60, 0xff, 0xff, 0,   0,   0,  1, 0, 0, 0, 2, /* P, X, two CSRCs, PT 96 */
    0,    0,    0,    3,    0,   0,   0,  4,             /* CSRCs */
    0x10, 0x05, 0x00, 0x07, /* profile 0x100, application bits 5; 7 words */
    0x05, 0x00,             /* id 5, empty */
    0x06, 0x11, 1,    2,    3,   4,   5,  6, 7, 8, 9, 10,
    11,   12,   13,   14,   15,  16,  17, /* id 6, 17 bytes */
    0x00,                                 /* padding */
    0xc8, 0x02, 9,    9,                  /* id 200: not kept */
    0x00, 0x00, 'd',  'a',  't', 'a', 0,  0, 0, 4,
};

static void reads_the_one_byte_form(void **state)
{
    struct rtp_packet p;
    struct str text;
    uint8_t level;
    uint16_t seq;
    uint32_t t;
    bool is_voice;
    assert_true(rtp_parse(&p, ONE_BYTE, sizeof(ONE_BYTE)));
    assert_true(p.marker && p.pt == 111 && p.seq == 0x1234 && p.timestamp == 0xdeadbeef);
    assert_true(p.ssrc == 0xcafebabe && p.csrc_count == 0 && p.padding_bytes == 0);
    assert_int_equal(p.payload_offset, 36);
    assert_int_equal(p.payload_bytes, 3);
    assert_memory_equal(ONE_BYTE + p.payload_offset, "pay", 3);
    assert_int_equal(p.ext_present, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 10);
    assert_true(rtp_text_ext(&p, ONE_BYTE, 1, &text) && str_eq(text, STR("0")));
    assert_true(rtp_text_ext(&p, ONE_BYTE, 10, &text) && str_eq(text, STR("hi")));
    assert_true(rtp_abs_send_time(&p, ONE_BYTE, 2, &t) && t == 0x112233);
    assert_true(rtp_transport_seq(&p, ONE_BYTE, 3, &seq) && seq == 0xabcd);
    assert_true(rtp_audio_level(&p, ONE_BYTE, 4, &level, &is_voice) && level == 5 && is_voice);
    assert_false(rtp_transport_seq(&p, ONE_BYTE, 2, &seq)); /* three bytes are no sequence number */
    assert_false(rtp_transport_seq(&p, ONE_BYTE, 5, &seq));
    assert_false(rtp_text_ext(&p, ONE_BYTE, 0, &text));
    assert_false(rtp_text_ext(&p, ONE_BYTE, 255, &text));
    assert_false(rtp_text_ext(&p, ONE_BYTE, 2, &text)); /* not printable */
}

static void reads_the_two_byte_form(void **state)
{
    struct rtp_packet p;
    size_t n = 99;
    assert_true(rtp_parse(&p, TWO_BYTE, sizeof(TWO_BYTE)));
    assert_true(!p.marker && p.pt == 96 && p.seq == 0xffff && p.csrc_count == 2);
    assert_int_equal(p.padding_bytes, 4);
    assert_int_equal(p.payload_bytes, 4);
    assert_memory_equal(TWO_BYTE + p.payload_offset, "data", 4);
    assert_int_equal(p.ext_present, 1 << 5 | 1 << 6);
    assert_non_null(rtp_ext_find(&p, TWO_BYTE, 5, &n));
    assert_int_equal(n, 0);
    assert_int_equal(rtp_ext_find(&p, TWO_BYTE, 6, &n)[16], 17);
    assert_int_equal(n, 17);
    assert_null(rtp_ext_find(&p, TWO_BYTE, 200, &n));
}

static void id_15_ends_the_one_byte_form(void **state)
{
    static const uint8_t BYTES[] = {0x90, 0,    0, 0, 0,    0,    0,    0,    0,    0, 0, 0,
                                    0xbe, 0xde, 0, 2, 0x10, 0x61, 0xff, 0x20, 0x62, 0, 0, 0};
    struct rtp_packet p;
    assert_true(rtp_parse(&p, BYTES, sizeof(BYTES)));
    assert_int_equal(p.ext_present, 1 << 1);
}

static void refuses_what_does_not_add_up(void **state)
{
    struct rtp_packet p;
    uint8_t bytes[sizeof(ONE_BYTE)];
    memcpy(bytes, ONE_BYTE, sizeof(bytes));
    for (unsigned version = 0; version < 4; version++) {
        bytes[0] = (uint8_t)(version << 6 | 0x10);
        assert_int_equal(rtp_parse(&p, bytes, sizeof(bytes)), version == 2);
    }
    bytes[0] = 0x90;
    bytes[15] = 6; /* one word more than there is */
    assert_false(rtp_parse(&p, bytes, sizeof(bytes)));
    bytes[15] = 5;
    bytes[29] = 0xaf; /* 16 bytes where 6 are left */
    assert_false(rtp_parse(&p, bytes, sizeof(bytes)));
    bytes[29] = 0x05; /* id 0 with a length */
    assert_false(rtp_parse(&p, bytes, sizeof(bytes)));
    uint8_t big[65536] = {0x80};
    assert_true(rtp_parse(&p, big, 65535));
    assert_int_equal(p.payload_bytes, 65523);
    assert_false(rtp_parse(&p, big, 65536));
}

/* CVE-2025-49140 and its kin: padding of 0, of everything, of more than everything. */
static void judges_padding(void **state)
{
    for (size_t payload = 0; payload < 260; payload++) {
        for (unsigned padding = 0; padding < 256; padding++) {
            uint8_t *bytes = calloc(1, 12 + payload);
            struct rtp_packet p;
            bytes[0] = 0xa0;
            if (payload)
                bytes[12 + payload - 1] = (uint8_t)padding;
            bool is_right = payload && padding && padding <= payload;
            assert_int_equal(rtp_parse(&p, bytes, 12 + payload), is_right);
            if (is_right) {
                assert_int_equal(p.padding_bytes, padding);
                assert_int_equal(p.payload_bytes, payload - padding);
            }
            free(bytes);
        }
    }
}

/* Whatever the bytes: offsets stay inside, header + payload + padding is the whole. */
static void check_offsets(const uint8_t *bytes, size_t n)
{
    struct rtp_packet p;
    if (!rtp_parse(&p, bytes, n))
        return;
    assert_int_equal((size_t)p.payload_offset + p.payload_bytes + p.padding_bytes, n);
    for (uint8_t id = 1; id < RTP_EXT_SLOTS; id++) {
        size_t size;
        const uint8_t *value = rtp_ext_find(&p, bytes, id, &size);
        assert_true(!value || (value >= bytes + 16 && value + size <= bytes + p.payload_offset));
    }
}

static void truncated_and_damaged(void **state)
{
    static const struct {
        const uint8_t *bytes;
        size_t n;
    } SEEDS[] = {{ONE_BYTE, sizeof(ONE_BYTE)}, {TWO_BYTE, sizeof(TWO_BYTE)}};
    static const uint8_t VALUES[] = {0, 1, 0x0f, 0x10, 0x7f, 0x80, 0xf0, 0xff};
    for (size_t s = 0; s < ARRAY_LEN(SEEDS); s++) {
        size_t n = SEEDS[s].n;
        for (size_t size = 0; size <= n; size++) {
            uint8_t *cut = malloc(size ? size : 1);
            memcpy(cut, SEEDS[s].bytes, size);
            check_offsets(cut, size);
            free(cut);
        }
        for (size_t at = 0; at < n; at++) {
            for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
                uint8_t *bad = malloc(n);
                memcpy(bad, SEEDS[s].bytes, n);
                bad[at] = VALUES[i];
                check_offsets(bad, n);
                free(bad);
            }
        }
    }
}

/* ---- writing ---- */

static void writes_a_subscribers_header(void **state)
{
    struct rtp_packet p, q;
    uint8_t out[RTP_HEADER_MAX];
    uint8_t map[RTP_EXT_SLOTS] = {[1] = 0, [2] = 7, [4] = 1, [10] = 3};
    uint8_t seq[2] = {0x43, 0x21};
    struct rtp_ext_value extra[] = {{5, 2, seq}, {0, 1, seq}, {9, 1, (const uint8_t *)"m"}};
    struct rtp_rewrite r = {.ssrc = 99,
                            .timestamp = 1234,
                            .seq = 500,
                            .pt = 102,
                            .marker = true,
                            .ext_map = map,
                            .extra = extra,
                            .extra_count = 3};
    assert_true(rtp_parse(&p, ONE_BYTE, sizeof(ONE_BYTE)));
    size_t n = rtp_rewrite_header(out, sizeof(out), &p, ONE_BYTE, &r);
    assert_true(n > 0 && n % 4 == 0);
    assert_true(rtp_parse(&q, out, n));
    assert_true(q.ssrc == 99 && q.timestamp == 1234 && q.seq == 500 && q.pt == 102 && q.marker);
    assert_int_equal(q.payload_offset, n);
    assert_int_equal(q.ext_present, 1 << 7 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 9);
    uint32_t t;
    uint16_t transport_seq;
    uint8_t level;
    bool is_voice;
    struct str text;
    assert_true(rtp_abs_send_time(&q, out, 7, &t) && t == 0x112233);
    assert_true(rtp_audio_level(&q, out, 1, &level, &is_voice) && level == 5 && is_voice);
    assert_true(rtp_text_ext(&q, out, 3, &text) && str_eq(text, STR("hi")));
    assert_true(rtp_transport_seq(&q, out, 5, &transport_seq) && transport_seq == 0x4321);
    assert_true(rtp_text_ext(&q, out, 9, &text) && str_eq(text, STR("m")));
    for (size_t room = 0; room < n; room++)
        assert_int_equal(rtp_rewrite_header(out, room, &p, ONE_BYTE, &r), 0);
    assert_int_equal(rtp_rewrite_header(out, n, &p, ONE_BYTE, &r), n);
}

static void writes_no_extension_when_none_is_wanted(void **state)
{
    struct rtp_packet p, q;
    uint8_t out[RTP_HEADER_MAX];
    uint8_t nothing[RTP_EXT_SLOTS] = {0};
    struct rtp_rewrite r = {.ssrc = 1, .pt = 5, .ext_map = nothing};
    assert_true(rtp_parse(&p, ONE_BYTE, sizeof(ONE_BYTE)));
    assert_int_equal(rtp_rewrite_header(out, sizeof(out), &p, ONE_BYTE, &r), 12);
    assert_int_equal(out[0], 0x80);
    r.ext_map = NULL;
    r.has_padding = true;
    assert_int_equal(rtp_rewrite_header(out, sizeof(out), NULL, NULL, &r), 12);
    assert_int_equal(out[0], 0xa0);
    out[12] = 1;
    assert_true(rtp_parse(&q, out, 13));
    assert_int_equal(q.padding_bytes, 1);
}

static void takes_the_two_byte_form_where_it_must(void **state)
{
    struct rtp_packet p, q;
    uint8_t out[RTP_HEADER_MAX], map[RTP_EXT_SLOTS] = {[5] = 5, [6] = 6};
    size_t n, size;
    assert_true(rtp_parse(&p, TWO_BYTE, sizeof(TWO_BYTE)));
    struct rtp_rewrite r = {.ext_map = map};
    n = rtp_rewrite_header(out, sizeof(out), &p, TWO_BYTE, &r); /* an empty value, and 17 bytes */
    assert_true(n > 0 && rtp_parse(&q, out, n));
    assert_int_equal(q.csrc_count, 0);
    assert_non_null(rtp_ext_find(&q, out, 5, &size));
    assert_int_equal(size, 0);
    assert_int_equal(rtp_ext_find(&q, out, 6, &size)[16], 17);
    assert_int_equal(size, 17);
    struct rtp_ext_value high = {15, 1, (const uint8_t *)"h"};
    r = (struct rtp_rewrite){.extra = &high, .extra_count = 1};
    n = rtp_rewrite_header(out, sizeof(out), NULL, NULL, &r);
    assert_true(n > 0 && rtp_parse(&q, out, n));
    assert_int_equal(rtp_ext_find(&q, out, 15, &size)[0], 'h');
}

/* Every shape of extensions: what was written is read back alike, whatever the form. */
static void reads_what_it_writes(void **state)
{
    uint32_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        uint8_t values[8][32], out[RTP_HEADER_MAX];
        struct rtp_ext_value extra[8];
        unsigned count = 0, used = 0;
        for (unsigned k = 0; k < 8; k++) {
            seed = seed * 1664525 + 1013904223;
            uint8_t id = 1 + (seed >> 8) % 15, n = (seed >> 16) % (i % 2 ? 16 : 24) + i % 2;
            if (seed >> 30 || used >> id & 1)
                continue;
            used |= 1u << id;
            memset(values[count], (int)(seed >> 4), sizeof(values[count]));
            extra[count] = (struct rtp_ext_value){id, n, values[count]};
            count++;
        }
        struct rtp_rewrite r = {.seq = (uint16_t)seed, .extra = extra, .extra_count = count};
        struct rtp_packet p;
        size_t n = rtp_rewrite_header(out, sizeof(out), NULL, NULL, &r);
        assert_true(n > 0 && n % 4 == 0);
        assert_true(rtp_parse(&p, out, n));
        assert_int_equal(p.ext_present, used);
        for (unsigned k = 0; k < count; k++) {
            size_t size;
            const uint8_t *value = rtp_ext_find(&p, out, extra[k].id, &size);
            assert_int_equal(size, extra[k].n);
            assert_memory_equal(value, extra[k].bytes, size);
        }
    }
}

static void refuses_headers_beyond_the_limit(void **state)
{
    uint8_t out[2048], value[255] = {0};
    struct rtp_ext_value extra[2] = {{1, 200, value}, {2, 200, value}};
    struct rtp_rewrite r = {.extra = extra, .extra_count = 2};
    assert_int_equal(rtp_rewrite_header(out, sizeof(out), NULL, NULL, &r), 0);
    r.extra_count = 1;
    assert_int_equal(rtp_rewrite_header(out, sizeof(out), NULL, NULL, &r), 12 + 4 + 204);
}

static void knows_the_uris(void **state)
{
    for (int kind = 1; kind < RTP_EXT_KIND_COUNT; kind++)
        assert_int_equal(rtp_ext_kind_from_uri(str_from(rtp_ext_uri(kind))), kind);
    assert_int_equal(rtp_ext_kind_from_uri(STR("urn:ietf:params:rtp-hdrext:sdes:mi")),
                     RTP_EXT_NONE);
    assert_null(rtp_ext_uri(RTP_EXT_NONE));
}

static void compares_serial_numbers(void **state)
{
    assert_true(rtp_seq_after(1, 0) && rtp_seq_after(0, 65535) && rtp_seq_after(0x7fff, 0));
    assert_false(rtp_seq_after(0, 0) || rtp_seq_after(0, 1) || rtp_seq_after(0x8000, 0));
    assert_true(rtp_timestamp_after(5, 0xfffffff0) && !rtp_timestamp_after(0xfffffff0, 5));
    assert_int_equal(rtp_abs_send_time_from_us(0), 0);
    assert_int_equal(rtp_abs_send_time_from_us(1000000), 1 << 18);
    assert_int_equal(rtp_abs_send_time_from_us(64000000), 0);
    assert_true(rtp_is_rtcp((const uint8_t *)"\x80\xc8", 2));
    assert_false(rtp_is_rtcp((const uint8_t *)"\x80\x60", 2) ||
                 rtp_is_rtcp((const uint8_t *)"\x80", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_one_byte_form),
        cmocka_unit_test(reads_the_two_byte_form),
        cmocka_unit_test(id_15_ends_the_one_byte_form),
        cmocka_unit_test(refuses_what_does_not_add_up),
        cmocka_unit_test(judges_padding),
        cmocka_unit_test(truncated_and_damaged),
        cmocka_unit_test(writes_a_subscribers_header),
        cmocka_unit_test(writes_no_extension_when_none_is_wanted),
        cmocka_unit_test(takes_the_two_byte_form_where_it_must),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(refuses_headers_beyond_the_limit),
        cmocka_unit_test(knows_the_uris),
        cmocka_unit_test(compares_serial_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
