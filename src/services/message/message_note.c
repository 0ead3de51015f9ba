/* Lines that the server writes into a log: nobody sends them, everybody reads them. */
#include "services/message/message_internal.h"

enum err message_append_note(struct store_tx *tx, struct message_op *op, const char *client_msg_id,
                             Message__SystemNote *note)
{
    struct arena *arena = op->call->arena;
    Message__Content content = MESSAGE__CONTENT__INIT;
    content.kind = MESSAGE__CONTENT_KIND__SYSTEM;
    content.note = note;
    char *id = arena_alloc(arena, ID_SIZE);
    id_make(id);
    struct message_row m = {.id = id,
                            .sender_id = "",
                            .client_msg_id = client_msg_id,
                            .kind = content.kind,
                            .forwarded = ""};
    m.content = message_pack(arena, &content.base, &m.content_n);
    m.digest = message_digest(m.content, m.content_n);
    enum err err = message_append(tx, op, &m, NULL);
    if (err != ERR_ALREADY_EXISTS)
        return err;
    struct message_row sent;
    err = message_log_find_sent(tx, arena, op->c.num, "", client_msg_id, &sent);
    op->reply = message_send_reply(op, &sent, true);
    return err;
}

static enum err note_job(struct store_tx *tx, struct message_op *op)
{
    const Message__AppendNoteRequest *in = op->in;
    enum err err = message_store_find(tx, op->call->arena, in->id, &op->c);
    return err ? err : message_append_note(tx, op, in->client_msg_id, in->note);
}

MESSAGE_HANDLER(message_on_note, AppendNoteRequest, SendMessageReply)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__AppendNoteRequest *own = op->in;
    op->fn = note_job;
    op->key = own->id;
    bool is_allowed = who_require_system(op->call) &&
                      message_take_client_id(op->call, own->client_msg_id) != NULL;
    if (is_allowed && own->note)
        message_change(op);
    else
        message_refuse_now(op);
}
