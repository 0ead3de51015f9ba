/*
 * twcc: a circle of arrival times. A report covers [next, highest]; a packet that comes after it
 * was reported lost moves `next` back, so that the following report corrects the former.
 */
#include "sfu/congestion/twcc.h"

#define REPORT_MAX 512 /* packets in one feedback: its header and deltas stay within a datagram */

void twcc_receiver_init(struct twcc_receiver *t)
{
    *t = (struct twcc_receiver){.due_us = INT64_MAX};
    for (size_t i = 0; i < TWCC_WINDOW; i++)
        t->arrivals[i] = RTCP_TWCC_LOST;
}

static inline int64_t *arrival_at(struct twcc_receiver *t, int64_t seq)
{
    return &t->arrivals[seq & (TWCC_WINDOW - 1)];
}

static void advance(struct twcc_receiver *t, int64_t seq)
{
    if (seq - t->highest >= TWCC_WINDOW) { /* a jump: what lay before it is forgotten */
        twcc_receiver_init(t);
        t->has_begun = true;
        t->next = seq;
    } else {
        for (int64_t s = t->highest + 1; s < seq; s++)
            *arrival_at(t, s) = RTCP_TWCC_LOST;
        t->next = MAX(t->next, seq - TWCC_WINDOW + 1);
    }
    t->highest = seq;
}

void twcc_receiver_packet(struct twcc_receiver *t, uint16_t seq16, int64_t now_us)
{
    int64_t seq = t->has_begun ? t->highest + (int16_t)(seq16 - (uint16_t)t->highest)
                               : 0x10000 + (int64_t)seq16;
    if (!t->has_begun) {
        t->has_begun = true;
        t->highest = t->next = seq;
    } else if (seq > t->highest) {
        advance(t, seq);
    } else if (seq <= t->highest - TWCC_WINDOW || *arrival_at(t, seq) != RTCP_TWCC_LOST) {
        return; /* too old, or a copy */
    } else if (seq < t->next) {
        if (t->highest - seq > TWCC_REPEAT_MAX)
            return;
        t->next = seq;
    }
    *arrival_at(t, seq) = now_us;
    if (t->due_us == INT64_MAX)
        t->due_us = now_us + TWCC_INTERVAL_US;
}

bool twcc_receiver_write(struct twcc_receiver *t, struct writer *w, uint32_t sender_ssrc,
                         uint32_t media_ssrc)
{
    t->due_us = INT64_MAX;
    if (!t->has_begun || t->next > t->highest)
        return false;
    int64_t arrivals[REPORT_MAX] __attribute__((uninitialized));
    /* A feedback begins at most so far before a packet that arrived; highest did. */
    while (*arrival_at(t, t->next) == RTCP_TWCC_LOST && t->highest - t->next >= REPORT_MAX / 2)
        t->next++;
    size_t count = (size_t)MIN(t->highest - t->next + 1, REPORT_MAX);
    for (size_t i = 0; i < count; i++)
        arrivals[i] = *arrival_at(t, t->next + (int64_t)i);
    size_t covered = rtcp_write_twcc(w, &(struct rtcp_twcc){
                                            .sender_ssrc = sender_ssrc,
                                            .media_ssrc = media_ssrc,
                                            .base_seq = (uint16_t)t->next,
                                            .feedback_count = t->feedback_count,
                                            .packet_count = (uint16_t)count,
                                            .arrival_us = arrivals,
                                        });
    if (covered == 0)
        return false;
    t->feedback_count++;
    t->next += (int64_t)covered;
    return true;
}
