/*
 * Changes that several operations make: each stores what it is about, takes the next revision, and
 * is told to whoever may see it when it is committed.
 */
#include "services/message/message_internal.h"

int64_t message_visible_from(const struct message_op *op)
{
    return MAX(op->me.visible_from_seq, op->c.first_seq - 1);
}

int64_t message_visible_to(const struct message_op *op)
{
    return op->me.state == MESSAGE__MEMBER_STATE__GONE ? MIN(op->c.last_seq, op->me.visible_to_seq)
                                                       : op->c.last_seq;
}

enum err message_find_readable(struct store_tx *tx, struct message_op *op, int64_t seq,
                               struct message_row *out)
{
    bool is_readable = seq > message_visible_from(op) && seq <= message_visible_to(op);
    enum err err =
        is_readable ? message_log_get(tx, op->call->arena, op->c.num, seq, out) : ERR_NOT_FOUND;
    return err == ERR_NOT_FOUND ? message_refuse(op, err, "There is no such message.") : err;
}

static enum err each_mention(struct store_tx *tx, const char *sql, const struct message_row *m,
                             const Message__Content *content)
{
    enum err err = ERR_OK;
    if (content->is_mentioning_all)
        err = store_run(tx, sql, "isi", m->conversation_num, "*", m->seq);
    for (size_t i = 0; i < content->n_mentions && !err; i++)
        err = store_run(tx, sql, "isi", m->conversation_num, content->mentions[i], m->seq);
    return err;
}

enum err message_add_mentions(struct store_tx *tx, const struct message_row *m,
                              const Message__Content *content)
{
    return each_mention(tx,
                        "INSERT INTO message_mentions (conversation_num, user_id, seq)"
                        " VALUES (?,?,?) ON CONFLICT DO NOTHING",
                        m, content);
}

enum err message_drop_mentions(struct store_tx *tx, const struct message_row *m,
                               const Message__Content *content)
{
    return each_mention(tx,
                        "DELETE FROM message_mentions WHERE conversation_num = ?"
                        " AND user_id = ? AND seq = ?",
                        m, content);
}

enum err message_change_message(struct store_tx *tx, struct message_op *op,
                                enum message_change_type type, const struct message_row *m,
                                const char *emoji, bool is_removed)
{
    struct arena *arena = op->call->arena;
    const char *chosen = emoji ? arena_printf(arena, "%c%s", is_removed ? '-' : '+', emoji) : NULL;
    struct message_change_row row = {.type = type,
                                     .seq = m->seq,
                                     .actor_id = who_id(op->call),
                                     .user_id = "",
                                     .digest = chosen ? message_digest(chosen, strlen(chosen))
                                                      : m->content_digest};
    enum err err = message_log_rewrite(tx, m);
    if (!err && (type == MESSAGE_CHANGE_EDITED || type == MESSAGE_CHANGE_RECALLED))
        err = message_search_again(tx, m);
    if (!err)
        err = message_log_change(tx, op->svc, &op->c, &row);
    Message__Change *change;
    if (!err)
        err = message_change_shape(tx, arena, &op->c, &row, "", &change);
    if (err)
        return err;
    change->emoji = (char *)(emoji ? emoji : "");
    change->is_removed = is_removed;
    message_tell(op, change, row.lsn, NULL);
    return message_reply_message(tx, op, m);
}

enum err message_change_member(struct store_tx *tx, struct message_op *op,
                               const struct message_member *m)
{
    struct arena *arena = op->call->arena;
    struct message_member stored = *m;
    const char *chosen = arena_printf(arena, "%s %d %d", m->user_id, (int)m->role, (int)m->state);
    struct message_change_row row = {.type = MESSAGE_CHANGE_MEMBER,
                                     .actor_id = who_id(op->call),
                                     .user_id = m->user_id,
                                     .digest = message_digest(chosen, strlen(chosen))};
    enum err err = message_log_change(tx, op->svc, &op->c, &row);
    if (err)
        return err;
    stored.own_lsn = row.lsn; /* so the person's devices hear of it though no member any more */
    if (m->state == MESSAGE__MEMBER_STATE__GONE && !m->visible_to_rev)
        stored.visible_to_rev = row.rev;
    err = message_store_put_member(tx, &stored);
    Message__Change *change;
    if (!err)
        err = message_change_shape(tx, arena, &op->c, &row, "", &change);
    if (!err)
        message_tell(op, change, row.lsn, m);
    return err;
}

enum err message_change_settings(struct store_tx *tx, struct message_op *op)
{
    struct arena *arena = op->call->arena;
    const struct message_conversation *c = &op->c;
    const char *chosen = arena_printf(
        arena, "%s\n%s\n%s\n%s\n%d %d %d %lld", c->title, c->avatar_url, c->announcement,
        c->owner_id, (int)c->join_rule, c->is_muted, c->is_dissolved, (long long)c->retention_days);
    struct message_change_row row = {.type = MESSAGE_CHANGE_CONVERSATION,
                                     .actor_id = who_id(op->call),
                                     .user_id = "",
                                     .digest = message_digest(chosen, strlen(chosen))};
    enum err err = message_store_update(tx, c);
    if (!err)
        err = message_log_change(tx, op->svc, &op->c, &row);
    Message__Change *change;
    if (!err)
        err = message_change_shape(tx, arena, c, &row, "", &change);
    if (!err)
        message_tell(op, change, row.lsn, NULL);
    return err;
}

enum err message_change_own(struct store_tx *tx, struct message_op *op)
{
    op->me.own_lsn = message_next_lsn(op->svc);
    enum err err = message_store_put_member(tx, &op->me);
    if (!err)
        err = message_reply_conversation(tx, op);
    if (!err)
        message_tell_own(op, op->reply, op->me.own_lsn);
    return err;
}
