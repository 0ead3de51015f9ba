/*
 * Search. The index follows the log: a few times a second what was sent since is added to it in a
 * transaction of its own, so sending costs nothing more and a search is at most a second behind.
 * Edits and recalls change it in their own transaction. A search looks only into conversations of
 * who asks (their numbers stand in the index), and every hit is held against the asker's place once
 * more.
 */
#include "core/log.h"
#include "services/message/message_internal.h"

#define INDEX_EVERY_MS 300
#define INDEX_BATCH 200
#define QUERY_MAX 200
#define CONVERSATIONS_AT_ONCE 500 /* of the asker, in one query of the index */
#define LIMIT_NORMAL 20
#define LIMIT_MAX 100
#define HITS_LOOKED_AT(limit) ((limit)*4 + 20)

/* ---- the index ---- */

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

const char *message_search_terms(struct arena *arena, const struct message_row *m)
{
    char *text = m->content_n ? text_of(arena, m) : NULL;
    return text ? message_terms(arena, text) : "";
}

static enum err index_one(struct store_tx *tx, struct arena *arena, const struct message_row *m)
{
    const char *terms = message_search_terms(arena, m);
    if (!terms[0])
        return ERR_OK;
    return store_run(tx, "INSERT INTO message_terms (rowid, t, c) VALUES (?,?,?)", "isi", m->lsn,
                     terms, m->conversation_num);
}

enum err message_search_indexed(struct store_tx *tx, int64_t *lsn)
{
    struct store_stmt *st = store_query(tx, "SELECT lsn FROM message_indexed WHERE shard = ?", "i",
                                        (int64_t)MESSAGE_SHARD);
    *lsn = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

enum err message_search_again(struct store_tx *tx, const struct message_row *m)
{
    int64_t indexed;
    enum err err = message_search_indexed(tx, &indexed);
    if (err || m->lsn > indexed) /* not there yet */
        return err;
    struct arena *arena = arena_create();
    err = store_run(tx, "DELETE FROM message_terms WHERE rowid = ?", "i", m->lsn);
    if (!err)
        err = index_one(tx, arena, m);
    arena_destroy(&arena);
    return err;
}

static enum err index_rows(struct store_tx *tx, struct arena *arena, struct message_service *svc)
{
    int64_t lsn;
    enum err err = message_search_indexed(tx, &lsn);
    if (err)
        return err;
    struct message_row *rows = arena_array(arena, struct message_row, INDEX_BATCH);
    size_t count = 0;
    struct store_stmt *st = store_query(tx,
                                        "SELECT " MESSAGE_COLUMNS " FROM message_messages m"
                                        " WHERE m.lsn > ? ORDER BY m.lsn LIMIT ?",
                                        "ii", lsn, (int64_t)INDEX_BATCH);
    while (count < INDEX_BATCH && store_step(st))
        message_log_read(st, arena, &rows[count++]);
    err = store_finish(st);
    for (size_t i = 0; i < count && !err; i++)
        err = index_one(tx, arena, &rows[i]);
    if (err || !count)
        return err;
    svc->is_index_full = count == INDEX_BATCH;
    return store_run(tx,
                     "INSERT INTO message_indexed (shard, lsn) VALUES (?,?)"
                     " ON CONFLICT (shard) DO UPDATE SET lsn = excluded.lsn",
                     "ii", (int64_t)MESSAGE_SHARD, rows[count - 1].lsn);
}

static enum err index_job(struct store_tx *tx, void *arg)
{
    struct arena *arena = arena_create();
    enum err err = index_rows(tx, arena, arg);
    arena_destroy(&arena);
    return err;
}

static void index_more(struct message_service *svc);

/* A batch that was full has more behind it, which is not for the next turn of the timer: under load
 * that would never catch up. Others' jobs come between two batches. */
static void on_indexed(enum err err, void *arg)
{
    struct message_service *svc = arg;
    if (err)
        svc->is_index_behind = true; /* at the next turn */
    else if (svc->is_index_full && !svc->is_stopping)
        index_more(svc);
}

static void index_more(struct message_service *svc)
{
    svc->is_index_full = false;
    store_write(svc->deps.store, MESSAGE_SHARD, index_job, svc, on_indexed);
}

static void on_index_timer(void *arg)
{
    struct message_service *svc = arg;
    if (atomic_exchange(&svc->is_index_behind, false))
        index_more(svc);
    loop_timer_start(svc->deps.loop, &svc->index_timer, INDEX_EVERY_MS, on_index_timer, svc);
}

static void stop_timer(void *arg)
{
    struct message_service *svc = arg;
    loop_timer_stop(&svc->index_timer);
}

void message_search_start(struct message_service *svc)
{
    svc->is_index_behind = true; /* what an earlier life left */
    if (svc->deps.loop)
        loop_post(svc->deps.loop, on_index_timer, svc);
}

void message_search_stop(struct message_service *svc)
{
    if (svc->deps.loop)
        loop_call(svc->deps.loop, stop_timer, svc);
    svc->is_stopping = true;
    store_flush(svc->deps.store);
    store_flush(svc->deps.store); /* what the last batch before had still asked for */
}

/* FTS5's own comparison of the index with the words it was made of. It writes nothing, but is asked
 * for as if it did. */
static enum err compare_job(struct store_tx *tx, void *arg)
{
    return store_run(tx, "INSERT INTO message_terms (message_terms) VALUES ('integrity-check')",
                     "");
}

bool message_search_is_sound(struct store *store)
{
    return store_write_essential_sync(store, MESSAGE_SHARD, compare_job, NULL) == ERR_OK;
}

/* ---- searching ---- */

struct searching {
    struct message_op op; /* first */
    const char *terms;    /* NULL: whatever text */
    int64_t below_lsn;
    int limit;
};

struct hit {
    struct message_row m;
    const char *conversation_id;
};

/* "{t} : (...) AND {c} : (12 OR 15)" */
static void write_match(const struct searching *s, const int64_t *nums, size_t count,
                        struct strbuf *match)
{
    strbuf_printf(match, "{t} : (%s) AND {c} : (0", s->terms);
    for (size_t i = 0; i < count; i++)
        strbuf_printf(match, " OR %lld", (long long)nums[i]);
    strbuf_addc(match, ')');
}

/* The next of the conversations of who asks, by number. */
static enum err next_conversations(struct store_tx *tx, const struct searching *s, int64_t above,
                                   int64_t *nums, size_t *count)
{
    *count = 0;
    if (s->op.conversation_id) {
        if (above < s->op.c.num)
            nums[(*count)++] = s->op.c.num;
        return ERR_OK;
    }
    struct store_stmt *st =
        store_query(tx,
                    "SELECT conversation_num FROM message_members"
                    " WHERE user_id = ? AND state IN (0, 1)"
                    " AND conversation_num > ?"
                    " ORDER BY conversation_num LIMIT ?",
                    "sii", who_id(s->op.call), above, (int64_t)CONVERSATIONS_AT_ONCE);
    while (*count < CONVERSATIONS_AT_ONCE && store_step(st))
        nums[(*count)++] = store_int(st, 0);
    return store_finish(st);
}

/* Hits above the lsn: the worst of those found so far, once there are enough. */
static struct store_stmt *query_hits(struct store_tx *tx, const struct searching *s,
                                     const char *match, int64_t above_lsn)
{
    const Message__SearchRequest *in = s->op.in;
    return store_query(
        tx,
        "SELECT " MESSAGE_COLUMNS ", c.id FROM message_terms f"
        " JOIN message_messages m ON m.lsn = f.rowid"
        " JOIN message_conversations c ON c.num = m.conversation_num"
        " WHERE f.message_terms MATCH ? AND f.rowid < ? AND f.rowid > ?"
        " AND m.created_at_ms >= ? AND m.created_at_ms < ?"
        " AND (? = '' OR m.sender_id = ?) AND (? < 0 OR m.kind = ?) AND m.recalled_at_ms = 0"
        " AND NOT EXISTS (SELECT 1 FROM message_hidden h WHERE h.user_id = ?"
        " AND h.conversation_num = m.conversation_num AND h.seq = m.seq)"
        " ORDER BY f.rowid DESC LIMIT ?",
        "siiiissiisi", match, s->below_lsn, above_lsn, in->from_ms,
        in->to_ms ? in->to_ms : INT64_MAX, in->sender_id, in->sender_id,
        in->_kind_case ? (int64_t)in->kind : -1, (int64_t)in->kind, who_id(s->op.call),
        (int64_t)HITS_LOOKED_AT(s->limit));
}

/* Two lists, the newest first, into one of at most `room`. */
static size_t merge_hits(struct arena *arena, struct hit *into, size_t count,
                         const struct hit *more, size_t more_count, size_t room)
{
    struct hit *old = arena_array(arena, struct hit, count);
    if (count)
        memcpy(old, into, count * sizeof(*old));
    size_t a = 0, b = 0, n = 0;
    while (n < room && (a < count || b < more_count)) {
        bool is_old = b == more_count || (a < count && old[a].m.lsn > more[b].m.lsn);
        into[n++] = is_old ? old[a++] : more[b++];
    }
    return n;
}

/* Some hundred conversations after another; each hit is in one of them. */
static enum err find_hits(struct store_tx *tx, struct searching *s, struct hit *hits, size_t room,
                          size_t *count)
{
    struct arena *arena = s->op.call->arena;
    int64_t *nums = arena_array(arena, int64_t, CONVERSATIONS_AT_ONCE);
    struct hit *more = arena_array(arena, struct hit, room);
    size_t num_count, more_count;
    *count = 0;
    enum err err = next_conversations(tx, s, 0, nums, &num_count);
    while (!err && num_count) {
        struct strbuf match = {0};
        write_match(s, nums, num_count, &match);
        int64_t above_lsn = *count == room ? hits[room - 1].m.lsn : 0;
        struct store_stmt *st = query_hits(tx, s, strbuf_str(&match).p, above_lsn);
        for (more_count = 0; more_count < room && store_step(st); more_count++) {
            message_log_read(st, arena, &more[more_count].m);
            more[more_count].conversation_id = store_text(st, MESSAGE_COLUMN_COUNT, arena);
        }
        err = store_finish(st);
        strbuf_deinit(&match);
        *count = merge_hits(arena, hits, *count, more, more_count, room);
        if (!err)
            err = next_conversations(tx, s, nums[num_count - 1], nums, &num_count);
    }
    return err;
}

/* Is the hit within what the asker may read? Then `one` holds the asker's place there. */
static bool is_readable(struct store_tx *tx, struct message_op *one, const struct hit *hit)
{
    if (one->c.num != hit->m.conversation_num) {
        one->conversation_id = hit->conversation_id;
        one->me = (struct message_member){0};
        if (message_op_enter(tx, one)) {
            one->c.num = 0;
            return false;
        }
    }
    return hit->m.seq > message_visible_from(one) && hit->m.seq <= message_visible_to(one);
}

static enum err take_hits(struct store_tx *tx, struct searching *s, const struct hit *hits,
                          size_t count, Message__SearchReply *reply)
{
    struct arena *arena = s->op.call->arena;
    struct message_op one = {
        .svc = s->op.svc, .call = s->op.call, .needs = MESSAGE_NEEDS_READ, .is_silent = true};
    int64_t last_lsn = 0;
    reply->messages = arena_array(arena, Message__MessageInfo *, (size_t)s->limit);
    for (size_t i = 0; i < count; i++) {
        if (!is_readable(tx, &one, &hits[i]))
            continue;
        if (reply->n_messages == (size_t)s->limit) {
            reply->next_cursor = arena_printf(arena, "%lld", (long long)last_lsn);
            return ERR_OK;
        }
        struct message_reader reader = message_reader(&one);
        enum err err = message_shape(tx, arena, &one.c, &hits[i].m, &reader,
                                     &reply->messages[reply->n_messages]);
        if (err)
            return err;
        reply->n_messages++;
        last_lsn = hits[i].m.lsn;
    }
    if (count == (size_t)HITS_LOOKED_AT(s->limit)) /* there may be more beyond what was looked at */
        reply->next_cursor = arena_printf(arena, "%lld", (long long)hits[count - 1].m.lsn);
    return ERR_OK;
}

static enum err search_job(struct store_tx *tx, struct message_op *op)
{
    struct searching *s = CONTAINER_OF(op, struct searching, op);
    struct arena *arena = op->call->arena;
    Message__SearchReply *reply = arena_new(arena, Message__SearchReply);
    message__search_reply__init(reply);
    reply->is_indexing = op->svc->is_index_behind || op->svc->is_index_full;
    op->reply = reply;
    size_t count, room = (size_t)HITS_LOOKED_AT(s->limit);
    struct hit *hits = arena_array(arena, struct hit, room);
    enum err err = find_hits(tx, s, hits, room, &count);
    return err ? err : take_hits(tx, s, hits, count, reply);
}

MESSAGE_HANDLER(message_on_search, SearchRequest, SearchReply)
{
    struct searching *s =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*s), &in->base, (ProtobufCClosure)closure);
    const Message__SearchRequest *own = s->op.in;
    struct rpc_call *call = s->op.call;
    s->op.fn = search_job;
    s->op.conversation_id = own->id[0] ? own->id : NULL;
    s->op.needs = MESSAGE_NEEDS_READ;
    s->limit = own->limit > 0 ? MIN(own->limit, LIMIT_MAX) : LIMIT_NORMAL;
    s->below_lsn = INT64_MAX;
    const char *query = text_take(
        call, own->query, &(struct text_rule){.field = "query", .min = 1, .max = QUERY_MAX});
    s->terms = query ? message_terms_query(call->arena, query) : NULL;
    if (query && !s->terms)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "query: expected a word");
    if (own->cursor[0] && !str_to_i64(str_from(own->cursor), &s->below_lsn))
        rpc_fail(call, ERR_INVALID_ARGUMENT, "cursor: expected one from an earlier page");
    message_view(&s->op, ROLE_GUEST);
}
