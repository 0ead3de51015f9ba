/* What other services ask: the conversations of a person who has come (gateways), and how people
 * stand to one another (presence). */
#include "services/message/message_internal.h"

#define MEMBERSHIPS_MAX 5000 /* a page */
#define OTHERS_MAX 200
#define SHARING_MEMBERS_MAX 500 /* in larger ones people are strangers */
#define SHARING_LOOKED_AT 1000  /* conversations of each, those where something happened last */

/* ---- the conversations of a person ---- */

struct membership {
    int64_t num, visible_from_seq;
    char *conversation_id;
};

struct enlisting {
    const struct message_op *op;
    struct membership *list;
    size_t count;
};

/* A page of each database, one more than a page has. */
static enum err enlist(struct store_tx *tx, void *arg)
{
    struct enlisting *e = arg;
    const Message__GetMembershipsRequest *in = e->op->in;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT c.num, c.id, m.visible_from_seq FROM message_members m"
                    " JOIN message_conversations c ON c.num = m.conversation_num"
                    " WHERE m.user_id = ? AND m.state = 0 AND m.conversation_num > ?"
                    " ORDER BY m.conversation_num LIMIT ?",
                    "sii", in->user_id, in->after, (int64_t)MEMBERSHIPS_MAX + 1);
    while (store_step(st))
        e->list[e->count++] =
            (struct membership){.num = store_int(st, 0),
                                .conversation_id = store_text(st, 1, e->op->call->arena),
                                .visible_from_seq = store_int(st, 2)};
    return store_finish(st);
}

static int compare_memberships(const void *a, const void *b)
{
    int64_t x = ((const struct membership *)a)->num, y = ((const struct membership *)b)->num;
    return (x > y) - (x < y);
}

static void write_memberships(const struct enlisting *e, Message__Memberships *reply)
{
    struct arena *arena = e->op->call->arena;
    size_t count = MIN(e->count, (size_t)MEMBERSHIPS_MAX);
    reply->conversation_ids = arena_array(arena, char *, count);
    reply->visible_from_seqs = arena_array(arena, int64_t, count);
    for (size_t i = 0; i < count; i++) {
        reply->conversation_ids[i] = e->list[i].conversation_id;
        reply->visible_from_seqs[i] = e->list[i].visible_from_seq;
    }
    reply->n_conversation_ids = reply->n_visible_from_seqs = count;
    if (e->count > count)
        reply->next = e->list[count - 1].num;
}

static enum err memberships_job(struct store_tx *tx, struct message_op *op)
{
    const Message__GetMembershipsRequest *in = op->in;
    struct arena *arena = op->call->arena;
    Message__Memberships *reply = arena_new(arena, Message__Memberships);
    message__memberships__init(reply);
    op->reply = reply;
    /* The heads first: what a database commits later than its head was read is told as an event. */
    struct message_heads *heads = arena_new(arena, struct message_heads);
    enum err err = message_shard_heads(tx, op->svc, in->user_id, heads);
    struct enlisting e = {.op = op};
    e.list = arena_array(arena, struct membership, (MEMBERSHIPS_MAX + 1) * op->svc->base_count);
    if (!err)
        err = message_read_those(op->svc, tx, enlist, &e, &heads->missing);
    if (op->svc->base_count > 1)
        qsort(e.list, e.count, sizeof(e.list[0]), compare_memberships);
    write_memberships(&e, reply);
    for (unsigned i = 0; i < heads->count; i++) /* so that nothing of it passes for known */
        heads->lsns[i] = heads->missing >> i & 1 ? 0 : heads->lsns[i];
    reply->lsns = heads->lsns;
    reply->fences = heads->fences;
    reply->n_lsns = reply->n_fences = heads->count;
    reply->is_partial = heads->missing != 0;
    return err;
}

MESSAGE_HANDLER(message_on_memberships, GetMembershipsRequest, Memberships)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    op->fn = memberships_job;
    if (who_require_system(op->call))
        message_look(op);
    else
        message_refuse_now(op);
}

/* ---- how people stand to one ---- */

struct relating {
    struct message_op op; /* first */
    const char *user_id;
    int64_t *nums; /* conversations that count, ascending; when first needed */
    size_t num_count;
    bool is_loaded;
    uint64_t missing;     /* shards that cannot be looked at */
    const char *other_id; /* who is looked at now, and what is found */
    Message__Relation *relation;
};

static int compare_nums(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static enum err add_nums(struct store_tx *tx, void *arg)
{
    struct relating *r = arg;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT c.num FROM message_members m"
                    " JOIN message_conversations c ON c.num = m.conversation_num"
                    " WHERE m.user_id = ? AND m.state = 0 AND c.member_count <= ?"
                    " ORDER BY m.own_lsn DESC LIMIT ?",
                    "sii", r->user_id, (int64_t)SHARING_MEMBERS_MAX, (int64_t)SHARING_LOOKED_AT);
    while (store_step(st))
        r->nums[r->num_count++] = store_int(st, 0);
    return store_finish(st);
}

static enum err load_nums(struct store_tx *tx, struct relating *r)
{
    r->is_loaded = true;
    r->nums = arena_array(r->op.call->arena, int64_t, SHARING_LOOKED_AT * r->op.svc->base_count);
    enum err err = message_read_those(r->op.svc, tx, add_nums, r, &r->missing);
    qsort(r->nums, r->num_count, sizeof(r->nums[0]), compare_nums);
    return err;
}

static enum err look_for_shared(struct store_tx *tx, void *arg)
{
    struct relating *r = arg;
    Message__Relation *out = r->relation;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT conversation_num FROM message_members"
                    " WHERE user_id = ? AND state = 0 ORDER BY own_lsn DESC LIMIT ?",
                    "si", r->other_id, (int64_t)SHARING_LOOKED_AT);
    while (!out->is_sharing && store_step(st)) {
        int64_t num = store_int(st, 0);
        out->is_sharing =
            bsearch(&num, r->nums, r->num_count, sizeof(r->nums[0]), compare_nums) != NULL;
    }
    return store_finish(st);
}

static enum err find_shared(struct store_tx *tx, struct relating *r, const char *other_id,
                            Message__Relation *out)
{
    enum err err = r->is_loaded ? ERR_OK : load_nums(tx, r);
    r->other_id = other_id;
    r->relation = out;
    return err || !r->num_count
               ? err
               : message_read_those(r->op.svc, tx, look_for_shared, r, &r->missing);
}

static enum err relate(struct store_tx *tx, struct relating *r, const char *other_id,
                       Message__Relation *out)
{
    struct store_stmt *st = store_query(tx,
                                        "SELECT state FROM message_contacts WHERE"
                                        " (owner_id = ? AND user_id = ?)"
                                        " OR (owner_id = ? AND user_id = ?)",
                                        "ssss", r->user_id, other_id, other_id, r->user_id);
    while (store_step(st)) {
        int64_t state = store_int(st, 0);
        out->is_contact |= state == CONTACT__CONTACT_STATE__FRIEND;
        out->is_blocked |= state == CONTACT__CONTACT_STATE__BLOCKED;
    }
    enum err err = store_finish(st);
    if (!err && !out->is_contact && !out->is_blocked)
        err = find_shared(tx, r, other_id, out);
    return err;
}

static enum err relations_job(struct store_tx *tx, struct message_op *op)
{
    struct relating *r = CONTAINER_OF(op, struct relating, op);
    const Message__GetRelationsRequest *in = op->in;
    struct arena *arena = op->call->arena;
    Message__Relations *reply = arena_new(arena, Message__Relations);
    message__relations__init(reply);
    reply->relations = arena_array(arena, Message__Relation *, in->n_other_ids);
    op->reply = reply;
    enum err err = ERR_OK;
    for (size_t i = 0; i < in->n_other_ids && !err; i++) {
        Message__Relation *one = arena_new(arena, Message__Relation);
        message__relation__init(one);
        reply->relations[reply->n_relations++] = one;
        err = relate(tx, r, in->other_ids[i], one);
    }
    return err;
}

MESSAGE_HANDLER(message_on_relations, GetRelationsRequest, Relations)
{
    struct relating *r =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*r), &in->base, (ProtobufCClosure)closure);
    const Message__GetRelationsRequest *own = r->op.in;
    r->op.fn = relations_job;
    r->user_id = who_is_system(r->op.call) ? own->user_id : who_id(r->op.call);
    if (!who_is_system(r->op.call) && own->user_id[0] && !who_is(r->op.call, own->user_id))
        rpc_fail(r->op.call, ERR_PERMISSION_DENIED, "user_id: only one's own relations");
    else if (own->n_other_ids > OTHERS_MAX)
        rpc_fail(r->op.call, ERR_INVALID_ARGUMENT, "other_ids: at most 200");
    message_view(&r->op, ROLE_USER);
}
