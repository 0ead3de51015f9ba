/* rate: bits per second over the last two seconds or so, from a byte count that is looked at about
 * once a second. Costs nothing per packet. */
#pragma once

#include "core/base.h"

#define RATE_SAMPLE_US 1000000

struct rate {
    int64_t at_us[2]; /* older, newer sample; 0: none */
    uint64_t bytes[2];
};

static inline void rate_sample(struct rate *r, uint64_t bytes, int64_t now_us)
{
    if (r->at_us[1] && now_us - r->at_us[1] < RATE_SAMPLE_US)
        return;
    r->at_us[0] = r->at_us[1];
    r->bytes[0] = r->bytes[1];
    r->at_us[1] = now_us;
    r->bytes[1] = bytes;
}

static inline uint32_t rate_bps(const struct rate *r, uint64_t bytes, int64_t now_us)
{
    int i = r->at_us[0] && now_us - r->at_us[0] <= 3 * RATE_SAMPLE_US ? 0 : 1;
    int64_t span_us = now_us - r->at_us[i];
    if (!r->at_us[i] || span_us <= 0)
        return 0;
    return (uint32_t)MIN((bytes - r->bytes[i]) * 8000000 / (uint64_t)span_us, UINT32_MAX);
}
