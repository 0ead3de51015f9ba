/*
 * One operation on a conversation: find it, find the caller's place in it, check what the operation
 * needs, then do it, all in one transaction. Changes run on the writer, many to a commit, and are
 * answered when it is durable. A stranger learns nothing: what one has no place in is "not found".
 */
#include "services/message/message_internal.h"

#include "user.pb-c.h"

enum err message_refuse(struct message_op *op, enum err err, const char *why)
{
    if (!op->is_silent)
        rpc_fail(op->call, err, "%s", why);
    return err;
}

static enum err not_found(struct message_op *op)
{
    return message_refuse(op, ERR_NOT_FOUND, "There is no such conversation.");
}

static enum err check_write(struct message_op *op)
{
    const struct message_conversation *c = &op->c;
    const struct message_member *me = &op->me;
    if (c->is_dissolved)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This group has been dissolved.");
    if (me->role != MESSAGE__MEMBER_ROLE__MEMBER)
        return ERR_OK;
    if (c->kind == MESSAGE__CONVERSATION_KIND__CHANNEL || c->is_muted)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only owner and admins may write here.");
    if (me->muted_until_ms > clock_wall_ms())
        return message_refuse(op, ERR_PERMISSION_DENIED, "You may not write here for a while.");
    return ERR_OK;
}

enum err message_op_check(struct message_op *op)
{
    const struct message_member *me = &op->me;
    if (op->needs == MESSAGE_NEEDS_NOTHING)
        return ERR_OK;
    bool may_read = me->user_id && (me->state == MESSAGE__MEMBER_STATE__ACTIVE ||
                                    me->state == MESSAGE__MEMBER_STATE__GONE);
    if (!may_read)
        return not_found(op);
    if (op->needs == MESSAGE_NEEDS_READ)
        return ERR_OK;
    if (me->state != MESSAGE__MEMBER_STATE__ACTIVE)
        return message_refuse(op, ERR_PERMISSION_DENIED, "You are no member of it any more.");
    if (op->needs == MESSAGE_NEEDS_WRITE)
        return check_write(op);
    if (op->needs == MESSAGE_NEEDS_OWNER && me->role != MESSAGE__MEMBER_ROLE__OWNER)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only the owner can do that.");
    if (op->needs == MESSAGE_NEEDS_ADMIN && me->role == MESSAGE__MEMBER_ROLE__MEMBER)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only owner and admins can do that.");
    return ERR_OK;
}

enum err message_op_enter(struct store_tx *tx, struct message_op *op)
{
    struct arena *arena = op->call->arena;
    enum err err = message_store_find(tx, arena, op->conversation_id, &op->c);
    if (err)
        return err == ERR_NOT_FOUND ? not_found(op) : err;
    /* A guest's token is good for one meeting, and so for its chat. */
    if (who_role(op->call) == ROLE_GUEST && strcmp(op->call->who->meeting_id, op->c.meeting_id))
        return not_found(op);
    err = message_store_member(tx, arena, op->c.num, who_id(op->call), &op->me);
    if (err && err != ERR_NOT_FOUND)
        return err;
    return message_op_check(op);
}

/* ---- who has just written ---- */

/* People share places: then one of them reads what is new without need. */
static _Atomic int64_t *place_of(struct message_service *svc, const char *user_id)
{
    uint32_t hash = 2166136261u;
    for (const char *at = user_id; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    return &svc->recent[hash % MESSAGE_RECENT_PLACES];
}

static void note_recent(struct message_service *svc, const char *user_id)
{
    atomic_store_explicit(place_of(svc, user_id), clock_mono_ms(), memory_order_relaxed);
}

/* Who has changed something a moment ago looks at the database itself. */
static bool is_recent(struct message_service *svc, const char *user_id)
{
    int64_t at_ms = atomic_load_explicit(place_of(svc, user_id), memory_order_relaxed);
    return at_ms && clock_mono_ms() - at_ms < MESSAGE_RECENT_MS;
}

/* By the hook of the commit, so that all tell in the order of the log, whoever waits for them. */
static void publish(void *op)
{
    message_publish_told(op);
}

static enum err look(struct store_tx *tx, void *arg)
{
    struct message_op *op = arg;
    if (op->may_be_stale)
        op->is_silent = store_is_stale(tx); /* then it is looked once more elsewhere */
    enum err err = op->conversation_id ? message_op_enter(tx, op) : ERR_OK;
    if (!err)
        err = op->fn(tx, op);
    return err;
}

static enum err change(struct store_tx *tx, void *arg)
{
    struct message_op *op = arg;
    enum err err = op->shard ? message_shard_begin(tx, op->shard) : ERR_OK;
    if (!err)
        err = look(tx, op);
    if (!err && op->told && op->svc->deps.has_upstream)
        err = message_publish_facts(tx, op);
    if (!err && (op->told || op->receipt))
        store_on_commit(tx, publish, op);
    message_shard_end();
    if (!err)
        note_recent(op->svc, who_id(op->call));
    return err;
}

static void answer(struct message_op *op, enum err err)
{
    op->closure(err ? who_fail(op->call, err) : op->reply, op->call);
}

static enum err move_on(struct message_op *op)
{
    char owner[MESSAGE_OWNER_SIZE];
    message_owner_of(op->svc, op->shard->index, owner);
    rpc_move(op->call, owner);
    return ERR_UNAVAILABLE;
}

/* Nothing was written: the shard is not ours any more, and the call is made again at its owner; or
 * it is once more, or the database chose this transaction to end a deadlock: who asked may try
 * again at once. No change is refused as ERR_ABORTED for what it says. */
static enum err judge(struct message_op *op, enum err err)
{
    if (err != ERR_ABORTED)
        return err;
    return op->shard && !message_shard_is_here(op->shard) ? move_on(op) : ERR_UNAVAILABLE;
}

static void on_committed(enum err err, void *arg)
{
    answer(arg, judge(arg, err));
}

void *message_op_create(struct message_service *svc, struct rpc_call *call, size_t size,
                        const ProtobufCMessage *in, ProtobufCClosure closure)
{
    struct message_op *op = arena_alloc(call->arena, size);
    op->svc = svc;
    op->call = call;
    op->in = rpc_message_copy(call->arena, in);
    op->closure = closure;
    op->told_end = &op->told;
    return op;
}

const struct message_base *message_op_base(const struct message_op *op)
{
    return message_base_of(op->svc, op->key ? op->key : op->conversation_id);
}

/* Which of the store's shards a change is written in; ERR_UNAVAILABLE after rpc_move: not by this
 * process, though it may become the owner this very moment. */
static enum err find_place(struct message_op *op, uint32_t *place)
{
    const char *key = op->key ? op->key : op->conversation_id;
    op->shard = key ? message_shard_of(op->svc, key) : NULL;
    *place = op->shard ? message_shard_place(op->shard) : 0;
    return !op->shard || message_shard_is_here(op->shard) ? ERR_OK : move_on(op);
}

void message_change(struct message_op *op)
{
    uint32_t place;
    enum err err = find_place(op, &place);
    if (err)
        answer(op, err);
    else
        store_write(message_op_base(op)->store, place, change, op, on_committed);
}

bool message_op_is_here(struct message_op *op)
{
    uint32_t place;
    return find_place(op, &place) == ERR_OK;
}

enum err message_change_sync(struct message_op *op)
{
    uint32_t place;
    enum err err = find_place(op, &place);
    return judge(op, err ? err : store_write_sync(message_op_base(op)->store, place, change, op));
}

enum err message_look_sync(struct message_op *op)
{
    bool may = op->may_be_stale && !is_recent(op->svc, who_id(op->call));
    struct store *store = message_op_base(op)->store;
    return may ? store_read_stale(store, look, op) : store_read(store, look, op);
}

enum err message_change_essential_sync(struct message_op *op)
{
    uint32_t place;
    enum err err = find_place(op, &place);
    return judge(
        op, err ? err : store_write_essential_sync(message_op_base(op)->store, place, change, op));
}

void message_look(struct message_op *op)
{
    answer(op, message_look_sync(op));
}

void message_refuse_now(struct message_op *op)
{
    op->closure(NULL, op->call);
}

void message_run(struct message_op *op, enum identity_role least)
{
    if (!rpc_failure(op->call) && who_require(op->call, least))
        message_change(op);
    else
        message_refuse_now(op);
}

void message_view(struct message_op *op, enum identity_role least)
{
    if (!rpc_failure(op->call) && who_require(op->call, least))
        message_look(op);
    else
        message_refuse_now(op);
}

static void note_bot(struct message_op *op, const char *user_id)
{
    char **bots = arena_array(op->call->arena, char *, op->bot_count + 1);
    for (size_t i = 0; i < op->bot_count; i++)
        bots[i] = op->bots[i];
    bots[op->bot_count++] = arena_strdup(op->call->arena, user_id);
    op->bots = bots;
}

bool message_is_bot(const struct message_op *op, const char *user_id)
{
    bool is_found = op->call->who && op->call->who->is_bot && who_is(op->call, user_id);
    for (size_t i = 0; i < op->bot_count && !is_found; i++)
        is_found = strcmp(op->bots[i], user_id) == 0;
    return is_found;
}

enum err message_check_account(struct message_service *svc, const char *user_id)
{
    struct rpc_call *c = rpc_call_create(NULL);
    User__GetUserRequest request = USER__GET_USER_REQUEST__INIT;
    request.id = (char *)user_id;
    const User__Profile *p = rpc_sync(svc->deps.user, "GetUser", &request.base, c);
    enum err err = p ? ERR_OK : c->err;
    if (err == ERR_NOT_FOUND || (p && p->is_disabled))
        err = ERR_PERMISSION_DENIED;
    rpc_call_unref(&c);
    return err;
}

bool message_is_account(struct message_op *op, const char *user_id)
{
    struct rpc_call *call = op->call;
    if (!id_is_valid(user_id)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "user_id: expected the id of a user");
        return false;
    }
    struct rpc_call *c = rpc_call_create(call);
    User__GetUserRequest request = USER__GET_USER_REQUEST__INIT;
    request.id = (char *)user_id;
    const User__Profile *p = rpc_sync(op->svc->deps.user, "GetUser", &request.base, c);
    bool is_there = p != NULL;
    if (!is_there)
        rpc_fail(call, c->err, "%s", c->message);
    else if (p->is_bot)
        note_bot(op, user_id);
    rpc_call_unref(&c);
    return is_there;
}
