/*
 * engine_world: what engine_fuzz plays in: an engine with two workers, a publisher, a subscriber on
 * its worker and one on the other. ICE is spoken, the DTLS handshake is left out: the keys are put
 * in place. Everything that the engine sends is checked here.
 */
#pragma once

#include <stdlib.h>

#include "sfu/sfu.h"
#include "sfu/transport/srtp.h"

#define WORLD_TIME_MAX_US                                                   \
    20000000 /* the handshake that never comes would be given up after 30 s \
              */
#define WORLD_WORKERS 2

enum { PUBLISHER, SUBSCRIBER, SUBSCRIBER_ELSEWHERE, ENDS };
enum { MICROPHONE = 1, CAMERA, SCREEN, TRACKS_MAX = 60 }; /* each new screen has a new number */
enum {
    ID_MID = 1,
    ID_RID,
    ID_REPAIRED,
    ID_TCC,
    ID_LEVEL,
    ID_ORIENTATION,
    ID_DESCRIPTOR,
    ID_SUB_MID = 12,
    ID_SUB_TCC = 3,
    ID_SUB_LEVEL = 5,
    ID_SUB_DESCRIPTOR = 6,
};

/* One connection from its own side. */
struct end {
    sfu_peer_id id;
    struct sfu_credentials credentials;
    struct sfu_address address;
    unsigned worker;
    bool has_rtx;
    uint16_t last_seq[TRACKS_MAX + 1]; /* of what it got, per track */
    struct sfu_srtp_tx *tx;
    struct sfu_srtp_rx *rx;
};

struct world {
    struct sfu *sfu;
    struct sfu_worker_io io[WORLD_WORKERS];
    int64_t now_us;
    int64_t end_us;
    struct end ends[ENDS];
    struct sfu_address spare; /* a second address of the publisher */
    bool has_screen;
    uint32_t last_track; /* the newest screen */
};

static inline void check(bool ok)
{
    if (!ok)
        abort();
}

void world_init(struct world *w);
/* Everybody goes; then nothing may be left. */
void world_deinit(struct world *w);
uint32_t world_consumer_ssrc(unsigned end, uint32_t track);
void world_publish(struct world *w, uint32_t track);
void world_pass_time(struct world *w, int64_t us);
/* Returns when to be called again. */
int64_t world_poll(struct world *w);
void world_inject(struct world *w, unsigned worker, const struct sfu_address *from,
                  const uint8_t *bytes, size_t n);
/* A right check with its credentials, from that address. */
void world_send_check(struct world *w, struct end *e, const struct sfu_address *from,
                      unsigned worker);
