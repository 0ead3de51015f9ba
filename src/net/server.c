/*
 * server: puts a listener and its shards together, and takes them apart again in the right order:
 * stop listening, let connections end (drain) or end them (destroy), wait until the last one is
 * really gone, free.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/thread.h"
#include "net/server_internal.h"

/* Descriptors that stay free for everything but connections: databases, files, peers. */
#define RESERVED_DESCRIPTORS 256
#define PENDING_MAX 4096

static void set_defaults(struct http_options *http)
{
    http->error_content_type = http->error_content_type ?: "application/json";
    http->fixed_headers = http->fixed_headers ?: "";
    http->body_max_bytes = http->body_max_bytes ?: 64 * 1024;
    http->head_ms = http->head_ms ?: 10000;
    http->idle_ms = http->idle_ms ?: 75000;
    http->body_grace_ms = http->body_grace_ms ?: 10000;
    http->body_min_bytes_per_second = http->body_min_bytes_per_second ?: 1024;
    http->send_stall_ms = http->send_stall_ms ?: 30000;
}

static size_t connections_by_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return 1000000;
    size_t total = limit.rlim_cur;
    return total > 2 * RESERVED_DESCRIPTORS ? total - RESERVED_DESCRIPTORS : MAX(total / 2, 1);
}

static atomic_size_t all_count; /* connections of all servers of the process */

bool net_server_admit(struct net_server *server)
{
    size_t own = atomic_fetch_add(&server->connection_count, 1);
    size_t all = atomic_fetch_add(&all_count, 1);
    if ((server->is_sharing ? all : own) < server->connections_max) {
        net_connections_add(server->name, 1);
        return true;
    }
    atomic_fetch_sub(&all_count, 1);
    atomic_fetch_sub(&server->connection_count, 1);
    return false;
}

void net_server_left(struct net_server *server)
{
    net_connections_add(server->name, -1);
    atomic_fetch_sub(&all_count, 1);
    /* Under the lock, or the waiter could free the server between the count and the signal. */
    pthread_mutex_lock(&server->lock);
    if (atomic_fetch_sub(&server->connection_count, 1) == 1 && server->is_waited_for)
        pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

struct shard_start {
    struct shard *shard;
    struct net_server *server;
    struct loop *loop;
};

static void start_shard(void *arg)
{
    struct shard_start *s = arg;
    shard_init(s->shard, s->server, s->loop);
}

static void stop_shard(void *arg)
{
    shard_stop(arg);
}

static void end_shard(void *arg)
{
    shard_deinit(arg);
}

struct shard_drain_call {
    struct shard *shard;
    int64_t timeout_ms;
};

static void drain_shard(void *arg)
{
    struct shard_drain_call *call = arg;
    shard_drain(call->shard, call->timeout_ms);
}

enum err net_server_create(struct net_server **out, const struct net_server_options *opt)
{
    struct net_server *server = mem_new(struct net_server);
    server->name = opt->name ?: "http";
    net_connections_add(server->name, 0); /* seen from the start, not from the first on */
    net_ws_add(0);
    server->http = opt->http;
    set_defaults(&server->http);
    server->tls = opt->tls;
    server->is_sharing = opt->connections_max == 0;
    server->connections_max = opt->connections_max ?: connections_by_descriptors();
    size_t pending_max = opt->pending_max ?: MIN(server->connections_max, (size_t)PENDING_MAX);
    server->pending_max = (pending_max + opt->loop_count - 1) / opt->loop_count;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    server->shard_count = opt->loop_count;
    server->shards = mem_calloc(opt->loop_count, sizeof(*server->shards));
    for (size_t i = 0; i < opt->loop_count; i++)
        loop_call(opt->loops[i], start_shard,
                  &(struct shard_start){&server->shards[i], server, opt->loops[i]});
    enum err err = listener_create(&server->listener, server, opt);
    if (err)
        net_server_destroy(&server);
    *out = server;
    return err;
}

uint16_t net_server_port(const struct net_server *server)
{
    return listener_port(server->listener);
}

size_t net_server_connections(const struct net_server *server)
{
    return atomic_load(&((struct net_server *)server)->connection_count);
}

/* Waits until no connection is left or the time is up; timeout_ms < 0: for ever. */
static size_t wait_for_none(struct net_server *server, int64_t timeout_ms)
{
    int64_t until_us = clock_mono_us() + timeout_ms * 1000;
    pthread_mutex_lock(&server->lock);
    server->is_waited_for = true;
    bool is_over = false;
    while (atomic_load(&server->connection_count) > 0 && !is_over)
        if (timeout_ms < 0)
            pthread_cond_wait(&server->changed, &server->lock);
        else
            is_over = !thread_wait_until(&server->changed, &server->lock, until_us);
    size_t left = atomic_load(&server->connection_count);
    server->is_waited_for = false;
    pthread_mutex_unlock(&server->lock);
    return left;
}

size_t net_server_drain(struct net_server *server, int64_t timeout_ms)
{
    listener_stop(server->listener);
    for (size_t i = 0; i < server->shard_count; i++)
        loop_call(server->shards[i].loop, drain_shard,
                  &(struct shard_drain_call){&server->shards[i], timeout_ms});
    return wait_for_none(server, MAX(timeout_ms, 0));
}

void net_server_destroy(struct net_server **server)
{
    struct net_server *s = *server;
    if (!s)
        return;
    /* Sockets handed over before this reach their shard before it is stopped: posts keep order. */
    listener_destroy(&s->listener);
    for (size_t i = 0; i < s->shard_count; i++)
        loop_call(s->shards[i].loop, stop_shard, &s->shards[i]);
    wait_for_none(s, -1);
    for (size_t i = 0; i < s->shard_count; i++)
        loop_call(s->shards[i].loop, end_shard, &s->shards[i]);
    free(s->shards);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *server = NULL;
}
