/*
 * rtcp: compound control packets (RFC 3550, 4585, 5104, 3611, draft-alvestrand-rmcat-remb,
 * draft-holmer-rmcat-transport-wide-cc-extensions-01). Reading: rtcp_next walks a decrypted
 * compound, a parser per type looks inside. Writing: each writer appends one packet to a struct
 * writer, which turns bad when there is no room (whatever was written before stands).
 */
#pragma once

#include "core/cursor.h"
#include "core/str.h"

enum rtcp_type {
    RTCP_SR = 200,
    RTCP_RR = 201,
    RTCP_SDES = 202,
    RTCP_BYE = 203,
    RTCP_APP = 204,
    RTCP_RTPFB = 205, /* count: 1 NACK, 15 transport-cc */
    RTCP_PSFB = 206,  /* count: 1 PLI, 4 FIR, 15 REMB (application layer) */
    RTCP_XR = 207,
};
#define RTCP_FMT_NACK 1
#define RTCP_FMT_TWCC 15
#define RTCP_FMT_PLI 1
#define RTCP_FMT_FIR 4
#define RTCP_FMT_REMB 15

struct rtcp_packet {
    uint8_t type;
    uint8_t count;       /* RC, SC, or the feedback message type */
    const uint8_t *body; /* after the 4-byte header, without padding */
    size_t body_bytes;
};

/* The next packet of a compound; false at the end, and with c->bad set when the rest is malformed.
 */
bool rtcp_next(struct cursor *c, struct rtcp_packet *out);

#define RTCP_MAX_REPORTS 31

struct rtcp_report {
    uint32_t ssrc;
    uint8_t fraction_lost;   /* of 256, since the last report */
    int32_t cumulative_lost; /* 24 bits, signed */
    uint32_t highest_seq;    /* with cycles in the upper half */
    uint32_t jitter;         /* in timestamp units */
    uint32_t last_sr;        /* middle 32 bits of the SR's NTP time; 0: none yet */
    uint32_t delay_since_sr; /* 1/65536 s */
};
struct rtcp_sender_info {
    uint64_t ntp; /* 32.32 fixed point */
    uint32_t rtp_timestamp;
    uint32_t packet_count;
    uint32_t octet_count;
};
/* SR or RR. */
struct rtcp_reports {
    uint32_t ssrc;
    bool is_sender; /* SR: `sender` is valid */
    struct rtcp_sender_info sender;
    uint8_t count;
    struct rtcp_report reports[RTCP_MAX_REPORTS];
};
MUST_USE bool rtcp_parse_reports(struct rtcp_reports *out, const struct rtcp_packet *p);

/* Walks SDES chunks: start with cursor_of(p->body, p->body_bytes). cname is p NULL in a chunk
 * without one. False at the end. */
bool rtcp_next_sdes(struct cursor *c, uint32_t *ssrc, struct str *cname);
/* The SSRCs that leave; returns how many (at most 31). */
size_t rtcp_parse_bye(const struct rtcp_packet *p, uint32_t out[RTCP_MAX_REPORTS]);

/* Any feedback: who says it, of which stream. */
struct rtcp_feedback {
    uint32_t sender_ssrc;
    uint32_t media_ssrc;
    struct cursor fci;
};
MUST_USE bool rtcp_parse_feedback(struct rtcp_feedback *out, const struct rtcp_packet *p);
/* Sequence numbers asked for, in the packet's order; fills at most max, returns how many. */
size_t rtcp_parse_nack(const struct rtcp_feedback *f, uint16_t *seqs, size_t max);
/* One FIR entry after another from f->fci; false at the end. */
bool rtcp_next_fir(struct rtcp_feedback *f, uint32_t *ssrc, uint8_t *command_seq);
/* False when it is another application-layer message. Bits per second saturate. */
MUST_USE bool rtcp_parse_remb(const struct rtcp_feedback *f, uint64_t *bitrate_bps, uint32_t *ssrcs,
                              size_t max, size_t *count);

/* ---- transport-wide congestion control ---- */
#define RTCP_TWCC_LOST INT64_MIN
#define RTCP_TWCC_MAX_PACKETS 1024 /* reported in one feedback, by us and at most by others */

struct rtcp_twcc {
    uint32_t sender_ssrc;
    uint32_t media_ssrc;
    uint16_t base_seq;
    uint8_t feedback_count;
    uint16_t packet_count;
    /* Arrival of base_seq + i, or RTCP_TWCC_LOST. Written: on our clock. Parsed: relative to a zero
     * that both ends share for the session, modulo 2^24 x 64 ms. */
    int64_t *arrival_us; /* the caller's array */
};
/*
 * Writes one feedback for t->arrival_us[0..packet_count). Returns how many of them it covers: fewer
 * when a gap in time does not fit a delta or the writer has no room; call again from there with the
 * next feedback_count. 0: nothing written (no packet arrived at all, or no room). Arrivals may be
 * in any order. Trailing losses are counted as covered, leading ones too.
 */
size_t rtcp_write_twcc(struct writer *w, const struct rtcp_twcc *t);
/* Fills t->arrival_us (room for `max`; at most RTCP_TWCC_MAX_PACKETS). False when malformed. */
MUST_USE bool rtcp_parse_twcc(struct rtcp_twcc *t, size_t max, const struct rtcp_feedback *f);

/* ---- XR, RFC 3611: receiver reference time and its echo ---- */
struct rtcp_dlrr {
    uint32_t ssrc;
    uint32_t last_rr;
    uint32_t delay_since_rr; /* 1/65536 s */
};
struct rtcp_xr {
    uint32_t ssrc;
    bool has_rrtr;
    uint64_t rrtr_ntp;
    uint8_t dlrr_count;
    struct rtcp_dlrr dlrr[RTCP_MAX_REPORTS];
};
MUST_USE bool rtcp_parse_xr(struct rtcp_xr *out, const struct rtcp_packet *p);

/* ---- writers ---- */
/* SR when r->is_sender, else RR. */
void rtcp_write_reports(struct writer *w, const struct rtcp_reports *r);
void rtcp_write_sdes(struct writer *w, uint32_t ssrc, struct str cname); /* cname <= 255 bytes */
void rtcp_write_bye(struct writer *w, uint32_t ssrc);
/* seqs ascending in serial order (duplicates are folded); packs them as PID + bitmask. */
void rtcp_write_nack(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc,
                     const uint16_t *seqs, size_t count);
void rtcp_write_pli(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc);
void rtcp_write_fir(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc,
                    uint8_t command_seq);
void rtcp_write_remb(struct writer *w, uint32_t sender_ssrc, uint64_t bitrate_bps,
                     const uint32_t *ssrcs, size_t count);
void rtcp_write_rrtr(struct writer *w, uint32_t ssrc, uint64_t ntp);
void rtcp_write_dlrr(struct writer *w, uint32_t ssrc, const struct rtcp_dlrr *items, size_t count);

/* Wall time in microseconds since 1970 as NTP 32.32, and its middle 32 bits. */
static inline uint64_t rtcp_ntp_from_us(int64_t wall_us)
{
    uint64_t seconds = (uint64_t)(wall_us / 1000000) + 2208988800u;
    uint64_t fraction = ((uint64_t)(wall_us % 1000000) << 32) / 1000000;
    return seconds << 32 | fraction;
}
static inline uint32_t rtcp_ntp_middle(uint64_t ntp)
{
    return (uint32_t)(ntp >> 16);
}
