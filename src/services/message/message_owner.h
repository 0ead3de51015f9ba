/*
 * message_owner: which message instance owns which shard. Each counts up a beat in a row of its
 * own; who sees somebody's beat stand still for LEASE_MS takes that one's shards, by counting up
 * their fence (message_shard.h). No clocks are compared, and nothing but the database is asked.
 * Shards are spread evenly: who has more than its part gives some away, who stops gives away all.
 */
#pragma once

#include <pthread.h>

#include "core/loop.h"
#include "core/metric.h"
#include "services/message/message_shard.h"

#define MESSAGE_PEERS_MAX 64

/* Another instance, or this one, as its row was seen. */
struct message_peer {
    char id[MESSAGE_OWNER_SIZE];
    int64_t beat;
    int64_t seen_ms; /* monotonic: when the beat moved last */
    bool is_listed;  /* its row is there */
};

/* A shard's row as it was seen, and what is under way with it. */
struct message_holding {
    char owner[MESSAGE_OWNER_SIZE]; /* "": nobody */
    int64_t fence;
    bool is_moving;  /* taken or given away at this moment */
    bool is_failing; /* the last attempt to take it got no answer: its database is away */
};

struct message_owners {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char me[MESSAGE_OWNER_SIZE];
    struct message_peer peers[MESSAGE_PEERS_MAX];
    struct message_holding holdings[SHARDS_MAX];
    /* of shards that lie in other databases: their rows as they were seen last; fence -1: never */
    char seen_owners[SHARDS_MAX][MESSAGE_OWNER_SIZE];
    int64_t seen_fences[SHARDS_MAX];
    bool is_looking[MESSAGE_BASES_MAX];
    bool is_leaving;
    bool is_beating; /* a beat is on its way */
    unsigned beats;  /* that were answered */
    int64_t looked_ms;
    int64_t viewed_ms; /* the rows were read last */
    struct loop_timer timer;
    int subscription;
};

#define MESSAGE_ALONE "alone:" /* how ids begin of those that nobody can call */
#define MESSAGE_OWNERS_START_MS 6000

/* Until nothing moves after so many beats more, or the time is over. */
void message_owners_settle(struct message_service *svc, unsigned beats, int64_t timeout_ms);
/* message_owner_move.c: a shard that counts as moving is taken, or given to another ("": to nobody,
 * who is free to take it); until it is answered it goes on to count so. */
void message_owner_take(struct message_service *svc, unsigned shard);
void message_owner_give(struct message_service *svc, unsigned shard, const char *to);
/* message_alone.c: whether another lives whom this one cannot call, or that cannot call it. Logged;
 * takes some seconds where rows of killed ones are left. */
bool message_owners_are_apart(struct message_service *svc);

/* Takes part: returns when the shards that are free are taken, if they can be. */
MUST_USE enum err message_owners_start(struct message_service *svc);
/* Gives all shards away to those who live, waits for it a few seconds. */
void message_owners_leave(struct message_service *svc);
void message_owners_stop(struct message_service *svc);
/* Who has the shard, for who asked here in vain; "": not known. */
void message_owner_of(struct message_service *svc, unsigned shard, char out[MESSAGE_OWNER_SIZE]);
/* A beat now. */
void message_owners_look(struct message_service *svc);
