/*
 * message_index: the index of words follows the log. A few times a second what was sent since is
 * added to it in a transaction of its own, so sending costs nothing more and a search
 * (message_search.c) is at most a second behind. Edits and recalls change it in their own
 * transaction. The table is the same everywhere; what an engine keeps beside it, and how that is
 * asked, is its own (message_index_*.c).
 */
#include "services/message/message_internal.h"

#define INDEX_EVERY_MS 300
#define INDEX_BATCH 200
#define INDEX_ROUND_TURNS 200 /* a minute */

/* ---- the engines' own ways ---- */

const struct message_index *message_index_of(const struct store_tx *tx)
{
    static const struct message_index *const all[] = {&message_index_postgres,
                                                      &message_index_mysql};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i]->driver, store_driver_of(tx)) == 0)
            return all[i];
    return &message_index_sqlite;
}

enum err message_index_copied(struct store_tx *tx, int64_t lsn, const char *terms)
{
    const struct message_index *index = message_index_of(tx);
    return index->add ? index->add(tx, lsn, terms) : ERR_OK;
}

static enum err compare_job(struct store_tx *tx, void *arg)
{
    return message_index_of(tx)->check(tx, arg);
}

bool message_index_is_sound(struct store *store)
{
    return store_write_essential_sync(store, 0, compare_job, NULL) == ERR_OK;
}

/* ---- a message ---- */

static char *text_of(struct arena *arena, const struct message_row *m)
{
    Message__Content *content = message_content_of(arena, m);
    if (!content)
        return NULL;
    struct strbuf text = {0};
    strbuf_adds(&text, content->text);
    for (size_t i = 0; i < content->n_attachments; i++)
        strbuf_printf(&text, "\n%s", content->attachments[i]->name);
    if (content->location)
        strbuf_printf(&text, "\n%s", content->location->name);
    char *copy = str_arena(arena, strbuf_str(&text));
    strbuf_deinit(&text);
    return copy;
}

const char *message_index_terms(struct arena *arena, const struct message_row *m)
{
    bool is_none = m->kind == MESSAGE__CONTENT_KIND__SYSTEM || !m->content_n; /* recalled */
    char *text = is_none ? NULL : text_of(arena, m);
    return text ? message_terms(arena, text) : NULL;
}

const char *message_index_kind(struct arena *arena, const struct message_row *m)
{
    return arena_printf(arena, "k%d", (int)m->kind);
}

static enum err index_one(struct store_tx *tx, struct arena *arena, const struct message_row *m)
{
    const char *terms = message_index_terms(arena, m);
    if (!terms)
        return ERR_OK;
    enum err err =
        store_run(tx, "INSERT INTO message_terms (rowid, t, c, s, k) VALUES (?,?,?,?,?)", "isiss",
                  m->lsn, terms, m->conversation_num, m->sender_id, message_index_kind(arena, m));
    return err ? err : message_index_copied(tx, m->lsn, terms);
}

/* ---- those of a shard ---- */

enum err message_index_reach(struct store_tx *tx, unsigned shard, int64_t *lsn)
{
    struct store_stmt *st =
        store_query(tx, "SELECT lsn FROM message_indexed WHERE shard = ?", "i", (int64_t)shard);
    *lsn = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

enum err message_index_again(struct store_tx *tx, unsigned shard, const struct message_row *m)
{
    int64_t indexed;
    enum err err = message_index_reach(tx, shard, &indexed);
    if (err || m->lsn > indexed) /* not there yet */
        return err;
    struct arena *arena = arena_create();
    err = store_run(tx, "DELETE FROM message_terms WHERE rowid = ?", "i", m->lsn);
    if (!err)
        err = index_one(tx, arena, m);
    arena_destroy(&arena);
    return err;
}

/* Of several shards in one table the index takes turns at the rows; those of others are passed by.
 */
static struct store_stmt *query_new(struct store_tx *tx, const struct message_shard *shard,
                                    int64_t above_lsn)
{
    if (shard->svc->shard_count == 1)
        return store_query(tx,
                           "SELECT " MESSAGE_COLUMNS " FROM message_messages m"
                           " WHERE m.lsn > ? ORDER BY m.lsn LIMIT ?",
                           "ii", above_lsn, (int64_t)INDEX_BATCH);
    return store_query(tx,
                       "SELECT " MESSAGE_COLUMNS " FROM message_messages m"
                       " WHERE m.lsn > ? AND m.lsn & 255 = ? ORDER BY m.lsn LIMIT ?",
                       "iii", above_lsn, (int64_t)shard->index, (int64_t)INDEX_BATCH);
}

static enum err index_rows(struct store_tx *tx, struct arena *arena, struct message_shard *shard)
{
    int64_t lsn;
    enum err err = message_index_reach(tx, shard->index, &lsn);
    if (err)
        return err;
    struct message_row *rows = arena_array(arena, struct message_row, INDEX_BATCH);
    size_t count = 0;
    struct store_stmt *st = query_new(tx, shard, lsn);
    while (count < INDEX_BATCH && store_step(st))
        message_log_read(st, arena, &rows[count++]);
    err = store_finish(st);
    for (size_t i = 0; i < count && !err; i++)
        err = index_one(tx, arena, &rows[i]);
    shard->is_index_full = count == INDEX_BATCH;
    if (count)
        lsn = rows[count - 1].lsn;
    if (!err && shard->svc->shard_count > 1 && !shard->is_index_full)
        err = message_take_lsn(tx, shard->svc, shard->index, &lsn); /* nothing of ours is before */
    else if (!count)
        return err;
    return err ? err
               : store_run(tx,
                           "INSERT INTO message_indexed (shard, lsn) VALUES (?,?)"
                           " ON CONFLICT (shard) DO UPDATE SET lsn = excluded.lsn",
                           "ii", (int64_t)shard->index, lsn);
}

/* ---- by the clock ---- */

static enum err index_job(struct store_tx *tx, void *arg)
{
    struct message_shard *shard = arg;
    enum err err = message_shard_begin(tx, shard);
    struct arena *arena = arena_create();
    if (!err)
        err = index_rows(tx, arena, shard);
    arena_destroy(&arena);
    message_shard_end();
    return err;
}

static void index_more(struct message_shard *shard);

/* A batch that was full has more behind it, which is not for the next turn of the timer: under load
 * that would never catch up. Others' jobs come between two batches. */
static void on_indexed(enum err err, void *arg)
{
    struct message_shard *shard = arg;
    if (err)
        shard->is_index_behind = true; /* at the next turn */
    else if (shard->is_index_full && !shard->svc->is_stopping)
        index_more(shard);
}

static void index_more(struct message_shard *shard)
{
    shard->is_index_full = false;
    store_write(shard->base->store, message_shard_place(shard), index_job, shard, on_indexed);
}

/* Now and then also where nothing was sent: else what others sent is passed by again and again. */
static bool is_index_due(struct message_shard *shard, bool is_round)
{
    return message_shard_is_here(shard) &&
           (atomic_exchange(&shard->is_index_behind, false) || is_round);
}

static void on_index_timer(void *arg)
{
    struct message_service *svc = arg;
    bool is_round = svc->shard_count > 1 && svc->index_turn++ % INDEX_ROUND_TURNS == 0;
    for (unsigned i = 0; i < svc->shard_count; i++)
        if (is_index_due(&svc->shards[i], is_round))
            index_more(&svc->shards[i]);
    loop_timer_start(svc->deps.loop, &svc->index_timer, INDEX_EVERY_MS, on_index_timer, svc);
}

static void stop_timer(void *arg)
{
    struct message_service *svc = arg;
    loop_timer_stop(&svc->index_timer);
}

void message_index_start(struct message_service *svc)
{
    if (svc->deps.loop)
        loop_post(svc->deps.loop, on_index_timer, svc);
}

void message_index_stop(struct message_service *svc)
{
    if (svc->deps.loop)
        loop_call(svc->deps.loop, stop_timer, svc);
    svc->is_stopping = true;
    for (size_t i = 0; i < 2 * svc->base_count; i++) /* twice: what the last batch had asked for */
        store_flush(svc->bases[i / 2].store);
}
