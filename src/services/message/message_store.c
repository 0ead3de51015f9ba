/* Rows of conversations and members, and of the block list. */
#include "services/message/message_internal.h"

#define CONVERSATION_COLUMNS                                                                    \
    "c.num, c.id, c.natural_key, c.kind, c.title, c.avatar_url, c.announcement, c.owner_id,"    \
    " c.meeting_id, c.join_rule, c.is_muted, c.is_dissolved, c.retention_days, c.member_count," \
    " c.first_seq, c.last_seq, c.rev, c.head_lsn, c.chain, c.created_at_ms, c.active_at_ms,"    \
    " c.members_may_add, c.is_consent_needed, c.members_may_mention_all, c.shard"
#define CONVERSATION_COLUMN_COUNT 25
#define MEMBER_COLUMNS                                                                       \
    "m.conversation_num, m.user_id, m.role, m.state, m.nickname, m.joined_at_ms,"            \
    " m.muted_until_ms, m.visible_from_seq, m.visible_to_seq, m.visible_to_rev, m.read_seq," \
    " m.delivered_seq, m.is_marked_unread, m.quiet_until_ms, m.is_pinned, m.archived_seq, "  \
    "m.draft,"                                                                               \
    " m.draft_at_ms, m.own_lsn, m.is_bot"

/* ---- conversations ---- */

static void read_conversation(struct store_stmt *st, struct arena *arena,
                              struct message_conversation *c)
{
    c->num = store_int(st, 0);
    c->id = store_text(st, 1, arena);
    c->natural_key = store_text(st, 2, arena);
    c->kind = (Message__ConversationKind)store_int(st, 3);
    c->title = store_text(st, 4, arena);
    c->avatar_url = store_text(st, 5, arena);
    c->announcement = store_text(st, 6, arena);
    c->owner_id = store_text(st, 7, arena);
    c->meeting_id = store_text(st, 8, arena);
    c->join_rule = (Message__JoinRule)store_int(st, 9);
    c->is_muted = store_int(st, 10) != 0;
    c->is_dissolved = store_int(st, 11) != 0;
    c->retention_days = store_int(st, 12);
    c->member_count = store_int(st, 13);
    c->first_seq = store_int(st, 14);
    c->last_seq = store_int(st, 15);
    c->rev = store_int(st, 16);
    c->head_lsn = store_int(st, 17);
    message_digest_read(st, 18, &c->chain);
    c->created_at_ms = store_int(st, 19);
    c->active_at_ms = store_int(st, 20);
    c->members_may_add = store_int(st, 21) != 0;
    c->is_consent_needed = store_int(st, 22) != 0;
    c->members_may_mention_all = store_int(st, 23) != 0;
    c->shard = (unsigned)store_int(st, 24);
}

static enum err finish_conversation(struct store_stmt *st, struct arena *arena,
                                    struct message_conversation *out)
{
    bool is_found = store_step(st);
    if (is_found)
        read_conversation(st, arena, out);
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

enum err message_store_find(struct store_tx *tx, struct arena *arena, const char *id,
                            struct message_conversation *out)
{
    if (strncmp(id, "m:", 2) == 0)
        return message_store_find_natural(tx, arena, id, out);
    struct store_stmt *st = store_query(
        tx, "SELECT " CONVERSATION_COLUMNS " FROM message_conversations c WHERE c.id = ?", "s", id);
    return finish_conversation(st, arena, out);
}

enum err message_store_find_natural(struct store_tx *tx, struct arena *arena, const char *key,
                                    struct message_conversation *out)
{
    struct store_stmt *st = store_query(
        tx, "SELECT " CONVERSATION_COLUMNS " FROM message_conversations c WHERE c.natural_key = ?",
        "s", key);
    return finish_conversation(st, arena, out);
}

/* With several shards a conversation may be moved to another database, where others have their
 * numbers already: so they are unlike those of all. */
static enum err take_num(struct store_tx *tx, struct message_service *svc,
                         struct message_conversation *c)
{
    bool is_counted =
        svc->shard_count == 1 || (svc->base_count == 1 && store_is_exclusive(svc->deps.store));
    enum err err = is_counted ? ERR_OK : message_take_lsn(tx, svc, c->shard, &c->num);
    return err || is_counted
               ? err
               : store_run(tx, "UPDATE message_conversations SET num = ? WHERE id = ?", "is",
                           c->num, c->id);
}

enum err message_store_insert(struct store_tx *tx, struct message_service *svc,
                              struct message_conversation *c)
{
    enum err err = store_run(
        tx,
        "INSERT INTO message_conversations (id, natural_key, kind, title, avatar_url,"
        " announcement, owner_id, meeting_id, join_rule, is_muted, is_dissolved, retention_days,"
        " member_count, first_seq, last_seq, rev, head_lsn, chain, created_at_ms, active_at_ms,"
        " members_may_add, is_consent_needed, members_may_mention_all, shard)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        "ssissss"
        "siiiiiiiiibiiiiii",
        c->id, c->natural_key, (int64_t)c->kind, c->title, c->avatar_url, c->announcement,
        c->owner_id, c->meeting_id, (int64_t)c->join_rule, (int64_t)c->is_muted,
        (int64_t)c->is_dissolved, c->retention_days, c->member_count, c->first_seq, c->last_seq,
        c->rev, c->head_lsn, (const void *)c->chain.bytes, sizeof(c->chain.bytes), c->created_at_ms,
        c->active_at_ms, (int64_t)c->members_may_add, (int64_t)c->is_consent_needed,
        (int64_t)c->members_may_mention_all, (int64_t)c->shard);
    if (!err)
        err = take_num(tx, svc, c);
    if (err)
        return err;
    struct store_stmt *st =
        store_query(tx, "SELECT num FROM message_conversations WHERE id = ?", "s", c->id);
    if (store_step(st))
        c->num = store_int(st, 0);
    return store_finish(st);
}

enum err message_store_update(struct store_tx *tx, const struct message_conversation *c)
{
    return store_run(
        tx,
        "UPDATE message_conversations SET title = ?, avatar_url = ?, announcement = ?,"
        " owner_id = ?, join_rule = ?, is_muted = ?, is_dissolved = ?, retention_days = ?,"
        " member_count = ?, members_may_add = ?, is_consent_needed = ?,"
        " members_may_mention_all = ? WHERE num = ?",
        "ssssiiiiiiiii", c->title, c->avatar_url, c->announcement, c->owner_id,
        (int64_t)c->join_rule, (int64_t)c->is_muted, (int64_t)c->is_dissolved, c->retention_days,
        c->member_count, (int64_t)c->members_may_add, (int64_t)c->is_consent_needed,
        (int64_t)c->members_may_mention_all, c->num);
}

enum err message_take_number(struct store_stmt *st, int64_t *number)
{
    *number = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

/* ---- members ---- */

static void read_member(struct store_stmt *st, int at, struct arena *arena,
                        struct message_member *m)
{
    m->conversation_num = store_int(st, at);
    m->user_id = store_text(st, at + 1, arena);
    m->role = (Message__MemberRole)store_int(st, at + 2);
    m->state = (Message__MemberState)store_int(st, at + 3);
    m->nickname = store_text(st, at + 4, arena);
    m->joined_at_ms = store_int(st, at + 5);
    m->muted_until_ms = store_int(st, at + 6);
    m->visible_from_seq = store_int(st, at + 7);
    m->visible_to_seq = store_int(st, at + 8);
    m->visible_to_rev = store_int(st, at + 9);
    m->read_seq = store_int(st, at + 10);
    m->delivered_seq = store_int(st, at + 11);
    m->is_marked_unread = store_int(st, at + 12) != 0;
    m->quiet_until_ms = store_int(st, at + 13);
    m->is_pinned = store_int(st, at + 14) != 0;
    m->archived_seq = store_int(st, at + 15);
    m->draft = store_text(st, at + 16, arena);
    m->draft_at_ms = store_int(st, at + 17);
    m->own_lsn = store_int(st, at + 18);
    m->is_bot = store_int(st, at + 19) != 0;
}

enum err message_store_member(struct store_tx *tx, struct arena *arena, int64_t num,
                              const char *user_id, struct message_member *out)
{
    struct store_stmt *st = store_query(tx,
                                        "SELECT " MEMBER_COLUMNS " FROM message_members m"
                                        " WHERE m.conversation_num = ? AND m.user_id = ?",
                                        "is", num, user_id);
    bool is_found = store_step(st);
    if (is_found)
        read_member(st, 0, arena, out);
    enum err err = store_finish(st);
    return err ? err : is_found ? ERR_OK : ERR_NOT_FOUND;
}

enum err message_store_put_member(struct store_tx *tx, const struct message_member *m)
{
    enum err err = store_run(
        tx,
        "UPDATE message_members SET role = ?, state = ?, nickname = ?, joined_at_ms = ?,"
        " muted_until_ms = ?, visible_from_seq = ?, visible_to_seq = ?, visible_to_rev = ?,"
        " read_seq = ?, delivered_seq = ?, is_marked_unread = ?, quiet_until_ms = ?,"
        " is_pinned = ?, archived_seq = ?, draft = ?, draft_at_ms = ?, own_lsn = ?, is_bot = ?"
        " WHERE conversation_num = ? AND user_id = ?",
        "iisiiiiiiiiiiisiiiis", (int64_t)m->role, (int64_t)m->state, m->nickname, m->joined_at_ms,
        m->muted_until_ms, m->visible_from_seq, m->visible_to_seq, m->visible_to_rev, m->read_seq,
        m->delivered_seq, (int64_t)m->is_marked_unread, m->quiet_until_ms, (int64_t)m->is_pinned,
        m->archived_seq, m->draft, m->draft_at_ms, m->own_lsn, (int64_t)m->is_bot,
        m->conversation_num, m->user_id);
    if (err || store_changes(tx) > 0)
        return err;
    return store_run(
        tx,
        "INSERT INTO message_members (conversation_num, user_id, role, state, nickname,"
        " joined_at_ms, muted_until_ms, visible_from_seq, visible_to_seq, visible_to_rev,"
        " read_seq, delivered_seq, is_marked_unread, quiet_until_ms, is_pinned, archived_seq,"
        " draft, draft_at_ms, own_lsn, is_bot) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        "isiisiiiiiiiiiiisiii", m->conversation_num, m->user_id, (int64_t)m->role,
        (int64_t)m->state, m->nickname, m->joined_at_ms, m->muted_until_ms, m->visible_from_seq,
        m->visible_to_seq, m->visible_to_rev, m->read_seq, m->delivered_seq,
        (int64_t)m->is_marked_unread, m->quiet_until_ms, (int64_t)m->is_pinned, m->archived_seq,
        m->draft, m->draft_at_ms, m->own_lsn, (int64_t)m->is_bot);
}

enum err message_store_members(struct store_tx *tx, struct arena *arena,
                               const struct message_member_range *range,
                               struct message_member **rows, size_t *count)
{
    size_t room = (size_t)range->limit + 1;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " MEMBER_COLUMNS " FROM message_members m WHERE m.conversation_num = ?"
                    " AND m.state = ? AND m.user_id > ? ORDER BY m.user_id LIMIT ?",
                    "iisi", range->num, (int64_t)range->state, range->above, (int64_t)room);
    *rows = arena_array(arena, struct message_member, room);
    *count = 0;
    while (*count < room && store_step(st))
        read_member(st, 0, arena, &(*rows)[(*count)++]);
    return store_finish(st);
}

struct relation {
    const char *a, *b;
    int64_t state;
    bool by_a, by_b;
};

static enum err contact_job(struct store_tx *tx, void *arg)
{
    struct relation *r = arg;
    return message_take_number(
        store_query(tx, "SELECT state FROM message_contacts WHERE owner_id = ? AND user_id = ?",
                    "ss", r->a, r->b),
        &r->state);
}

enum err message_store_contact(struct store_tx *tx, const struct message_service *svc,
                               const char *owner_id, const char *user_id, int64_t *state)
{
    struct relation r = {.a = owner_id, .b = user_id};
    enum err err = message_read_home(svc, tx, contact_job, &r);
    *state = r.state;
    return err;
}

bool message_store_is_blocked(struct store_tx *tx, const struct message_service *svc,
                              const char *owner_id, const char *user_id)
{
    int64_t state;
    return message_store_contact(tx, svc, owner_id, user_id, &state) != ERR_OK ||
           state == CONTACT__CONTACT_STATE__BLOCKED;
}

static enum err blocks_job(struct store_tx *tx, void *arg)
{
    struct relation *r = arg;
    const int64_t blocked = CONTACT__CONTACT_STATE__BLOCKED;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT owner_id FROM message_contacts WHERE owner_id = ? AND user_id = ?"
                    " AND state = ? UNION ALL SELECT owner_id FROM message_contacts"
                    " WHERE owner_id = ? AND user_id = ? AND state = ?",
                    "ssissi", r->a, r->b, blocked, r->b, r->a, blocked);
    while (store_step(st)) {
        bool is_a = str_eq(store_str(st, 0), str_from(r->a));
        r->by_a |= is_a;
        r->by_b |= !is_a;
    }
    return store_finish(st);
}

enum err message_store_blocks(struct store_tx *tx, const struct message_service *svc, const char *a,
                              const char *b, bool *by_a, bool *by_b)
{
    struct relation r = {.a = a, .b = b};
    enum err err = message_read_home(svc, tx, blocks_job, &r);
    *by_a = r.by_a;
    *by_b = r.by_b;
    return err;
}

/* ---- lists ---- */

/* The chat of a meeting in which nothing was said is no conversation yet; nor are two people whose
 * first message waits for its hour. */
#define SOMETHING_SAID " AND (c.kind NOT IN (0, 3) OR c.last_seq > 0)"

static enum err take_pairs(struct store_stmt *st, struct arena *arena, size_t room,
                           struct message_pair **rows, size_t *count)
{
    *rows = arena_array(arena, struct message_pair, room);
    *count = 0;
    while (*count < room && store_step(st)) {
        struct message_pair *pair = &(*rows)[(*count)++];
        read_conversation(st, arena, &pair->c);
        read_member(st, CONVERSATION_COLUMN_COUNT, arena, &pair->me);
    }
    return store_finish(st);
}

const char *message_store_moved_sql(struct arena *arena, const struct message_heads *since)
{
    struct strbuf cases = {0};
    if (!since)
        return "";
    if (since->count == 1)
        return " AND ((m.state = 0 AND c.head_lsn > ?) OR m.own_lsn > ?)";
    for (unsigned i = 0; i < since->count; i++)
        strbuf_printf(&cases, " WHEN %u THEN ?", i);
    const char *list = strbuf_str(&cases).p;
    const char *sql = arena_printf(arena,
                                   " AND ((m.state = 0 AND c.head_lsn > CASE c.shard%s END)"
                                   " OR m.own_lsn > CASE c.shard%s END)",
                                   list, list);
    strbuf_deinit(&cases);
    return sql;
}

int message_store_bind_moved(struct store_stmt *st, int at, const struct message_heads *since)
{
    for (int round = 0; since && round < 2; round++)
        for (unsigned i = 0; i < since->count; i++)
            store_bind_int(st, at++, since->lsns[i]);
    return at;
}

enum err message_store_list_since(struct store_tx *tx, struct arena *arena, const char *user_id,
                                  const struct message_heads *since, int limit,
                                  struct message_pair **rows, size_t *count)
{
    struct store_stmt *st = store_prepare(
        tx, arena_printf(arena,
                         "SELECT " CONVERSATION_COLUMNS ", " MEMBER_COLUMNS
                         " FROM message_members m JOIN message_conversations c"
                         " ON c.num = m.conversation_num"
                         " WHERE m.user_id = ? AND m.state IN (0, 1)" SOMETHING_SAID "%s"
                         " ORDER BY c.active_at_ms DESC, c.num DESC LIMIT ?",
                         message_store_moved_sql(arena, since)));
    store_bind_text(st, 1, user_id);
    store_bind_int(st, message_store_bind_moved(st, 2, since), (int64_t)limit + 1);
    return take_pairs(st, arena, (size_t)limit + 1, rows, count);
}

enum err message_store_list(struct store_tx *tx, struct arena *arena, const char *user_id,
                            bool is_archived, const struct page *page, struct message_pair **rows,
                            size_t *count)
{
    int64_t before_ms = page->is_first ? INT64_MAX : page->sort;
    struct store_stmt *st = store_query(
        tx,
        "SELECT " CONVERSATION_COLUMNS ", " MEMBER_COLUMNS
        " FROM message_members m JOIN message_conversations c ON c.num = m.conversation_num"
        " WHERE m.user_id = ? AND m.state IN (0, 1) AND (m.archived_seq > c.last_seq) ="
        " (? <> 0)" SOMETHING_SAID " AND (c.active_at_ms < ? OR (c.active_at_ms = ? AND c.id < ?))"
        " ORDER BY c.active_at_ms DESC, c.id DESC LIMIT ?",
        "siiisi", user_id, (int64_t)is_archived, before_ms, before_ms,
        page->is_first ? "" : page->id, (int64_t)page->limit + 1);
    return take_pairs(st, arena, (size_t)page->limit + 1, rows, count);
}

enum err message_count_unread(struct store_tx *tx, const char *user_id, int64_t *count)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT COALESCE(SUM(MAX(0, c.last_seq - MAX(m.read_seq, m.visible_from_seq,"
                    " c.first_seq - 1))), 0) FROM message_members m"
                    " JOIN message_conversations c ON c.num = m.conversation_num"
                    " WHERE m.user_id = ? AND m.state = 0 AND m.quiet_until_ms BETWEEN 0 AND ?",
                    "si", user_id, clock_wall_ms());
    if (store_step(st))
        *count = store_int(st, 0);
    return store_finish(st);
}
