/*
 * server_internal: a server is a listener and one shard per loop; a shard owns the connections of
 * its loop and what they share. A connection speaks a protocol (HTTP, then perhaps WebSocket, in
 * the end lingering), which is a table of functions; switching protocols is switching the table.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "core/list.h"
#include "net/metrics_internal.h"
#include "net/server.h"
#include "net/stream.h"

struct conn;
struct http_exchange;
struct http_shard;
struct ws;
struct ws_delivery;
struct ws_shard;

struct conn_protocol {
    struct stream_handler stream;          /* on_closed must end in conn_free */
    void (*on_timeout)(struct conn *conn); /* the deadline has passed */
    void (*on_drain)(struct conn *conn);   /* the server is stopping */
};

struct shard {
    struct net_server *server;
    struct loop *loop;
    struct stream_io *io;
    uint32_t id; /* in tickets; never reused for another shard */
    bool is_draining;
    bool is_stopping;    /* all connections are being aborted */
    struct list conns;   /* all */
    struct list pending; /* before their first whole request, oldest first */
    size_t pending_count;
    struct conn **slots; /* by slot; NULL: free */
    uint32_t slot_count;
    uint32_t *free_slots; /* a stack */
    uint32_t free_slot_count;
    uint64_t last_generation;
    int64_t drain_us; /* WebSockets are told to go until then */
    struct http_shard *http;
    struct ws_shard *ws;
    struct ws_delivery *deliveries; /* multicasts of this turn, oldest first */
    struct ws_delivery *deliveries_last;
    struct ws_slices *slices; /* multicasts to very many, oldest first: a part of them each turn */
    struct ws_slices *slices_last;
};

struct conn {
    struct stream stream; /* must be first: see conn_of */
    struct shard *shard;
    struct ws *ws;
    uint64_t generation; /* of the request or WebSocket a ticket may name; 0: none */
    uint32_t slot;
    const struct conn_protocol *protocol;
    struct list node;
    struct list pending_node;
    struct loop_timer timer;
    int64_t deadline_us; /* 0: none; the timer may be due earlier, never later */
    struct net_address address;
    /* HTTP */
    uint32_t head_at;               /* where the search for the head's end stands */
    bool is_http_busy;              /* in on_bytes: answers need not wake the stream */
    int64_t head_deadline_us;       /* 0: no head has begun */
    struct http_exchange *exchange; /* the request being read or answered */
};

static inline struct conn *conn_of(struct stream *s)
{
    return CONTAINER_OF(s, struct conn, stream);
}

struct net_server {
    const char *name;
    struct http_options http;
    struct net_tls *tls;
    struct shard *shards;
    size_t shard_count;
    struct listener *listener;
    size_t connections_max;
    bool is_sharing; /* connections_max is what the descriptors allow, for all servers together */
    size_t pending_max; /* per shard */
    atomic_size_t connection_count;
    /* What net_server_drain and _destroy wait for. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_waited_for; /* under lock */
};

/* server.c; any thread */
/* Counts a newcomer; false: there is no place for it. */
MUST_USE bool net_server_admit(struct net_server *server);
/* One who was admitted is gone. */
void net_server_left(struct net_server *server);

/* shard.c; on the loop where not said otherwise */
void shard_init(struct shard *shard, struct net_server *server, struct loop *loop);
/* When it has no connections any more. */
void shard_deinit(struct shard *shard);
/* NULL when it is gone. On the shard's own loop, where it cannot go meanwhile. */
struct shard *shard_find(uint32_t id);
/* The live connection with this request or WebSocket, or NULL; on its loop. */
struct conn *shard_ticket_conn(struct net_ticket ticket);
static inline struct conn *shard_conn(const struct shard *shard, struct net_ticket ticket)
{
    struct conn *conn = ticket.slot < shard->slot_count ? shard->slots[ticket.slot] : NULL;
    return conn && ticket.generation && conn->generation == ticket.generation ? conn : NULL;
}
void shard_drain(struct shard *shard, int64_t timeout_ms);
void shard_stop(struct shard *shard);

/* conn.c; all on the shard's loop */
/* Takes the accepted socket. */
void conn_create(struct shard *shard, int fd, const struct net_address *address);
/* The end of every protocol's on_closed. */
void conn_free(struct conn *conn);
void conn_set_protocol(struct conn *conn, const struct conn_protocol *protocol);
/* on_timeout when this moment has passed; 0: never. Cheap: moving it later costs nothing. */
void conn_set_deadline(struct conn *conn, int64_t deadline_us);
/* The first whole request is in: no longer the first to go when it gets crowded. */
void conn_is_known(struct conn *conn);
/* Sends what is queued, then closes, with a little patience for the peer to read it. */
void conn_linger(struct conn *conn);
static inline int64_t conn_now_us(const struct conn *conn)
{
    return loop_now_us(conn->shard->loop);
}
/* Names what the connection does from now on. */
void conn_new_generation(struct conn *conn);
struct net_ticket conn_ticket(const struct conn *conn);

/* listener.c */
enum err listener_create(struct listener **out, struct net_server *server,
                         const struct net_server_options *opt);
uint16_t listener_port(const struct listener *listener);
/* Stops listening; safe to call twice. Not from a loop. */
void listener_stop(struct listener *listener);
/* Not from a loop. */
void listener_destroy(struct listener **listener);

/* http.c */
extern const struct conn_protocol http_protocol;
struct http_shard *http_shard_create(struct shard *shard);
void http_shard_destroy(struct http_shard **http);
void http_conn_start(struct conn *conn);

/* ws.c */
struct ws_shard *ws_shard_create(void);
void ws_shard_destroy(struct ws_shard **ws);
/* ws_multicast.c */
void ws_multicast_drop(struct shard *shard);
