/*
 * Forwarding: a message takes over the content of another, perhaps of another conversation and in
 * another database. Who forwards must be able to read it there, and it says where it comes from.
 */
#include "services/message/message_internal.h"

struct forwarding {
    struct message_op from; /* in the conversation it is taken from */
    int64_t seq;
    struct message_row m;
    bool is_entered, is_hidden;
};

static enum err find_forwarded(struct store_tx *tx, void *arg)
{
    struct forwarding *f = arg;
    struct message_op *from = &f->from;
    enum err err = message_op_enter(tx, from);
    f->is_entered = !err;
    if (err)
        return err;
    int64_t last =
        from->me.state == MESSAGE__MEMBER_STATE__GONE ? from->me.visible_to_seq : from->c.last_seq;
    bool is_readable = f->seq > from->me.visible_from_seq && f->seq <= last;
    err = is_readable ? message_log_get(tx, from->call->arena, from->c.num, f->seq, &f->m)
                      : ERR_NOT_FOUND;
    return err ? err
               : message_log_is_hidden(tx, who_id(from->call), from->c.num, f->seq, &f->is_hidden);
}

/* Whom it called by name there, it does not call here. */
static enum err take_content(struct arena *arena, const struct message_row *from,
                             struct message_row *m)
{
    Message__Content *content = message_content_of(arena, from);
    if (!content)
        return ERR_DATA_LOSS;
    content->n_mentions = 0;
    content->is_mentioning_all = false;
    m->kind = from->kind;
    m->content = message_pack(arena, &content->base, &m->content_n);
    return ERR_OK;
}

enum err message_forward(struct store_tx *tx, struct message_op *op, const char *conversation_id,
                         int64_t seq, struct message_row *m)
{
    struct arena *arena = op->call->arena;
    struct forwarding f = {.from = {.svc = op->svc,
                                    .call = op->call,
                                    .conversation_id = conversation_id,
                                    .needs = MESSAGE_NEEDS_READ},
                           .seq = seq};
    enum err err = message_read_in(message_op_base(&f.from), tx, find_forwarded, &f);
    if (err && !f.is_entered)
        return err;
    bool is_gone = !err && (f.is_hidden || f.m.recalled_at_ms);
    if (err == ERR_NOT_FOUND || is_gone || (!err && f.m.kind == MESSAGE__CONTENT_KIND__SYSTEM))
        return message_refuse(op, ERR_NOT_FOUND, "There is no such message to forward.");
    if (err)
        return err;
    Message__ForwardedFrom source = MESSAGE__FORWARDED_FROM__INIT;
    source.conversation_id = (char *)f.from.c.id;
    source.sender_id = (char *)f.m.sender_id;
    source.sent_at_ms = f.m.created_at_ms;
    m->forwarded = message_pack(arena, &source.base, &m->forwarded_n);
    return take_content(arena, &f.m, m);
}
