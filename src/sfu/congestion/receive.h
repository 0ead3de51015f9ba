/*
 * receive: reception statistics of one incoming stream, as RFC 3550 defines them (appendix A), for
 * report blocks and for people. Retransmissions count as recovered, not as received.
 */
#pragma once

#include "sfu/wire/rtcp.h"

struct receive_stats {
    bool has_begun;
    int64_t first_seq; /* unwrapped */
    int64_t highest_seq;
    uint64_t received; /* since the numbering began */
    /* Totals over all numberings. */
    uint64_t packets;
    uint64_t recovered;
    uint64_t bytes;
    int64_t lost_former; /* in former numberings */
    /* At the last report. */
    int64_t expected_before;
    uint64_t received_before;
    uint8_t fraction_lost;
    /* Jitter in timestamp units, times 16. */
    uint32_t transit;
    uint32_t jitter_scaled;
    bool has_transit;
};

/* A packet in its own right. clock_rate turns arrival into timestamp units. */
void receive_stats_packet(struct receive_stats *r, int64_t seq, uint32_t timestamp,
                          uint32_t clock_rate, size_t bytes, int64_t now_us);
/* The numbering begins anew (another SSRC); totals go on. */
void receive_stats_restart(struct receive_stats *r);
/* Fills the block (but for ssrc and the SR fields) and begins the next interval. */
void receive_stats_report(struct receive_stats *r, struct rtcp_report *out);
/* In all: did not come, or came only by retransmission. */
int64_t receive_stats_lost(const struct receive_stats *r);
static inline uint32_t receive_stats_jitter(const struct receive_stats *r)
{
    return r->jitter_scaled >> 4;
}
