/*
 * message_push: who is not here hears of a message. One task for each message, enqueued in its
 * transaction and only where push is configured; whom it is for is found when the task runs, a page
 * at a time, so a send costs the same in a group of five and of five thousand. In large groups only
 * those who are called by name are worth waking.
 */
#include "services/message/message_internal.h"

#define LARGE_MEMBERS 1000
#define LANES 16 /* what waits for a push server that fails is bounded in each */
#define PAGE_MAX 200

static bool is_worth_it(const struct message_conversation *c, const struct message_row *m)
{
    bool is_call = strncmp(m->client_msg_id, "call-", 5) == 0; /* message_call.c */
    return c->kind != MESSAGE__CONVERSATION_KIND__MEETING && c->member_count > 1 &&
           (m->kind != MESSAGE__CONTENT_KIND__SYSTEM || is_call);
}

enum err message_push(struct store_tx *tx, struct message_service *svc,
                      const struct message_conversation *c, const struct message_row *m)
{
    char text[ID_SIZE + 32], lane[8];
    if (!svc->deps.is_push_wanted || !is_worth_it(c, m))
        return ERR_OK;
    int n = snprintf(text, sizeof(text), "%s %lld", c->id, (long long)m->seq);
    snprintf(lane, sizeof(lane), "%d", (int)((c->num ^ c->num >> 22) % LANES));
    return bus_enqueue_tx(
        message_base_in(svc, tx)->bus, tx,
        &(struct bus_task){
            .queue = "push", .type = "message", .payload = {text, (size_t)n}, .lane = lane});
}

/* ---- whom ---- */

static enum err list_targets(struct store_tx *tx, struct message_op *op,
                             const struct message_row *m, Message__PushTargets *reply)
{
    const Message__GetPushTargetsRequest *in = op->in;
    struct arena *arena = op->call->arena;
    size_t limit = in->limit > 0 ? (size_t)MIN(in->limit, PAGE_MAX) : PAGE_MAX;
    bool is_large = op->c.member_count > LARGE_MEMBERS;
    struct store_stmt *st = store_query(
        tx,
        "SELECT m.user_id FROM message_members m WHERE m.conversation_num = ? AND m.state = 0"
        " AND m.is_bot = 0 AND m.user_id > ? AND m.user_id <> ? AND m.read_seq < ?"
        " AND m.visible_from_seq < ? AND m.quiet_until_ms BETWEEN 0 AND ?"
        " AND (? = 0 OR EXISTS (SELECT 1 FROM message_mentions x WHERE x.conversation_num ="
        " m.conversation_num AND x.user_id = m.user_id AND x.seq = ?))"
        " ORDER BY m.user_id LIMIT ?",
        "issiiiiii", op->c.num, in->above, m->sender_id, m->seq, m->seq, clock_wall_ms(),
        (int64_t)is_large, m->seq, (int64_t)limit + 1);
    reply->user_ids = arena_array(arena, char *, limit);
    while (store_step(st)) {
        reply->has_more = reply->n_user_ids == limit;
        if (!reply->has_more)
            reply->user_ids[reply->n_user_ids++] = store_text(st, 0, arena);
    }
    return store_finish(st);
}

static enum err targets_job(struct store_tx *tx, struct message_op *op)
{
    const Message__GetPushTargetsRequest *in = op->in;
    struct arena *arena = op->call->arena;
    struct message_row m = {0};
    Message__PushTargets *reply = arena_new(arena, Message__PushTargets);
    message__push_targets__init(reply);
    op->reply = reply;
    enum err err = message_store_find(tx, arena, in->id, &op->c);
    if (!err)
        err = message_log_get(tx, arena, op->c.num, in->seq, &m);
    reply->is_void = err == ERR_NOT_FOUND || m.recalled_at_ms || op->c.is_dissolved;
    if (err || reply->is_void)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    reply->title = (char *)op->c.title;
    err = message_shape(tx, arena, &op->c, &m, MESSAGE_ANY_READER, &reply->message);
    return err ? err : list_targets(tx, op, &m, reply);
}

MESSAGE_HANDLER(message_on_push_targets, GetPushTargetsRequest, PushTargets)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    op->fn = targets_job;
    op->key = ((Message__GetPushTargetsRequest *)op->in)->id;
    if (who_require_system(op->call))
        message_look(op);
    else
        message_refuse_now(op);
}
