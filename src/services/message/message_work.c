/*
 * Work that nobody waits for: what is due, past its time, to be erased, or follows a meeting. Any
 * process may have the task or the event; the owner of the conversation's shard does it. Doing it
 * again changes nothing.
 */
#include "services/message/message_internal.h"

#define TIMEOUT_MS 60000 /* of a long log to be trimmed or erased; then the task tries again */
#define FOLLOW_MS 5000   /* what a meeting tells a conversation is tried again soon */
#define STOPPING_MS 500  /* and not while this process ends: perhaps all do */

static enum err do_here(struct message_service *svc, const struct message_work *work)
{
    switch (work->kind) {
    case MESSAGE_WORK_DUE:
        return message_due_here(svc, work);
    case MESSAGE_WORK_TRIM:
        return message_retention_trim(svc, work->key);
    case MESSAGE_WORK_ERASE:
        return message_erase_here(svc, work);
    case MESSAGE_WORK_CHAT:
    case MESSAGE_WORK_CALL:
        return message_follow_here(svc, work);
    }
    return ERR_INVALID_ARGUMENT;
}

static int64_t timeout_of(const struct message_service *svc, enum message_work_kind kind)
{
    if (svc->is_stopping)
        return STOPPING_MS;
    return kind == MESSAGE_WORK_CHAT || kind == MESSAGE_WORK_CALL ? FOLLOW_MS : TIMEOUT_MS;
}

enum err message_work(struct message_service *svc, const struct message_work *work)
{
    if (message_shard_is_here(message_shard_of(svc, work->key)))
        return do_here(svc, work);
    if (!svc->peers)
        return ERR_UNAVAILABLE;
    struct rpc_call *call = rpc_call_create(NULL);
    Message__WorkRequest request = MESSAGE__WORK_REQUEST__INIT;
    request.conversation_id = (char *)work->key;
    request.kind = (int32_t)work->kind;
    request.payload.data = (uint8_t *)(uintptr_t)work->payload.p;
    request.payload.len = work->payload.n;
    call->timeout_ms = timeout_of(svc, work->kind);
    call->is_idempotent = true;
    enum err err = rpc_sync(svc->peers, "Work", &request.base, call) ? ERR_OK : call->err;
    rpc_call_unref(&call);
    return err;
}

MESSAGE_HANDLER(message_on_work, WorkRequest, WorkReply)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__WorkRequest *own = op->in;
    const struct message_work work = {(enum message_work_kind)own->kind,
                                      own->conversation_id,
                                      {(const char *)own->payload.data, own->payload.len}};
    Message__WorkReply reply = MESSAGE__WORK_REPLY__INIT;
    op->key = work.key;
    enum err err = who_require_system(op->call) && message_op_is_here(op) ? do_here(op->svc, &work)
                                                                          : rpc_failure(op->call);
    closure(err ? who_fail(op->call, err) : &reply, data);
}
