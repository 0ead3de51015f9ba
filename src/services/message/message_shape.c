/* Rows as readers see them: messages with their reactions and thread, conversations with what is
 * the reader's own, changes. */
#include "services/message/message_internal.h"

/* ---- messages ---- */

static void take_reactors(struct arena *arena, struct str ids, Message__Reaction *out)
{
    out->user_ids = arena_array(arena, char *, MESSAGE_REACTORS_SHOWN);
    while (ids.n && out->n_user_ids < MESSAGE_REACTORS_SHOWN) {
        struct str id;
        str_cut(&ids, ' ', &id);
        out->user_ids[out->n_user_ids++] = str_arena(arena, id);
    }
}

static enum err add_reactions(struct store_tx *tx, struct arena *arena, const struct message_row *m,
                              const char *reader_id, Message__MessageInfo *out)
{
    struct store_stmt *st = store_query(
        tx,
        "SELECT c.emoji, c.count, c.user_ids, EXISTS (SELECT 1 FROM message_reactions r"
        " WHERE r.conversation_num = c.conversation_num AND r.seq = c.seq AND r.emoji = c.emoji"
        " AND r.user_id = ?) FROM message_reaction_counts c"
        " WHERE c.conversation_num = ? AND c.seq = ? ORDER BY c.emoji LIMIT ?",
        "siii", reader_id, m->conversation_num, m->seq, (int64_t)MESSAGE_EMOJI_KINDS_MAX);
    out->reactions = arena_array(arena, Message__Reaction *, MESSAGE_EMOJI_KINDS_MAX);
    while (store_step(st)) {
        Message__Reaction *reaction = arena_new(arena, Message__Reaction);
        message__reaction__init(reaction);
        reaction->emoji = store_text(st, 0, arena);
        reaction->count = (int32_t)store_int(st, 1);
        take_reactors(arena, store_str(st, 2), reaction);
        reaction->is_mine = store_int(st, 3) != 0;
        out->reactions[out->n_reactions++] = reaction;
    }
    return store_finish(st);
}

static enum err add_extras(struct store_tx *tx, struct arena *arena, const struct message_row *m,
                           const struct message_reader *reader, Message__MessageInfo *out)
{
    enum err err = add_reactions(tx, arena, m, reader->id, out);
    if (err)
        return err;
    struct store_stmt *st = store_query(tx,
                                        "SELECT COUNT(*) FROM message_threads"
                                        " WHERE conversation_num = ? AND thread_seq = ?"
                                        " AND seq <= ?",
                                        "iii", m->conversation_num, m->seq, reader->to_seq);
    if (store_step(st))
        out->thread_count = (int32_t)store_int(st, 0);
    return store_finish(st);
}

/* What was stored by us; nothing else unpacks here, so failure means a damaged row. */
static enum err unpack(const ProtobufCMessageDescriptor *descriptor, struct arena *arena,
                       const void *bytes, size_t n, void *out)
{
    ProtobufCMessage *message = rpc_message_unpack(descriptor, arena, bytes, n);
    *(ProtobufCMessage **)out = message;
    return message ? ERR_OK : ERR_DATA_LOSS;
}

/* The place a message was forwarded from is named only to who may read there. */
struct source {
    struct arena *arena;
    const char *id, *reader_id;
    struct message_member me;
};

static enum err look_at_source(struct store_tx *tx, void *arg)
{
    struct source *s = arg;
    struct message_conversation c;
    enum err err = message_store_find(tx, s->arena, s->id, &c);
    return err ? err : message_store_member(tx, s->arena, c.num, s->reader_id, &s->me);
}

static enum err hide_source(struct store_tx *tx, struct arena *arena,
                            const struct message_reader *reader, Message__ForwardedFrom *from)
{
    if (!from || !from->conversation_id[0])
        return ERR_OK;
    struct source s = {.arena = arena, .id = from->conversation_id, .reader_id = reader->id};
    enum err err = reader->svc
                       ? message_read_in(message_base_of(reader->svc, s.id), tx, look_at_source, &s)
                       : look_at_source(tx, &s);
    bool is_away = err == ERR_UNAVAILABLE || err == ERR_DEADLINE_EXCEEDED;
    if (err || s.me.state != MESSAGE__MEMBER_STATE__ACTIVE)
        from->conversation_id = (char *)"";
    return err == ERR_NOT_FOUND || is_away ? ERR_OK : err;
}

enum err message_shape(struct store_tx *tx, struct arena *arena,
                       const struct message_conversation *c, const struct message_row *m,
                       const struct message_reader *reader, Message__MessageInfo **out)
{
    Message__MessageInfo *info = arena_new(arena, Message__MessageInfo);
    message__message_info__init(info);
    info->conversation_id = (char *)c->id;
    info->seq = m->seq;
    info->rev = m->rev;
    info->id = (char *)m->id;
    info->sender_id = (char *)m->sender_id;
    info->client_msg_id = (char *)m->client_msg_id;
    info->reply_to_seq = m->reply_to_seq;
    info->thread_seq = m->thread_seq;
    info->created_at_ms = m->created_at_ms;
    info->edited_at_ms = m->edited_at_ms;
    info->recalled_at_ms = m->recalled_at_ms;
    info->recalled_by = (char *)(m->recalled_by ? m->recalled_by : "");
    info->is_pinned = m->is_pinned;
    *out = info;
    enum err err = ERR_OK;
    if (!m->recalled_at_ms)
        err =
            unpack(&message__content__descriptor, arena, m->content, m->content_n, &info->content);
    if (!err && !m->recalled_at_ms && m->forwarded_n)
        err = unpack(&message__forwarded_from__descriptor, arena, m->forwarded, m->forwarded_n,
                     &info->forwarded_from);
    if (!err)
        err = hide_source(tx, arena, reader, info->forwarded_from);
    return err || !m->has_extras ? err : add_extras(tx, arena, m, reader, info);
}

enum err message_reply_message(struct store_tx *tx, struct message_op *op,
                               const struct message_row *m)
{
    Message__MessageInfo *reply;
    struct message_reader reader = message_reader(op);
    enum err err = message_shape(tx, op->call->arena, &op->c, m, &reader, &reply);
    op->reply = reply;
    return err;
}

/* ---- conversations ---- */

char *message_peer(struct arena *arena, const struct message_conversation *c, const char *me)
{
    /* "d:<26>:<26>" (message_send.c) */
    const char *a = c->natural_key + 2;
    const char *b = a + ID_SIZE;
    return strncmp(a, me, ID_SIZE - 1) == 0 ? arena_strdup(arena, b)
                                            : arena_printf(arena, "%.*s", ID_SIZE - 1, a);
}

Message__Conversation *message_conversation_shape(struct arena *arena,
                                                  const struct message_conversation *c,
                                                  const struct message_member *me)
{
    Message__Conversation *out = arena_new(arena, Message__Conversation);
    message__conversation__init(out);
    out->id = (char *)c->id;
    out->kind = c->kind;
    out->title = (char *)c->title;
    out->avatar_url = (char *)c->avatar_url;
    out->announcement = (char *)c->announcement;
    out->meeting_id = (char *)c->meeting_id;
    out->owner_id = (char *)c->owner_id;
    out->member_count = (int32_t)c->member_count;
    out->last_seq = c->last_seq;
    out->first_seq = c->first_seq;
    out->rev = c->rev;
    out->created_at_ms = c->created_at_ms;
    out->active_at_ms = c->active_at_ms;
    out->join_rule = c->join_rule;
    out->is_muted = c->is_muted;
    out->is_dissolved = c->is_dissolved;
    out->retention_days = (int32_t)c->retention_days;
    out->members_may_add = c->members_may_add;
    out->is_consent_needed = c->is_consent_needed;
    out->members_may_mention_all = c->members_may_mention_all;
    if (!me || !me->user_id)
        return out;
    if (c->kind == MESSAGE__CONVERSATION_KIND__DIRECT)
        out->peer_id = message_peer(arena, c, me->user_id);
    if (me->state == MESSAGE__MEMBER_STATE__GONE) {
        out->last_seq = MIN(c->last_seq, me->visible_to_seq);
        out->rev = MIN(c->rev, me->visible_to_rev);
        out->announcement = (char *)""; /* may be of later */
    }
    Message__Own *own = arena_new(arena, Message__Own);
    message__own__init(own);
    own->role = me->role;
    own->state = me->state;
    own->read_seq = me->read_seq;
    own->visible_from_seq = MAX(me->visible_from_seq, c->first_seq - 1);
    own->unread_count = MAX(0, out->last_seq - MAX(own->visible_from_seq, me->read_seq));
    own->is_marked_unread = me->is_marked_unread;
    own->quiet_until_ms = me->quiet_until_ms;
    own->is_pinned = me->is_pinned;
    own->is_archived = me->archived_seq > c->last_seq;
    own->draft = (char *)me->draft;
    own->draft_at_ms = me->draft_at_ms;
    out->own = own;
    return out;
}

static enum err count_mentions(struct store_tx *tx, const struct message_pair *pair,
                               int64_t last_seq, Message__Own *own)
{
    int64_t above = MAX(own->visible_from_seq, own->read_seq);
    struct store_stmt *st = store_query(tx,
                                        "SELECT COUNT(*) FROM message_mentions"
                                        " WHERE conversation_num = ? AND user_id IN (?, '*')"
                                        " AND seq > ? AND seq <= ?",
                                        "isii", pair->c.num, pair->me.user_id, above, last_seq);
    if (store_step(st))
        own->mention_count = store_int(st, 0);
    return store_finish(st);
}

enum err message_conversation_full(struct store_tx *tx, struct arena *arena,
                                   const struct message_pair *pair, Message__Conversation **out)
{
    Message__Conversation *conversation = message_conversation_shape(arena, &pair->c, &pair->me);
    *out = conversation;
    enum err err = ERR_OK;
    if (conversation->own->unread_count > 0)
        err = count_mentions(tx, pair, conversation->last_seq, conversation->own);
    if (err || conversation->last_seq <= conversation->own->visible_from_seq)
        return err;
    struct message_row *last;
    size_t count;
    err =
        message_log_range(tx, arena,
                          &(struct message_range){.num = pair->c.num,
                                                  .above_seq = conversation->own->visible_from_seq,
                                                  .below_seq = conversation->last_seq + 1,
                                                  .reader_id = pair->me.user_id,
                                                  .limit = 1,
                                                  .is_newest_first = true},
                          &last, &count);
    if (err || !count)
        return err;
    struct message_reader reader = {.id = pair->me.user_id, .to_seq = conversation->last_seq};
    return message_shape(tx, arena, &pair->c, last, &reader, &conversation->last_message);
}

enum err message_reply_conversation(struct store_tx *tx, struct message_op *op)
{
    Message__Conversation *reply;
    enum err err = message_conversation_full(
        tx, op->call->arena, &(struct message_pair){.c = op->c, .me = op->me}, &reply);
    op->reply = reply;
    return err;
}

Message__Member *message_member_shape(struct arena *arena, const struct message_conversation *c,
                                      const struct message_member *m)
{
    Message__Member *out = arena_new(arena, Message__Member);
    message__member__init(out);
    out->conversation_id = (char *)c->id;
    out->user_id = (char *)m->user_id;
    out->role = m->role;
    out->state = m->state;
    out->nickname = (char *)m->nickname;
    out->joined_at_ms = m->joined_at_ms;
    out->muted_until_ms = m->muted_until_ms;
    out->read_seq = m->read_seq;
    out->delivered_seq = m->delivered_seq;
    out->is_bot = m->is_bot;
    return out;
}

/* ---- changes ---- */

static const char *const type_names[] = {
    [MESSAGE_CHANGE_MESSAGE] = "message",   [MESSAGE_CHANGE_EDITED] = "edited",
    [MESSAGE_CHANGE_RECALLED] = "recalled", [MESSAGE_CHANGE_REACTION] = "reaction",
    [MESSAGE_CHANGE_PINNED] = "pinned",     [MESSAGE_CHANGE_UNPINNED] = "unpinned",
    [MESSAGE_CHANGE_MEMBER] = "member",     [MESSAGE_CHANGE_CONVERSATION] = "conversation",
};

const char *message_change_name(enum message_change_type type)
{
    return type_names[type];
}

static Message__Change *change_new(struct arena *arena, const struct message_conversation *c,
                                   int64_t rev, int64_t at_ms, enum message_change_type type)
{
    Message__Change *change = arena_new(arena, Message__Change);
    message__change__init(change);
    change->conversation_id = (char *)c->id;
    change->rev = rev;
    change->prev_rev = rev - 1;
    change->at_ms = at_ms;
    change->type = (char *)type_names[type];
    return change;
}

Message__Change *message_change_new(struct arena *arena, const struct message_conversation *c,
                                    const struct message_change_row *row)
{
    Message__Change *change = change_new(arena, c, row->rev, row->at_ms, row->type);
    change->actor_id = (char *)row->actor_id;
    return change;
}

Message__Change *message_change_of_message(struct arena *arena,
                                           const struct message_conversation *c,
                                           Message__MessageInfo *m)
{
    Message__Change *change =
        change_new(arena, c, m->rev, m->created_at_ms, MESSAGE_CHANGE_MESSAGE);
    change->message = m;
    change->actor_id = m->sender_id;
    return change;
}

enum err message_change_shape(struct store_tx *tx, struct arena *arena,
                              const struct message_conversation *c,
                              const struct message_change_row *row,
                              const struct message_reader *reader, Message__Change **out)
{
    Message__Change *change = message_change_new(arena, c, row);
    *out = change;
    enum err err = ERR_OK;
    if (row->seq) {
        struct message_row m;
        err = message_log_get(tx, arena, c->num, row->seq, &m);
        if (!err)
            err = message_shape(tx, arena, c, &m, reader, &change->message);
    } else if (row->type == MESSAGE_CHANGE_MEMBER) {
        struct message_member m;
        err = message_store_member(tx, arena, c->num, row->user_id, &m);
        if (!err)
            change->member = message_member_shape(arena, c, &m);
    } else {
        change->conversation = message_conversation_shape(arena, c, NULL);
    }
    /* What retention took away leaves its revision behind, empty. */
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
