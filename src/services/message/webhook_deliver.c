/*
 * webhook_deliver: outgoing webhooks, as far as the log is concerned. A change that somebody
 * listens to enqueues a task for each listener in the transaction that makes it; the task names
 * webhook, conversation and revision, never what was said. The task service asks for the body when
 * it delivers (so what was recalled meanwhile is not told) and reports how it went. A webhook that
 * has failed for long is disabled, and its conversation is told.
 */
#include "services/message/webhook.h"

#define RETRY_MAX_MS (5 * 60 * 1000LL)
#define ATTEMPTS_MAX 15 /* with the bus's back-off: over some three hours */
#define LISTENERS_MAX 64
#define PROBLEM_MAX 200

/* ---- when something happens ---- */

static enum err count_job(struct store_tx *tx, void *arg)
{
    int64_t count = 0, *total = arg;
    enum err err = message_take_number(
        store_query(tx, "SELECT COUNT(*) FROM message_webhooks WHERE kind = 1", ""), &count);
    *total += count;
    return err;
}

/* Most servers have none: then a message costs no question. */
void webhook_start(struct message_service *svc)
{
    int64_t count = 0;
    enum err err = message_read_each(svc, NULL, count_job, &count);
    svc->has_webhooks = err || count > 0;
}

static enum err enqueue(struct store_tx *tx, struct message_service *svc, const char *id,
                        const char *conversation_id, int64_t rev)
{
    char text[2 * ID_SIZE + 32];
    int n = snprintf(text, sizeof(text), "%s %s %lld", id, conversation_id, (long long)rev);
    return bus_enqueue_tx(message_base_in(svc, tx)->bus, tx,
                          &(struct bus_task){.queue = "webhooks",
                                             .type = "deliver",
                                             .payload = {text, (size_t)n},
                                             .attempts_max = ATTEMPTS_MAX,
                                             .lane = id});
}

/* Who listens to a change. */
struct listeners {
    const struct message_conversation *c;
    const char *actor_id;
    int64_t event;
    char ids[LISTENERS_MAX][ID_SIZE];
    size_t count;
    char bots[LISTENERS_MAX][ID_SIZE]; /* whose webhooks are looked for elsewhere */
    size_t bot_count;
};

static enum err take_ids(struct store_stmt *st, char ids[LISTENERS_MAX][ID_SIZE], size_t *count)
{
    while (*count < LISTENERS_MAX && store_step(st))
        id_read(ids[(*count)++], store_str(st, 0));
    return store_finish(st);
}

/* A bot does not hear itself. */
static enum err find_listeners(struct store_tx *tx, struct listeners *l)
{
    return take_ids(
        store_query(tx,
                    "SELECT id FROM message_webhooks WHERE conversation_num = ? AND kind = 1"
                    " AND is_disabled = 0 AND (events & ?) <> 0"
                    " UNION ALL SELECT h.id FROM message_members m"
                    " JOIN message_webhooks h ON h.bot_id = m.user_id AND h.conversation_num = 0"
                    " WHERE m.conversation_num = ? AND m.is_bot = 1 AND m.state = 0"
                    " AND m.user_id <> ? AND h.is_disabled = 0 AND (h.events & ?) <> 0 LIMIT ?",
                    "iiisii", l->c->num, l->event, l->c->num, l->actor_id, l->event,
                    (int64_t)LISTENERS_MAX),
        l->ids, &l->count);
}

/* Webhooks of bots are their owners', and so not where the conversation is. */
static enum err find_of_bots(struct store_tx *tx, void *arg)
{
    struct listeners *l = arg;
    enum err err = ERR_OK;
    for (size_t i = 0; i < l->bot_count && !err; i++)
        err = take_ids(store_query(tx,
                                   "SELECT id FROM message_webhooks WHERE bot_id = ?"
                                   " AND conversation_num = 0 AND is_disabled = 0"
                                   " AND (events & ?) <> 0",
                                   "si", l->bots[i], l->event),
                       l->ids, &l->count);
    return err;
}

static enum err find_elsewhere(struct store_tx *tx, const struct message_service *svc,
                               struct listeners *l)
{
    enum err err = take_ids(store_query(tx,
                                        "SELECT user_id FROM message_members"
                                        " WHERE conversation_num = ? AND is_bot = 1 AND state = 0"
                                        " AND user_id <> ? LIMIT ?",
                                        "isi", l->c->num, l->actor_id, (int64_t)LISTENERS_MAX),
                            l->bots, &l->bot_count);
    return err || !l->bot_count ? err : message_read_home(svc, tx, find_of_bots, l);
}

enum err webhook_changed(struct store_tx *tx, struct message_service *svc,
                         const struct message_conversation *c, enum message_change_type type,
                         int64_t rev, const char *actor_id)
{
    struct listeners l = {.c = c, .actor_id = actor_id, .event = (int64_t)1 << type};
    if (!svc->has_webhooks)
        return ERR_OK;
    enum err err = find_listeners(tx, &l);
    if (!err && !message_base_is_home(svc, message_base_in(svc, tx)))
        err = find_elsewhere(tx, svc, &l);
    for (size_t i = 0; i < l.count && !err; i++)
        err = enqueue(tx, svc, l.ids[i], c->id, rev);
    return err;
}

/* ---- what is delivered ---- */

struct delivering {
    struct message_op op; /* first */
    struct webhook w;
    Webhook__Delivery *reply;
};

/* A bot sees what it may as a member; a webhook of the conversation, what an admin may. */
static enum err take_eyes(struct store_tx *tx, struct delivering *d)
{
    struct message_op *op = &d->op;
    op->needs = MESSAGE_NEEDS_READ;
    if (!d->w.conversation_num) {
        enum err err = message_store_member(tx, op->call->arena, op->c.num, d->w.bot_id, &op->me);
        return err ? err : message_op_check(op);
    }
    op->me = (struct message_member){.conversation_num = op->c.num,
                                     .user_id = "",
                                     .nickname = "",
                                     .draft = "",
                                     .role = MESSAGE__MEMBER_ROLE__ADMIN,
                                     .state = MESSAGE__MEMBER_STATE__ACTIVE};
    return webhook_check_maker(tx, op, &d->w);
}

static void write_body(struct delivering *d, const Message__Change *change)
{
    struct strbuf body = {0};
    const struct message_conversation *c = &d->op.c;
    strbuf_printf(&body, "{\"webhook_id\":\"%s\",\"type\":", d->w.id);
    strbuf_add_json(&body, str_from(change->type));
    strbuf_printf(&body, ",\"conversation\":{\"id\":\"%s\",\"title\":", c->id);
    strbuf_add_json(&body, str_from(c->title));
    strbuf_adds(&body, "},\"change\":");
    rpc_json_write(&body, &change->base);
    strbuf_addc(&body, '}');
    d->reply->body = str_arena(d->op.call->arena, strbuf_str(&body));
    strbuf_deinit(&body);
}

/* A bot's. */
static enum err find_own(struct store_tx *tx, void *arg)
{
    struct delivering *d = arg;
    const Webhook__GetDeliveryRequest *in = d->op.in;
    return webhook_find(tx, d->op.call->arena, in->id, &d->w);
}

static enum err fill(struct store_tx *tx, struct delivering *d)
{
    const Webhook__GetDeliveryRequest *in = d->op.in;
    struct arena *arena = d->op.call->arena;
    Message__Change *change = NULL;
    enum err err = webhook_find(tx, arena, in->id, &d->w);
    if (err == ERR_NOT_FOUND)
        err = message_read_home(d->op.svc, tx, find_own, d);
    if (err || d->w.is_disabled || d->w.kind != WEBHOOK__WEBHOOK_KIND__OUTGOING)
        return err ? err : ERR_NOT_FOUND;
    err = message_store_find(tx, arena, in->conversation_id, &d->op.c);
    if (!err)
        err = take_eyes(tx, d);
    if (!err)
        err = message_find_change(tx, &d->op, in->rev, &change);
    struct str secret = unseal(&d->op.svc->seal_key, d->w.id, d->w.secret, d->w.secret_n, arena);
    if (err || !change || !secret.n)
        return err ? err : ERR_NOT_FOUND;
    d->reply->is_void = false;
    d->reply->wait_ms = MAX(d->w.retry_at_ms - clock_wall_ms(), (int64_t)0);
    d->reply->is_failing = d->w.fail_count > 0;
    d->reply->url = (char *)d->w.url;
    d->reply->account_id = (char *)(d->w.conversation_num ? d->w.created_by : d->w.bot_id);
    d->reply->secret = (char *)secret.p;
    write_body(d, change);
    return ERR_OK;
}

static enum err delivery_job(struct store_tx *tx, struct message_op *op)
{
    struct delivering *d = CONTAINER_OF(op, struct delivering, op);
    d->reply = arena_new(op->call->arena, Webhook__Delivery);
    webhook__delivery__init(d->reply);
    op->reply = d->reply;
    op->is_silent = true;
    d->reply->is_void = true;
    enum err err = fill(tx, d);
    return err == ERR_NOT_FOUND || err == ERR_PERMISSION_DENIED ? ERR_OK : err;
}

WEBHOOK_HANDLER(webhook_on_get_delivery, GetDeliveryRequest, Delivery)
{
    struct delivering *d =
        message_op_create(WEBHOOK_OF(rpc), data, sizeof(*d), &in->base, (ProtobufCClosure)closure);
    d->op.fn = delivery_job;
    d->op.key = ((Webhook__GetDeliveryRequest *)d->op.in)->conversation_id;
    if (who_require_system(d->op.call))
        message_look(&d->op);
    else
        message_refuse_now(&d->op);
}

/* ---- how it went ---- */

static enum err disable(struct store_tx *tx, struct delivering *d)
{
    struct message_op *op = &d->op;
    Message__SystemNote note = MESSAGE__SYSTEM_NOTE__INIT;
    note.event = (char *)"webhook_disabled";
    note.text = (char *)d->w.name;
    d->w.is_disabled = true;
    enum err err =
        audit_publish_tx(message_base_in(op->svc, tx)->bus, tx, op->call,
                         &(struct audit_note){"webhook_disabled", d->w.id, d->w.problem, NULL});
    if (err || !d->w.conversation_num)
        return err;
    err = message_store_find(tx, op->call->arena, d->w.conversation_id, &op->c);
    const char *key =
        arena_printf(op->call->arena, "webhook-%s-%lld", d->w.id, (long long)d->w.failing_since_ms);
    return err ? err : message_append_note(tx, op, key, &note);
}

static enum err fail(struct store_tx *tx, struct delivering *d, const char *problem)
{
    struct webhook *w = &d->w;
    int64_t now_ms = clock_wall_ms();
    int64_t wait_ms = w->fail_count < 9 ? INT64_C(1000) << w->fail_count : RETRY_MAX_MS;
    w->problem = str_arena(d->op.call->arena, str_sub(str_from(problem), 0, PROBLEM_MAX));
    w->failing_since_ms = w->failing_since_ms ? w->failing_since_ms : now_ms;
    w->fail_count++;
    w->retry_at_ms = now_ms + MIN(wait_ms, RETRY_MAX_MS);
    const Webhook__ReportDeliveryRequest *in = d->op.in;
    bool is_over =
        in->is_gone || now_ms - w->failing_since_ms >= d->op.svc->deps.webhook_failing_max_ms;
    enum err err = is_over && !w->is_disabled ? disable(tx, d) : ERR_OK;
    return err ? err : webhook_update(tx, w);
}

static enum err report_job(struct store_tx *tx, struct message_op *op)
{
    struct delivering *d = CONTAINER_OF(op, struct delivering, op);
    const Webhook__ReportDeliveryRequest *in = op->in;
    Webhook__ReportDeliveryReply *reply = arena_new(op->call->arena, Webhook__ReportDeliveryReply);
    webhook__report_delivery_reply__init(reply);
    enum err err = webhook_find(tx, op->call->arena, in->id, &d->w);
    if (!err && in->problem[0]) {
        err = fail(tx, d, in->problem);
    } else if (!err) {
        d->w.problem = "";
        d->w.fail_count = d->w.failing_since_ms = d->w.retry_at_ms = 0;
        err = webhook_update(tx, &d->w);
    }
    reply->is_disabled = err == ERR_NOT_FOUND || d->w.is_disabled;
    op->reply = reply;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

WEBHOOK_HANDLER(webhook_on_report, ReportDeliveryRequest, ReportDeliveryReply)
{
    struct delivering *d =
        message_op_create(WEBHOOK_OF(rpc), data, sizeof(*d), &in->base, (ProtobufCClosure)closure);
    d->op.fn = report_job;
    bool is_allowed = who_require_system(d->op.call);
    webhook_find_place(&d->op, in->id);
    if (is_allowed && !rpc_failure(d->op.call))
        message_change(&d->op);
    else
        message_refuse_now(&d->op);
}
