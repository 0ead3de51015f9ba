/*
 * What is a member's own: how far one has read and received, whether a conversation is quiet,
 * pinned or put away, the draft. Shared between one's devices. Pointers only move on; a late or
 * repeated mark changes nothing.
 */
#include "services/message/message_internal.h"

#define DRAFT_MAX 16384
#define RECEIPTS_BY_NAME_MAX 100

static enum err reply_marks(struct message_op *op)
{
    Message__MarkReply *reply = arena_new(op->call->arena, Message__MarkReply);
    message__mark_reply__init(reply);
    reply->read_seq = op->me.read_seq;
    reply->delivered_seq = op->me.delivered_seq;
    reply->unread_count =
        MAX(0, message_visible_to(op) - MAX(message_visible_from(op), op->me.read_seq));
    op->reply = reply;
    return ERR_OK;
}

/* ---- read and delivered ---- */

/* Tells the others how far the caller has come; where nobody is named, each of thousands reading
 * each message would be news to thousands. */
static void tell_receipt(struct message_op *op)
{
    if (op->c.member_count > RECEIPTS_BY_NAME_MAX)
        return;
    Message__ReceiptEvent *event = arena_new(op->call->arena, Message__ReceiptEvent);
    message__receipt_event__init(event);
    event->conversation_id = (char *)op->c.id;
    event->user_id = (char *)op->me.user_id;
    event->read_seq = op->me.read_seq;
    event->delivered_seq = op->me.delivered_seq;
    op->receipt = event;
}

static enum err read_job(struct store_tx *tx, struct message_op *op)
{
    const Message__MarkAsReadRequest *in = op->in;
    struct message_member *me = &op->me;
    int64_t last = message_visible_to(op);
    int64_t seq = in->seq ? MIN(in->seq, last) : last;
    bool is_moving = !in->is_unread && seq > me->read_seq;
    if (!is_moving && me->is_marked_unread == in->is_unread)
        return reply_marks(op);
    if (is_moving) {
        me->read_seq = seq;
        me->delivered_seq = MAX(me->delivered_seq, seq);
        tell_receipt(op);
    }
    me->is_marked_unread = in->is_unread;
    enum err err = message_change_own(tx, op);
    return err ? err : reply_marks(op);
}

MESSAGE_HANDLER(message_on_mark_read, MarkAsReadRequest, MarkReply)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__MarkAsReadRequest *own = op->in;
    op->fn = read_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_READ;
    if (own->seq < 0)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "seq: expected a number from 1");
    message_run(op, ROLE_GUEST);
}

static enum err delivered_job(struct store_tx *tx, struct message_op *op)
{
    const Message__MarkDeliveredRequest *in = op->in;
    int64_t seq = MIN(in->seq, op->c.last_seq);
    if (seq <= op->me.delivered_seq)
        return reply_marks(op);
    op->me.delivered_seq = seq;
    tell_receipt(op);
    enum err err = store_run(tx,
                             "UPDATE message_members SET delivered_seq = ?"
                             " WHERE conversation_num = ? AND user_id = ?",
                             "iis", seq, op->c.num, op->me.user_id);
    return err ? err : reply_marks(op);
}

MESSAGE_HANDLER(message_on_mark_delivered, MarkDeliveredRequest, MarkReply)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__MarkDeliveredRequest *own = op->in;
    op->fn = delivered_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    if (own->seq < 1)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "seq: expected a number from 1");
    message_run(op, ROLE_GUEST);
}

/* ---- receipts ---- */

static enum err count_receipts(struct store_tx *tx, struct message_op *op, int64_t seq,
                               Message__Receipts *out)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT COUNT(CASE WHEN read_seq >= ? THEN 1 END),"
                    " COUNT(CASE WHEN delivered_seq >= ? THEN 1 END) FROM message_members"
                    " WHERE conversation_num = ? AND state = 0 AND user_id <> ?",
                    "iiis", seq, seq, op->c.num, op->me.user_id);
    if (store_step(st)) {
        out->read_count = (int32_t)store_int(st, 0);
        out->delivered_count = (int32_t)store_int(st, 1);
    }
    return store_finish(st);
}

static enum err name_receipts(struct store_tx *tx, struct message_op *op, Message__Receipts *out)
{
    struct message_member *rows;
    size_t count;
    enum err err =
        message_store_members(tx, op->call->arena,
                              &(struct message_member_range){.num = op->c.num,
                                                             .state = MESSAGE__MEMBER_STATE__ACTIVE,
                                                             .above = "",
                                                             .limit = RECEIPTS_BY_NAME_MAX},
                              &rows, &count);
    if (err)
        return err;
    out->members = arena_array(op->call->arena, Message__Member *, count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].user_id, op->me.user_id) != 0)
            out->members[out->n_members++] =
                message_member_shape(op->call->arena, &op->c, &rows[i]);
    }
    return ERR_OK;
}

static enum err receipts_job(struct store_tx *tx, struct message_op *op)
{
    const Message__GetReceiptsRequest *in = op->in;
    struct message_row m;
    enum err err = message_find_readable(tx, op, in->seq, &m);
    if (!err && strcmp(m.sender_id, op->me.user_id) != 0)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only its sender sees who has read it.");
    Message__Receipts *reply = arena_new(op->call->arena, Message__Receipts);
    message__receipts__init(reply);
    op->reply = reply;
    if (!err)
        err = count_receipts(tx, op, in->seq, reply);
    if (!err && op->c.member_count <= RECEIPTS_BY_NAME_MAX)
        err = name_receipts(tx, op, reply);
    return err;
}

MESSAGE_HANDLER(message_on_receipts, GetReceiptsRequest, Receipts)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__GetReceiptsRequest *own = op->in;
    op->fn = receipts_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    message_view(op, ROLE_GUEST);
}

/* ---- settings ---- */

static enum err own_job(struct store_tx *tx, struct message_op *op)
{
    const Message__SetOwnRequest *in = op->in;
    struct message_member *me = &op->me;
    if (in->_quiet_until_ms_case)
        me->quiet_until_ms = in->quiet_until_ms;
    if (in->_is_pinned_case)
        me->is_pinned = in->is_pinned;
    if (in->_is_archived_case)
        me->archived_seq = in->is_archived ? op->c.last_seq + 1 : 0;
    if (in->_draft_case) {
        me->draft = in->draft;
        me->draft_at_ms = clock_wall_ms();
    }
    return message_change_own(tx, op);
}

MESSAGE_HANDLER(message_on_set_own, SetOwnRequest, Conversation)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    Message__SetOwnRequest *own = op->in;
    op->fn = own_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_READ;
    if (own->_draft_case && strlen(own->draft) > DRAFT_MAX)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "draft: at most 16,384 bytes");
    else if (own->_draft_case)
        own->draft =
            text_take(op->call, own->draft,
                      &(struct text_rule){.field = "draft", .max = DRAFT_MAX, .flags = TEXT_LINES});
    message_run(op, ROLE_GUEST);
}
