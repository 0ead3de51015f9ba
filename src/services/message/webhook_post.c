/*
 * webhook_post: who knows the URL of an incoming webhook writes into its conversation. What is
 * wrong with the URL is answered alike. A bucket of its own bounds how much it may say; it is kept
 * in the row, so it holds across restarts. The same idempotency key is the same message.
 */
#include "services/message/webhook.h"

#define BURST_MS 30000 /* so many seconds' worth at once */
#define EACH_MS 1000

struct posting {
    struct message_op op; /* first */
    struct webhook w;
    Message__Content *content;
    struct message_row m;
};

static enum err find(struct store_tx *tx, struct posting *p)
{
    const Webhook__PostWebhookRequest *in = p->op.in;
    struct arena *arena = p->op.call->arena;
    enum err err = webhook_find(tx, arena, in->id, &p->w);
    if (err)
        return err == ERR_NOT_FOUND ? webhook_not_found(&p->op) : err;
    struct message_digest digest = message_digest(in->secret, strlen(in->secret));
    bool is_right = p->w.kind == WEBHOOK__WEBHOOK_KIND__INCOMING &&
                    str_eq_secret((struct str){(const char *)digest.bytes, sizeof(digest.bytes)},
                                  (struct str){p->w.secret, p->w.secret_n});
    if (!is_right || p->w.is_disabled)
        return webhook_not_found(&p->op);
    err = webhook_check_maker(tx, &p->op, &p->w);
    if (!err)
        err = message_store_find(tx, arena, p->w.conversation_id, &p->op.c);
    return err == ERR_NOT_FOUND ? webhook_not_found(&p->op) : err;
}

static enum err count(struct store_tx *tx, struct posting *p)
{
    int64_t now_ms = clock_wall_ms();
    int64_t full_ms = MAX(MIN(p->w.full_at_ms, now_ms + BURST_MS), now_ms) + EACH_MS;
    if (full_ms - now_ms > BURST_MS) {
        p->op.call->retry_after_ms = full_ms - now_ms - BURST_MS;
        return message_refuse(&p->op, ERR_RESOURCE_EXHAUSTED,
                              "This webhook says too much: about a message a second.");
    }
    p->w.full_at_ms = full_ms;
    return webhook_update(tx, &p->w);
}

static void *reply_of(struct posting *p, const struct message_row *m, bool is_duplicate)
{
    Webhook__PostWebhookReply *reply = arena_new(p->op.call->arena, Webhook__PostWebhookReply);
    webhook__post_webhook_reply__init(reply);
    reply->seq = m->seq;
    reply->created_at_ms = m->created_at_ms;
    reply->is_duplicate = is_duplicate;
    return reply;
}

/* Said before by this key: ERR_NOT_FOUND, or the answer. */
static enum err find_said(struct store_tx *tx, struct posting *p)
{
    struct message_row said;
    enum err err = message_log_find_sent(tx, p->op.call->arena, p->op.c.num, p->w.bot_id,
                                         p->m.client_msg_id, &said);
    if (err)
        return err;
    if (memcmp(&said.digest, &p->m.digest, sizeof(said.digest)) != 0)
        return message_refuse(&p->op, ERR_ALREADY_EXISTS,
                              "idempotency_key: used before for another message");
    p->op.reply = reply_of(p, &said, true);
    return ERR_OK;
}

static enum err post_job(struct store_tx *tx, struct message_op *op)
{
    struct posting *p = CONTAINER_OF(op, struct posting, op);
    enum err err = find(tx, p);
    if (err)
        return err;
    err = find_said(tx, p);
    if (err != ERR_NOT_FOUND)
        return err;
    if (op->c.is_dissolved)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This group has been dissolved.");
    p->m.sender_id = p->w.bot_id;
    err = count(tx, p);
    if (!err)
        err = message_append(tx, op, &p->m, p->content);
    op->reply = err ? NULL : reply_of(p, &p->m, false);
    return err;
}

static bool prepare(struct posting *p)
{
    const Webhook__PostWebhookRequest *in = p->op.in;
    struct rpc_call *call = p->op.call;
    Message__Content content = MESSAGE__CONTENT__INIT;
    char *id = arena_alloc(call->arena, ID_SIZE);
    id_make(id);
    content.text = in->text;
    if (strlen(in->idempotency_key) > 60) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "idempotency_key: at most 60 characters");
        return false;
    }
    p->content = message_take_content(call, &content);
    p->m.client_msg_id = message_take_client_id(
        call, in->idempotency_key[0] ? in->idempotency_key : arena_strdup(call->arena, id));
    if (!p->content || !p->m.client_msg_id)
        return false;
    p->m.id = id;
    p->m.forwarded = "";
    p->m.kind = p->content->kind;
    p->m.content = message_pack(call->arena, &p->content->base, &p->m.content_n);
    p->m.digest = message_digest(p->m.content, p->m.content_n);
    return true;
}

static enum err look_job(struct store_tx *tx, struct message_op *op)
{
    return find(tx, CONTAINER_OF(op, struct posting, op));
}

/* Who knows no secret does not reach the writer; and who made the address may still act. */
static bool is_open(struct posting *p)
{
    const Webhook__PostWebhookRequest *in = p->op.in;
    p->op.fn = look_job;
    if (p->op.svc->base_count > 1)
        webhook_find_place(&p->op, in->id);
    enum err err = rpc_failure(p->op.call);
    if (!err)
        err = message_look_sync(&p->op);
    if (!err)
        err = message_check_account(p->op.svc, p->w.created_by);
    if (err == ERR_PERMISSION_DENIED)
        err = webhook_not_found(&p->op);
    if (err)
        who_fail(p->op.call, err);
    return !err;
}

WEBHOOK_HANDLER(webhook_on_post, PostWebhookRequest, PostWebhookReply)
{
    struct posting *p =
        message_op_create(WEBHOOK_OF(rpc), data, sizeof(*p), &in->base, (ProtobufCClosure)closure);
    if (!prepare(p) || !is_open(p)) {
        message_refuse_now(&p->op);
        return;
    }
    p->op.fn = post_job;
    p->op.key = p->w.conversation_id;
    message_change(&p->op);
}
