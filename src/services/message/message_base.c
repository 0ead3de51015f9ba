/* message_base: see message_base.h. With one database, the usual case, each of these is one call.
 */
#include "services/message/message_internal.h"

void message_bases_open(struct message_service *svc)
{
    const struct message_deps *deps = &svc->deps;
    uint64_t elsewhere = 0;
    svc->base_count = 1 + MIN(deps->base_count, (size_t)MESSAGE_BASES_MAX - 1);
    for (size_t i = 1; i < svc->base_count; i++) {
        svc->bases[i] = deps->bases[i - 1];
        elsewhere |= svc->bases[i].shards;
    }
    svc->bases[0] = (struct message_base){deps->store, deps->bus, ~elsewhere};
    svc->deps.bases = NULL;
}

const struct message_base *message_base_of(const struct message_service *svc, const char *key)
{
    if (svc->base_count == 1 || !key)
        return &svc->bases[0];
    uint64_t bit = UINT64_C(1) << shards_find(key, svc->shard_count);
    size_t i = svc->base_count - 1;
    while (i && !(svc->bases[i].shards & bit))
        i--;
    return &svc->bases[i];
}

/* A replica is none of the others' either: there are replicas of the first alone. */
const struct message_base *message_base_in(const struct message_service *svc,
                                           const struct store_tx *tx)
{
    size_t i = svc->base_count - 1;
    while (i && svc->bases[i].store != store_of_tx(tx))
        i--;
    return &svc->bases[i];
}

bool message_base_is_home(const struct message_service *svc, const struct message_base *base)
{
    return base == &svc->bases[0];
}

/* Whether the transaction is in this one, of which it may be a replica. */
static bool is_in(const struct message_service *svc, const struct store_tx *tx,
                  const struct message_base *base)
{
    return tx && message_base_in(svc, tx) == base;
}

enum err message_read_in(const struct message_base *base, struct store_tx *tx, store_fn *fn,
                         void *arg)
{
    bool is_here = tx && store_of_tx(tx) == base->store;
    return is_here ? fn(tx, arg) : store_read(base->store, fn, arg);
}

enum err message_read_home(const struct message_service *svc, struct store_tx *tx, store_fn *fn,
                           void *arg)
{
    return is_in(svc, tx, &svc->bases[0]) ? fn(tx, arg)
                                          : message_read_in(&svc->bases[0], tx, fn, arg);
}

enum err message_read_until(const struct message_service *svc, struct store_tx *tx, store_fn *fn,
                            void *arg, const bool *is_found)
{
    enum err first = ERR_OK;
    for (size_t i = 0; i < svc->base_count && !*is_found; i++) {
        const struct message_base *base = &svc->bases[i];
        enum err err = is_in(svc, tx, base) ? fn(tx, arg) : message_read_in(base, tx, fn, arg);
        first = first ? first : err;
    }
    return *is_found ? ERR_OK : first;
}

enum err message_read_each(const struct message_service *svc, struct store_tx *tx, store_fn *fn,
                           void *arg)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < svc->base_count && !err; i++) {
        const struct message_base *base = &svc->bases[i];
        err = is_in(svc, tx, base) ? fn(tx, arg) : message_read_in(base, tx, fn, arg);
    }
    return err;
}

enum err message_share_rows(struct store_tx *tx)
{
    return store_follow(tx, 0);
}

static bool is_away(enum err err)
{
    return err == ERR_UNAVAILABLE || err == ERR_DEADLINE_EXCEEDED;
}

enum err message_read_those(const struct message_service *svc, struct store_tx *tx, store_fn *fn,
                            void *arg, uint64_t *missing)
{
    enum err err = message_read_home(svc, tx, fn, arg);
    for (size_t i = 1; i < svc->base_count && !err; i++) {
        const struct message_base *base = &svc->bases[i];
        if (*missing & base->shards)
            continue;
        err = message_read_in(base, tx, fn, arg);
        if (is_away(err)) {
            *missing |= base->shards;
            err = ERR_OK;
        }
    }
    return err;
}

enum err message_write_each(const struct message_service *svc, store_fn *fn, void *arg)
{
    enum err first = ERR_OK;
    for (size_t i = 0; i < svc->base_count; i++) {
        enum err err = store_write_essential_sync(svc->bases[i].store, 0, fn, arg);
        first = first ? first : err;
    }
    return first;
}
