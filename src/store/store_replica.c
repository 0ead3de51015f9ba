/*
 * store_replica: reads that may be of a moment ago, on copies that the engine keeps. Each replica
 * is a store without a writer. They take turns; one that fails is left alone for a while, and what
 * failed there is done on the database itself.
 */
#include "store/store_internal.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define LEFT_ALONE_MS 3000

struct store_replica {
    struct store *store;
    _Atomic int64_t away_until_ms;
};

static struct metric metric_reads = METRIC_COUNTER(
    "parlance_store_replica_reads_total",
    "Reads that a replica could answer: there, or after all on the database itself.", "place");

void store_replicas_open(struct store *store)
{
    const struct store_options *opt = &store->opt;
    store->replicas = mem_calloc(opt->replica_count, sizeof(*store->replicas));
    for (size_t i = 0; i < opt->replica_count; i++) {
        struct store_options own = *opt;
        own.url = opt->replicas[i];
        own.is_replica = true;
        own.replica_count = 0;
        struct store_replica *r = &store->replicas[store->replica_count];
        if (store_open(&r->store, &own) == ERR_OK) /* else its address is no address: logged */
            store->replica_count++;
    }
}

void store_replicas_close(struct store *store)
{
    for (size_t i = 0; i < store->replica_count; i++)
        store_close(&store->replicas[i].store);
    free(store->replicas);
    store->replicas = NULL;
    store->replica_count = 0;
}

/* The next that is not left alone; NULL: none. */
static struct store_replica *take_turn(struct store *store)
{
    unsigned first = atomic_fetch_add(&store->next_replica, 1);
    for (size_t i = 0; i < store->replica_count; i++) {
        struct store_replica *r = &store->replicas[(first + i) % store->replica_count];
        if (clock_mono_ms() >= atomic_load(&r->away_until_ms))
            return r;
    }
    return NULL;
}

static void count_at(const char *place)
{
    metric_cell_add(metric_cell(&metric_reads, place, NULL, NULL), 1);
}

enum err store_read_stale(struct store *store, store_fn *fn, void *arg)
{
    struct store_replica *r = store->replica_count ? take_turn(store) : NULL;
    enum err err = r ? store_read_with(r->store, fn, arg, false) : ERR_OK;
    if (r && !err) {
        count_at("replica");
        return ERR_OK;
    }
    if (err == ERR_UNAVAILABLE) {
        log_warn(NULL, "store: a replica is away, its reads go to the database itself");
        atomic_store(&r->away_until_ms, clock_mono_ms() + LEFT_ALONE_MS);
    }
    if (store->replica_count)
        count_at("primary");
    return store_read(store, fn, arg);
}

bool store_is_stale(const struct store_tx *tx)
{
    return tx->link->store->opt.is_replica;
}
