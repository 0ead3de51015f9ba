/*
 * keyframe: when to ask a publisher for a keyframe of one layer. Many subscribers may want one at
 * the same moment; it is asked for once, not again within 0.3 s, and then again, ever more slowly,
 * until it comes.
 */
#pragma once

#include "core/base.h"

#define KEYFRAME_INTERVAL_US 300000
#define KEYFRAME_INTERVAL_MAX_US 2000000

struct keyframe_request {
    bool is_wanted;
    bool has_asked;
    int64_t asked_us;
    int64_t interval_us; /* until the next one may be sent */
    uint8_t fir_seq;
    uint64_t count;
};

static inline void keyframe_want(struct keyframe_request *k)
{
    k->is_wanted = true;
}

/* INT64_MAX: nothing to ask for. */
static inline int64_t keyframe_due_us(const struct keyframe_request *k)
{
    if (!k->is_wanted)
        return INT64_MAX;
    return k->has_asked ? k->asked_us + k->interval_us : INT64_MIN;
}

static inline void keyframe_asked(struct keyframe_request *k, int64_t now_us)
{
    bool is_repeated = k->has_asked && now_us - k->asked_us < 2 * k->interval_us;
    k->interval_us = is_repeated ? MIN(k->interval_us * 3 / 2, (int64_t)KEYFRAME_INTERVAL_MAX_US)
                                 : KEYFRAME_INTERVAL_US;
    k->has_asked = true;
    k->asked_us = now_us;
    k->fir_seq++;
    k->count++;
}

/* The source is there again, or begins anew: what was asked in vain before does not count. */
static inline void keyframe_source_began(struct keyframe_request *k)
{
    k->has_asked = false;
}

static inline void keyframe_came(struct keyframe_request *k)
{
    k->is_wanted = false;
    k->interval_us = KEYFRAME_INTERVAL_US;
}
