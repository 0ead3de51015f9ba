/* receive: RFC 3550 appendix A.3 (loss) and A.8 (jitter), over unwrapped sequence numbers. */
#include "sfu/congestion/receive.h"

#define LOST_MAX 0x7fffff
#define LOST_MIN (-0x800000)

static void update_jitter(struct receive_stats *r, uint32_t timestamp, uint32_t clock_rate,
                          int64_t now_us)
{
    uint32_t arrival = (uint32_t)((uint64_t)now_us * clock_rate / 1000000);
    uint32_t transit = arrival - timestamp;
    if (r->has_transit) {
        int32_t d = (int32_t)(transit - r->transit);
        uint32_t distance = d < 0 ? -(uint32_t)d : (uint32_t)d;
        /* A jump of ten seconds is no jitter but another clock. */
        if (distance < clock_rate * 10u)
            r->jitter_scaled += distance - ((r->jitter_scaled + 8) >> 4);
    }
    r->transit = transit;
    r->has_transit = true;
}

void receive_stats_packet(struct receive_stats *r, int64_t seq, uint32_t timestamp,
                          uint32_t clock_rate, size_t bytes, int64_t now_us)
{
    if (!r->has_begun) {
        r->first_seq = r->highest_seq = seq;
        r->has_begun = true;
    }
    r->first_seq = MIN(r->first_seq, seq); /* the first ones may come out of order */
    r->highest_seq = MAX(r->highest_seq, seq);
    r->received++;
    r->packets++;
    r->bytes += bytes;
    update_jitter(r, timestamp, clock_rate, now_us);
}

static int64_t expected_of(const struct receive_stats *r)
{
    return r->has_begun ? r->highest_seq - r->first_seq + 1 : 0;
}

void receive_stats_restart(struct receive_stats *r)
{
    *r = (struct receive_stats){
        .packets = r->packets,
        .recovered = r->recovered,
        .bytes = r->bytes,
        .lost_former = receive_stats_lost(r),
    };
}

int64_t receive_stats_lost(const struct receive_stats *r)
{
    return r->lost_former + expected_of(r) - (int64_t)r->received;
}

void receive_stats_report(struct receive_stats *r, struct rtcp_report *out)
{
    int64_t expected = expected_of(r);
    int64_t expected_now = expected - r->expected_before;
    int64_t lost_now = expected_now - (int64_t)(r->received - r->received_before);
    r->fraction_lost =
        expected_now > 0 && lost_now > 0 ? (uint8_t)MIN(lost_now * 256 / expected_now, 255) : 0;
    r->expected_before = expected;
    r->received_before = r->received;
    out->fraction_lost = r->fraction_lost;
    out->cumulative_lost = (int32_t)CLAMP(expected - (int64_t)r->received, LOST_MIN, LOST_MAX);
    out->highest_seq = (uint32_t)r->highest_seq;
    out->jitter = r->jitter_scaled >> 4;
}
