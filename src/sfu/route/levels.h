/*
 * levels: how loud a track is (from RFC 6464 levels), and who speaks in a room.
 *
 * Loudness here is what people hear and what a meter shows: linear in decibels, 0 at -70 dBov and
 * below, 1 at -10 dBov and above. It is smoothed, rising in some 60 ms and falling in 300 ms.
 */
#pragma once

#include "sfu/route/names.h"

struct loudness {
    float level;
    int64_t at_us; /* last packet; 0: none yet */
};
/* dbov: 0 (loudest) to 127 (silence), of one packet. */
void loudness_packet(struct loudness *l, uint8_t dbov, int64_t now_us);
/* The level now: with no packets it falls. */
float loudness_now(const struct loudness *l, int64_t now_us);

/* ---- who speaks ---- */

#define SPEAKERS_INTERVAL_US 200000 /* between two looks, and so between two events */
#define SPEAKERS_MAX_TRACKS 4096    /* heard in one room */

struct speakers;
struct speakers *speakers_create(void);
void speakers_destroy(struct speakers **s);
/* A track says how loud it is (every 200 ms while it is heard, once more when it falls silent). */
void speakers_heard(struct speakers *s, sfu_peer_id peer, uint32_t track, float level,
                    int64_t now_us);
/* The list to tell, loudest first; returns true when it changed enough to be told. */
bool speakers_look(struct speakers *s, int64_t now_us, struct sfu_speaker out[SFU_MAX_SPEAKERS],
                   size_t *count);
bool speakers_is_empty(const struct speakers *s);
