/*
 * bus_redis_internal: what the files of the Redis driver share.
 *
 * A channel is a stream (durable parcels) and a pub/sub channel (the others) of one name; all names
 * have one hash tag, so that a cluster keeps them on one node and one command may read several
 * streams. Three threads:
 *   hearing  has the two connections that block: XREAD over all streams of interest, from where we
 *            are in each, and SUBSCRIBE. It says bus_link_up and bus_link_down.
 *   serving  reads for the groups that this process owns, as the hearing thread tells it that there
 *            is something.
 *   keeping  renews ownership, which must not wait for handlers; trims; measures lag.
 * All else goes over the shared connection (redis.h).
 */
#pragma once

#include <pthread.h>

#include "bus/bus_internal.h"
#include "core/list.h"
#include "core/map.h"
#include "redis/redis.h"

#define BUS_REDIS_KEY_MAX (BUS_TOPIC_MAX + 32)
#define BUS_REDIS_TAG "{parlance}:"

/* "1700000000000-3" */
struct stream_id {
    uint64_t ms, seq;
};
#define STREAM_ID_SIZE 44

/* A channel that this process hears, serves a group of, or sends to. Stays until close. */
struct redis_channel {
    struct list node;
    char *name;
    char key[BUS_REDIS_KEY_MAX];
    struct stream_id cursor; /* read up to here */
    bool has_cursor;
    bool is_heard;      /* wanted, by broadcast */
    bool is_watched;    /* a group of it is served here */
    bool is_subscribed; /* as the server was told */
    bool is_confirmed;  /* as it said */
    bool is_full;       /* too much waits in it: nothing more is sent */
};

enum redis_group_state { GROUP_IDLE, GROUP_RECOVERING, GROUP_READING };

struct redis_group {
    struct list node;
    struct redis_channel *channel;
    char *name;
    char owner_key[BUS_REDIS_KEY_MAX];
    bool is_joined;
    bool is_owner;
    int64_t owned_until_us;
    /* the serving thread's: */
    enum redis_group_state state;
    struct stream_id recovered; /* what is pending was looked at up to here */
    int64_t try_at_us;          /* to become the owner */
    /* guarded by lock: */
    size_t in_hand; /* given to handlers, not settled */
};

/* One that was given to handlers, or whose confirmation did not get through. */
struct redis_receipt {
    struct redis_group *group;
    struct stream_id id;
    bool is_settled; /* to be confirmed (again) */
};

struct bus_impl {
    struct bus_link *link;
    struct redis *client;
    const char *tag_key; /* any key: for the node that has them all */
    char self[BUS_PROCESS_MAX + 16];
    int64_t owner_ms;
    pthread_t hearing, serving, keeping;
    bool is_started;
    int stop_fd, wake_fd; /* of the hearing thread */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* the serving thread has work; a join was done; a confirmation came */
    /* guarded by lock: */
    bool is_stopping, is_linked;
    bool is_quiet; /* nothing is taken any more */
    bool has_work;
    int64_t reader_id; /* CLIENT ID of the connection that blocks; 0: none */
    struct list channels, groups;
    struct map64 *receipts; /* number -> struct redis_receipt */
    uint64_t last_receipt;
    size_t confirming; /* XACKs on their way */
};

/* ---- bus_redis.c ---- */

/* Sync, over the shared connection. */
enum err bus_redis_call(struct bus_impl *b, const struct str *argv, size_t argc,
                        struct arena *arena, const struct redis_reply **reply);
#define BUS_REDIS_CALL(b, arena, reply, ...)                                                \
    bus_redis_call((b), (const struct str[]){__VA_ARGS__},                                  \
                   sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str), (arena), \
                   (reply))
bool stream_id_parse(struct str text, struct stream_id *out);
struct str stream_id_text(struct stream_id id, char out[STREAM_ID_SIZE]);
bool stream_id_is_less(struct stream_id a, struct stream_id b);
/* Lock held. Made when it is not there; NULL: its name does not fit. */
struct redis_channel *bus_redis_channel(struct bus_impl *b, const char *name);
struct redis_channel *bus_redis_channel_of_key(struct bus_impl *b, struct str key);
void bus_redis_wake_serving(struct bus_impl *b);
/* The parcel in an entry [id, [field, value, ...]] of a stream. */
bool bus_redis_entry(const struct redis_reply *entry, struct stream_id *id, struct str *parcel);

/* ---- bus_redis_hear.c ---- */

void *bus_redis_hear_main(void *arg);
/* Waits until the server knows, unless called by the hearing thread itself. */
void bus_redis_heard_changed(struct bus_impl *b, struct redis_channel *channel);

/* ---- bus_redis_serve.c ---- */

void *bus_redis_serve_main(void *arg);
/* The group exists; `from` "$": what comes from now on, "0": all that is there. */
enum err bus_redis_make_group(struct bus_impl *b, const char *key, const char *group,
                              const char *from);
void bus_redis_settle(struct bus_impl *b, uint64_t receipt);
/* What it has in hand is another's. */
void bus_redis_forget_group(struct bus_impl *b, struct redis_group *g);

/* ---- bus_redis_keep.c ---- */

void *bus_redis_keep_main(void *arg);
/* ERR_OK: we own it for owner_ms. ALREADY_EXISTS: another does. */
enum err bus_redis_own(struct bus_impl *b, struct redis_group *g);
void bus_redis_disown(struct bus_impl *b, struct redis_group *g);
