/* Marks that members put upon messages for all to see: reactions and pins. Doing the same again
 * changes nothing and takes no revision. */
#include "services/message/message_internal.h"

#define EMOJI_KINDS_MAX 20
#define PINS_MAX 100

static enum err find_standing(struct store_tx *tx, struct message_op *op, int64_t seq,
                              struct message_row *m)
{
    enum err err = message_find_readable(tx, op, seq, m);
    if (!err && m->recalled_at_ms)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "The message was recalled.");
    return err;
}

/* ---- reactions ---- */

static enum err add_reaction(struct store_tx *tx, struct message_op *op,
                             const struct message_row *m, const char *emoji)
{
    int64_t others;
    enum err err =
        message_take_number(store_query(tx,
                                        "SELECT COUNT(DISTINCT emoji) FROM message_reactions"
                                        " WHERE conversation_num = ? AND seq = ? AND emoji <> ?",
                                        "iis", op->c.num, m->seq, emoji),
                            &others);
    if (!err && others >= EMOJI_KINDS_MAX)
        return message_refuse(op, ERR_RESOURCE_EXHAUSTED,
                              "A message bears at most 20 different reactions.");
    return err ? err
               : store_run(tx,
                           "INSERT INTO message_reactions (conversation_num, seq, emoji, user_id,"
                           " at_ms) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
                           "iissi", op->c.num, m->seq, emoji, op->me.user_id, clock_wall_ms());
}

static enum err react_job(struct store_tx *tx, struct message_op *op)
{
    const Message__ReactRequest *in = op->in;
    struct message_row m;
    enum err err = find_standing(tx, op, in->seq, &m);
    if (!err)
        err = message_check_block(tx, op);
    if (err)
        return err;
    if (in->is_removed)
        err = store_run(tx,
                        "DELETE FROM message_reactions WHERE conversation_num = ? AND seq = ?"
                        " AND emoji = ? AND user_id = ?",
                        "iiss", op->c.num, m.seq, in->emoji, op->me.user_id);
    else
        err = add_reaction(tx, op, &m, in->emoji);
    if (err)
        return err;
    if (store_changes(tx) == 0)
        return message_reply_message(tx, op, &m);
    m.has_extras = true;
    return message_change_message(tx, op, MESSAGE_CHANGE_REACTION, &m, in->emoji, in->is_removed);
}

MESSAGE_HANDLER(message_on_react, ReactRequest, MessageInfo)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__ReactRequest *own = op->in;
    op->fn = react_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    message_take_emoji(op->call, own->emoji);
    message_run(op, ROLE_GUEST);
}

/* ---- pins ---- */

static enum err check_pin(struct store_tx *tx, struct message_op *op, bool is_removed)
{
    if (op->c.kind != MESSAGE__CONVERSATION_KIND__DIRECT &&
        op->me.role == MESSAGE__MEMBER_ROLE__MEMBER)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only owner and admins pin messages.");
    int64_t count = 0;
    enum err err = ERR_OK;
    if (!is_removed)
        err = message_take_number(
            store_query(tx, "SELECT COUNT(*) FROM message_pins WHERE conversation_num = ?", "i",
                        op->c.num),
            &count);
    if (!err && count >= PINS_MAX)
        return message_refuse(op, ERR_RESOURCE_EXHAUSTED, "At most 100 messages are pinned.");
    return err;
}

static enum err pin_job(struct store_tx *tx, struct message_op *op)
{
    const Message__PinRequest *in = op->in;
    struct message_row m;
    enum err err = find_standing(tx, op, in->seq, &m);
    if (err)
        return err;
    if (m.is_pinned == !in->is_removed)
        return message_reply_message(tx, op, &m);
    err = check_pin(tx, op, in->is_removed);
    if (!err)
        err = store_run(tx,
                        in->is_removed
                            ? "DELETE FROM message_pins WHERE conversation_num = ? AND seq = ?"
                            : "INSERT INTO message_pins (conversation_num, seq) VALUES (?,?)",
                        "ii", op->c.num, m.seq);
    if (err)
        return err;
    m.is_pinned = !in->is_removed;
    return message_change_message(
        tx, op, in->is_removed ? MESSAGE_CHANGE_UNPINNED : MESSAGE_CHANGE_PINNED, &m, NULL, false);
}

MESSAGE_HANDLER(message_on_pin, PinRequest, MessageInfo)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__PinRequest *own = op->in;
    op->fn = pin_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    message_run(op, ROLE_USER);
}
