/*
 * shard: one server's part on one loop: its connections, the slots by which tickets name them, and
 * what they share. A process-wide registry maps a ticket's shard number to the shard, so that a
 * ticket needs no pointer: a worker may answer long after the server is gone.
 */
#include <assert.h>
#include <string.h>

#include "core/mem.h"
#include "net/server_internal.h"

#define SHARDS_MAX 1024

/* Index = id % SHARDS_MAX. The lock keeps a shard from vanishing while another thread posts to its
 * loop; it is held for a post, never longer. On its own loop a shard is found without: it is put in
 * and taken out there. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    _Atomic uint32_t id; /* 0: free */
    struct shard *_Atomic shard;
} registry[SHARDS_MAX];
static uint32_t last_id;

static uint32_t registry_add(struct shard *shard)
{
    uint32_t id = 0;
    pthread_mutex_lock(&registry_lock);
    for (int tries = 0; tries < SHARDS_MAX && !id; tries++) {
        last_id++;
        if (last_id != 0 && !registry[last_id % SHARDS_MAX].id)
            id = last_id;
    }
    assert(id != 0);
    registry[id % SHARDS_MAX].shard = shard;
    registry[id % SHARDS_MAX].id = id;
    pthread_mutex_unlock(&registry_lock);
    return id;
}

static void registry_remove(uint32_t id)
{
    pthread_mutex_lock(&registry_lock);
    registry[id % SHARDS_MAX].id = 0;
    registry[id % SHARDS_MAX].shard = NULL;
    pthread_mutex_unlock(&registry_lock);
}

struct shard *shard_find(uint32_t id)
{
    bool is_there =
        id && atomic_load_explicit(&registry[id % SHARDS_MAX].id, memory_order_acquire) == id;
    return is_there ? atomic_load_explicit(&registry[id % SHARDS_MAX].shard, memory_order_relaxed)
                    : NULL;
}

void net_ticket_post(struct net_ticket ticket, loop_fn *fn, void *arg)
{
    pthread_mutex_lock(&registry_lock);
    struct shard *shard = shard_find(ticket.shard); /* stays, under the lock */
    if (shard)
        loop_post(shard->loop, fn, arg);
    pthread_mutex_unlock(&registry_lock);
    if (!shard)
        fn(arg);
}

struct conn *shard_ticket_conn(struct net_ticket ticket)
{
    struct shard *shard = shard_find(ticket.shard);
    if (!shard)
        return NULL;
    LOOP_ASSERT(shard->loop);
    return shard_conn(shard, ticket);
}

void shard_init(struct shard *shard, struct net_server *server, struct loop *loop)
{
    *shard = (struct shard){.server = server, .loop = loop};
    list_init(&shard->conns);
    list_init(&shard->pending);
    shard->io = stream_io_create(loop);
    shard->http = http_shard_create(shard);
    shard->ws = ws_shard_create();
    shard->id = registry_add(shard);
}

void shard_deinit(struct shard *shard)
{
    registry_remove(shard->id);
    assert(list_is_empty(&shard->conns));
    ws_multicast_drop(shard);
    stream_io_destroy(&shard->io);
    http_shard_destroy(&shard->http);
    ws_shard_destroy(&shard->ws);
    free(shard->slots);
    free(shard->free_slots);
}

void shard_drain(struct shard *shard, int64_t timeout_ms)
{
    shard->is_draining = true;
    shard->drain_us = loop_now_us(shard->loop) + timeout_ms * 1000 / 2;
    LIST_FOREACH(&shard->conns, node)
    {
        struct conn *conn = LIST_ENTRY(node, struct conn, node);
        conn->protocol->on_drain(conn);
    }
}

void shard_stop(struct shard *shard)
{
    shard->is_draining = shard->is_stopping = true;
    LIST_FOREACH(&shard->conns, node)
    stream_abort(&LIST_ENTRY(node, struct conn, node)->stream);
}
