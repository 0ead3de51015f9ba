/* rtcp_fuzz: any bytes as a decrypted compound; every packet is looked into, transport-cc is
 * written again from what was read. */
#include <stdlib.h>

#include "sfu/wire/rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void look_at_twcc(const struct rtcp_feedback *f)
{
    int64_t at[RTCP_TWCC_MAX_PACKETS], again[RTCP_TWCC_MAX_PACKETS];
    struct rtcp_twcc t = {.arrival_us = at};
    if (!rtcp_parse_twcc(&t, ARRAY_LEN(at), f))
        return;
    uint8_t out[8192];
    struct writer w = writer_of(out, sizeof(out));
    size_t covered = rtcp_write_twcc(&w, &t);
    if (!covered)
        return;
    struct cursor c = cursor_of(out, writer_size(&w));
    struct rtcp_packet p;
    struct rtcp_feedback g;
    struct rtcp_twcc u = {.arrival_us = again};
    check(rtcp_next(&c, &p) && rtcp_parse_feedback(&g, &p));
    check(rtcp_parse_twcc(&u, ARRAY_LEN(again), &g) && u.packet_count == covered);
    for (size_t i = 0; i < covered; i++)
        check((at[i] == RTCP_TWCC_LOST) == (again[i] == RTCP_TWCC_LOST));
}

static void look_at(const struct rtcp_packet *p)
{
    struct rtcp_reports reports;
    struct rtcp_feedback f;
    struct rtcp_xr xr;
    struct str cname;
    uint32_t ssrcs[RTCP_MAX_REPORTS], ssrc;
    uint16_t seqs[128];
    uint8_t command;
    uint64_t rate;
    size_t count;
    if (rtcp_parse_reports(&reports, p))
        check(reports.count <= RTCP_MAX_REPORTS);
    check(rtcp_parse_bye(p, ssrcs) <= RTCP_MAX_REPORTS);
    (void)!rtcp_parse_xr(&xr, p);
    struct cursor c = cursor_of(p->body, p->body_bytes);
    while (rtcp_next_sdes(&c, &ssrc, &cname))
        ;
    if (!rtcp_parse_feedback(&f, p))
        return;
    check(rtcp_parse_nack(&f, seqs, ARRAY_LEN(seqs)) <= ARRAY_LEN(seqs));
    if (rtcp_parse_remb(&f, &rate, ssrcs, ARRAY_LEN(ssrcs), &count))
        check(count <= ARRAY_LEN(ssrcs));
    look_at_twcc(&f);
    while (rtcp_next_fir(&f, &ssrc, &command))
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(data, size);
    struct rtcp_packet p;
    while (rtcp_next(&c, &p)) {
        check(p.body >= data && p.body + p.body_bytes <= data + size);
        look_at(&p);
    }
    return 0;
}
