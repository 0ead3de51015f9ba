/*
 * Verify: reads every log as if nothing about it were known and holds what it finds against what
 * the heads, counts and indexes say. Messages and changes are walked side by side in the order of
 * their revisions, so the chain is computed anew from the first one on. What retention took away
 * leaves a hole that begins at the first revision; the chain is then taken up from the first line
 * that is left. With each message goes what must stand beside it (message_verify_rows.c).
 */
#include "services/message/message_verify_internal.h"

#define WINDOW 500
#define SHOWN_MAX 100

void message_walk_complain(struct message_walk *w, const char *what, int64_t rev)
{
    if (w->out->problems++ >= SHOWN_MAX)
        return;
    if (w->c.num)
        strbuf_printf(&w->out->text, "conversation %s, rev %lld: %s\n", w->c.id, (long long)rev,
                      what);
    else
        strbuf_printf(&w->out->text, "%s\n", what);
}

/* ---- windows: a few hundred lines of each kind at a time ---- */

static enum err load_window(struct message_walk *w)
{
    arena_destroy(&w->arena);
    w->arena = arena_create();
    w->message_at = w->change_at = 0;
    enum err err = message_log_range(w->tx, w->arena,
                                     &(struct message_range){.num = w->c.num,
                                                             .above_seq = w->seq,
                                                             .below_seq = INT64_MAX,
                                                             .reader_id = "",
                                                             .limit = WINDOW},
                                     &w->messages, &w->message_count);
    return err ? err
               : message_log_changes(w->tx, w->arena, w->c.num, w->rev, INT64_MAX, WINDOW,
                                     &w->changes, &w->change_count);
}

/* A side that is used up while it was full may have more beyond the window. */
static bool is_window_over(const struct message_walk *w)
{
    return (w->message_at == w->message_count && w->message_count == WINDOW) ||
           (w->change_at == w->change_count && w->change_count == WINDOW);
}

/* ---- one line ---- */

struct line {
    int64_t rev, seq, lsn, at_ms;
    enum message_change_type type;
    const char *actor_id;
    const struct message_digest *digest, *chain;
};

static bool is_same(const struct message_digest *a, const struct message_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static void check_line(struct message_walk *w, const struct line *line)
{
    bool follows = w->is_begun || w->c.first_seq == 1;
    if (follows && line->rev != w->rev + 1)
        message_walk_complain(
            w, line->rev <= w->rev ? "stands twice" : "revisions before it are missing", line->rev);
    if (line->lsn <= w->lsn)
        message_walk_complain(w, "its lsn runs backwards", line->rev);
    struct message_digest chain = w->chain;
    struct message_link link = {w->c.num, line->rev, line->type, line->seq, line->at_ms};
    message_chain_on(&chain, &link, line->actor_id, line->digest);
    if (follows && line->rev == w->rev + 1 && !is_same(&chain, line->chain))
        message_walk_complain(w, "it was altered, or one before it", line->rev);
    w->chain = *line->chain;
    w->rev = line->rev;
    w->lsn = line->lsn;
    w->is_begun = true;
    w->out->revisions++;
}

static enum err check_message(struct message_walk *w, const struct message_row *m)
{
    struct line line = {
        m->rev,       m->seq,     m->lsn,   m->created_at_ms, MESSAGE_CHANGE_MESSAGE,
        m->sender_id, &m->digest, &m->chain};
    int64_t expected = MAX(w->seq, w->c.first_seq - 1) + 1;
    if (m->seq != expected)
        message_walk_complain(
            w, m->seq < expected ? "its seq stands twice" : "messages before it are missing",
            m->rev);
    if (!message_content_is_whole(m))
        message_walk_complain(w, "its content is not what was written", m->rev);
    check_line(w, &line);
    w->seq = m->seq;
    w->out->messages++;
    return message_walk_beside(w, m);
}

static void check_change(struct message_walk *w, const struct message_change_row *r)
{
    struct line line = {r->rev,  r->seq,      r->lsn,     r->at_ms,
                        r->type, r->actor_id, &r->digest, &r->chain};
    if (r->last_seq != MAX(w->seq, w->c.first_seq - 1))
        message_walk_complain(w, "it stands between other messages than it says", r->rev);
    check_line(w, &line);
}

static enum err walk_lines(struct message_walk *w)
{
    enum err err = load_window(w);
    while (!err) {
        const struct message_row *m =
            w->message_at < w->message_count ? &w->messages[w->message_at] : NULL;
        const struct message_change_row *r =
            w->change_at < w->change_count ? &w->changes[w->change_at] : NULL;
        if (!m && !r)
            return ERR_OK;
        if (m && (!r || m->rev < r->rev)) {
            err = check_message(w, m);
            w->message_at++;
        } else {
            check_change(w, r);
            w->change_at++;
        }
        if (!err && is_window_over(w))
            err = load_window(w);
    }
    return err;
}

/* ---- what stands beside the log ---- */

static enum err check_head(struct message_walk *w)
{
    const struct message_conversation *c = &w->c;
    bool is_empty = !w->is_begun; /* all of it may be past its retention */
    if (!is_empty && (c->rev != w->rev || c->last_seq != MAX(w->seq, c->first_seq - 1)))
        message_walk_complain(w, "the head stands elsewhere than the last line", c->rev);
    else if (!is_empty && (c->head_lsn != w->lsn || !is_same(&c->chain, &w->chain)))
        message_walk_complain(w, "the head's chain is not that of the last line", c->rev);
    else if (is_empty && c->last_seq >= c->first_seq)
        message_walk_complain(w, "there are no lines", c->rev);
    int64_t members = 0;
    enum err err = message_take_number(store_query(w->tx,
                                                   "SELECT COUNT(*) FROM message_members"
                                                   " WHERE conversation_num = ? AND state = 0",
                                                   "i", c->num),
                                       &members);
    if (!err && members != c->member_count)
        message_walk_complain(w, "the members are not as many as it says", c->rev);
    return err;
}

/* Who looks for it by its id, or by its key, must come to where it is. */
static void check_shard(struct message_walk *w)
{
    const struct message_conversation *c = &w->c;
    if (c->shard != shards_find(c->id, w->shard_count) ||
        c->shard != shards_find(c->natural_key, w->shard_count))
        message_walk_complain(w, "it lies in another shard than its id says", 0);
}

/* ---- all of them ---- */

struct verifying {
    struct message_verdict *out;
    bool is_index_sound;
    unsigned shard_count;
    int64_t total_terms;
};

static enum err walk_one(struct store_tx *tx, struct verifying *v, const char *id)
{
    struct arena *arena = arena_create();
    struct message_walk w = {.tx = tx,
                             .out = v->out,
                             .is_index_sound = v->is_index_sound,
                             .shard_count = v->shard_count,
                             .total_terms = &v->total_terms};
    enum err err = message_store_find(tx, arena, id, &w.c);
    if (!err)
        err = message_index_reach(tx, w.c.shard, &w.indexed_lsn);
    if (!err)
        check_shard(&w);
    if (!err)
        err = walk_lines(&w);
    if (!err)
        err = check_head(&w);
    if (!err)
        err = message_walk_others(&w);
    arena_destroy(&w.arena);
    arena_destroy(&arena);
    v->out->conversations++;
    return err;
}

static enum err walk_all(struct store_tx *tx, struct verifying *v)
{
    char id[ID_SIZE] = "";
    for (;;) {
        struct store_stmt *st = store_query(
            tx, "SELECT id FROM message_conversations WHERE id > ? ORDER BY id LIMIT 1", "s", id);
        bool is_found = store_step(st);
        if (is_found) {
            struct str next = store_str(st, 0);
            snprintf(id, sizeof(id), "%.*s", (int)next.n, next.p);
        }
        enum err err = store_finish(st);
        if (!err && is_found)
            err = walk_one(tx, v, id);
        if (err || !is_found)
            return err;
    }
}

static enum err verify_job(struct store_tx *tx, void *arg)
{
    struct verifying *v = arg;
    struct message_walk none = {.tx = tx, .out = v->out, .total_terms = &v->total_terms};
    int64_t shards;
    enum err err =
        message_take_number(store_query(tx,
                                        "SELECT CASE WHEN MAX(of_shards) > 0 THEN MAX(of_shards)"
                                        " ELSE COUNT(*) END FROM message_shards",
                                        ""),
                            &shards);
    v->shard_count = (unsigned)shards;
    if (!err)
        err = walk_all(tx, v);
    return err ? err : message_walk_orphans(&none);
}

/* A damaged index is not asked: that would end the walk. */
enum err message_verify(struct store *store, struct message_verdict *out)
{
    *out = (struct message_verdict){0};
    struct verifying v = {.out = out, .is_index_sound = message_index_is_sound(store)};
    if (!v.is_index_sound)
        message_walk_complain(&(struct message_walk){.out = out},
                              "the search index is not what its words make", 0);
    return store_read(store, verify_job, &v);
}
