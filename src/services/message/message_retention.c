/*
 * Retention: what is older than a conversation keeps (retention_days), or than the server keeps at
 * most, is deleted: from the oldest on, a batch a transaction, so that nobody waits long. A log
 * then begins at first_seq: all lines up to the last message deleted are gone, and what referred to
 * them. The last batch of a conversation appends a change, by which clients learn where it begins
 * now. A task runs it, begun by the clock; one that is interrupted goes on with the next. While the
 * clock is not to be believed (core/clock_trust.h) nothing is deleted. A message from the future
 * was written under a wrong clock: it is as old as the next one that was not.
 */
#include "core/clock_trust.h"
#include "core/live.h"
#include "core/log.h"
#include "services/message/message_internal.h"

#define QUEUE "message_retention"
#define BATCH 200
#define FIRST_MS 30000 /* not in the rush of a start */
#define DAY_MS (24 * 3600 * 1000LL)

struct trim {
    struct message_op op; /* first */
    bool has_more;        /* out */
};

/* How long it keeps; 0: for ever. */
static int64_t keep_ms(const struct message_service *svc, int64_t retention_days)
{
    int64_t own = retention_days * DAY_MS, all = LIVE_GET(svc->deps.keep_max_ms);
    return !own ? all : !all ? own : MIN(own, all);
}

/* ---- one batch ---- */

/* What only the message's content names exactly. */
static enum err drop_named(struct store_tx *tx, struct message_op *op, const struct message_row *m)
{
    enum err err = store_run(tx, "DELETE FROM message_terms WHERE rowid = ?", "i", m->lsn);
    if (!err && m->thread_seq)
        err = store_run(tx,
                        "DELETE FROM message_threads WHERE conversation_num = ? AND thread_seq = ?"
                        " AND seq = ?",
                        "iii", op->c.num, m->thread_seq, m->seq);
    Message__Content *content = m->recalled_at_ms ? NULL : message_content_of(op->call->arena, m);
    if (!err && content)
        err = message_drop_mentions(tx, m, content);
    return err;
}

static enum err drop_lines(struct store_tx *tx, struct message_op *op,
                           const struct message_row *last)
{
    static const char *const by_seq[] = {
        "DELETE FROM message_reactions WHERE conversation_num = ? AND seq <= ?",
        "DELETE FROM message_reaction_counts WHERE conversation_num = ? AND seq <= ?",
        "DELETE FROM message_pins WHERE conversation_num = ? AND seq <= ?",
        "DELETE FROM message_hidden WHERE conversation_num = ? AND seq <= ?",
        "DELETE FROM message_messages WHERE conversation_num = ? AND seq <= ?",
        "UPDATE message_conversations SET first_seq = ?2 + 1 WHERE num = ?1",
    };
    enum err err = message_share_rows(tx); /* what is hidden */
    if (!err)
        err = message_files_release(tx, op->svc, op->c.num, 0, last->seq);
    for (size_t i = 0; i < ARRAY_LEN(by_seq) && !err; i++)
        err = store_run(tx, by_seq[i], "ii", op->c.num, last->seq);
    if (!err)
        err = store_run(tx, "DELETE FROM message_changes WHERE conversation_num = ? AND rev <= ?",
                        "ii", op->c.num, last->rev);
    op->c.first_seq = last->seq + 1;
    return err;
}

static bool is_future(int64_t at_ms)
{
    return at_ms > clock_wall_ms() + DAY_MS;
}

/* How many of the first rows are past their time. is_open: behind those are none but of the future,
 * to the end of the batch. */
static size_t count_old(const struct message_row *rows, size_t count, int64_t cutoff_ms,
                        bool *is_open)
{
    size_t old = 0;
    *is_open = false;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].created_at_ms < cutoff_ms)
            old = i + 1;
        else if (!is_future(rows[i].created_at_ms))
            return old;
    }
    *is_open = old < count && count == BATCH + 1;
    return old;
}

/* What comes after the batch? */
static enum err is_all_old(struct store_tx *tx, const struct message_row *last, int64_t cutoff_ms,
                           bool *is_old)
{
    int64_t next_ms = 0;
    enum err err = message_take_number(
        store_query(tx,
                    "SELECT created_at_ms FROM message_messages WHERE conversation_num = ?"
                    " AND seq > ? AND created_at_ms <= ? ORDER BY seq LIMIT 1",
                    "iii", last->conversation_num, last->seq, clock_wall_ms() + DAY_MS),
        &next_ms);
    *is_old = !err && next_ms && next_ms < cutoff_ms;
    return err;
}

static enum err trim_job(struct store_tx *tx, struct message_op *op)
{
    struct trim *t = CONTAINER_OF(op, struct trim, op);
    int64_t kept_ms = keep_ms(op->svc, op->c.retention_days);
    int64_t cutoff_ms = clock_wall_ms() - kept_ms;
    struct message_row *rows;
    size_t count, old = 0;
    if (!kept_ms)
        return ERR_OK;
    enum err err = message_log_range(tx, op->call->arena,
                                     &(struct message_range){.num = op->c.num,
                                                             .above_seq = op->c.first_seq - 1,
                                                             .below_seq = INT64_MAX,
                                                             .reader_id = "",
                                                             .limit = BATCH + 1},
                                     &rows, &count);
    bool is_open = false, is_old = false;
    if (!err)
        old = count_old(rows, count, cutoff_ms, &is_open);
    if (is_open)
        err = is_all_old(tx, &rows[BATCH], cutoff_ms, &is_old);
    if (is_old)
        old = count;
    if (err || old == 0)
        return err;
    t->has_more = old > BATCH;
    old = MIN(old, (size_t)BATCH);
    for (size_t i = 0; i < old && !err; i++)
        err = drop_named(tx, op, &rows[i]);
    if (!err)
        err = drop_lines(tx, op, &rows[old - 1]);
    return err || t->has_more ? err : message_change_settings(tx, op);
}

/* ---- one conversation, all of them ---- */

enum err message_retention_trim(struct message_service *svc, const char *conversation_id)
{
    enum err err = ERR_OK;
    bool has_more = true;
    while (has_more && !err && !svc->is_stopping) {
        struct rpc_call *call = rpc_call_create(NULL);
        struct trim *t = arena_new(call->arena, struct trim);
        t->op = (struct message_op){.svc = svc,
                                    .call = call,
                                    .fn = trim_job,
                                    .conversation_id = conversation_id,
                                    .needs = MESSAGE_NEEDS_NOTHING};
        t->op.told_end = &t->op.told;
        err = message_change_essential_sync(&t->op);
        has_more = t->has_more;
        rpc_call_unref(&call);
    }
    return err;
}

/* Those whose oldest message is too old, or of the future. */
static struct store_stmt *query_old(struct store_tx *tx, void *arg, int64_t above_num,
                                    int64_t limit)
{
    const struct message_service *svc = arg;
    int64_t now = clock_wall_ms(), all = LIVE_GET(svc->deps.keep_max_ms);
    return store_query(
        tx,
        "SELECT c.num, c.id FROM message_conversations c"
        " JOIN message_messages m ON m.conversation_num = c.num AND m.seq = c.first_seq"
        " WHERE c.num > ? AND ((c.retention_days > 0"
        " AND m.created_at_ms < ? - c.retention_days * 86400000) OR m.created_at_ms < ?"
        " OR m.created_at_ms > ?) ORDER BY c.num LIMIT ?",
        "iiiii", above_num, now, all ? now - all : (int64_t)0, now + DAY_MS, limit);
}

static enum err trim_each(struct message_service *svc, const char *conversation_id, void *arg)
{
    return message_work(svc, &(struct message_work){MESSAGE_WORK_TRIM, conversation_id, STR_NULL});
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt)
{
    struct message_service *svc = arg;
    if (!clock_is_trusted())
        return ERR_OK; /* a later turn's work */
    enum err err = message_sweep(svc, &(struct message_sweep){query_old, trim_each, svc});
    if (err == ERR_CANCELLED)
        err = ERR_OK; /* the next turn goes on */
    if (err)
        log_warn(NULL, "message: what is past its retention is not all deleted yet: %s",
                 err_text(err));
    return err;
}

/* ---- by the clock ---- */

/* The same turn of the clock is queued once, however often the server starts. */
static enum err enqueue_job(struct store_tx *tx, void *arg)
{
    struct message_service *svc = arg;
    char key[32];
    enum err err = clock_is_trusted() ? group_purge_invitations(tx) : ERR_OK;
    if (err)
        return err;
    snprintf(key, sizeof(key), "%lld", (long long)(clock_wall_ms() / svc->deps.retention_every_ms));
    return bus_enqueue_tx(message_base_in(svc, tx)->bus, tx,
                          &(struct bus_task){.queue = QUEUE,
                                             .type = "trim",
                                             .payload = STR(""),
                                             .idempotency_key = key,
                                             .attempts_max = 3});
}

static enum err purge_job(struct store_tx *tx, void *arg UNUSED)
{
    return clock_is_trusted() ? group_purge_invitations(tx) : ERR_OK;
}

static void on_timer(void *arg)
{
    struct message_service *svc = arg;
    for (size_t i = 1; i < svc->base_count; i++)
        store_write_essential(svc->bases[i].store, 0, purge_job, svc, NULL);
    store_write_essential(svc->deps.store, 0, enqueue_job, svc, NULL);
    loop_timer_start(svc->deps.loop, &svc->retention_timer, svc->deps.retention_every_ms, on_timer,
                     svc);
}

static void start_timer(void *arg)
{
    struct message_service *svc = arg;
    loop_timer_start(svc->deps.loop, &svc->retention_timer,
                     MIN(FIRST_MS, svc->deps.retention_every_ms), on_timer, svc);
}

static void stop_timer(void *arg)
{
    struct message_service *svc = arg;
    loop_timer_stop(&svc->retention_timer);
}

void message_retention_start(struct message_service *svc)
{
    if (!svc->deps.retention_every_ms)
        svc->deps.retention_every_ms = 3600 * 1000;
    bus_work(svc->deps.bus, QUEUE, on_task, svc);
    if (svc->deps.loop)
        loop_post(svc->deps.loop, start_timer, svc);
}

void message_retention_stop(struct message_service *svc)
{
    svc->is_stopping = true;
    if (svc->deps.loop)
        loop_call(svc->deps.loop, stop_timer, svc);
}
