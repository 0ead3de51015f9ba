/*
 * Typing, asked for over REST: told to the gateways, which hold it to the same bounds as what comes
 * by a socket. Nothing of it is kept.
 */
#include "services/message/message_internal.h"

static enum err typing_job(struct store_tx *tx, struct message_op *op)
{
    Message__SetTypingReply *reply = arena_new(op->call->arena, Message__SetTypingReply);
    message__set_typing_reply__init(reply);
    op->reply = reply;
    message_publish_typing(op);
    return ERR_OK;
}

MESSAGE_HANDLER(message_on_typing, SetTypingRequest, SetTypingReply)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__SetTypingRequest *own = op->in;
    op->fn = typing_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    message_view(op, ROLE_GUEST);
}
