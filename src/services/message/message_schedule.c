/*
 * Messages to be sent later. Each is a row and a delayed task of the same transaction; the task
 * sends it as its author would, with the author's place in the conversation judged at that moment,
 * and deletes the row in the transaction that sends. What could not be sent stays, saying why.
 */
#include "core/log.h"
#include "services/message/message_internal.h"

#define QUEUE "message_schedule"
#define KEPT_MAX 100    /* of one person in one conversation */
#define ATTEMPTS_MAX 10 /* over a quarter of an hour */
#define AWAY_MS 5000    /* a database that is away is looked for again */

struct kept {
    const char *id, *conversation_id, *sender_id, *error;
    int64_t send_at_ms;
    Message__SendMessageRequest *request;
};

#define KEPT_COLUMNS                                                                     \
    "s.id, c.id, s.sender_id, s.send_at_ms, s.request, s.error FROM message_scheduled s" \
    " JOIN message_conversations c ON c.num = s.conversation_num"

static bool read_kept(struct store_stmt *st, struct arena *arena, struct kept *out)
{
    size_t n;
    out->id = store_text(st, 0, arena);
    out->conversation_id = store_text(st, 1, arena);
    out->sender_id = store_text(st, 2, arena);
    out->send_at_ms = store_int(st, 3);
    const void *bytes = store_blob(st, 4, arena, &n);
    out->error = store_text(st, 5, arena);
    out->request = (Message__SendMessageRequest *)rpc_message_unpack(
        &message__send_message_request__descriptor, arena, bytes, n);
    return out->request != NULL;
}

/* ---- keeping ---- */

enum err message_find_kept(struct store_tx *tx, struct message_op *op, const char *client_msg_id,
                           const struct message_digest *digest, bool *is_same)
{
    *is_same = false;
    Message__SendMessageReply *reply = arena_new(op->call->arena, Message__SendMessageReply);
    message__send_message_reply__init(reply);
    struct store_stmt *st = store_query(tx,
                                        "SELECT id, digest FROM message_scheduled"
                                        " WHERE conversation_num = ? AND sender_id = ?"
                                        " AND client_msg_id = ?",
                                        "iss", op->c.num, who_id(op->call), client_msg_id);
    bool is_found = store_step(st);
    if (is_found) {
        reply->scheduled_id = store_text(st, 0, op->call->arena);
        *is_same = str_eq(store_str(st, 1),
                          (struct str){(const char *)digest->bytes, sizeof(digest->bytes)});
    }
    enum err err = store_finish(st);
    if (err || !is_found)
        return err ? err : ERR_NOT_FOUND;
    if (!*is_same)
        return ERR_OK;
    reply->conversation_id = (char *)op->c.id;
    reply->is_duplicate = true;
    op->reply = reply;
    return ERR_OK;
}

static enum err check_count(struct store_tx *tx, struct message_op *op)
{
    int64_t count;
    enum err err = message_take_number(store_query(tx,
                                                   "SELECT COUNT(*) FROM message_scheduled"
                                                   " WHERE conversation_num = ? AND sender_id = ?",
                                                   "is", op->c.num, op->me.user_id),
                                       &count);
    if (!err && count >= KEPT_MAX)
        return message_refuse(op, ERR_RESOURCE_EXHAUSTED,
                              "At most 100 messages wait to be sent here.");
    return err;
}

static enum err enqueue(struct store_tx *tx, struct message_op *op, const char *id,
                        int64_t send_at_ms)
{
    return bus_enqueue_tx(message_base_in(op->svc, tx)->bus, tx,
                          &(struct bus_task){.queue = QUEUE,
                                             .type = "send",
                                             .payload = str_from(id),
                                             .idempotency_key = id,
                                             .attempts_max = ATTEMPTS_MAX,
                                             .delay_ms = MAX(0, send_at_ms - clock_wall_ms())});
}

enum err message_schedule(struct store_tx *tx, struct message_op *op,
                          const Message__SendMessageRequest *request,
                          const struct message_digest *digest)
{
    struct arena *arena = op->call->arena;
    enum err err = check_count(tx, op);
    if (err)
        return err;
    Message__SendMessageRequest later = *request;
    later.send_at_ms = 0;
    later.to_user_id = (char *)"";
    later.conversation_id = (char *)op->c.id;
    size_t n;
    const void *bytes = message_pack(arena, &later.base, &n);
    char *id = arena_alloc(arena, ID_SIZE);
    id_make(id);
    err = store_run(tx,
                    "INSERT INTO message_scheduled (id, conversation_num, sender_id,"
                    " client_msg_id, send_at_ms, request, digest, error) VALUES (?,?,?,?,?,?,?,'')",
                    "sissibb", id, op->c.num, op->me.user_id, request->client_msg_id,
                    request->send_at_ms, bytes, n, (const void *)digest->bytes,
                    sizeof(digest->bytes));
    Message__SendMessageReply *reply = arena_new(arena, Message__SendMessageReply);
    message__send_message_reply__init(reply);
    reply->conversation_id = (char *)op->c.id;
    reply->scheduled_id = id;
    op->reply = reply;
    if (!err)
        err = message_files_keep(tx, op->svc, request->content, id, false);
    return err ? err : enqueue(tx, op, id, request->send_at_ms);
}

/* ---- sending ---- */

struct due {
    struct message_op op; /* first */
    const char *id;
    bool is_gone;
};

static enum err find_due(struct store_tx *tx, struct due *due, struct kept *kept)
{
    struct store_stmt *st =
        store_query(tx, "SELECT " KEPT_COLUMNS " WHERE s.id = ? AND s.error = ''", "s", due->id);
    bool is_found = store_step(st), is_sound = is_found && read_kept(st, due->op.call->arena, kept);
    enum err err = store_finish(st);
    due->is_gone = !is_found;
    return err ? err : is_found && !is_sound ? ERR_DATA_LOSS : ERR_OK;
}

static enum err due_job(struct store_tx *tx, struct message_op *op)
{
    struct due *due = CONTAINER_OF(op, struct due, op);
    struct kept kept;
    enum err err = find_due(tx, due, &kept);
    if (err || due->is_gone)
        return err;
    struct identity *who = arena_new(op->call->arena, struct identity);
    who->role = ROLE_USER;
    snprintf(who->user_id, sizeof(who->user_id), "%s", kept.sender_id);
    op->call->who = who;
    op->needs = MESSAGE_NEEDS_WRITE;
    err = message_send_kept(tx, op, kept.request);
    if (!err)
        err = message_files_keep(tx, op->svc, kept.request->content, due->id, true);
    return err ? err
               : message_run_shared(tx, "DELETE FROM message_scheduled WHERE id = ?", "s", due->id);
}

struct failing {
    const char *id, *error;
};

static enum err fail_job(struct store_tx *tx, void *arg)
{
    const struct failing *f = arg;
    return store_run(tx, "UPDATE message_scheduled SET error = ? WHERE id = ?", "ss", f->error,
                     f->id);
}

/* Refused for good, not for want of a disk. */
static bool is_refusal(enum err err)
{
    return err == ERR_NOT_FOUND || err == ERR_PERMISSION_DENIED || err == ERR_INVALID_ARGUMENT ||
           err == ERR_FAILED_PRECONDITION || err == ERR_ALREADY_EXISTS || err == ERR_DATA_LOSS;
}

struct sender_query {
    struct arena *arena;
    const char *id, *sender_id; /* of what is kept; NULL: nothing is */
    const char *conversation_id;
    bool is_found;
};

static enum err find_sender(struct store_tx *tx, void *arg)
{
    struct sender_query *q = arg;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT s.sender_id, c.id FROM message_scheduled s JOIN message_conversations c"
                    " ON c.num = s.conversation_num WHERE s.id = ?",
                    "s", q->id);
    if (store_step(st)) {
        q->sender_id = store_text(st, 0, q->arena);
        q->conversation_id = store_text(st, 1, q->arena);
        q->is_found = true;
    }
    return store_finish(st);
}

/* May the sender still sign in? An account that was disabled since says nothing more. */
static enum err check_sender(struct due *due)
{
    struct rpc_call *call = due->op.call;
    struct sender_query q = {.arena = call->arena, .id = due->id};
    enum err err =
        message_read_in(message_base_of(due->op.svc, due->op.key), NULL, find_sender, &q);
    if (err || !q.sender_id)
        return err;
    err = message_check_account(due->op.svc, q.sender_id);
    return err == ERR_PERMISSION_DENIED
               ? message_refuse(&due->op, err, "The account is disabled or gone.")
               : err;
}

enum err message_due_here(struct message_service *svc, const struct message_work *work)
{
    struct str id = work->payload, number;
    int64_t attempt = 0;
    if (str_cut(&id, ' ', &number))
        (void)!str_to_i64(number, &attempt);
    struct rpc_call *call = rpc_call_create(NULL);
    struct due *due = arena_new(call->arena, struct due);
    due->op.svc = svc;
    due->op.call = call;
    due->op.fn = due_job;
    due->op.told_end = &due->op.told;
    due->op.key = work->key;
    due->id = str_arena(call->arena, id);
    enum err err = check_sender(due);
    if (!err)
        err = message_change_sync(&due->op);
    if (is_refusal(err) || (err && attempt >= ATTEMPTS_MAX)) {
        const char *why = rpc_failure(call) ? rpc_failure_text(call) : err_text(err);
        struct failing failing = {.id = due->id, .error = why};
        err = store_write_essential_sync(message_base_of(svc, work->key)->store, 0, fail_job,
                                         &failing);
    } else if (err) {
        log_warn(NULL, "message: scheduled message not sent yet (attempt %d): %s", (int)attempt,
                 err_text(err));
    }
    rpc_call_unref(&call);
    return err;
}

static enum err on_due(void *arg, const struct bus_task *task, int attempt)
{
    struct message_service *svc = arg;
    struct arena *arena = arena_create();
    struct sender_query q = {.arena = arena, .id = str_arena(arena, task->payload)};
    enum err err = message_read_until(svc, NULL, find_sender, &q, &q.is_found);
    bool is_lost = err && svc->base_count > 1; /* a database is away: the hour has come later */
    if (!err && q.conversation_id) {
        const char *payload = arena_printf(arena, "%d %s", attempt, q.id);
        err = message_work(
            svc, &(struct message_work){MESSAGE_WORK_DUE, q.conversation_id, str_from(payload)});
    }
    arena_destroy(&arena);
    if (is_lost || (err == ERR_UNAVAILABLE && svc->base_count > 1))
        bus_put_off(task, AWAY_MS);
    return err;
}

void message_schedule_start(struct message_service *svc)
{
    bus_work(svc->deps.bus, QUEUE, on_due, svc);
}

/* ---- list and cancel ---- */

static enum err list_job(struct store_tx *tx, struct message_op *op)
{
    struct arena *arena = op->call->arena;
    Message__ScheduledList *reply = arena_new(arena, Message__ScheduledList);
    message__scheduled_list__init(reply);
    reply->messages = arena_array(arena, Message__ScheduledMessage *, KEPT_MAX);
    op->reply = reply;
    struct store_stmt *st = store_query(tx,
                                        "SELECT " KEPT_COLUMNS " WHERE s.conversation_num = ?"
                                        " AND s.sender_id = ? ORDER BY s.send_at_ms, s.id LIMIT ?",
                                        "isi", op->c.num, op->me.user_id, (int64_t)KEPT_MAX);
    while (store_step(st)) {
        struct kept kept;
        if (!read_kept(st, arena, &kept))
            continue;
        Message__ScheduledMessage *m = arena_new(arena, Message__ScheduledMessage);
        message__scheduled_message__init(m);
        m->id = (char *)kept.id;
        m->conversation_id = (char *)kept.conversation_id;
        m->send_at_ms = kept.send_at_ms;
        m->request = kept.request;
        m->error = (char *)kept.error;
        reply->messages[reply->n_messages++] = m;
    }
    return store_finish(st);
}

MESSAGE_HANDLER(message_on_scheduled, ListScheduledRequest, ScheduledList)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__ListScheduledRequest *own = op->in;
    op->fn = list_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_READ;
    message_view(op, ROLE_USER);
}

/* What it would have attached is let go. ERR_NOT_FOUND: it does not wait (any more). */
static enum err let_files_go(struct store_tx *tx, struct message_op *op, const char *id)
{
    struct kept kept = {0};
    struct store_stmt *st = store_query(tx,
                                        "SELECT " KEPT_COLUMNS " WHERE s.id = ? AND"
                                        " s.conversation_num = ? AND s.sender_id = ?",
                                        "sis", id, op->c.num, op->me.user_id);
    bool is_found = store_step(st), is_sound = is_found && read_kept(st, op->call->arena, &kept);
    enum err err = store_finish(st);
    if (err || !is_found)
        return err ? err : ERR_NOT_FOUND;
    return is_sound ? message_files_keep(tx, op->svc, kept.request->content, id, true) : ERR_OK;
}

enum err message_schedule_drop(struct store_tx *tx, struct message_service *svc,
                               const char *sender_id)
{
    struct arena *arena = arena_create();
    struct waiting {
        struct waiting *next;
        struct kept kept;
    } *list = NULL;
    struct store_stmt *st =
        store_query(tx, "SELECT " KEPT_COLUMNS " WHERE s.sender_id = ?", "s", sender_id);
    while (store_step(st)) {
        struct waiting *w = arena_new(arena, struct waiting);
        if (read_kept(st, arena, &w->kept)) {
            w->next = list;
            list = w;
        }
    }
    enum err err = store_finish(st);
    for (; list && !err; list = list->next)
        err = message_files_keep(tx, svc, list->kept.request->content, list->kept.id, true);
    arena_destroy(&arena);
    return err ? err
               : store_run(tx, "DELETE FROM message_scheduled WHERE sender_id = ?", "s", sender_id);
}

static enum err cancel_job(struct store_tx *tx, struct message_op *op)
{
    const Message__CancelScheduledRequest *in = op->in;
    Message__CancelScheduledReply *reply =
        arena_new(op->call->arena, Message__CancelScheduledReply);
    message__cancel_scheduled_reply__init(reply);
    op->reply = reply;
    enum err err = let_files_go(tx, op, in->scheduled_id);
    if (!err)
        err = message_run_shared(tx, "DELETE FROM message_scheduled WHERE id = ?", "s",
                                 in->scheduled_id);
    if (err == ERR_NOT_FOUND)
        return message_refuse(op, ERR_NOT_FOUND, "There is no such message: it may be sent.");
    return err;
}

MESSAGE_HANDLER(message_on_cancel_scheduled, CancelScheduledRequest, CancelScheduledReply)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__CancelScheduledRequest *own = op->in;
    op->fn = cancel_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_READ;
    message_run(op, ROLE_USER);
}
