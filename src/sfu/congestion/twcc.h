/*
 * twcc: when each packet of a transport arrived, reported back to its sender every 50 ms
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01). Every packet that carries a transport-wide
 * sequence number is noted before anything else is asked about it: what is left out looks like loss
 * to the sender's bandwidth estimator.
 */
#pragma once

#include "sfu/wire/rtcp.h"

#define TWCC_INTERVAL_US 50000
#define TWCC_WINDOW 2048    /* arrivals remembered; a power of two */
#define TWCC_REPEAT_MAX 512 /* a packet later than this many is not reported again */

struct twcc_receiver {
    int64_t arrivals[TWCC_WINDOW]; /* by sequence number; RTCP_TWCC_LOST: none */
    int64_t highest;               /* unwrapped */
    int64_t next;                  /* first one to report */
    int64_t due_us;                /* INT64_MAX: nothing to report */
    uint8_t feedback_count;
    bool has_begun;
};

void twcc_receiver_init(struct twcc_receiver *t);
void twcc_receiver_packet(struct twcc_receiver *t, uint16_t seq, int64_t now_us);
/*
 * Appends one feedback for what came since the last; false: nothing (more) to report, or no room.
 * Call until it is false, with a fresh packet each time.
 */
bool twcc_receiver_write(struct twcc_receiver *t, struct writer *w, uint32_t sender_ssrc,
                         uint32_t media_ssrc);
