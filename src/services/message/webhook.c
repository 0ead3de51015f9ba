/*
 * webhook: made, listed, enabled again and ended by the admins of a conversation, or by the owner
 * of a bot. An incoming one speaks as an account of its own, a bot that belongs to the
 * conversation, so clients show it like anybody else.
 */
#include "services/message/webhook.h"

#include "user.pb-c.h"

#define TITLE_MAX 64
#define URL_MAX 1000

enum err webhook_not_found(struct message_op *op)
{
    return message_refuse(op, ERR_NOT_FOUND, "There is no such webhook.");
}

struct managing {
    struct message_op op; /* first */
    struct webhook w;
    const char *webhook_id; /* of one that is there; NULL: a new one, or all */
    char *secret;
};

/* ---- who may ---- */

/* false after rpc_fail: is the bot the caller's? Before the transaction. */
static bool check_bot(struct message_op *op, const char *bot_id)
{
    struct rpc_call *c = rpc_call_create(op->call);
    User__GetUserRequest request = USER__GET_USER_REQUEST__INIT;
    request.id = (char *)bot_id;
    const User__Profile *p = rpc_sync(op->svc->deps.user, "GetUser", &request.base, c);
    bool is_own = p && p->is_bot && who_is(op->call, p->owner_id);
    if (!is_own)
        rpc_fail(op->call, p || c->err == ERR_NOT_FOUND ? ERR_NOT_FOUND : c->err,
                 "bot_id: expected a bot of one's own");
    rpc_call_unref(&c);
    return is_own;
}

struct placing {
    struct message_op *op;
    const char *id;
    bool is_found;
};

static enum err place_job(struct store_tx *tx, void *arg)
{
    struct placing *p = arg;
    struct webhook w;
    enum err err = webhook_find(tx, p->op->call->arena, p->id, &w);
    p->op->key = !err && w.conversation_num ? w.conversation_id : NULL;
    p->is_found = !err;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void webhook_find_place(struct message_op *op, const char *id)
{
    struct placing placing = {.op = op, .id = id};
    enum err err = rpc_failure(op->call)
                       ? ERR_OK
                       : message_read_until(op->svc, NULL, place_job, &placing, &placing.is_found);
    if (err) /* that there is none the change itself says */
        who_fail(op->call, err);
}

/* Finds the webhook, and whether the caller may do anything with it. */
static enum err enter(struct store_tx *tx, struct managing *m)
{
    struct message_op *op = &m->op;
    enum err err = webhook_find(tx, op->call->arena, m->webhook_id, &m->w);
    if (err)
        return err == ERR_NOT_FOUND ? webhook_not_found(op) : err;
    if (!m->w.conversation_num)
        return who_is(op->call, m->w.created_by) ? ERR_OK : webhook_not_found(op);
    op->conversation_id = m->w.conversation_id;
    op->needs = MESSAGE_NEEDS_ADMIN;
    return message_op_enter(tx, op);
}

/* ---- showing ---- */

static Webhook__WebhookInfo *show(struct arena *arena, const struct webhook *w)
{
    Webhook__WebhookInfo *out = arena_new(arena, Webhook__WebhookInfo);
    webhook__webhook_info__init(out);
    out->id = (char *)w->id;
    out->kind = w->kind;
    out->name = (char *)w->name;
    out->conversation_id = (char *)w->conversation_id;
    out->bot_id = (char *)w->bot_id;
    out->url = (char *)w->url;
    out->is_disabled = w->is_disabled;
    out->problem = (char *)w->problem;
    out->failing_since_ms = w->failing_since_ms;
    out->created_by = (char *)w->created_by;
    out->created_at_ms = w->created_at_ms;
    out->events = arena_array(arena, char *, MESSAGE_CHANGE_CONVERSATION + 1);
    for (int i = 0; i <= MESSAGE_CHANGE_CONVERSATION; i++)
        if (w->events & (1 << i))
            out->events[out->n_events++] = (char *)message_change_name((enum message_change_type)i);
    return out;
}

/* ---- making ---- */

static bool is_url(struct str url)
{
    struct str host = str_starts(url, STR("https://"))  ? str_sub(url, 8, url.n)
                      : str_starts(url, STR("http://")) ? str_sub(url, 7, url.n)
                                                        : STR_NULL;
    for (size_t i = 0; i < host.n; i++)
        if ((uint8_t)host.p[i] <= ' ' || (uint8_t)host.p[i] >= 127)
            return false;
    struct str name;
    str_cut(&host, '/', &name);
    return name.n > 0 && url.n <= URL_MAX && str_find(name, '@') < 0;
}

/* -1 after rpc_fail. */
static int64_t take_events(struct rpc_call *call, char *const *names, size_t count)
{
    int64_t events = count ? 0 : 1 << MESSAGE_CHANGE_MESSAGE;
    for (size_t i = 0; i < count; i++) {
        int type = 0;
        while (type <= MESSAGE_CHANGE_CONVERSATION &&
               strcmp(message_change_name((enum message_change_type)type), names[i]) != 0)
            type++;
        if (type > MESSAGE_CHANGE_CONVERSATION) {
            rpc_fail(call, ERR_INVALID_ARGUMENT, "events: no such type of change");
            return -1;
        }
        events |= INT64_C(1) << type;
    }
    return events;
}

static bool take_outgoing(struct managing *m, const Webhook__CreateWebhookRequest *in)
{
    struct rpc_call *call = m->op.call;
    m->w.events = take_events(call, in->events, in->n_events);
    if (m->w.events < 0)
        return false;
    if (!is_url(str_from(in->url))) {
        rpc_fail(call, ERR_INVALID_ARGUMENT,
                 "url: expected http:// or https://, at most %d characters, without a password",
                 URL_MAX);
        return false;
    }
    m->w.url = in->url;
    m->w.bot_id = in->bot_id;
    return !in->bot_id[0] || check_bot(&m->op, in->bot_id);
}

static bool take_new(struct managing *m, const Webhook__CreateWebhookRequest *in)
{
    struct rpc_call *call = m->op.call;
    bool is_incoming = in->kind == WEBHOOK__WEBHOOK_KIND__INCOMING;
    char *id = arena_alloc(call->arena, ID_SIZE);
    id_make(id);
    m->w = (struct webhook){.id = id, .kind = in->kind, .url = "", .problem = "", .bot_id = ""};
    m->w.conversation_id = in->conversation_id;
    m->w.created_by = who_id(call);
    m->w.created_at_ms = clock_wall_ms();
    m->w.name = text_take(call, in->name, &(struct text_rule){"name", 1, TITLE_MAX, 0});
    m->secret = arena_alloc(call->arena, WEBHOOK_SECRET_CHARS + 1);
    id_token(m->secret, WEBHOOK_SECRET_CHARS);
    if (!m->w.name)
        return false;
    if (!in->conversation_id[0] == !in->bot_id[0] || (is_incoming && in->bot_id[0])) {
        rpc_fail(call, ERR_INVALID_ARGUMENT,
                 "expected conversation_id, or bot_id for an outgoing one");
        return false;
    }
    if (!is_incoming && in->kind != WEBHOOK__WEBHOOK_KIND__OUTGOING) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "kind: expected incoming or outgoing");
        return false;
    }
    if (is_incoming && (in->url[0] || in->n_events)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "url, events: only of outgoing ones");
        return false;
    }
    return is_incoming || take_outgoing(m, in);
}

static void keep_secret(struct managing *m)
{
    struct arena *arena = m->op.call->arena;
    if (m->w.kind == WEBHOOK__WEBHOOK_KIND__INCOMING) {
        struct message_digest digest = message_digest(m->secret, WEBHOOK_SECRET_CHARS);
        m->w.secret = arena_memdup(arena, digest.bytes, sizeof(digest.bytes));
        m->w.secret_n = sizeof(digest.bytes);
        return;
    }
    uint8_t *sealed = arena_alloc(arena, WEBHOOK_SECRET_CHARS + SEAL_EXTRA);
    seal(&m->op.svc->seal_key, m->w.id, str_from(m->secret), sealed);
    m->w.secret = sealed;
    m->w.secret_n = WEBHOOK_SECRET_CHARS + SEAL_EXTRA;
}

static enum err check_room(struct store_tx *tx, struct managing *m)
{
    struct webhook *list;
    size_t count;
    bool is_of_group = m->op.c.kind == MESSAGE__CONVERSATION_KIND__GROUP ||
                       m->op.c.kind == MESSAGE__CONVERSATION_KIND__CHANNEL;
    if (m->w.conversation_id[0] && !is_of_group)
        return message_refuse(&m->op, ERR_FAILED_PRECONDITION, "Only groups have webhooks.");
    enum err err = webhook_list(tx, m->op.call->arena, m->op.c.num, m->w.bot_id, &list, &count);
    if (!err && count >= WEBHOOKS_MAX)
        return message_refuse(&m->op, ERR_RESOURCE_EXHAUSTED, "There are too many webhooks here.");
    return err;
}

static enum err check_job(struct store_tx *tx, struct message_op *op)
{
    return check_room(tx, CONTAINER_OF(op, struct managing, op));
}

static enum err create_job(struct store_tx *tx, struct message_op *op)
{
    struct managing *m = CONTAINER_OF(op, struct managing, op);
    enum err err = check_room(tx, m);
    m->w.conversation_num = op->c.num;
    if (!err)
        err = webhook_insert(tx, &m->w);
    if (!err)
        err = audit_publish_tx(message_base_in(op->svc, tx)->bus, tx, op->call,
                               &(struct audit_note){"webhook_created", m->w.id, m->w.name, NULL});
    return err;
}

/* Who speaks for an incoming webhook. */
static bool make_speaker(struct managing *m)
{
    struct rpc_call *call = m->op.call, *c = rpc_call_create(call);
    User__CreateBotRequest request = USER__CREATE_BOT_REQUEST__INIT;
    char username[40] = "hook-";
    for (size_t i = 0; m->w.id[i]; i++) {
        char letter = m->w.id[i];
        username[5 + i] = letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
    }
    request.username = username;
    request.nickname = (char *)m->w.name;
    request.owner_id = (char *)m->w.conversation_id;
    c->who = NULL;
    const User__Profile *p = rpc_sync(m->op.svc->deps.user, "CreateBot", &request.base, c);
    if (p)
        m->w.bot_id = arena_strdup(call->arena, p->id);
    else
        rpc_fail(call, c->err, "%s", c->message);
    rpc_call_unref(&c);
    return p != NULL;
}

enum err webhook_drop_speaker(struct message_service *svc, struct rpc_call *call,
                              const char *bot_id)
{
    struct rpc_call *c = rpc_call_create(call);
    User__DeleteBotRequest request = USER__DELETE_BOT_REQUEST__INIT;
    request.id = (char *)bot_id;
    c->who = NULL;
    bool is_done = rpc_sync(svc->deps.user, "DeleteBot", &request.base, c) != NULL;
    enum err err = is_done || c->err == ERR_NOT_FOUND ? ERR_OK : c->err;
    rpc_call_unref(&c);
    return err;
}

static void drop_speaker(struct message_op *op, const char *bot_id)
{
    enum err err = webhook_drop_speaker(op->svc, op->call, bot_id);
    if (err)
        log_warn(&op->call->log, "the account of a webhook is left over: %s", err_name(err));
}

static Webhook__WebhookInfo *create(struct managing *m)
{
    struct message_op *op = &m->op;
    bool is_incoming = m->w.kind == WEBHOOK__WEBHOOK_KIND__INCOMING;
    op->conversation_id = m->w.conversation_id[0] ? m->w.conversation_id : NULL;
    op->needs = MESSAGE_NEEDS_ADMIN;
    op->fn = check_job;
    if (!message_op_is_here(op))
        return NULL;
    enum err err = message_look_sync(op);
    if (err)
        return who_fail(op->call, err);
    if (is_incoming && !make_speaker(m))
        return NULL;
    keep_secret(m);
    op->fn = create_job;
    err = message_change_sync(op);
    if (err && is_incoming)
        drop_speaker(op, m->w.bot_id);
    if (err)
        return who_fail(op->call, err);
    if (!is_incoming)
        op->svc->has_webhooks = true;
    Webhook__WebhookInfo *out = show(op->call->arena, &m->w);
    if (is_incoming)
        out->url = arena_printf(op->call->arena, "/api/v1/hooks/%s/%s", m->w.id, m->secret);
    else
        out->secret = m->secret;
    return out;
}

/* The system itself has no webhooks. */
static bool is_somebody(struct rpc_call *call)
{
    if (who_id(call)[0])
        return true;
    rpc_fail(call, ERR_UNAUTHENTICATED, "%s", err_text(ERR_UNAUTHENTICATED));
    return false;
}

WEBHOOK_HANDLER(webhook_on_create, CreateWebhookRequest, WebhookInfo)
{
    struct managing *m =
        message_op_create(WEBHOOK_OF(rpc), data, sizeof(*m), &in->base, (ProtobufCClosure)closure);
    bool is_allowed = who_require(m->op.call, ROLE_USER) && who_require_person(m->op.call) &&
                      is_somebody(m->op.call) && take_new(m, m->op.in);
    closure(is_allowed ? create(m) : NULL, data);
}

/* ---- looking ---- */

static enum err list_job(struct store_tx *tx, struct message_op *op)
{
    struct managing *m = CONTAINER_OF(op, struct managing, op);
    struct arena *arena = op->call->arena;
    struct webhook *list;
    size_t count;
    enum err err = webhook_list(tx, arena, op->c.num, m->w.bot_id, &list, &count);
    if (err)
        return err;
    Webhook__WebhookList *reply = arena_new(arena, Webhook__WebhookList);
    webhook__webhook_list__init(reply);
    reply->webhooks = arena_array(arena, Webhook__WebhookInfo *, count);
    for (size_t i = 0; i < count; i++)
        reply->webhooks[reply->n_webhooks++] = show(arena, &list[i]);
    op->reply = reply;
    return ERR_OK;
}

WEBHOOK_HANDLER(webhook_on_list, ListWebhooksRequest, WebhookList)
{
    struct managing *m =
        message_op_create(WEBHOOK_OF(rpc), data, sizeof(*m), &in->base, (ProtobufCClosure)closure);
    const Webhook__ListWebhooksRequest *own = m->op.in;
    m->op.fn = list_job;
    m->op.conversation_id = own->conversation_id[0] ? own->conversation_id : NULL;
    m->op.needs = MESSAGE_NEEDS_ADMIN;
    m->w.bot_id = own->bot_id;
    if (!own->conversation_id[0] == !own->bot_id[0])
        rpc_fail(m->op.call, ERR_INVALID_ARGUMENT, "expected conversation_id or bot_id");
    else if (own->bot_id[0] && who_require(m->op.call, ROLE_USER))
        check_bot(&m->op, own->bot_id);
    message_view(&m->op, ROLE_USER);
}

/* ---- ending, and beginning again ---- */

static enum err enable_job(struct store_tx *tx, struct message_op *op)
{
    struct managing *m = CONTAINER_OF(op, struct managing, op);
    enum err err = enter(tx, m);
    m->w.is_disabled = false;
    m->w.problem = "";
    m->w.fail_count = m->w.failing_since_ms = m->w.retry_at_ms = 0;
    if (!err)
        err = webhook_update(tx, &m->w);
    if (!err)
        op->reply = show(op->call->arena, &m->w);
    return err;
}

WEBHOOK_HANDLER(webhook_on_enable, EnableWebhookRequest, WebhookInfo)
{
    struct managing *m =
        message_op_create(WEBHOOK_OF(rpc), data, sizeof(*m), &in->base, (ProtobufCClosure)closure);
    m->op.fn = enable_job;
    m->webhook_id = ((Webhook__EnableWebhookRequest *)m->op.in)->id;
    webhook_find_place(&m->op, m->webhook_id);
    message_run(&m->op, ROLE_USER);
}

static enum err delete_job(struct store_tx *tx, struct message_op *op)
{
    struct managing *m = CONTAINER_OF(op, struct managing, op);
    enum err err = enter(tx, m);
    if (!err)
        err = message_run_shared(tx, "DELETE FROM message_webhooks WHERE id = ?", "s", m->w.id);
    return err ? err
               : audit_publish_tx(
                     message_base_in(op->svc, tx)->bus, tx, op->call,
                     &(struct audit_note){"webhook_deleted", m->w.id, m->w.name, NULL});
}

static Webhook__DeleteWebhookReply *delete_webhook(struct managing *m)
{
    enum err err = message_change_sync(&m->op);
    if (err)
        return who_fail(m->op.call, err);
    if (m->w.kind == WEBHOOK__WEBHOOK_KIND__INCOMING)
        drop_speaker(&m->op, m->w.bot_id);
    Webhook__DeleteWebhookReply *out = arena_new(m->op.call->arena, Webhook__DeleteWebhookReply);
    webhook__delete_webhook_reply__init(out);
    return out;
}

WEBHOOK_HANDLER(webhook_on_delete, DeleteWebhookRequest, DeleteWebhookReply)
{
    struct managing *m =
        message_op_create(WEBHOOK_OF(rpc), data, sizeof(*m), &in->base, (ProtobufCClosure)closure);
    m->op.fn = delete_job;
    m->webhook_id = ((Webhook__DeleteWebhookRequest *)m->op.in)->id;
    webhook_find_place(&m->op, m->webhook_id);
    closure(who_require(m->op.call, ROLE_USER) ? delete_webhook(m) : NULL, data);
}
