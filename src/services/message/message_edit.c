/*
 * What happens to a message after it was sent: edited or recalled by its sender within a time,
 * taken back by an admin at any time, hidden from oneself. Its seq stays, so nobody's count shifts.
 */
#include "services/message/message_internal.h"
#include "core/live.h"

#define HIDE_MAX 100

static bool is_in_time(const struct message_op *op, const struct message_row *m)
{
    return clock_wall_ms() - m->created_at_ms <= LIVE_GET(op->svc->deps.recall_ms);
}

/* ---- edit ---- */

struct edit {
    struct message_op op; /* first */
    int64_t seq;
    Message__Content *content;
};

static enum err check_edit(struct message_op *op, const struct message_row *m,
                           const Message__Content *content)
{
    if (strcmp(m->sender_id, who_id(op->call)) != 0)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only its sender may edit a message.");
    if (m->recalled_at_ms)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "The message was recalled.");
    if (m->forwarded_n || m->kind == MESSAGE__CONTENT_KIND__SYSTEM)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "Such a message is not edited.");
    if (m->kind != content->kind)
        return message_refuse(op, ERR_INVALID_ARGUMENT, "content.kind: an edit does not change it");
    if (!is_in_time(op, m))
        return message_refuse(op, ERR_FAILED_PRECONDITION, "It is too late to edit this message.");
    return ERR_OK;
}

static enum err edit_job(struct store_tx *tx, struct message_op *op)
{
    struct edit *e = CONTAINER_OF(op, struct edit, op);
    struct message_row m;
    enum err err = message_find_readable(tx, op, e->seq, &m);
    if (!err)
        err = check_edit(op, &m, e->content);
    if (!err)
        err = message_check_block(tx, op);
    if (!err)
        err = message_check_mentions(op, e->content);
    if (err)
        return err;
    Message__Content *before = message_content_of(op->call->arena, &m);
    if (!before)
        return ERR_DATA_LOSS;
    /* What was attached stays; an edit is about words. */
    e->content->attachments = before->attachments;
    e->content->n_attachments = before->n_attachments;
    m.content = message_pack(op->call->arena, &e->content->base, &m.content_n);
    m.content_digest = message_digest(m.content, m.content_n);
    m.edited_at_ms = clock_wall_ms();
    err = message_drop_mentions(tx, &m, before);
    if (!err)
        err = message_add_mentions(tx, &m, e->content);
    return err ? err : message_change_message(tx, op, MESSAGE_CHANGE_EDITED, &m, NULL, false);
}

MESSAGE_HANDLER(message_on_edit, EditMessageRequest, MessageInfo)
{
    struct rpc_call *call = data;
    struct edit *e =
        message_op_create(MESSAGE_OF(rpc), call, sizeof(*e), &in->base, (ProtobufCClosure)closure);
    const Message__EditMessageRequest *own = e->op.in;
    e->op.fn = edit_job;
    e->op.conversation_id = own->id;
    e->op.needs = MESSAGE_NEEDS_WRITE;
    e->seq = own->seq;
    e->content = who_require(call, ROLE_GUEST) ? message_take_content(call, own->content) : NULL;
    if (e->content)
        message_change(&e->op);
    else
        message_refuse_now(&e->op);
}

/* ---- recall ---- */

static enum err check_recall(struct message_op *op, const struct message_row *m)
{
    bool is_mine = strcmp(m->sender_id, who_id(op->call)) == 0;
    bool is_admin = op->me.role != MESSAGE__MEMBER_ROLE__MEMBER;
    if (m->kind == MESSAGE__CONTENT_KIND__SYSTEM || (!is_mine && !is_admin))
        return message_refuse(op, ERR_PERMISSION_DENIED,
                              "Only its sender, an admin or the owner may recall a message.");
    if (!is_admin && !is_in_time(op, m))
        return message_refuse(op, ERR_FAILED_PRECONDITION,
                              "It is too late to recall this message.");
    return ERR_OK;
}

static enum err drop_traces(struct store_tx *tx, struct message_service *svc, struct message_row *m,
                            const Message__Content *content)
{
    enum err err = message_drop_mentions(tx, m, content);
    if (!err)
        err = message_files_release(tx, svc, m->conversation_num, m->seq, m->seq);
    if (!err)
        err = message_drop_reactions(tx, m->conversation_num, m->seq, m->seq);
    if (!err && m->is_pinned)
        err = store_run(tx, "DELETE FROM message_pins WHERE conversation_num = ? AND seq = ?", "ii",
                        m->conversation_num, m->seq);
    return err;
}

enum err message_take_back(struct store_tx *tx, struct message_op *op, struct message_row *m)
{
    Message__Content *content = message_content_of(op->call->arena, m);
    enum err err = content ? drop_traces(tx, op->svc, m, content) : ERR_DATA_LOSS;
    if (err)
        return err;
    m->content = "";
    m->content_n = 0;
    m->content_digest = message_digest("", 0);
    m->forwarded = "";
    m->forwarded_n = 0;
    m->is_pinned = false;
    m->recalled_at_ms = clock_wall_ms();
    m->recalled_by = who_id(op->call);
    return message_change_message(tx, op, MESSAGE_CHANGE_RECALLED, m, NULL, false);
}

static enum err recall_job(struct store_tx *tx, struct message_op *op)
{
    const Message__RecallMessageRequest *in = op->in;
    struct message_row m;
    enum err err = message_find_readable(tx, op, in->seq, &m);
    if (!err)
        err = check_recall(op, &m);
    if (err)
        return err;
    if (m.recalled_at_ms) /* twice is once */
        return message_reply_message(tx, op, &m);
    return message_take_back(tx, op, &m);
}

MESSAGE_HANDLER(message_on_recall, RecallMessageRequest, MessageInfo)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__RecallMessageRequest *own = op->in;
    op->fn = recall_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    message_run(op, ROLE_GUEST);
}

/* ---- delete for me ---- */

static enum err hide_job(struct store_tx *tx, struct message_op *op)
{
    const Message__DeleteForMeRequest *in = op->in;
    enum err err = ERR_OK;
    for (size_t i = 0; i < in->n_seqs && !err; i++) {
        struct message_row m;
        err = message_find_readable(tx, op, in->seqs[i], &m);
        if (!err)
            err = message_run_shared(tx,
                                     "INSERT INTO message_hidden (user_id, conversation_num, seq)"
                                     " VALUES (?,?,?) ON CONFLICT DO NOTHING",
                                     "sii", op->me.user_id, op->c.num, m.seq);
    }
    if (!err)
        err = message_change_own(tx, op);
    Message__DeleteForMeReply *reply = arena_new(op->call->arena, Message__DeleteForMeReply);
    message__delete_for_me_reply__init(reply);
    op->reply = reply;
    return err;
}

MESSAGE_HANDLER(message_on_delete_for_me, DeleteForMeRequest, DeleteForMeReply)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__DeleteForMeRequest *own = op->in;
    op->fn = hide_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_READ;
    if (own->n_seqs < 1 || own->n_seqs > HIDE_MAX)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "seqs: expected 1 to 100 of them");
    message_run(op, ROLE_USER);
}
