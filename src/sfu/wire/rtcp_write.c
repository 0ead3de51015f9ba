/*
 * rtcp_write: writes control packets, each whole or not at all: the size is known before the header
 * goes out, and one reserve decides.
 */
#include "sfu/wire/rtcp.h"

/* Takes room for header and body, writes the header, and yields a writer over the body (bad when
 * there was no room). body_bytes is a multiple of four. */
static struct writer begin(struct writer *w, unsigned count, enum rtcp_type type, size_t body_bytes)
{
    uint8_t *at = writer_reserve(w, 4 + body_bytes);
    struct writer packet = writer_of(at, at ? 4 + body_bytes : 0);
    writer_u8(&packet, (uint8_t)(0x80 | count));
    writer_u8(&packet, (uint8_t)type);
    writer_u16(&packet, (uint16_t)(body_bytes / 4));
    return packet;
}

void rtcp_write_reports(struct writer *w, const struct rtcp_reports *r)
{
    unsigned count = MIN(r->count, RTCP_MAX_REPORTS);
    struct writer b = begin(w, count, r->is_sender ? RTCP_SR : RTCP_RR,
                            4 + (r->is_sender ? 20u : 0u) + 24u * count);
    writer_u32(&b, r->ssrc);
    if (r->is_sender) {
        writer_u64(&b, r->sender.ntp);
        writer_u32(&b, r->sender.rtp_timestamp);
        writer_u32(&b, r->sender.packet_count);
        writer_u32(&b, r->sender.octet_count);
    }
    for (unsigned i = 0; i < count; i++) {
        const struct rtcp_report *report = &r->reports[i];
        writer_u32(&b, report->ssrc);
        writer_u8(&b, report->fraction_lost);
        writer_u24(&b, (uint32_t)CLAMP(report->cumulative_lost, -0x800000, 0x7fffff) & 0xffffff);
        writer_u32(&b, report->highest_seq);
        writer_u32(&b, report->jitter);
        writer_u32(&b, report->last_sr);
        writer_u32(&b, report->delay_since_sr);
    }
}

void rtcp_write_sdes(struct writer *w, uint32_t ssrc, struct str cname)
{
    size_t n = MIN(cname.n, 255u);
    size_t used = 4 + 2 + n;
    size_t body = (used / 4 + 1) * 4; /* one to four zeros end the chunk */
    struct writer b = begin(w, 1, RTCP_SDES, body);
    writer_u32(&b, ssrc);
    writer_u8(&b, 1); /* CNAME */
    writer_u8(&b, (uint8_t)n);
    writer_bytes(&b, cname.p, n);
    for (; used < body; used++)
        writer_u8(&b, 0);
}

void rtcp_write_bye(struct writer *w, uint32_t ssrc)
{
    struct writer b = begin(w, 1, RTCP_BYE, 4);
    writer_u32(&b, ssrc);
}

static struct writer begin_feedback(struct writer *w, unsigned format, enum rtcp_type type,
                                    uint32_t sender_ssrc, uint32_t media_ssrc, size_t fci_bytes)
{
    struct writer b = begin(w, format, type, 8 + fci_bytes);
    writer_u32(&b, sender_ssrc);
    writer_u32(&b, media_ssrc);
    return b;
}

/* The next PID + bitmask from seqs[*at..count); moves *at behind what it covers. */
static uint32_t pack_nack(const uint16_t *seqs, size_t count, size_t *at)
{
    uint16_t pid = seqs[(*at)++];
    uint16_t mask = 0;
    for (; *at < count; (*at)++) {
        uint16_t distance = (uint16_t)(seqs[*at] - pid);
        if (distance > 16)
            break;
        if (distance)
            mask |= (uint16_t)(1u << (distance - 1));
    }
    return (uint32_t)pid << 16 | mask;
}

void rtcp_write_nack(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc,
                     const uint16_t *seqs, size_t count)
{
    size_t entries = 0;
    for (size_t at = 0; at < count; entries++)
        (void)pack_nack(seqs, count, &at);
    if (!entries)
        return;
    struct writer b =
        begin_feedback(w, RTCP_FMT_NACK, RTCP_RTPFB, sender_ssrc, media_ssrc, entries * 4);
    for (size_t at = 0; at < count;)
        writer_u32(&b, pack_nack(seqs, count, &at));
}

void rtcp_write_pli(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc)
{
    (void)begin_feedback(w, RTCP_FMT_PLI, RTCP_PSFB, sender_ssrc, media_ssrc, 0);
}

void rtcp_write_fir(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc,
                    uint8_t command_seq)
{
    /* RFC 5104 section 4.3.1.2: the stream is named in the entry, the header's field is zero. */
    struct writer b = begin_feedback(w, RTCP_FMT_FIR, RTCP_PSFB, sender_ssrc, 0, 8);
    writer_u32(&b, media_ssrc);
    writer_u8(&b, command_seq);
    writer_u24(&b, 0);
}

void rtcp_write_remb(struct writer *w, uint32_t sender_ssrc, uint64_t bitrate_bps,
                     const uint32_t *ssrcs, size_t count)
{
    unsigned exponent = 0;
    while (bitrate_bps >> exponent > 0x3ffff)
        exponent++;
    count = MIN(count, 255u);
    struct writer b = begin_feedback(w, RTCP_FMT_REMB, RTCP_PSFB, sender_ssrc, 0, 8 + count * 4);
    writer_u32(&b, 0x52454d42); /* "REMB" */
    writer_u8(&b, (uint8_t)count);
    writer_u24(&b, exponent << 18 | (uint32_t)(bitrate_bps >> exponent));
    for (size_t i = 0; i < count; i++)
        writer_u32(&b, ssrcs[i]);
}

/* XR with one report block (RFC 3611 section 4). */
static struct writer begin_xr(struct writer *w, uint32_t ssrc, uint8_t block_type, size_t bytes)
{
    struct writer b = begin(w, 0, RTCP_XR, 8 + bytes);
    writer_u32(&b, ssrc);
    writer_u8(&b, block_type);
    writer_u8(&b, 0);
    writer_u16(&b, (uint16_t)(bytes / 4));
    return b;
}

void rtcp_write_rrtr(struct writer *w, uint32_t ssrc, uint64_t ntp)
{
    struct writer b = begin_xr(w, ssrc, 4, 8);
    writer_u64(&b, ntp);
}

void rtcp_write_dlrr(struct writer *w, uint32_t ssrc, const struct rtcp_dlrr *items, size_t count)
{
    count = MIN(count, (size_t)RTCP_MAX_REPORTS);
    struct writer b = begin_xr(w, ssrc, 5, count * 12);
    for (size_t i = 0; i < count; i++) {
        writer_u32(&b, items[i].ssrc);
        writer_u32(&b, items[i].last_rr);
        writer_u32(&b, items[i].delay_since_rr);
    }
}
