/*
 * message_shard: see message_shard.h.
 *
 * With one shard an lsn is the fence and a count: small numbers, which the index of search keeps in
 * few bytes. With several it is the time, a count, and the shard in the lowest bits: so the lsns of
 * all shards are one order that is nearly that of time, which search goes by, and no two are the
 * same. The last one given then stands in the shard's row; the commit that moves it is the one that
 * checks the fence.
 */
#include "services/message/message_shard.h"

#include "core/log.h"
#include "services/message/message_internal.h"

#define FENCE_SHIFT 40 /* a trillion commits per life, eight million lives */
#define TIME_SHIFT 22  /* below it 14 bits of a count and 8 of the shard */
#define COUNT_STEP 256
#define TIME_BEGINS_MS 1577836800000LL /* 2020 */
#define TIME_MAX_MS (1LL << 40)        /* 34 years on; then it counts on without the clock */

/* Store shard 0 is what belongs to people, and the other services. */
#define FIRST_PLACE 1

static _Thread_local const struct message_shard *current;

/* ---- where ---- */

struct message_shard *message_shard_of(struct message_service *svc, const char *key)
{
    return &svc->shards[shards_find(key, svc->shard_count)];
}

bool message_owns(void *svc, unsigned slot)
{
    return message_shard_is_here(&((struct message_service *)svc)->shards[slot]);
}

bool message_shard_is_here(const struct message_shard *shard)
{
    return atomic_load(&shard->fence) != 0;
}

uint32_t message_shard_place(const struct message_shard *shard)
{
    return FIRST_PLACE + shard->index;
}

/* ---- order ---- */

static int64_t lsn_of_now(const struct message_shard *shard)
{
    int64_t ms = CLAMP(clock_wall_ms() - TIME_BEGINS_MS, 0, TIME_MAX_MS);
    return (ms << TIME_SHIFT) | (int64_t)shard->index;
}

enum err message_take_lsn(struct store_tx *tx, struct message_service *svc, unsigned index,
                          int64_t *lsn)
{
    struct message_shard *shard = &svc->shards[index];
    if (current != shard) {
        log_error(NULL, "message: a change of shard %u was tried elsewhere", index);
        return ERR_INTERNAL;
    }
    shard->lsn =
        svc->shard_count == 1 ? shard->lsn + 1 : MAX(shard->lsn + COUNT_STEP, lsn_of_now(shard));
    *lsn = shard->lsn;
    return ERR_OK;
}

/* ---- the fence ---- */

/* Right before COMMIT, once a batch. */
static enum err check_fence(struct store_tx *tx, void *arg)
{
    struct message_shard *shard = arg;
    enum err err = store_run(tx, "UPDATE message_shards SET lsn = ? WHERE shard = ? AND fence = ?",
                             "iii", shard->lsn, (int64_t)shard->index, shard->batch_fence);
    if (err || store_changes(tx) == 1)
        return err;
    int64_t lost = shard->batch_fence;
    if (atomic_compare_exchange_strong(&shard->fence, &lost, 0))
        log_warn(NULL, "message: shard %u was taken by another process", shard->index);
    return ERR_ABORTED;
}

enum err message_shard_begin(struct store_tx *tx, struct message_shard *shard)
{
    int64_t fence = atomic_load(&shard->fence);
    if (!fence)
        return ERR_ABORTED;
    current = shard;
    if (!shard->svc->is_sealing)
        return ERR_OK;
    if (store_before_commit(tx, check_fence, shard))
        shard->batch_fence = fence;
    return shard->batch_fence == fence ? ERR_OK : ERR_ABORTED;
}

void message_shard_end(void)
{
    current = NULL;
}

/* ---- taking ---- */

enum err message_shard_take(struct store_tx *tx, struct message_shard_taking *t)
{
    int64_t index = t->shard->index;
    t->fence = t->seen + 1;
    enum err err = store_run(
        tx, "UPDATE message_shards SET fence = ?, owner = ? WHERE shard = ? AND fence = ?", "isii",
        t->fence, t->owner, index, t->seen);
    t->is_taken = !err && store_changes(tx) == 1;
    if (!t->is_taken)
        return err;
    struct store_stmt *st =
        store_query(tx, "SELECT epoch, lsn FROM message_shards WHERE shard = ?", "i", index);
    if (store_step(st)) {
        struct str epoch = store_str(st, 0);
        snprintf(t->shard->epoch, sizeof(t->shard->epoch), "%.*s", (int)epoch.n, epoch.p);
        t->lsn = store_int(st, 1);
    }
    err = store_finish(st);
    bool is_alone = t->shard->svc->shard_count == 1;
    t->lsn = MAX(t->lsn, is_alone ? t->fence << FENCE_SHIFT : lsn_of_now(t->shard));
    /* Heads are read from here. */
    return err || !t->shard->svc->is_sealing
               ? err
               : store_run(tx, "UPDATE message_shards SET lsn = ? WHERE shard = ?", "ii", t->lsn,
                           index);
}

void message_shard_taken(const struct message_shard_taking *t)
{
    if (!t->is_taken)
        return;
    t->shard->lsn = MAX(t->lsn, t->shard->lsn);
    t->shard->is_index_behind = true; /* what an earlier life left */
    atomic_store(&t->shard->fence, t->fence);
}

/* ---- the rows ---- */

static enum err count_rows(struct store_tx *tx, const char *sql, int64_t *count)
{
    return message_take_number(store_query(tx, sql, ""), count);
}

/* What the rows of one database are, and are to be. */
struct rows {
    struct message_service *svc;
    const struct message_base *base;
    const char *epoch;
    uint64_t found, wanted;
    int64_t of_shards; /* as many were there when they were made; 0: none, or long ago */
    bool is_strange;
};

static enum err look_at_rows(struct store_tx *tx, struct rows *r)
{
    struct store_stmt *st = store_query(tx, "SELECT shard, of_shards FROM message_shards", "");
    while (store_step(st)) {
        int64_t i = store_int(st, 0);
        r->is_strange |= i < 0 || i >= SHARDS_MAX;
        r->found |= UINT64_C(1) << (i & (SHARDS_MAX - 1));
        r->of_shards = MAX(r->of_shards, store_int(st, 1));
    }
    return store_finish(st);
}

static enum err refuse_rows(const struct rows *r)
{
    unsigned count = 0, first = 0;
    for (unsigned i = 0; i < SHARDS_MAX; i++) {
        count += r->found >> i & 1;
        if ((r->found ^ r->wanted) & UINT64_C(1) << (SHARDS_MAX - 1 - i))
            first = SHARDS_MAX - 1 - i;
    }
    bool is_home = message_base_is_home(r->svc, r->base);
    if (is_home && r->svc->base_count == 1 && !r->of_shards && count)
        log_error(NULL, "message: the database was made with %u shards (messages.shards), not %u",
                  count, r->svc->shard_count);
    else if (r->of_shards && r->of_shards != (int64_t)r->svc->shard_count)
        log_error(NULL, "message: the database was made with %lld shards (messages.shards), not %u",
                  (long long)r->of_shards, r->svc->shard_count);
    else
        log_error(
            NULL,
            "message: shard %u %s %s, and messages.shard_stores says otherwise: set it as it was "
            "when something was first said there",
            first, r->found >> first & 1 ? "lies in" : "does not lie in",
            is_home ? "the database of store.url" : "a database of messages.shard_stores");
    return ERR_FAILED_PRECONDITION;
}

/* Nothing was said yet in the first database: what rows it has may be other ones. Those of another
 * are never taken away: it may be somebody else's. */
static enum err may_be_made(struct store_tx *tx, const struct rows *r)
{
    int64_t conversations = 0;
    if (!r->found)
        return ERR_OK;
    enum err err = message_base_is_home(r->svc, r->base) ? ERR_OK : refuse_rows(r);
    if (!err)
        err = count_rows(
            tx, "SELECT COUNT(*) FROM (SELECT 1 AS one FROM message_conversations LIMIT 1) AS c",
            &conversations);
    return !err && conversations ? refuse_rows(r) : err;
}

static enum err make_rows(struct store_tx *tx, void *arg)
{
    struct rows *r = arg;
    enum err err = look_at_rows(tx, r);
    bool is_right = r->found == r->wanted && !r->is_strange &&
                    (!r->of_shards || r->of_shards == (int64_t)r->svc->shard_count);
    if (!err && is_right && r->of_shards)
        return ERR_OK;
    if (!err && is_right)
        return store_run(tx, "UPDATE message_shards SET of_shards = ?", "i",
                         (int64_t)r->svc->shard_count);
    if (!err)
        err = may_be_made(tx, r);
    if (!err)
        err = store_run(tx, "DELETE FROM message_shards", "");
    for (unsigned i = 0; i < r->svc->shard_count && !err; i++)
        if (r->wanted >> i & 1)
            err =
                store_run(tx,
                          "INSERT INTO message_shards (shard, epoch, fence, owner, lsn, of_shards)"
                          " VALUES (?,?,0,'',0,?)",
                          "isi", (int64_t)i, r->epoch, (int64_t)r->svc->shard_count);
    return err;
}

/* The rows of another database, seen from the first: it is the same one by two names, and what is
 * told there would be relayed to where it is. */
static enum err look_once_more(struct store_tx *tx, void *arg)
{
    struct rows *r = arg;
    enum err err = look_at_rows(tx, r);
    return !err && r->found != r->wanted ? refuse_rows(r) : err;
}

/* The first database first: so one that is named twice is found out by the second look, or, where
 * none is to lie in the first, by the last. */
static enum err make_all_rows(struct message_service *svc)
{
    char epoch[ID_SIZE];
    uint64_t all =
        svc->shard_count == SHARDS_MAX ? ~UINT64_C(0) : (UINT64_C(1) << svc->shard_count) - 1;
    enum err err = ERR_OK;
    id_make(epoch);
    for (size_t i = 0; i < svc->base_count && !err; i++) {
        struct rows r = {.svc = svc,
                         .base = &svc->bases[i],
                         .epoch = epoch,
                         .wanted = svc->bases[i].shards & all};
        err = store_write_sync(svc->bases[i].store, 0, make_rows, &r);
    }
    struct rows first = {.svc = svc, .base = &svc->bases[0], .wanted = svc->bases[0].shards & all};
    return err || svc->base_count == 1 ? err
                                       : store_read(first.base->store, look_once_more, &first);
}

/* Alone: nobody is asked. */
static enum err take_all(struct store_tx *tx, void *arg)
{
    struct message_service *svc = arg;
    enum err err = ERR_OK;
    for (unsigned i = 0; i < svc->shard_count && !err; i++) {
        if (svc->shards[i].base->store != store_of_tx(tx))
            continue;
        struct message_shard_taking taking = {.shard = &svc->shards[i], .owner = ""};
        err = message_take_number(
            store_query(tx, "SELECT fence FROM message_shards WHERE shard = ?", "i", (int64_t)i),
            &taking.seen);
        if (!err)
            err = message_shard_take(tx, &taking);
        if (!err)
            message_shard_taken(&taking);
    }
    return err;
}

static const struct message_base *base_of_index(const struct message_service *svc, unsigned index)
{
    size_t i = svc->base_count - 1;
    while (i && !(svc->bases[i].shards >> index & 1))
        i--;
    return &svc->bases[i];
}

enum err message_shards_open(struct message_service *svc)
{
    struct store *store = svc->deps.store;
    svc->shard_count = CLAMP(svc->deps.shards, 1u, (unsigned)SHARDS_MAX);
    svc->shards = mem_calloc(svc->shard_count, sizeof(*svc->shards));
    svc->is_sealing = svc->shard_count > 1 || !store_is_exclusive(store);
    for (unsigned i = 0; i < svc->shard_count; i++) {
        svc->shards[i].svc = svc;
        svc->shards[i].index = i;
        svc->shards[i].base = base_of_index(svc, i);
    }
    enum err err = make_all_rows(svc);
    if (!err && store_is_exclusive(store))
        err = message_write_each(svc, take_all, svc);
    return err || store_is_exclusive(store) ? err : message_owners_start(svc);
}

void message_shards_close(struct message_service *svc)
{
    free(svc->shards);
    svc->shards = NULL;
}

/* ---- heads ---- */

static enum err max_of(struct store_tx *tx, const char *sql, const char *user_id, int64_t *max)
{
    struct store_stmt *st = user_id ? store_query(tx, sql, "s", user_id) : store_query(tx, sql, "");
    if (store_step(st) && store_int(st, 0) > *max)
        *max = store_int(st, 0);
    return store_finish(st);
}

/* The one shard whose row says nothing: what stands in the log, and is the user's. */
static enum err look_for_head(struct store_tx *tx, const char *user_id, int64_t *lsn)
{
    enum err err = max_of(tx, "SELECT MAX(lsn) FROM message_messages", NULL, lsn);
    if (!err)
        err = max_of(tx, "SELECT MAX(lsn) FROM message_changes", NULL, lsn);
    if (!err)
        err =
            max_of(tx, "SELECT MAX(own_lsn) FROM message_members WHERE user_id = ?", user_id, lsn);
    return err;
}

/* The rows of the shards that lie in one database. */
static enum err read_heads(struct store_tx *tx, void *arg)
{
    struct message_heads *out = arg;
    struct store_stmt *st =
        store_query(tx, "SELECT shard, lsn, epoch, fence FROM message_shards", "");
    while (store_step(st)) {
        int64_t i = store_int(st, 0);
        struct str epoch = store_str(st, 2);
        if (i < 0 || i >= (int64_t)out->count)
            continue;
        out->lsns[i] = store_int(st, 1);
        out->fences[i] = store_int(st, 3);
        snprintf(out->epochs[i], sizeof(out->epochs[0]), "%.*s", (int)epoch.n, epoch.p);
    }
    return store_finish(st);
}

enum err message_shard_heads(struct store_tx *tx, struct message_service *svc, const char *user_id,
                             struct message_heads *out)
{
    out->count = svc->shard_count;
    out->missing = 0;
    memset(out->fences, 0, sizeof(out->fences));
    if (!svc->is_sealing) {
        out->lsns[0] = 0;
        memcpy(out->epochs[0], svc->shards[0].epoch, sizeof(out->epochs[0]));
        return look_for_head(tx, user_id, &out->lsns[0]);
    }
    memset(out->epochs, 0, sizeof(out->epochs));
    enum err err = message_read_those(svc, tx, read_heads, out, &out->missing);
    for (unsigned i = 0; i < out->count && !err; i++)
        if (!out->epochs[i][0] && !(out->missing >> i & 1))
            err = ERR_DATA_LOSS;
    return err;
}
