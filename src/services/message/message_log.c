/*
 * The log: appending to it and reading it back. Every revision, message or change, is chained to
 * the one before by a digest (durability: `parlance verify` walks it), so a row that was lost,
 * doubled or altered shows.
 *
 * A message is no row among the changes; it carries its rev itself. Since both counters only grow,
 * the message at a revision follows from the last change before it: a change says which seq was the
 * last when it happened.
 */
#include <endian.h>
#include <sodium.h>

#include "services/message/message_internal.h"

/* Times that a clock gave which ran ahead by more than this are not believed: new messages take the
 * time of day again. */
#define CLOCK_LEAD_MAX_MS (60 * 1000)

/* ---- appending ---- */

/* Times do not run backwards within a conversation when the clock is corrected a little, nor when
 * it was never set; several messages may share a millisecond, since seq is what orders them. One
 * message of 2100 does not give its time to all that follow. */
static int64_t next_time(const struct message_conversation *c)
{
    int64_t now = clock_wall_ms();
    bool is_behind = now < CLOCK_FLOOR_MS || c->active_at_ms - now < CLOCK_LEAD_MAX_MS;
    return c->active_at_ms > now && is_behind ? c->active_at_ms : now;
}

void message_chain_on(struct message_digest *chain, const struct message_link *link,
                      const char *actor_id, const struct message_digest *digest)
{
    const uint64_t numbers[] = {htole64((uint64_t)link->conversation_num),
                                htole64((uint64_t)link->rev), htole64((uint64_t)link->type),
                                htole64((uint64_t)link->seq), htole64((uint64_t)link->at_ms)};
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(chain->bytes));
    crypto_generichash_update(&state, chain->bytes, sizeof(chain->bytes));
    crypto_generichash_update(&state, (const uint8_t *)numbers, sizeof(numbers));
    crypto_generichash_update(&state, (const uint8_t *)actor_id, strlen(actor_id) + 1);
    crypto_generichash_update(&state, digest->bytes, sizeof(digest->bytes));
    crypto_generichash_final(&state, chain->bytes, sizeof(chain->bytes));
}

static enum err move_head(struct store_tx *tx, const struct message_conversation *c)
{
    return store_run(tx,
                     "UPDATE message_conversations SET last_seq = ?, rev = ?, head_lsn = ?,"
                     " chain = ?, active_at_ms = ? WHERE num = ?",
                     "iiibii", c->last_seq, c->rev, c->head_lsn, (const void *)c->chain.bytes,
                     sizeof(c->chain.bytes), c->active_at_ms, c->num);
}

static enum err insert_message(struct store_tx *tx, const struct message_row *m)
{
    return store_run(
        tx,
        "INSERT INTO message_messages (lsn, conversation_num, seq, rev, id, sender_id,"
        " client_msg_id, kind, content, digest, content_digest, chain, reply_to_seq, thread_seq,"
        " forwarded, created_at_ms, edited_at_ms, recalled_at_ms, recalled_by, has_extras,"
        " is_pinned) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,0,0,'',0,0)"
        " ON CONFLICT (conversation_num, sender_id, client_msg_id) DO NOTHING",
        "iiiisssibbbbiibi", m->lsn, m->conversation_num, m->seq, m->rev, m->id, m->sender_id,
        m->client_msg_id, (int64_t)m->kind, m->content, m->content_n, (const void *)m->digest.bytes,
        sizeof(m->digest.bytes), (const void *)m->content_digest.bytes,
        sizeof(m->content_digest.bytes), (const void *)m->chain.bytes, sizeof(m->chain.bytes),
        m->reply_to_seq, m->thread_seq, m->forwarded, m->forwarded_n, m->created_at_ms);
}

enum err message_log_append(struct store_tx *tx, struct message_service *svc,
                            struct message_conversation *c, struct message_row *m)
{
    enum err err = message_take_lsn(tx, svc, c->shard, &m->lsn);
    if (err)
        return err;
    m->conversation_num = c->num;
    m->seq = c->last_seq + 1;
    m->rev = c->rev + 1;
    m->created_at_ms = next_time(c);
    m->content_digest = message_content_digest(m);
    m->chain = c->chain;
    struct message_link link = {.conversation_num = c->num,
                                .rev = m->rev,
                                .type = MESSAGE_CHANGE_MESSAGE,
                                .seq = m->seq,
                                .at_ms = m->created_at_ms};
    message_chain_on(&m->chain, &link, m->sender_id, &m->digest);
    err = insert_message(tx, m);
    if (err)
        return err;
    if (store_changes(tx) == 0)
        return ERR_ALREADY_EXISTS;
    svc->shards[c->shard].is_index_behind = true;
    c->last_seq = m->seq;
    c->rev = m->rev;
    c->head_lsn = m->lsn;
    c->chain = m->chain;
    c->active_at_ms = m->created_at_ms;
    err = move_head(tx, c);
    if (!err)
        err = message_push(tx, svc, c, m);
    return err ? err : webhook_changed(tx, svc, c, MESSAGE_CHANGE_MESSAGE, m->rev, m->sender_id);
}

enum err message_log_change(struct store_tx *tx, struct message_service *svc,
                            struct message_conversation *c, struct message_change_row *change)
{
    enum err err = message_take_lsn(tx, svc, c->shard, &change->lsn);
    if (err)
        return err;
    change->conversation_num = c->num;
    change->rev = c->rev + 1;
    change->last_seq = c->last_seq;
    change->at_ms = next_time(c);
    change->chain = c->chain;
    struct message_link link = {.conversation_num = c->num,
                                .rev = change->rev,
                                .type = change->type,
                                .seq = change->seq,
                                .at_ms = change->at_ms};
    message_chain_on(&change->chain, &link, change->actor_id, &change->digest);
    err = store_run(
        tx,
        "INSERT INTO message_changes (lsn, conversation_num, rev, type, seq, last_seq, actor_id,"
        " user_id, at_ms, digest, chain) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        "iiiiiissibb", change->lsn, change->conversation_num, change->rev, (int64_t)change->type,
        change->seq, change->last_seq, change->actor_id, change->user_id, change->at_ms,
        (const void *)change->digest.bytes, sizeof(change->digest.bytes),
        (const void *)change->chain.bytes, sizeof(change->chain.bytes));
    if (err)
        return err;
    c->rev = change->rev;
    c->head_lsn = change->lsn;
    c->chain = change->chain;
    err = move_head(tx, c);
    return err ? err : webhook_changed(tx, svc, c, change->type, change->rev, change->actor_id);
}

enum err message_log_rewrite(struct store_tx *tx, const struct message_row *m)
{
    return store_run(tx,
                     "UPDATE message_messages SET content = ?, content_digest = ?, forwarded = ?,"
                     " edited_at_ms = ?, recalled_at_ms = ?, recalled_by = ?, has_extras = ?,"
                     " is_pinned = ? WHERE lsn = ?",
                     "bbbiisiii", m->content, m->content_n, (const void *)m->content_digest.bytes,
                     sizeof(m->content_digest.bytes), m->forwarded, m->forwarded_n, m->edited_at_ms,
                     m->recalled_at_ms, m->recalled_by, (int64_t)m->has_extras,
                     (int64_t)m->is_pinned, m->lsn);
}

/* ---- reading ---- */

void message_log_read(struct store_stmt *st, struct arena *arena, struct message_row *m)
{
    m->lsn = store_int(st, 0);
    m->conversation_num = store_int(st, 1);
    m->seq = store_int(st, 2);
    m->rev = store_int(st, 3);
    m->id = store_text(st, 4, arena);
    m->sender_id = store_text(st, 5, arena);
    m->client_msg_id = store_text(st, 6, arena);
    m->kind = (Message__ContentKind)store_int(st, 7);
    m->content = store_blob(st, 8, arena, &m->content_n);
    message_digest_read(st, 9, &m->digest);
    message_digest_read(st, 10, &m->content_digest);
    message_digest_read(st, 11, &m->chain);
    m->reply_to_seq = store_int(st, 12);
    m->thread_seq = store_int(st, 13);
    m->forwarded = store_blob(st, 14, arena, &m->forwarded_n);
    m->created_at_ms = store_int(st, 15);
    m->edited_at_ms = store_int(st, 16);
    m->recalled_at_ms = store_int(st, 17);
    m->recalled_by = store_text(st, 18, arena);
    m->has_extras = store_int(st, 19) != 0;
    m->is_pinned = store_int(st, 20) != 0;
}

static enum err finish_one(struct store_stmt *st, struct arena *arena, struct message_row *out)
{
    bool is_found = store_step(st);
    if (is_found)
        message_log_read(st, arena, out);
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

enum err message_log_get(struct store_tx *tx, struct arena *arena, int64_t num, int64_t seq,
                         struct message_row *out)
{
    struct store_stmt *st = store_query(tx,
                                        "SELECT " MESSAGE_COLUMNS " FROM message_messages m"
                                        " WHERE m.conversation_num = ? AND m.seq = ?",
                                        "ii", num, seq);
    return finish_one(st, arena, out);
}

enum err message_log_find_sent(struct store_tx *tx, struct arena *arena, int64_t num,
                               const char *sender_id, const char *client_msg_id,
                               struct message_row *out)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " MESSAGE_COLUMNS " FROM message_messages m"
                    " WHERE m.conversation_num = ? AND m.sender_id = ? AND m.client_msg_id = ?",
                    "iss", num, sender_id, client_msg_id);
    return finish_one(st, arena, out);
}

enum err message_log_is_hidden(struct store_tx *tx, const char *reader_id, int64_t num, int64_t seq,
                               bool *is_hidden)
{
    int64_t count = 0;
    enum err err =
        message_take_number(store_query(tx,
                                        "SELECT COUNT(*) FROM message_hidden WHERE user_id = ?"
                                        " AND conversation_num = ? AND seq = ?",
                                        "sii", reader_id, num, seq),
                            &count);
    *is_hidden = count > 0;
    return err;
}

#define NOT_HIDDEN                                                        \
    " AND NOT EXISTS (SELECT 1 FROM message_hidden h WHERE h.user_id = ?" \
    " AND h.conversation_num = m.conversation_num AND h.seq = m.seq)"

/* Threads and pins have small indexes of their own; each statement is a text of its own, so that
 * it is prepared once. */
#define RANGE_OF(index_, more_, order_)                                              \
    "SELECT " MESSAGE_COLUMNS " FROM " index_ " t JOIN message_messages m"           \
    " ON m.conversation_num = t.conversation_num AND m.seq = t.seq"                  \
    " WHERE t.conversation_num = ? " more_ " AND t.seq > ? AND t.seq < ?" NOT_HIDDEN \
    " ORDER BY t.seq " order_ " LIMIT ?"
#define RANGE(order_)                                                      \
    "SELECT " MESSAGE_COLUMNS " FROM message_messages m"                   \
    " WHERE m.conversation_num = ? AND m.seq > ? AND m.seq < ?" NOT_HIDDEN \
    " ORDER BY m.seq " order_ " LIMIT ?"

static struct store_stmt *query_range(struct store_tx *tx, const struct message_range *r)
{
    int64_t limit = r->limit;
    bool is_back = r->is_newest_first;
    if (r->thread_seq > 0)
        return store_query(tx,
                           is_back ? RANGE_OF("message_threads", "AND t.thread_seq = ?", "DESC")
                                   : RANGE_OF("message_threads", "AND t.thread_seq = ?", "ASC"),
                           "iiiisi", r->num, r->thread_seq, r->above_seq, r->below_seq,
                           r->reader_id, limit);
    const char *sql = r->is_pinned ? (is_back ? RANGE_OF("message_pins", "", "DESC")
                                              : RANGE_OF("message_pins", "", "ASC"))
                                   : (is_back ? RANGE("DESC") : RANGE("ASC"));
    return store_query(tx, sql, "iiisi", r->num, r->above_seq, r->below_seq, r->reader_id, limit);
}

enum err message_log_range(struct store_tx *tx, struct arena *arena,
                           const struct message_range *range, struct message_row **rows,
                           size_t *count)
{
    struct store_stmt *st = query_range(tx, range);
    *rows = arena_array(arena, struct message_row, (size_t)range->limit);
    *count = 0;
    while (*count < (size_t)range->limit && store_step(st))
        message_log_read(st, arena, &(*rows)[(*count)++]);
    return store_finish(st);
}

/* ---- changes ---- */

static void read_change(struct store_stmt *st, struct arena *arena, struct message_change_row *r)
{
    r->lsn = store_int(st, 0);
    r->conversation_num = store_int(st, 1);
    r->rev = store_int(st, 2);
    r->type = (enum message_change_type)store_int(st, 3);
    r->seq = store_int(st, 4);
    r->last_seq = store_int(st, 5);
    r->actor_id = store_text(st, 6, arena);
    r->user_id = store_text(st, 7, arena);
    r->at_ms = store_int(st, 8);
    message_digest_read(st, 9, &r->digest);
    message_digest_read(st, 10, &r->chain);
}

enum err message_log_changes(struct store_tx *tx, struct arena *arena, int64_t num, int64_t above,
                             int64_t to, int limit, struct message_change_row **rows, size_t *count)
{
    struct store_stmt *st = store_query(
        tx,
        "SELECT lsn, conversation_num, rev, type, seq, last_seq, actor_id, user_id, at_ms, digest,"
        " chain FROM message_changes WHERE conversation_num = ? AND rev > ? AND rev <= ?"
        " ORDER BY rev LIMIT ?",
        "iiii", num, above, to, (int64_t)limit);
    *rows = arena_array(arena, struct message_change_row, (size_t)limit);
    *count = 0;
    while (*count < (size_t)limit && store_step(st))
        read_change(st, arena, &(*rows)[(*count)++]);
    return store_finish(st);
}

/* The first line that is kept: of messages, and of changes; 0: there is none. */
static enum err first_revs(struct store_tx *tx, const struct message_conversation *c,
                           int64_t *message_rev, int64_t *change_rev)
{
    enum err err = message_take_number(store_query(tx,
                                                   "SELECT rev FROM message_messages"
                                                   " WHERE conversation_num = ? AND seq = ?",
                                                   "ii", c->num, c->first_seq),
                                       message_rev);
    return err ? err
               : message_take_number(store_query(tx,
                                                 "SELECT rev FROM message_changes WHERE"
                                                 " conversation_num = ? ORDER BY rev LIMIT 1",
                                                 "i", c->num),
                                     change_rev);
}

enum err message_log_floor(struct store_tx *tx, const struct message_conversation *c, int64_t *rev)
{
    int64_t message_rev, change_rev;
    *rev = 0;
    if (c->first_seq == 1)
        return ERR_OK;
    enum err err = first_revs(tx, c, &message_rev, &change_rev);
    int64_t first = !message_rev  ? change_rev
                    : !change_rev ? message_rev
                                  : MIN(message_rev, change_rev);
    *rev = first ? first - 1 : c->rev;
    return err;
}

enum err message_log_seq_at(struct store_tx *tx, const struct message_conversation *c, int64_t rev,
                            int64_t *seq)
{
    int64_t floor;
    enum err err = message_log_floor(tx, c, &floor);
    struct store_stmt *st =
        store_query(tx,
                    "SELECT rev, last_seq FROM message_changes WHERE conversation_num = ?"
                    " AND rev <= ? ORDER BY rev DESC LIMIT 1",
                    "ii", c->num, rev);
    /* Every revision since the last change, or since the first line that is kept, was a message. */
    *seq = store_step(st) ? store_int(st, 1) + (rev - store_int(st, 0))
                          : c->first_seq - 1 + MAX(0, rev - floor);
    enum err finished = store_finish(st);
    return err ? err : finished;
}
