/*
 * Changes that several operations make: each stores what it is about, takes the next revision, and
 * is told to whoever may see it when it is committed.
 */
#include "services/message/message_internal.h"

#define ADMINS_TOLD_MAX 200

int64_t message_visible_from(const struct message_op *op)
{
    return MAX(op->me.visible_from_seq, op->c.first_seq - 1);
}

struct message_reader message_reader(const struct message_op *op)
{
    return (struct message_reader){
        .id = op->me.user_id, .svc = op->svc, .to_seq = message_visible_to(op)};
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

enum err message_check_mentions(struct message_op *op, const Message__Content *content)
{
    bool may = op->me.role != MESSAGE__MEMBER_ROLE__MEMBER || op->c.members_may_mention_all ||
               op->c.kind == MESSAGE__CONVERSATION_KIND__DIRECT;
    if (content && content->is_mentioning_all && !may)
        return message_refuse(
            op, ERR_PERMISSION_DENIED,
            "content.is_mentioning_all: only owner and admins call everybody here.");
    return ERR_OK;
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

/* As all may see it: without what is the caller's own, or only the caller's to know. */
static Message__MessageInfo *for_all(struct arena *arena, const Message__MessageInfo *mine)
{
    Message__MessageInfo *all = arena_new(arena, Message__MessageInfo);
    *all = *mine;
    all->reactions = arena_array(arena, Message__Reaction *, mine->n_reactions);
    for (size_t i = 0; i < mine->n_reactions; i++) {
        all->reactions[i] = arena_new(arena, Message__Reaction);
        *all->reactions[i] = *mine->reactions[i];
        all->reactions[i]->is_mine = false;
    }
    if (mine->forwarded_from) {
        all->forwarded_from = arena_new(arena, Message__ForwardedFrom);
        *all->forwarded_from = *mine->forwarded_from;
        all->forwarded_from->conversation_id = (char *)"";
    }
    return all;
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
        err = message_index_again(tx, op->c.shard, m);
    if (!err)
        err = message_log_change(tx, op->svc, &op->c, &row);
    if (!err)
        err = message_reply_message(tx, op, m);
    if (err)
        return err;
    Message__Change *change = message_change_new(arena, &op->c, &row);
    change->message = for_all(arena, op->reply);
    change->emoji = (char *)(emoji ? emoji : "");
    change->is_removed = is_removed;
    message_tell(op, change, row.lsn, NULL);
    return ERR_OK;
}

/* Who asks to come in, or was refused, is known to owner and admins alone. */
static bool is_for_admins(Message__MemberState state)
{
    return state == MESSAGE__MEMBER_STATE__ASKING || state == MESSAGE__MEMBER_STATE__REFUSED;
}

static void hide_ban(Message__Member *m)
{
    if (m->state == MESSAGE__MEMBER_STATE__BANNED)
        m->state = MESSAGE__MEMBER_STATE__GONE;
}

bool message_may_hear_of(const struct message_op *op, Message__Member *m)
{
    bool is_admin = op->me.role != MESSAGE__MEMBER_ROLE__MEMBER &&
                    op->me.state == MESSAGE__MEMBER_STATE__ACTIVE;
    if (is_admin || strcmp(m->user_id, op->me.user_id) == 0)
        return true;
    if (is_for_admins(m->state))
        return false;
    hide_ban(m);
    return true;
}

static Message__Change *as_gone(struct arena *arena, const Message__Change *ban)
{
    Message__Change *gone = arena_new(arena, Message__Change);
    *gone = *ban;
    gone->member = arena_new(arena, Message__Member);
    *gone->member = *ban->member;
    hide_ban(gone->member);
    return gone;
}

/* Owner, admins and the person itself: more than ADMINS_TOLD_MAX find it when they look. */
static enum err tell_admins(struct store_tx *tx, struct message_op *op, Message__Change *change,
                            int64_t lsn, const struct message_member *m)
{
    Message__MessageEvent *event = message_tell(op, change, lsn, m);
    event->is_for_named = true;
    event->user_ids = arena_array(op->call->arena, char *, ADMINS_TOLD_MAX + 1);
    event->user_ids[0] = (char *)m->user_id;
    event->n_user_ids = 1;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT user_id FROM message_members WHERE conversation_num = ? AND role > 0"
                    " AND state = 0 AND user_id <> ? ORDER BY user_id LIMIT ?",
                    "isi", op->c.num, m->user_id, (int64_t)ADMINS_TOLD_MAX);
    while (store_step(st))
        event->user_ids[event->n_user_ids++] = store_text(st, 0, op->call->arena);
    return store_finish(st);
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
    err = message_store_put_member(tx, &stored);
    Message__Change *change;
    if (!err)
        err = message_change_shape(tx, arena, &op->c, &row, MESSAGE_ANY_READER, &change);
    if (err)
        return err;
    bool is_ban = m->state == MESSAGE__MEMBER_STATE__BANNED;
    if (is_for_admins(m->state) || is_ban)
        err = tell_admins(tx, op, change, row.lsn, m);
    else
        message_tell(op, change, row.lsn, m);
    if (!err && is_ban) /* to the others the person is gone */
        message_tell(op, as_gone(arena, change), row.lsn, NULL);
    return err;
}

enum err message_change_settings(struct store_tx *tx, struct message_op *op)
{
    struct arena *arena = op->call->arena;
    const struct message_conversation *c = &op->c;
    const char *chosen = arena_printf(
        arena, "%s\n%s\n%s\n%s\n%d %d %d %lld %d %d %d", c->title, c->avatar_url, c->announcement,
        c->owner_id, (int)c->join_rule, c->is_muted, c->is_dissolved, (long long)c->retention_days,
        c->members_may_add, c->is_consent_needed, c->members_may_mention_all);
    struct message_change_row row = {.type = MESSAGE_CHANGE_CONVERSATION,
                                     .actor_id = who_id(op->call),
                                     .user_id = "",
                                     .digest = message_digest(chosen, strlen(chosen))};
    enum err err = message_store_update(tx, c);
    if (!err)
        err = message_log_change(tx, op->svc, &op->c, &row);
    Message__Change *change;
    if (!err)
        err = message_change_shape(tx, arena, c, &row, MESSAGE_ANY_READER, &change);
    if (!err)
        message_tell(op, change, row.lsn, NULL);
    return err;
}

enum err message_change_own(struct store_tx *tx, struct message_op *op)
{
    enum err err = message_take_lsn(tx, op->svc, op->c.shard, &op->me.own_lsn);
    if (!err)
        err = message_store_put_member(tx, &op->me);
    if (!err)
        err = message_reply_conversation(tx, op);
    if (!err)
        message_tell_own(op, op->reply, op->me.own_lsn);
    return err;
}
