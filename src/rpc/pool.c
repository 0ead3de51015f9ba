/*
 * pool: one connection an instance, however many services it has. Channels live as long as a proxy
 * knows an instance there.
 */
#include "rpc/pool.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* A process that is frozen, or behind a cut, is left after twice this. */
#define SILENCE_MS 2000

struct rpc_channel *rpc_channel_get(struct rpc_pool *pool, const char *address, uint16_t port)
{
    LIST_FOREACH(&pool->channels, node)
    {
        struct rpc_channel *c = LIST_ENTRY(node, struct rpc_channel, node);
        if (c->port == port && strcmp(c->address, address) == 0) {
            c->refs++;
            return c;
        }
    }
    struct rpc_channel *c = mem_new(struct rpc_channel);
    c->address = mem_strdup(address);
    c->port = port;
    c->refs = 1;
    c->channel = h2_channel_create(&(struct h2_channel_options){.io = pool->io,
                                                                .host = address,
                                                                .port = port,
                                                                .tls = pool->tls,
                                                                .keepalive_ms = SILENCE_MS,
                                                                .ping_timeout_ms = SILENCE_MS,
                                                                .connect_timeout_ms = SILENCE_MS});
    list_add_tail(&pool->channels, &c->node);
    return c;
}

void rpc_channel_unref(struct rpc_channel **channel)
{
    struct rpc_channel *c = *channel;
    *channel = NULL;
    if (!c || --c->refs)
        return;
    list_remove(&c->node);
    h2_channel_destroy(&c->channel);
    free(c->address);
    free(c);
}

struct rpc_pool *rpc_pool_create(const struct rpc_pool_options *opt)
{
    struct rpc_pool *pool = mem_new(struct rpc_pool);
    pool->loop = opt->loop;
    pool->registry = opt->registry;
    pool->tls = opt->tls;
    if (opt->secret && opt->secret[0])
        pool->secret = mem_strdup(opt->secret);
    pool->io = h2_io_create(opt->loop);
    list_init(&pool->channels);
    return pool;
}

void rpc_pool_destroy(struct rpc_pool **pool)
{
    if (!*pool)
        return;
    h2_io_destroy(&(*pool)->io);
    if ((*pool)->secret)
        explicit_bzero((*pool)->secret, strlen((*pool)->secret));
    free((*pool)->secret);
    free(*pool);
    *pool = NULL;
}
