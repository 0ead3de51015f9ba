/*
 * Contacts: whom one knows, who asks to be known, whom one has blocked. Two rows stand for a
 * friendship, one of each side; a block is one row, of who blocks, and the other side is not told.
 */
#include "core/log.h"
#include "services/message/message_internal.h"

#define ALIAS_MAX 64
#define NOTE_MAX 200
#define CONTACTS_MAX 5000
#define ASKED_MAX 500 /* requests that wait for one person's answer */
#define LIST_NORMAL 100
#define LIST_MAX 500

struct contact {
    const char *owner_id, *user_id, *note, *alias;
    Contact__ContactState state; /* NONE: no row */
    int64_t since_ms;
};

/* ---- rows ---- */

static enum err load(struct store_tx *tx, struct arena *arena, const char *owner_id,
                     const char *user_id, struct contact *out)
{
    *out = (struct contact){.owner_id = owner_id, .user_id = user_id, .note = "", .alias = ""};
    struct store_stmt *st = store_query(tx,
                                        "SELECT state, note, alias, since_ms FROM message_contacts"
                                        " WHERE owner_id = ? AND user_id = ?",
                                        "ss", owner_id, user_id);
    if (store_step(st)) {
        out->state = (Contact__ContactState)store_int(st, 0);
        out->note = store_text(st, 1, arena);
        out->alias = store_text(st, 2, arena);
        out->since_ms = store_int(st, 3);
    }
    return store_finish(st);
}

static enum err save(struct store_tx *tx, const struct contact *c)
{
    if (c->state == CONTACT__CONTACT_STATE__NONE)
        return store_run(tx, "DELETE FROM message_contacts WHERE owner_id = ? AND user_id = ?",
                         "ss", c->owner_id, c->user_id);
    return store_run(
        tx,
        "INSERT INTO message_contacts (owner_id, user_id, state, note, alias, since_ms)"
        " VALUES (?,?,?,?,?,?) ON CONFLICT (owner_id, user_id) DO UPDATE SET"
        " state = excluded.state, note = excluded.note, alias = excluded.alias,"
        " since_ms = excluded.since_ms",
        "ssissi", c->owner_id, c->user_id, (int64_t)c->state, c->note, c->alias, c->since_ms);
}

static Contact__ContactInfo *shape(struct arena *arena, const struct contact *c)
{
    Contact__ContactInfo *info = arena_new(arena, Contact__ContactInfo);
    contact__contact_info__init(info);
    info->user_id = (char *)c->user_id;
    info->state = c->state;
    info->note = (char *)c->note;
    info->alias = (char *)c->alias;
    info->since_ms = c->since_ms;
    return info;
}

static void become(struct contact *c, Contact__ContactState state, const char *note)
{
    c->state = state;
    c->note = note;
    c->since_ms = clock_wall_ms();
}

/* ---- one operation: both sides are loaded, the changed ones saved ---- */

struct pairing {
    struct message_op op; /* first */
    const char *user_id, *text;
    struct contact mine, theirs;
    Contact__ContactState theirs_before;
};

static enum err load_pair(struct store_tx *tx, struct pairing *p)
{
    struct arena *arena = p->op.call->arena;
    const char *me = who_id(p->op.call);
    enum err err = load(tx, arena, me, p->user_id, &p->mine);
    if (!err)
        err = load(tx, arena, p->user_id, me, &p->theirs);
    p->theirs_before = p->theirs.state;
    return err;
}

static enum err save_pair(struct store_tx *tx, struct pairing *p)
{
    enum err err = save(tx, &p->mine);
    if (!err)
        err = save(tx, &p->theirs);
    if (!err)
        message_tell_contact(&p->op, p->user_id, p->theirs.state != p->theirs_before);
    p->op.reply = shape(p->op.call->arena, &p->mine);
    return err;
}

/* How many strangers have asked is not one's own doing, and does not count. */
static enum err check_count(struct store_tx *tx, struct message_op *op)
{
    int64_t count;
    enum err err = message_take_number(
        store_query(tx, "SELECT COUNT(*) FROM message_contacts WHERE owner_id = ? AND state <> ?",
                    "si", who_id(op->call), (int64_t)CONTACT__CONTACT_STATE__ASKED),
        &count);
    if (!err && count >= CONTACTS_MAX)
        return message_refuse(op, ERR_RESOURCE_EXHAUSTED, "At most 5,000 contacts.");
    return err;
}

/* Strangers by the thousand could bury the requests that matter. */
static enum err check_asked(struct store_tx *tx, struct pairing *p)
{
    int64_t count;
    enum err err = message_take_number(
        store_query(tx, "SELECT COUNT(*) FROM message_contacts WHERE owner_id = ? AND state = ?",
                    "si", p->user_id, (int64_t)CONTACT__CONTACT_STATE__ASKED),
        &count);
    if (!err && count >= ASKED_MAX)
        return message_refuse(&p->op, ERR_RESOURCE_EXHAUSTED,
                              "This person has too many unanswered requests.");
    return err;
}

/* Begins an operation about another account. NULL after it was refused. */
static struct pairing *begin(Contact__Contact_Service *rpc, struct rpc_call *call,
                             const ProtobufCMessage *in, ProtobufCClosure closure,
                             const char *user_id, message_op_fn *fn)
{
    struct pairing *p = message_op_create(CONTACT_OF(rpc), call, sizeof(*p), in, closure);
    p->op.fn = fn;
    p->user_id = arena_strdup(call->arena, user_id);
    if (!who_require(call, ROLE_USER) || !who_require_person(call))
        goto refused;
    if (who_is(call, user_id)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "user_id: expected somebody else");
        goto refused;
    }
    if (message_is_account(&p->op, user_id))
        return p;
refused:
    message_refuse_now(&p->op);
    return NULL;
}

/* ---- asking ---- */

static enum err request_job(struct store_tx *tx, struct message_op *op)
{
    struct pairing *p = CONTAINER_OF(op, struct pairing, op);
    enum err err = check_count(tx, op);
    if (!err)
        err = load_pair(tx, p);
    if (err)
        return err;
    if (p->mine.state == CONTACT__CONTACT_STATE__BLOCKED)
        return message_refuse(op, ERR_FAILED_PRECONDITION,
                              "You have blocked this person: lift that first.");
    if (p->mine.state == CONTACT__CONTACT_STATE__FRIEND ||
        p->mine.state == CONTACT__CONTACT_STATE__REQUESTED) {
        op->reply = shape(op->call->arena, &p->mine);
        return ERR_OK;
    }
    if (p->mine.state == CONTACT__CONTACT_STATE__ASKED) { /* both want it */
        become(&p->mine, CONTACT__CONTACT_STATE__FRIEND, "");
        become(&p->theirs, CONTACT__CONTACT_STATE__FRIEND, "");
        return save_pair(tx, p);
    }
    become(&p->mine, CONTACT__CONTACT_STATE__REQUESTED, p->text);
    if (p->theirs.state == CONTACT__CONTACT_STATE__BLOCKED) { /* looks as if nobody answers */
        op->reply = shape(op->call->arena, &p->mine);
        return save(tx, &p->mine);
    }
    err = check_asked(tx, p);
    if (err)
        return err;
    become(&p->theirs, CONTACT__CONTACT_STATE__ASKED, p->text);
    return save_pair(tx, p);
}

CONTACT_HANDLER(contact_on_request, RequestContactRequest, ContactInfo)
{
    struct pairing *p =
        begin(rpc, data, &in->base, (ProtobufCClosure)closure, in->user_id, request_job);
    if (!p)
        return;
    p->text = text_take(data, in->note, &(struct text_rule){.field = "note", .max = NOTE_MAX});
    message_run(&p->op, ROLE_USER);
}

static enum err answer_job(struct store_tx *tx, struct message_op *op)
{
    struct pairing *p = CONTAINER_OF(op, struct pairing, op);
    const Contact__AnswerContactRequest *in = op->in;
    enum err err = load_pair(tx, p);
    if (err)
        return err;
    if (p->mine.state != CONTACT__CONTACT_STATE__ASKED)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This person has not asked you.");
    bool still_asks = p->theirs.state == CONTACT__CONTACT_STATE__REQUESTED;
    become(&p->mine,
           in->is_accepted && still_asks ? CONTACT__CONTACT_STATE__FRIEND
                                         : CONTACT__CONTACT_STATE__NONE,
           "");
    if (still_asks)
        become(&p->theirs, p->mine.state, "");
    return save_pair(tx, p);
}

CONTACT_HANDLER(contact_on_answer, AnswerContactRequest, ContactInfo)
{
    struct pairing *p =
        begin(rpc, data, &in->base, (ProtobufCClosure)closure, in->user_id, answer_job);
    if (p)
        message_run(&p->op, ROLE_USER);
}

/* ---- settings ---- */

static enum err set_blocked(struct pairing *p, bool is_blocked)
{
    bool was_blocked = p->mine.state == CONTACT__CONTACT_STATE__BLOCKED;
    if (is_blocked == was_blocked)
        return ERR_OK;
    become(&p->mine, is_blocked ? CONTACT__CONTACT_STATE__BLOCKED : CONTACT__CONTACT_STATE__NONE,
           "");
    if (is_blocked && (p->theirs.state == CONTACT__CONTACT_STATE__FRIEND ||
                       p->theirs.state == CONTACT__CONTACT_STATE__ASKED))
        become(&p->theirs, CONTACT__CONTACT_STATE__NONE, "");
    return ERR_OK;
}

static enum err set_job(struct store_tx *tx, struct message_op *op)
{
    struct pairing *p = CONTAINER_OF(op, struct pairing, op);
    const Contact__SetContactRequest *in = op->in;
    enum err err = load_pair(tx, p);
    if (!err && in->is_blocked && p->mine.state == CONTACT__CONTACT_STATE__NONE)
        err = check_count(tx, op);
    if (!err && in->_is_blocked_case)
        err = set_blocked(p, in->is_blocked);
    if (!err && in->_is_blocked_case && in->is_blocked)
        err = group_drop_invitations_by(tx, who_id(op->call), p->user_id);
    if (err)
        return err;
    if (in->_alias_case && p->mine.state == CONTACT__CONTACT_STATE__NONE)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This person is no contact of yours.");
    if (in->_alias_case)
        p->mine.alias = p->text;
    return save_pair(tx, p);
}

/* Invitations lie with their groups, in other databases too. One that is away keeps them, to no
 * avail: who is blocked is not let in by them. */
static enum err drop_invitations_job(struct store_tx *tx, void *arg)
{
    const struct pairing *p = arg;
    return group_drop_invitations_by(tx, who_id(p->op.call), p->user_id);
}

static void drop_invitations_elsewhere(struct pairing *p)
{
    const struct message_service *svc = p->op.svc;
    for (size_t i = 1; i < svc->base_count; i++)
        if (store_write_essential_sync(svc->bases[i].store, 0, drop_invitations_job, p) != ERR_OK)
            log_warn(&p->op.call->log, "message: an invitation of who was blocked may be left");
}

CONTACT_HANDLER(contact_on_set, SetContactRequest, ContactInfo)
{
    struct pairing *p =
        begin(rpc, data, &in->base, (ProtobufCClosure)closure, in->user_id, set_job);
    if (!p)
        return;
    if (in->_alias_case)
        p->text =
            text_take(data, in->alias, &(struct text_rule){.field = "alias", .max = ALIAS_MAX});
    bool is_elsewhere = in->_is_blocked_case && in->is_blocked && p->op.svc->base_count > 1;
    if (!is_elsewhere || rpc_failure(data) || !who_require(data, ROLE_USER)) {
        message_run(&p->op, ROLE_USER);
        return;
    }
    enum err err = message_change_sync(&p->op);
    if (!err) /* nobody who is blocked invites any more */
        drop_invitations_elsewhere(p);
    closure(err ? who_fail(data, err) : p->op.reply, data);
}

static enum err remove_job(struct store_tx *tx, struct message_op *op)
{
    struct pairing *p = CONTAINER_OF(op, struct pairing, op);
    enum err err = load_pair(tx, p);
    if (err)
        return err;
    if (p->mine.state != CONTACT__CONTACT_STATE__BLOCKED)
        become(&p->mine, CONTACT__CONTACT_STATE__NONE, "");
    if (p->theirs.state != CONTACT__CONTACT_STATE__BLOCKED)
        become(&p->theirs, CONTACT__CONTACT_STATE__NONE, "");
    err = save_pair(tx, p);
    Contact__RemoveContactReply *reply = arena_new(op->call->arena, Contact__RemoveContactReply);
    contact__remove_contact_reply__init(reply);
    op->reply = reply;
    return err;
}

CONTACT_HANDLER(contact_on_remove, RemoveContactRequest, RemoveContactReply)
{
    struct pairing *p =
        begin(rpc, data, &in->base, (ProtobufCClosure)closure, in->user_id, remove_job);
    if (p)
        message_run(&p->op, ROLE_USER);
}

/* ---- list ---- */

struct contact_listing {
    struct message_op op; /* first */
    Contact__ContactState state;
    int limit;
};

static enum err list_job(struct store_tx *tx, struct message_op *op)
{
    struct contact_listing *l = CONTAINER_OF(op, struct contact_listing, op);
    const Contact__ListContactsRequest *in = op->in;
    struct arena *arena = op->call->arena;
    Contact__ContactList *reply = arena_new(arena, Contact__ContactList);
    contact__contact_list__init(reply);
    reply->contacts = arena_array(arena, Contact__ContactInfo *, (size_t)l->limit);
    op->reply = reply;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT user_id, note, alias, since_ms FROM message_contacts"
                    " WHERE owner_id = ? AND state = ? AND user_id > ? ORDER BY user_id LIMIT ?",
                    "sisi", who_id(op->call), (int64_t)l->state, in->cursor, (int64_t)l->limit + 1);
    while (store_step(st)) {
        if (reply->n_contacts == (size_t)l->limit) {
            reply->next_cursor = reply->contacts[l->limit - 1]->user_id;
            break;
        }
        struct contact c = {.user_id = store_text(st, 0, arena),
                            .state = l->state,
                            .note = store_text(st, 1, arena),
                            .alias = store_text(st, 2, arena),
                            .since_ms = store_int(st, 3)};
        reply->contacts[reply->n_contacts++] = shape(arena, &c);
    }
    return store_finish(st);
}

static Contact__ContactState state_from(const char *name)
{
    static const struct {
        const char *name;
        Contact__ContactState state;
    } states[] = {{"", CONTACT__CONTACT_STATE__FRIEND},
                  {"friend", CONTACT__CONTACT_STATE__FRIEND},
                  {"requested", CONTACT__CONTACT_STATE__REQUESTED},
                  {"asked", CONTACT__CONTACT_STATE__ASKED},
                  {"blocked", CONTACT__CONTACT_STATE__BLOCKED}};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (strcmp(name, states[i].name) == 0)
            return states[i].state;
    }
    return CONTACT__CONTACT_STATE__NONE;
}

CONTACT_HANDLER(contact_on_list, ListContactsRequest, ContactList)
{
    struct contact_listing *l =
        message_op_create(CONTACT_OF(rpc), data, sizeof(*l), &in->base, (ProtobufCClosure)closure);
    l->op.fn = list_job;
    l->limit = in->limit > 0 ? MIN(in->limit, LIST_MAX) : LIST_NORMAL;
    l->state = state_from(in->state);
    if (l->state == CONTACT__CONTACT_STATE__NONE)
        rpc_fail(data, ERR_INVALID_ARGUMENT, "state: expected friend, requested, asked or blocked");
    else if (in->cursor[0] && !id_is_valid(in->cursor))
        rpc_fail(data, ERR_INVALID_ARGUMENT, "cursor: expected one from an earlier page");
    message_view(&l->op, ROLE_USER);
}
