/*
 * message_erase: what an erased account said is taken back, as if its person had recalled every
 * message: the lines stay in the logs, chained as they were, their content goes, and clients hear
 * of each. Then it leaves its groups (one it owned goes to the highest, longest member), and its
 * contacts, drafts and waiting messages go. A batch a transaction; doing it again changes nothing.
 */
#include "core/log.h"
#include "services/common/erase.h"
#include "services/message/webhook.h"

#define QUEUE ERASE_QUEUE("message")
#define BATCH 50

struct taking {
    struct message_op op; /* first */
    const char *above;    /* in and out: client_msg_id of the last one looked at */
    bool has_more;        /* out */
};

/* ---- one conversation ---- */

static enum err own_rows(struct store_tx *tx, struct taking *t, struct message_row *rows,
                         size_t *count)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " MESSAGE_COLUMNS " FROM message_messages m"
                    " WHERE m.conversation_num = ? AND m.sender_id = ? AND m.client_msg_id > ?"
                    " ORDER BY m.client_msg_id LIMIT ?",
                    "issi", t->op.c.num, who_id(t->op.call), t->above, (int64_t)BATCH);
    for (*count = 0; *count < BATCH && store_step(st); ++*count)
        message_log_read(st, t->op.call->arena, &rows[*count]);
    return store_finish(st);
}

static enum err take_back_job(struct store_tx *tx, struct message_op *op)
{
    struct taking *t = CONTAINER_OF(op, struct taking, op);
    struct message_row *rows = arena_array(op->call->arena, struct message_row, BATCH);
    size_t count;
    enum err err = own_rows(tx, t, rows, &count);
    for (size_t i = 0; i < count && !err; i++) {
        t->above = rows[i].client_msg_id;
        if (!rows[i].recalled_at_ms && rows[i].kind != MESSAGE__CONTENT_KIND__SYSTEM)
            err = message_take_back(tx, op, &rows[i]);
    }
    t->has_more = count == BATCH;
    return err;
}

static enum err leave_job(struct store_tx *tx, struct message_op *op)
{
    if (!op->me.user_id)
        return ERR_OK;
    op->me.nickname = op->me.draft = "";
    op->me.draft_at_ms = 0;
    bool is_group = op->c.kind == MESSAGE__CONVERSATION_KIND__GROUP ||
                    op->c.kind == MESSAGE__CONVERSATION_KIND__CHANNEL;
    if (is_group && op->me.state == MESSAGE__MEMBER_STATE__ACTIVE)
        return group_leave_for_good(tx, op);
    return message_store_put_member(tx, &op->me);
}

/* As the account itself. */
static void begin(struct taking *t, struct message_service *svc, struct rpc_call *call,
                  const char *user_id, const char *conversation_id)
{
    struct identity *who = arena_new(call->arena, struct identity);
    who->role = ROLE_USER;
    snprintf(who->user_id, sizeof(who->user_id), "%s", user_id);
    call->who = who;
    t->op.svc = svc;
    t->op.call = call;
    t->op.conversation_id = conversation_id;
    t->op.needs = MESSAGE_NEEDS_NOTHING;
    t->op.told_end = &t->op.told;
}

static enum err erase_in(struct message_service *svc, const char *user_id,
                         const char *conversation_id)
{
    char above[256] = "";
    enum err err = ERR_OK;
    bool has_more = true, is_left = false;
    while (!err && !is_left) {
        struct rpc_call *call = rpc_call_create(NULL);
        struct taking *t = arena_new(call->arena, struct taking);
        begin(t, svc, call, user_id, conversation_id);
        t->above = above;
        t->op.fn = has_more ? take_back_job : leave_job;
        is_left = !has_more;
        err = message_change_essential_sync(&t->op);
        has_more = t->has_more;
        if (t->above != above)
            snprintf(above, sizeof(above), "%s", t->above);
        rpc_call_unref(&call);
        if (svc->is_stopping && !is_left)
            err = ERR_CANCELLED;
    }
    return err;
}

/* ---- all of them ---- */

static struct store_stmt *query_own(struct store_tx *tx, void *user_id, int64_t above_num,
                                    int64_t limit)
{
    return store_query(tx,
                       "SELECT c.num, c.id FROM message_members m"
                       " JOIN message_conversations c ON c.num = m.conversation_num"
                       " WHERE m.user_id = ? AND c.num > ? ORDER BY c.num LIMIT ?",
                       "sii", (const char *)user_id, above_num, limit);
}

static enum err erase_each(struct message_service *svc, const char *conversation_id, void *user_id)
{
    return message_work(
        svc, &(struct message_work){MESSAGE_WORK_ERASE, conversation_id, str_from(user_id)});
}

enum err message_erase_here(struct message_service *svc, const struct message_work *work)
{
    char user_id[ID_SIZE];
    snprintf(user_id, sizeof(user_id), "%.*s", (int)work->payload.n, work->payload.p);
    return erase_in(svc, user_id, work->key);
}

/* Accounts that speak for webhooks which the person made: nobody else would end them. */
struct speakers {
    const char *user_id;
    struct arena *arena;
    char **ids;
    size_t count;
};

static enum err speakers_job(struct store_tx *tx, void *arg)
{
    struct speakers *s = arg;
    int64_t count;
    enum err err = message_take_number(
        store_query(tx, "SELECT COUNT(*) FROM message_webhooks WHERE created_by = ? AND kind = ?",
                    "si", s->user_id, (int64_t)WEBHOOK__WEBHOOK_KIND__INCOMING),
        &count);
    if (err)
        return err;
    char **former = s->ids;
    s->ids = arena_array(s->arena, char *, s->count + (size_t)count);
    if (s->count)
        memcpy(s->ids, former, s->count * sizeof(*former));
    count += (int64_t)s->count;
    struct store_stmt *st =
        store_query(tx, "SELECT bot_id FROM message_webhooks WHERE created_by = ? AND kind = ?",
                    "si", s->user_id, (int64_t)WEBHOOK__WEBHOOK_KIND__INCOMING);
    while (s->count < (size_t)count && store_step(st))
        s->ids[s->count++] = store_text(st, 0, s->arena);
    return store_finish(st);
}

static enum err end_speakers(struct message_service *svc, const char *user_id)
{
    struct rpc_call *call = rpc_call_create(NULL);
    struct speakers s = {.user_id = user_id, .arena = call->arena};
    enum err err = message_read_each(svc, NULL, speakers_job, &s);
    for (size_t i = 0; i < s.count && !err; i++)
        err = webhook_drop_speaker(svc, call, s.ids[i]);
    rpc_call_unref(&call);
    return err;
}

struct forgetting {
    struct message_service *svc;
    const char *user_id;
};

/* What is nobody's but the account's, and what others keep of it. */
static enum err forget_job(struct store_tx *tx, void *arg)
{
    const struct forgetting *f = arg;
    static const char *const sql[] = {
        "DELETE FROM message_contacts WHERE owner_id = ?",
        "DELETE FROM message_contacts WHERE user_id = ?",
        "DELETE FROM message_hidden WHERE user_id = ?",
        "DELETE FROM message_invitations WHERE user_id = ?",
        "DELETE FROM message_invitations WHERE inviter_id = ?",
        "UPDATE message_invite_links SET created_by = '' WHERE created_by = ?",
        "DELETE FROM message_webhooks WHERE created_by = ?",
        "DELETE FROM message_webhooks WHERE bot_id = ? AND conversation_num = 0",
    };
    enum err err = message_schedule_drop(tx, f->svc, f->user_id);
    for (size_t i = 0; i < ARRAY_LEN(sql) && !err; i++)
        err = store_run(tx, sql[i], "s", f->user_id);
    return err;
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt)
{
    struct message_service *svc = arg;
    char user_id[ID_SIZE];
    if (!id_read(user_id, task->payload))
        return ERR_OK;
    /* What waits to be sent goes before the rest, so that it is not sent meanwhile. */
    struct forgetting forgetting = {svc, user_id};
    enum err err = end_speakers(svc, user_id); /* before their webhooks are forgotten */
    if (!err)
        err = message_write_each(svc, forget_job, &forgetting);
    if (!err)
        err = message_sweep(svc, &(struct message_sweep){query_own, erase_each, user_id});
    if (err && err != ERR_CANCELLED)
        log_warn(NULL, "message: %s is not all erased yet: %s", user_id, err_text(err));
    return err;
}

void message_erase_start(struct message_service *svc)
{
    bus_work(svc->deps.bus, QUEUE, on_task, svc);
}
