/*
 * message: conversations, who belongs to them, and their logs. A conversation is an append-only log
 * with two counters: seq numbers its messages, rev every durable change. Conversations lie in
 * shards (message_shard.h); one writer orders the commits of a shard and stamps each with a log
 * sequence number (lsn), so one cursor per device says what it has seen. Nothing is written per
 * recipient. What happened is published after the commit, at most once: whoever misses an event
 * sees the hole in rev.
 */
#pragma once

#include "bus/bus.h"
#include "core/err.h"
#include "core/loop.h"
#include "edge/edge.h"
#include "services/message/message_base.h"
#include "store/store.h"

struct message_service;

struct message_deps {
    ProtobufCService *user;    /* does an account exist? */
    ProtobufCService *meeting; /* where a conversation's calls are held */
    ProtobufCService *file;    /* what files are, and whose */
    struct store *store;
    struct bus *bus;
    struct loop *loop;           /* for what is done by the clock: the index of search, retention */
    int64_t recall_ms;           /* how long a sender may recall or edit; 0: 24 hours */
    int64_t keep_max_ms;         /* no message is kept longer; 0: no limit */
    int64_t retention_every_ms;  /* how often what is too old is looked for; 0: an hour */
    int64_t group_members_max;   /* 0: 5,000 */
    int64_t channel_members_max; /* 0: 200,000 */
    struct str secret; /* what webhooks' secrets are kept under is made of it; needed in the call */
    bool is_push_wanted;              /* a task of queue "push" with each message */
    int64_t webhook_failing_max_ms;   /* then an outgoing one is disabled; 0: 24 hours */
    int64_t invitation_ms;            /* to groups, until they end; 0: 14 days */
    bool is_adding_contacts_only;     /* into groups: others are invited */
    unsigned shards;                  /* of the log, fixed when the database is made; 0: 1 */
    const struct message_base *bases; /* other databases, and which shards lie there */
    size_t base_count;
    bool has_upstream;    /* changes are facts on the bus, too: BUS_UPSTREAM */
    const char *instance; /* "host:port": where others call this process; NULL: nobody does */
    const char *name;     /* then: of its data directory, the same in its next life; NULL: "" */
};

/* Over a store that is this process's alone it takes all of the log's shards. */
MUST_USE enum err message_create(struct message_service **out, const struct message_deps *deps);
/* The implementations, for rpc_local_create. */
struct message_rules {
    int64_t recall_ms, keep_max_ms;
    bool is_adding_contacts_only;
};
/* Other rules, while it runs. */
void message_set_rules(struct message_service *svc, const struct message_rules *rules);
ProtobufCService *message_rpc(struct message_service *svc);
ProtobufCService *message_group_rpc(struct message_service *svc);
ProtobufCService *message_contact_rpc(struct message_service *svc);
ProtobufCService *message_webhook_rpc(struct message_service *svc);
/* This service as others see it, wherever it runs: for work in shards that others own. Before the
 * bus is started. */
void message_set_peers(struct message_service *svc, ProtobufCService *peers);
/* For rpc_route: which shard a request is about, and whether it is this process's. */
int message_slot(const ProtobufCMessage *request, const struct rpc_call *call, unsigned slot_count);
bool message_owns(void *svc, unsigned slot);
/* Tells on the bus, as "<shard> <instance>", who has taken a shard. */
#define MESSAGE_OWNERS_CHANNEL "message_shards"
/* The process is about to end: long work in the background stops at its next step. */
void message_drain(struct message_service *svc);
/* No event is worked on any more, so nothing calls the peers: before these go. Accepts NULL. */
void message_stop_following(struct message_service *svc);
/* No call may be in flight. Accepts NULL. */
void message_destroy(struct message_service **svc);

struct message_verdict {
    int64_t conversations, messages, revisions;
    int64_t problems;
    struct strbuf text; /* the first hundred problems, a line each; the caller frees it */
};
/*
 * Walks every log from its first line: seq and rev without hole or double, each link of the chain,
 * each content's digest, heads and counts, and that what refers to messages refers to some. One
 * snapshot; ERR_OK with problems counted when the walk itself went well.
 */
MUST_USE enum err message_verify(struct store *store, struct message_verdict *out);

/* After a restore, on a store that no service uses: a new epoch, so that cursors of clients who saw
 * more than the backup has count no more. */
MUST_USE enum err message_restored(struct store *store);

/* A row of message_terms was copied from another engine: what this one keeps beside it. */
MUST_USE enum err message_index_copied(struct store_tx *tx, int64_t lsn, const char *terms);

/* Everything kept of a person: `parlance export`. */
struct export_sink;
/* From one of the databases that the log lies in. */
MUST_USE enum err message_export(struct store *store, const char *user_id,
                                 const struct export_sink *sink);

extern const struct store_migration message_migrations[];
extern const size_t message_migration_count;
extern const struct edge_route_table message_routes, group_routes, contact_routes, webhook_routes;
