/*
 * message_shard: the log is in shards, each with an order (lsn) and a life (epoch) of its own, and
 * each with one owner at a time, who alone appends to it. What makes a process the owner is the
 * fence in the shard's row: whoever takes the shard counts it up, and every commit of an owner
 * checks that it still stands where it stood. So an owner who was frozen and passed over finds its
 * commits failing, whatever it believes.
 *
 * Over a store that this process has to itself (sqlite) all shards are taken once and for all, and
 * with a single shard, the usual case, nothing is written or checked per commit.
 */
#pragma once

#include <stdatomic.h>

#include "core/err.h"
#include "core/id.h"
#include "services/common/shards.h"
#include "services/message/message_base.h"
#include "store/store.h"

struct message_service;
struct message_op;
struct rpc_call;

#define MESSAGE_EPOCH_SIZE ID_SIZE
#define MESSAGE_OWNER_SIZE 128

struct message_shard {
    struct message_service *svc;
    unsigned index;
    const struct message_base *base; /* the database it lies in */
    _Atomic int64_t fence;           /* what makes this process the owner; 0: it is not */
    /* the shard's writer alone touches these */
    int64_t lsn;                    /* last one given */
    int64_t batch_fence;            /* when the batch at hand began; 0: nobody checks */
    char epoch[MESSAGE_EPOCH_SIZE]; /* changes when the log was restored from a backup */
    _Atomic bool is_index_behind;   /* of search: something was sent since */
    _Atomic bool is_index_full;     /* the last batch was */
};

/* Makes the rows of a new database, and takes all shards if nobody else can want them.
 * FAILED_PRECONDITION: the database has another number of shards. */
MUST_USE enum err message_shards_open(struct message_service *svc);
void message_shards_close(struct message_service *svc);

/* Where the conversation of this id or key lies. */
struct message_shard *message_shard_of(struct message_service *svc, const char *key);
bool message_shard_is_here(const struct message_shard *shard);
/* The store's shard for its writes. */
uint32_t message_shard_place(const struct message_shard *shard);
/* Counts the fence up from `seen` in the shard's row; *is_taken: nobody was faster. In a job of the
 * shard's writer; message_shard_taken follows the commit, on the same thread. */
struct message_shard_taking {
    struct message_shard *shard;
    const char *owner;
    int64_t seen;
    bool is_taken;
    int64_t fence, lsn;
};
enum err message_shard_take(struct store_tx *tx, struct message_shard_taking *taking);
void message_shard_taken(const struct message_shard_taking *taking);

/* In a job that changes a shard, before anything else: ERR_ABORTED when it is not ours any more.
 * Until message_shard_end lsns of this shard alone can be had. */
enum err message_shard_begin(struct store_tx *tx, struct message_shard *shard);
void message_shard_end(void);
/* The next one, larger than any before it in the shard, whoever gave that. */
enum err message_take_lsn(struct store_tx *tx, struct message_service *svc, unsigned shard,
                          int64_t *lsn);

/* ---- one number a shard: heads, and what a device has seen ---- */
struct message_heads {
    unsigned count;
    uint64_t missing; /* a bit for each whose database is away: nothing is known of it */
    int64_t lsns[SHARDS_MAX];
    int64_t fences[SHARDS_MAX]; /* 0: there is one owner alone */
    char epochs[SHARDS_MAX][MESSAGE_EPOCH_SIZE];
};
/* The newest lsn of each that a reader of this snapshot can see. */
enum err message_shard_heads(struct store_tx *tx, struct message_service *svc, const char *user_id,
                             struct message_heads *out);
