/*
 * conference: an engine, its clients and the network between them, in virtual time. People join
 * with two connections each, as browsers do: one publishes, one subscribes. Every step is a
 * millisecond; nothing waits for anything real.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "client.h"

#define CONFERENCE_PEOPLE 16
#define CONFERENCE_CLIENTS (2 * CONFERENCE_PEOPLE)
#define CONFERENCE_WORKERS 4
#define CONFERENCE_ROOM 77

struct person_track {
    uint32_t number; /* of the producer */
    bool is_audio;
    enum sfu_codec codec;
};

struct conference;

struct person {
    struct client *publisher;
    struct client *subscriber;
    sfu_peer_id publisher_id;
    sfu_peer_id subscriber_id;
    unsigned track_count;
    struct person_track tracks[CLIENT_TRACKS];
    uint32_t next_consumer;
    bool is_without_rtx;
};

/* With is_threaded each worker has a thread: in every step all of them work at once, and meanwhile
 * the test's own thread may use the control plane. */
struct conference_threads {
    pthread_mutex_t lock; /* of the network and of what was told */
    pthread_barrier_t begin, end;
    pthread_t threads[CONFERENCE_WORKERS];
    bool is_ending;
    struct net_packet **arrived; /* in this step */
    size_t arrived_count;
    void (*meanwhile)(struct conference *f); /* on the test's thread, once a step */
};

struct conference {
    struct sfu *sfu;
    struct net net;
    struct net_link down; /* to clients */
    struct net_link up;
    struct dtls_context *context; /* of all clients */
    int64_t now_us;
    unsigned worker_count;
    unsigned client_count;
    struct client *clients[CONFERENCE_CLIENTS];
    unsigned lands_on[CONFERENCE_CLIENTS]; /* worker that this client's datagrams reach */
    unsigned person_count;
    struct person people[CONFERENCE_PEOPLE];
    struct sfu_worker_io io[CONFERENCE_WORKERS];
    struct conference_worker {
        struct conference *conference;
        unsigned index;
        atomic_bool is_woken;
    } workers[CONFERENCE_WORKERS];
    /* What the engine told. */
    unsigned events[32];
    struct sfu_event last[32];
    struct sfu_speaker speakers[SFU_MAX_SPEAKERS];
    size_t speaker_count;
    struct sfu_peer_stats stats;
    struct sfu_track_stats rows[64];
    uint64_t datagrams_sent;
    uint64_t bytes_sent;
    uint64_t messages_sent;
    uint64_t bytes_to_strangers;
    struct conference_threads *threads; /* NULL: one thread plays all workers */
};

struct conference_options {
    uint64_t seed; /* 0: 1 */
    unsigned worker_count;
    struct net_link link; /* both ways; zero: 10 ms, clean */
    size_t ring_bytes;
    size_t max_peers;
    int64_t consent_timeout_us;
    bool is_threaded;
    void (*meanwhile)(struct conference *f); /* with is_threaded */
};
void conference_init(struct conference *f, const struct conference_options *opt);
void conference_deinit(struct conference *f);
/* Virtual time passes. */
void conference_run_ms(struct conference *f, int64_t ms);
/* One datagram into the engine, now. */
void conference_inject(struct conference *f, unsigned worker, const struct sfu_address *from,
                       const uint8_t *bytes, size_t n);

struct client *conference_add_client(struct conference *f, const struct sfu_peer_options *opt,
                                     unsigned lands_on, sfu_peer_id *id);
struct person_options {
    unsigned video_layers; /* 0: no video */
    enum sfu_codec codec;  /* NONE: VP8 */
    bool has_audio;
    bool has_screen;     /* a second video, of one layer, without rids */
    bool is_without_rtx; /* as subscriber */
    unsigned publisher_worker;
    unsigned subscriber_worker;
};
struct person *conference_join(struct conference *f, const struct person_options *opt);
/* `who` gets a track of `from`. */
struct client_receiver *conference_subscribe(struct conference *f, struct person *who,
                                             const struct person *from, unsigned track);
/* Everyone gets everything. */
void conference_subscribe_all(struct conference *f);
uint32_t conference_last_consumer(const struct person *who);
struct client_receiver *conference_receiver(struct person *who, unsigned index);
uint64_t conference_counter(const struct conference *f, enum sfu_counter counter);
/* A fresh snapshot of a peer is in f->stats and f->rows. */
void conference_ask_stats(struct conference *f, sfu_peer_id peer);
/* Fails the test with the first fault of any client. */
void conference_assert_faultless(const struct conference *f);
/* All loss stops, and what is missing comes: then nothing is missing. */
void conference_settle(struct conference *f);

/* ---- threads.c ---- */
void conference_threads_start(struct conference *f, void (*meanwhile)(struct conference *f));
void conference_threads_stop(struct conference *f);
void conference_threads_step(struct conference *f, struct net_packet **arrived, size_t count);
/* One worker's part of a step. */
void conference_step_worker(struct conference *f, unsigned worker, struct net_packet **arrived,
                            size_t count);
static inline void conference_lock(struct conference *f)
{
    if (f->threads)
        pthread_mutex_lock(&f->threads->lock);
}
static inline void conference_unlock(struct conference *f)
{
    if (f->threads)
        pthread_mutex_unlock(&f->threads->lock);
}
