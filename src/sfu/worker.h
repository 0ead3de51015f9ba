/*
 * worker: one thread's share of the engine, as the rest of the engine sees it. Everything here is
 * touched by that thread alone, but for the inbox, the wake flag and the counters.
 */
#pragma once

#include <stdatomic.h>

#include "core/list.h"
#include "core/log.h"
#include "core/map.h"
#include "sfu/counters.h"
#include "sfu/deadline.h"
#include "sfu/directory.h"
#include "sfu/mail.h"
#include "sfu/outgoing.h"
#include "sfu/ring.h"
#include "sfu/route/layer.h"
#include "sfu/sfu.h"
#include "sfu/tuples.h"

struct peer;
struct track;
struct consumer;

struct sfu {
    struct sfu_options opt; /* every default filled in; io not kept */
    struct dtls_context *dtls;
    struct directory *directory;
    struct sfu_worker **workers; /* [worker_count] */
    /* rings[from * worker_count + to]; made by the writer when first needed. */
    _Atomic(struct ring *) *rings;
    bool is_closing; /* sfu_destroy: nobody is told anything any more */
};

struct sfu_worker {
    struct sfu *sfu;
    unsigned index;
    struct sfu_worker_io io;
    int64_t now_us;
    uint64_t random; /* state; for numbers that need no secrecy */
    struct counters counters;
    struct outgoing out;
    struct buf_pool *pool;
    _Atomic size_t pool_used; /* for other threads' eyes */

    struct peer **peers; /* [max_peers + 1], by directory slot */
    _Atomic size_t peer_count;
    struct tuples tuples;
    struct deadlines deadlines;

    struct map *tracks;      /* key: peer and number -> struct track, local and mirrored */
    struct list track_list;  /* the same, to walk */
    struct track **mirrors;  /* by handle; [0] unused */
    size_t mirrors_capacity; /* a multiple of 64 */
    struct list dirty_tracks;
    struct list dirty_peers;
    struct map64 *rooms; /* room -> struct speakers, of the rooms ranked here */
    int64_t next_track_tick_us;
    int64_t next_speakers_us;

    struct inbox inbox;
    atomic_bool is_armed;             /* a post must wake the thread */
    uint64_t rings_written;           /* bit per worker: publish at the end of the batch */
    bool has_claimed;                 /* mail for a new peer waits in the inbox */
    struct consumer_scratch *scratch; /* of route/consumer.c */
    const struct log_scope *log;
};

/* ---- worker.c ---- */

struct sfu_worker *sfu_worker_create(struct sfu *sfu, unsigned index,
                                     const struct sfu_worker_io *io);
void sfu_worker_destroy(struct sfu_worker **w);

static inline void sfu_count(struct sfu_worker *w, enum sfu_counter which, uint64_t n)
{
    counters_add(&w->counters, which, n);
}
void sfu_emit(struct sfu_worker *w, const struct sfu_event *event);
uint32_t sfu_random_u32(struct sfu_worker *w);
static inline struct peer *sfu_find_peer_at(const struct sfu_worker *w, sfu_peer_id id)
{
    return w->peers[directory_slot(id)];
}

/* To another worker (or this one: it comes at the next poll). Takes the mail; any thread. */
void sfu_mail_worker(struct sfu *sfu, unsigned to, struct mail *mail);
/* To whichever worker has the peer. */
MUST_USE enum err sfu_mail_peer(struct sfu *sfu, struct mail *mail);
/* To all workers but this one: the same message without payload but `address`. */
void sfu_mail_others(struct sfu_worker *w, enum mail_type type, sfu_peer_id peer,
                     const struct sfu_address *address);

/* A message of n bytes in the ring to another worker, published at the end of the batch. NULL: the
 * ring is full. */
void *sfu_ring_write(struct sfu_worker *w, unsigned to, uint32_t n);

/* What travels by ring. */
enum ring_type { RING_DATAGRAM = 1, RING_MEDIA };
struct ring_datagram {
    uint32_t type;
    uint32_t n;
    sfu_peer_id peer;
    struct sfu_address from;
    uint32_t from_worker;
    uint8_t bytes[];
};
struct ring_media {
    uint32_t type;
    uint32_t mirror;  /* handle */
    sfu_peer_id peer; /* the publisher: guards against a handle that was given anew */
    uint32_t number;  /* likewise the track's */
    uint32_t generation;
    uint16_t n; /* of the packet, which follows the media */
    uint8_t layer;
    struct media media;
    uint8_t bytes[];
};

/* ---- worker_mail.c ---- */

void sfu_worker_read_mail(struct sfu_worker *w);

/* ---- worker_forward.c ---- */

/* Sends on what the batch brought: to mirrors, and subscriber by subscriber. */
void sfu_worker_forward(struct sfu_worker *w);
/* A packet of a mirrored track, from the ring. */
void sfu_worker_take_media(struct sfu_worker *w, const struct ring_media *m, uint32_t n);

/* ---- worker_rooms.c: who speaks ---- */

void sfu_worker_level(struct sfu_worker *w, uint64_t room, sfu_peer_id peer, uint32_t track,
                      float level);
void sfu_worker_heard(struct sfu_worker *w, const struct mail *mail);
void sfu_worker_rank_speakers(struct sfu_worker *w);
