/*
 * rtcp_test: every message written and read back, transport-cc against a plain model over random
 * arrivals, and compounds that lie about their lengths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sfu/wire/rtcp.h"

static uint32_t seed = 1;

static uint32_t random_u32(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 7;
}

/* The single packet that lies in what was written. */
static struct rtcp_packet only_packet(const struct writer *w)
{
    struct cursor c = cursor_of(w->start, writer_size(w));
    struct rtcp_packet p, more;
    assert_false(w->bad);
    assert_true(rtcp_next(&c, &p));
    assert_false(rtcp_next(&c, &more));
    assert_false(c.bad);
    return p;
}

static void sender_and_receiver_reports(void **state)
{
    for (int is_sender = 0; is_sender < 2; is_sender++) {
        for (uint8_t count = 0; count <= RTCP_MAX_REPORTS; count++) {
            uint8_t bytes[1024];
            struct writer w = writer_of(bytes, sizeof(bytes));
            struct rtcp_reports in = {.ssrc = 7, .is_sender = is_sender, .count = count}, out = {0};
            if (is_sender)
                in.sender = (struct rtcp_sender_info){0x0123456789abcdef, 1, 2, 3};
            for (uint8_t i = 0; i < count; i++)
                in.reports[i] =
                    (struct rtcp_report){i, i, i % 2 ? -1 - i : i, 0x10000u + i, 5, 6, 7};
            rtcp_write_reports(&w, &in);
            struct rtcp_packet p = only_packet(&w);
            assert_int_equal(p.type, is_sender ? RTCP_SR : RTCP_RR);
            assert_true(rtcp_parse_reports(&out, &p));
            assert_memory_equal(&in, &out, sizeof(in));
            p.body_bytes -= count ? 1 : 4;
            assert_false(rtcp_parse_reports(&out, &p));
        }
    }
    uint8_t bytes[64];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct rtcp_reports in = {.count = 1, .reports = {{.cumulative_lost = -0x900000}}}, out;
    rtcp_write_reports(&w, &in);
    struct rtcp_packet p = only_packet(&w);
    assert_true(rtcp_parse_reports(&out, &p));
    assert_int_equal(out.reports[0].cumulative_lost, -0x800000); /* saturates */
}

static void sdes_and_bye(void **state)
{
    for (size_t n = 0; n < 300; n++) {
        uint8_t bytes[512];
        char name[300];
        memset(name, 'n', sizeof(name));
        struct writer w = writer_of(bytes, sizeof(bytes));
        rtcp_write_sdes(&w, 0xabcd, (struct str){name, n});
        struct rtcp_packet p = only_packet(&w);
        struct cursor c = cursor_of(p.body, p.body_bytes);
        uint32_t ssrc;
        struct str cname;
        assert_true(rtcp_next_sdes(&c, &ssrc, &cname));
        assert_true(ssrc == 0xabcd && str_eq(cname, (struct str){name, MIN(n, 255u)}));
        assert_false(rtcp_next_sdes(&c, &ssrc, &cname));
    }
    /* Two chunks: NAME before CNAME in the first, no item at all in the second. */
    static const uint8_t CHUNKS[] = {0,   0, 0, 1, 2, 1, 'N', 1, 2, 'c',
                                     'n', 0, 0, 0, 0, 2, 0,   0, 0, 0};
    struct cursor c = cursor_of(CHUNKS, sizeof(CHUNKS));
    uint32_t ssrc;
    struct str cname;
    assert_true(rtcp_next_sdes(&c, &ssrc, &cname) && ssrc == 1 && str_eq(cname, STR("cn")));
    assert_true(rtcp_next_sdes(&c, &ssrc, &cname) && ssrc == 2 && !cname.p);
    assert_false(rtcp_next_sdes(&c, &ssrc, &cname));

    uint8_t bytes[64];
    uint32_t gone[RTCP_MAX_REPORTS];
    struct writer w = writer_of(bytes, sizeof(bytes));
    rtcp_write_bye(&w, 99);
    struct rtcp_packet p = only_packet(&w);
    assert_int_equal(rtcp_parse_bye(&p, gone), 1);
    assert_int_equal(gone[0], 99);
    p.count = 31; /* says 31, holds one */
    assert_int_equal(rtcp_parse_bye(&p, gone), 1);
}

static void nack(void **state)
{
    for (int round = 0; round < 500; round++) {
        uint8_t bytes[2048];
        uint16_t seqs[200], read[400], seq = (uint16_t)random_u32();
        size_t count = 1 + random_u32() % 200;
        for (size_t i = 0; i < count; i++)
            seqs[i] = seq = (uint16_t)(seq + 1 + (random_u32() % 3 ? 0 : random_u32() % 40));
        struct writer w = writer_of(bytes, sizeof(bytes));
        rtcp_write_nack(&w, 1, 2, seqs, count);
        struct rtcp_packet p = only_packet(&w);
        struct rtcp_feedback f;
        assert_true(p.type == RTCP_RTPFB && p.count == RTCP_FMT_NACK);
        assert_true(rtcp_parse_feedback(&f, &p) && f.sender_ssrc == 1 && f.media_ssrc == 2);
        assert_int_equal(rtcp_parse_nack(&f, read, ARRAY_LEN(read)), count);
        assert_memory_equal(read, seqs, count * sizeof(*seqs));
        assert_int_equal(rtcp_parse_nack(&f, read, 3), MIN(count, 3u));
    }
    uint8_t bytes[64];
    struct writer w = writer_of(bytes, sizeof(bytes));
    static const uint16_t RUN[] = {65530, 65530, 65535, 0, 10}; /* a duplicate, and around zero */
    rtcp_write_nack(&w, 1, 2, RUN, 5);
    assert_int_equal(writer_size(&w), 16); /* one entry: 65530 and the 16 behind it */
    w = writer_of(bytes, sizeof(bytes));
    rtcp_write_nack(&w, 1, 2, RUN, 0);
    assert_int_equal(writer_size(&w), 0);
}

static void picture_requests(void **state)
{
    uint8_t bytes[64];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct rtcp_feedback f;
    uint32_t ssrc;
    uint8_t command;
    rtcp_write_pli(&w, 5, 6);
    struct rtcp_packet p = only_packet(&w);
    assert_true(p.type == RTCP_PSFB && p.count == RTCP_FMT_PLI && rtcp_parse_feedback(&f, &p));
    assert_true(f.sender_ssrc == 5 && f.media_ssrc == 6 && !cursor_left(&f.fci));
    w = writer_of(bytes, sizeof(bytes));
    rtcp_write_fir(&w, 5, 6, 200);
    p = only_packet(&w);
    assert_true(p.type == RTCP_PSFB && p.count == RTCP_FMT_FIR && rtcp_parse_feedback(&f, &p));
    assert_true(rtcp_next_fir(&f, &ssrc, &command) && ssrc == 6 && command == 200);
    assert_false(rtcp_next_fir(&f, &ssrc, &command));
    assert_true(f.media_ssrc == 0);
    p.body_bytes = 7;
    assert_false(rtcp_parse_feedback(&f, &p));
}

static void remb(void **state)
{
    static const uint64_t RATES[] = {0, 1, 0x3ffff, 0x40000, 2500000, 1ull << 40, UINT64_MAX >> 2};
    for (size_t i = 0; i < ARRAY_LEN(RATES); i++) {
        uint8_t bytes[64];
        uint32_t ssrcs[4] = {1, 2, 3}, read[4];
        uint64_t rate;
        size_t count;
        struct writer w = writer_of(bytes, sizeof(bytes));
        struct rtcp_feedback f;
        rtcp_write_remb(&w, 9, RATES[i], ssrcs, 3);
        struct rtcp_packet p = only_packet(&w);
        assert_true(rtcp_parse_feedback(&f, &p));
        assert_true(rtcp_parse_remb(&f, &rate, read, 4, &count));
        assert_int_equal(count, 3);
        assert_memory_equal(read, ssrcs, 12);
        assert_true(rate <= RATES[i] && RATES[i] - rate <= RATES[i] >> 17);
        assert_true(rtcp_parse_remb(&f, &rate, read, 2, &count) && count == 2);
        bytes[16] = 4; /* says four */
        assert_false(rtcp_parse_remb(&f, &rate, read, 4, &count));
        bytes[16] = 3;
        bytes[17] = bytes[18] = bytes[19] = 0xff;
        assert_true(rtcp_parse_remb(&f, &rate, read, 4, &count) && rate == UINT64_MAX);
        bytes[12] = 'X';
        assert_false(rtcp_parse_remb(&f, &rate, read, 4, &count));
    }
}

static void extended_reports(void **state)
{
    uint8_t bytes[256];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct rtcp_xr xr;
    rtcp_write_rrtr(&w, 4, 0x1122334455667788);
    struct rtcp_packet p = only_packet(&w);
    assert_true(rtcp_parse_xr(&xr, &p));
    assert_true(xr.ssrc == 4 && xr.has_rrtr && xr.rrtr_ntp == 0x1122334455667788 && !xr.dlrr_count);
    struct rtcp_dlrr items[2] = {{1, 2, 3}, {4, 5, 6}};
    w = writer_of(bytes, sizeof(bytes));
    rtcp_write_dlrr(&w, 4, items, 2);
    p = only_packet(&w);
    assert_true(rtcp_parse_xr(&xr, &p) && !xr.has_rrtr && xr.dlrr_count == 2);
    assert_memory_equal(xr.dlrr, items, sizeof(items));
    bytes[11] = 5; /* block of five words: no whole number of items */
    assert_false(rtcp_parse_xr(&xr, &p));
    bytes[11] = 7; /* more than there is */
    assert_false(rtcp_parse_xr(&xr, &p));
    bytes[11] = 0; /* an empty block, then the items read as blocks of unknown types */
    (void)!rtcp_parse_xr(&xr, &p);
}

static void ntp_time(void **state)
{
    assert_true(rtcp_ntp_from_us(0) == 2208988800ull << 32);
    assert_true(rtcp_ntp_from_us(500000) == (2208988800ull << 32 | 0x80000000));
    assert_int_equal(rtcp_ntp_middle(0x0123456789abcdef), 0x456789ab);
}

/* ---- transport-cc ---- */

/* Writes arrivals in as many feedbacks as it takes and reads them back; counts the feedbacks. */
static size_t check_twcc(int64_t *arrival_us, size_t count, size_t room)
{
    size_t done = 0, feedbacks = 0;
    while (done < count) {
        uint8_t bytes[8192];
        int64_t read_us[RTCP_TWCC_MAX_PACKETS];
        struct writer w = writer_of(bytes, room);
        struct rtcp_twcc t = {.sender_ssrc = 1,
                              .media_ssrc = 2,
                              .base_seq = (uint16_t)(65000 + done),
                              .feedback_count = (uint8_t)feedbacks,
                              .packet_count = (uint16_t)(count - done),
                              .arrival_us = arrival_us + done};
        size_t covered = rtcp_write_twcc(&w, &t);
        if (covered == 0) {
            for (size_t i = done; i < count; i++)
                assert_true(arrival_us[i] == RTCP_TWCC_LOST);
            assert_int_equal(writer_size(&w), 0);
            break;
        }
        struct rtcp_packet p = only_packet(&w);
        struct rtcp_feedback f;
        struct rtcp_twcc out = {.arrival_us = read_us};
        assert_true(p.type == RTCP_RTPFB && p.count == RTCP_FMT_TWCC &&
                    rtcp_parse_feedback(&f, &p));
        assert_true(rtcp_parse_twcc(&out, RTCP_TWCC_MAX_PACKETS, &f));
        assert_int_equal(out.packet_count, covered);
        assert_true(out.base_seq == t.base_seq && out.feedback_count == t.feedback_count);
        for (size_t i = 0; i < covered; i++) {
            int64_t sent = arrival_us[done + i];
            assert_int_equal(read_us[i] == RTCP_TWCC_LOST, sent == RTCP_TWCC_LOST);
            if (sent != RTCP_TWCC_LOST) {
                int64_t wrap = (int64_t)64000 << 24;
                int64_t error = (sent - read_us[i]) % wrap;
                assert_true((error >= 0 && error < 250) || error - wrap == 0);
            }
        }
        for (size_t size = 8; size < p.body_bytes - 3;
             size++) { /* cut short: never accepted whole */
            struct rtcp_packet cut = {p.type, p.count, p.body, size};
            if (rtcp_parse_feedback(&f, &cut))
                assert_false(rtcp_parse_twcc(&out, RTCP_TWCC_MAX_PACKETS, &f));
        }
        done += covered;
        feedbacks++;
    }
    return feedbacks;
}

static void twcc_over_random_arrivals(void **state)
{
    for (int round = 0; round < 3000; round++) {
        int64_t arrival_us[RTCP_TWCC_MAX_PACKETS], now = random_u32() * 1000ll + random_u32();
        size_t count = 1 + random_u32() % 60;
        unsigned loss = random_u32() % 101, spread = 1u << random_u32() % 20;
        for (size_t i = 0; i < count; i++) {
            now += random_u32() % spread;
            arrival_us[i] = random_u32() % 100 < loss ? RTCP_TWCC_LOST : now - random_u32() % 5000;
        }
        check_twcc(arrival_us, count, 200 + random_u32() % 1000);
    }
}

static void twcc_is_small_where_it_can_be(void **state)
{
    int64_t arrival_us[RTCP_TWCC_MAX_PACKETS];
    uint8_t bytes[2048];
    struct rtcp_twcc t = {.packet_count = 1000, .arrival_us = arrival_us};
    for (size_t i = 0; i < 1000; i++)
        arrival_us[i] = 1000000 + (int64_t)i * 500;
    struct writer w = writer_of(bytes, sizeof(bytes));
    assert_int_equal(rtcp_write_twcc(&w, &t), 1000);
    assert_true(writer_size(&w) <= 20 + 2 + 1000 + 3); /* one run, a byte each */
    for (size_t i = 0; i < 1000; i++)
        if (i % 10 == 3)
            arrival_us[i] = RTCP_TWCC_LOST;
    w = writer_of(bytes, sizeof(bytes));
    assert_int_equal(rtcp_write_twcc(&w, &t), 1000);
    assert_true(writer_size(&w) <= 20 + 2 * (1000 / 14 + 1) + 900 + 3); /* a bit each */
}

static void twcc_splits_where_time_jumps(void **state)
{
    int64_t arrival_us[6] = {0, 1000, 20000000, 20001000, 1000, RTCP_TWCC_LOST};
    assert_int_equal(check_twcc(arrival_us, 6, 1200), 3); /* over 8.19 s forth, and back */
    int64_t lost[3] = {RTCP_TWCC_LOST, RTCP_TWCC_LOST, RTCP_TWCC_LOST};
    assert_int_equal(check_twcc(lost, 3, 1200), 0);
    int64_t many[RTCP_TWCC_MAX_PACKETS];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (int64_t)i * 30000;
    assert_true(check_twcc(many, ARRAY_LEN(many), 300) > 3); /* little room: several feedbacks */
    uint8_t bytes[27];
    struct writer w = writer_of(bytes, sizeof(bytes));
    struct rtcp_twcc t = {.packet_count = 2, .arrival_us = many};
    assert_int_equal(rtcp_write_twcc(&w, &t), 0);
}

/* Chunks by hand: a run, a one-bit vector, a two-bit vector; and the reserved symbol. */
static void twcc_by_hand(void **state)
{
    uint8_t body[] = {0,    0,    0, 1,  0,  0,  0, 2,
                      0,    10,   0, 19, 0,  0,  1, 7, /* base 10, 19 packets */
                      0x20, 0x03,                      /* 3 x small */
                      0xa0, 0x01, /* one bit each: the first and the last of 14 */
                      0xd2, 0x00, /* two bits each: of 01 00 10 only two are left */
                      4,    4,    4, 8,  12, 16, 0, 0};
    int64_t at[19];
    struct rtcp_packet p = {RTCP_RTPFB, RTCP_FMT_TWCC, body, sizeof(body)};
    struct rtcp_feedback f;
    struct rtcp_twcc t = {.arrival_us = at};
    assert_true(rtcp_parse_feedback(&f, &p) && rtcp_parse_twcc(&t, 19, &f));
    assert_true(t.base_seq == 10 && t.feedback_count == 7);
    assert_true(at[0] == 65000 && at[1] == 66000 && at[2] == 67000);
    assert_true(at[3] == 69000 && at[4] == RTCP_TWCC_LOST && at[16] == 72000 && at[17] == 76000);
    assert_true(at[18] == RTCP_TWCC_LOST);
    assert_false(rtcp_parse_twcc(&t, 18, &f)); /* no room */
    body[20] = 0xff;                           /* symbol 3 */
    assert_false(rtcp_parse_twcc(&t, 19, &f));
    body[16] = 0x20, body[17] = 0; /* a run of nothing */
    assert_false(rtcp_parse_twcc(&t, 19, &f));
    body[10] = body[11] = 0xff; /* 65,535 packets */
    assert_false(rtcp_parse_twcc(&t, 19, &f));
    body[10] = body[11] = 0;
    assert_false(rtcp_parse_twcc(&t, 19, &f));
}

/* ---- compounds ---- */

/* Walks a compound and looks into everything, as the engine would. */
static size_t walk(const uint8_t *bytes, size_t n)
{
    struct cursor c = cursor_of(bytes, n);
    struct rtcp_packet p;
    size_t packets = 0;
    while (rtcp_next(&c, &p)) {
        struct rtcp_reports reports;
        struct rtcp_feedback f;
        struct rtcp_xr xr;
        struct str cname;
        uint32_t ssrcs[RTCP_MAX_REPORTS], ssrc;
        uint16_t seqs[64];
        uint8_t command;
        uint64_t rate;
        size_t count;
        int64_t at[RTCP_TWCC_MAX_PACKETS];
        struct rtcp_twcc t = {.arrival_us = at};
        assert_true(p.body >= bytes && p.body + p.body_bytes <= bytes + n);
        (void)!rtcp_parse_reports(&reports, &p);
        (void)rtcp_parse_bye(&p, ssrcs);
        (void)!rtcp_parse_xr(&xr, &p);
        struct cursor body = cursor_of(p.body, p.body_bytes);
        while (rtcp_next_sdes(&body, &ssrc, &cname))
            ;
        if (rtcp_parse_feedback(&f, &p)) {
            (void)rtcp_parse_nack(&f, seqs, ARRAY_LEN(seqs));
            (void)!rtcp_parse_remb(&f, &rate, ssrcs, ARRAY_LEN(ssrcs), &count);
            (void)!rtcp_parse_twcc(&t, ARRAY_LEN(at), &f);
            while (rtcp_next_fir(&f, &ssrc, &command))
                ;
        }
        packets++;
    }
    return packets;
}

static size_t make_compound(uint8_t *bytes, size_t capacity)
{
    static int64_t arrivals[20] = {0, 250, RTCP_TWCC_LOST, 90000};
    struct writer w = writer_of(bytes, capacity);
    struct rtcp_reports sr = {.ssrc = 1, .is_sender = true, .count = 2};
    struct rtcp_dlrr dlrr = {1, 2, 3};
    rtcp_write_reports(&w, &sr);
    rtcp_write_sdes(&w, 1, STR("someone"));
    rtcp_write_nack(&w, 1, 2, (const uint16_t[]){1, 2, 50}, 3);
    rtcp_write_pli(&w, 1, 2);
    rtcp_write_fir(&w, 1, 2, 3);
    rtcp_write_remb(&w, 1, 1000000, (const uint32_t[]){2}, 1);
    rtcp_write_twcc(&w, &(struct rtcp_twcc){.packet_count = 20, .arrival_us = arrivals});
    rtcp_write_rrtr(&w, 1, 1);
    rtcp_write_dlrr(&w, 1, &dlrr, 1);
    rtcp_write_bye(&w, 1);
    assert_false(w.bad);
    return writer_size(&w);
}

static void compounds_that_lie(void **state)
{
    static const uint8_t VALUES[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    uint8_t bytes[512];
    size_t n = make_compound(bytes, sizeof(bytes));
    assert_int_equal(walk(bytes, n), 10);
    for (size_t size = 0; size < n; size++) {
        uint8_t *cut = malloc(size ? size : 1);
        memcpy(cut, bytes, size);
        assert_true(walk(cut, size) < 10);
        free(cut);
    }
    for (size_t at = 0; at < n; at++) {
        for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
            uint8_t *bad = malloc(n);
            memcpy(bad, bytes, n);
            bad[at] = VALUES[i];
            assert_true(walk(bad, n) <= n / 4);
            free(bad);
        }
    }
}

static void judges_padding(void **state)
{
    static const struct {
        uint8_t last;
        bool is_right;
    } CASES[] = {{0, false}, {1, false}, {4, true}, {8, true}, {12, false}, {255, false}};
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        uint8_t bytes[] = {0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, CASES[i].last};
        struct cursor c = cursor_of(bytes, sizeof(bytes));
        struct rtcp_packet p;
        assert_int_equal(rtcp_next(&c, &p), CASES[i].is_right);
        assert_int_equal(c.bad, !CASES[i].is_right);
        if (CASES[i].is_right)
            assert_int_equal(p.body_bytes, 8u - CASES[i].last);
    }
    /* Padding in a packet that is not the last. */
    uint8_t bytes[] = {0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0x80, 201, 0, 1, 0, 0, 0, 1};
    struct cursor c = cursor_of(bytes, sizeof(bytes));
    struct rtcp_packet p;
    assert_false(rtcp_next(&c, &p));
}

static void writers_keep_to_their_room(void **state)
{
    uint8_t bytes[512];
    size_t n = make_compound(bytes, sizeof(bytes));
    for (size_t room = 0; room < n; room++) {
        uint8_t *exact = malloc(room ? room : 1);
        struct writer w = writer_of(exact, room);
        struct rtcp_reports sr = {.ssrc = 1, .is_sender = true, .count = 2};
        rtcp_write_reports(&w, &sr);
        rtcp_write_sdes(&w, 1, STR("someone"));
        rtcp_write_nack(&w, 1, 2, (const uint16_t[]){1, 2, 50}, 3);
        rtcp_write_remb(&w, 1, 1000000, (const uint32_t[]){2}, 1);
        assert_true(writer_size(&w) <= room);
        struct cursor c = cursor_of(exact, writer_size(&w)); /* whole packets only */
        struct rtcp_packet p;
        while (rtcp_next(&c, &p))
            ;
        assert_false(c.bad);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sender_and_receiver_reports),
        cmocka_unit_test(sdes_and_bye),
        cmocka_unit_test(nack),
        cmocka_unit_test(picture_requests),
        cmocka_unit_test(remb),
        cmocka_unit_test(extended_reports),
        cmocka_unit_test(ntp_time),
        cmocka_unit_test(twcc_over_random_arrivals),
        cmocka_unit_test(twcc_is_small_where_it_can_be),
        cmocka_unit_test(twcc_splits_where_time_jumps),
        cmocka_unit_test(twcc_by_hand),
        cmocka_unit_test(compounds_that_lie),
        cmocka_unit_test(judges_padding),
        cmocka_unit_test(writers_keep_to_their_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
