/*
 * Invitations: whoever is invited says yes or no, and comes in by saying yes. A row for each that
 * waits; one that was declined stays until its end, so that its maker does not ask again. The log
 * of the group hears of nobody before they came in. What an invitation shows is what its reader may
 * know of the group: its face.
 */
#include "services/message/message_internal.h"
#include "core/live.h"

#define INVITE_MAX 100
#define NOTE_MAX 200
#define OPEN_MAX 100 /* that wait for one person's answer */
#define LIST_NORMAL 50
#define LIST_MAX 200
#define INVITATION_COLUMNS                                                              \
    "i.user_id, i.inviter_id, i.state, i.note, i.created_at_ms, i.expires_at_ms, c.id," \
    " c.kind, c.title, c.avatar_url, c.member_count"
#define INVITATION_JOIN \
    " FROM message_invitations i JOIN message_conversations c ON c.num = i.conversation_num"

enum invitation_row_state { ROW_OFFERED, ROW_DECLINED };

/* ---- rows ---- */

static Message__Invitation *read_invitation(struct store_stmt *st, struct arena *arena)
{
    Message__Invitation *out = arena_new(arena, Message__Invitation);
    message__invitation__init(out);
    out->user_id = store_text(st, 0, arena);
    out->inviter_id = store_text(st, 1, arena);
    out->state = store_int(st, 2) == ROW_DECLINED ? MESSAGE__INVITATION_STATE__DECLINED
                                                  : MESSAGE__INVITATION_STATE__OFFERED;
    out->note = store_text(st, 3, arena);
    out->created_at_ms = store_int(st, 4);
    out->expires_at_ms = store_int(st, 5);
    out->conversation_id = store_text(st, 6, arena);
    out->kind = (Message__ConversationKind)store_int(st, 7);
    out->title = store_text(st, 8, arena);
    out->avatar_url = store_text(st, 9, arena);
    out->member_count = (int32_t)store_int(st, 10);
    return out;
}

static enum err read_all(struct store_stmt *st, struct arena *arena, size_t room,
                         Message__Invitation ***list, size_t *count)
{
    *list = arena_array(arena, Message__Invitation *, room);
    *count = 0;
    while (*count < room && store_step(st))
        (*list)[(*count)++] = read_invitation(st, arena);
    return store_finish(st);
}

/* The one that stands, offered or declined; NULL: none. */
static enum err find_standing(struct store_tx *tx, struct message_op *op, const char *user_id,
                              Message__Invitation **out)
{
    Message__Invitation **list;
    size_t count;
    enum err err = read_all(store_query(tx,
                                        "SELECT " INVITATION_COLUMNS INVITATION_JOIN
                                        " WHERE i.conversation_num = ? AND i.user_id = ?"
                                        " AND i.expires_at_ms > ?",
                                        "isi", op->c.num, user_id, clock_wall_ms()),
                            op->call->arena, 1, &list, &count);
    *out = count ? list[0] : NULL;
    return err;
}

enum err group_forget_invitation(struct store_tx *tx, int64_t num, const char *user_id)
{
    return message_run_shared(
        tx, "DELETE FROM message_invitations WHERE conversation_num = ? AND user_id = ?", "is", num,
        user_id);
}

static bool may_members_add(const struct message_conversation *c)
{
    return c->members_may_add || c->join_rule == MESSAGE__JOIN_RULE__OPEN;
}

enum err group_prune_invitations(struct store_tx *tx, struct message_op *op)
{
    return message_run_shared(
        tx,
        "DELETE FROM message_invitations WHERE conversation_num = ? AND (? = 1"
        " OR (state = ? AND NOT EXISTS (SELECT 1 FROM message_members m"
        " WHERE m.conversation_num = message_invitations.conversation_num"
        " AND m.user_id = message_invitations.inviter_id AND m.state = 0"
        " AND (m.role > 0 OR ? = 1))))",
        "iiii", op->c.num, (int64_t)op->c.is_dissolved, (int64_t)ROW_OFFERED,
        (int64_t)may_members_add(&op->c));
}

enum err group_drop_invitations_by(struct store_tx *tx, const char *user_id, const char *inviter_id)
{
    return store_run(tx, "DELETE FROM message_invitations WHERE user_id = ? AND inviter_id = ?",
                     "ss", user_id, inviter_id);
}

enum err group_purge_invitations(struct store_tx *tx)
{
    int64_t now = clock_wall_ms();
    enum err err =
        store_run(tx, "DELETE FROM message_invitations WHERE expires_at_ms <= ?", "i", now);
    return err ? err
               : store_run(tx, "DELETE FROM message_invite_links WHERE expires_at_ms <= ?", "i",
                           now);
}

struct offered {
    struct arena *arena;
    const char *user_id;
    const struct page *page;
    Message__Invitation **list;
    size_t count;
};

static enum err offered_job(struct store_tx *tx, void *arg)
{
    struct offered *o = arg;
    const struct page *page = o->page;
    int64_t before_ms = page->is_first ? INT64_MAX : page->sort;
    Message__Invitation **list;
    size_t count;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " INVITATION_COLUMNS INVITATION_JOIN
                    " WHERE i.user_id = ? AND i.state = ? AND i.expires_at_ms > ?"
                    " AND (i.created_at_ms < ? OR (i.created_at_ms = ? AND c.id < ?))"
                    " ORDER BY i.created_at_ms DESC, c.id DESC LIMIT ?",
                    "siiiisi", o->user_id, (int64_t)ROW_OFFERED, clock_wall_ms(), before_ms,
                    before_ms, page->is_first ? "" : page->id, (int64_t)page->limit + 1);
    enum err err = read_all(st, o->arena, (size_t)page->limit + 1, &list, &count);
    for (size_t i = 0; i < count; i++)
        o->list[o->count++] = list[i];
    return err;
}

static int compare_offered(const void *a, const void *b)
{
    const Message__Invitation *x = *(Message__Invitation *const *)a;
    const Message__Invitation *y = *(Message__Invitation *const *)b;
    if (x->created_at_ms != y->created_at_ms)
        return x->created_at_ms < y->created_at_ms ? 1 : -1;
    return strcmp(y->conversation_id, x->conversation_id);
}

enum err group_list_invitations(struct store_tx *tx, const struct message_op *op,
                                const struct page *page, Message__Invitation ***list, size_t *count)
{
    size_t room = (size_t)page->limit + 1;
    uint64_t missing = 0; /* those who are there are shown; the others come when they can */
    struct offered o = {.arena = op->call->arena, .user_id = who_id(op->call), .page = page};
    o.list = arena_array(o.arena, Message__Invitation *, room * op->svc->base_count);
    enum err err = message_read_those(op->svc, tx, offered_job, &o, &missing);
    if (op->svc->base_count > 1)
        qsort(o.list, o.count, sizeof(o.list[0]), compare_offered);
    *list = o.list;
    *count = MIN(o.count, room);
    return err;
}

/* ---- who may, and who is asked ---- */

bool group_may_add(const struct message_op *op)
{
    return op->me.role != MESSAGE__MEMBER_ROLE__MEMBER || may_members_add(&op->c);
}

static bool is_contact(struct store_tx *tx, const struct message_op *op, const char *owner_id)
{
    int64_t state;
    enum err err = message_store_contact(tx, op->svc, owner_id, who_id(op->call), &state);
    return !err && state == CONTACT__CONTACT_STATE__FRIEND;
}

bool group_is_asked_first(struct store_tx *tx, const struct message_op *op, const char *user_id)
{
    if (message_is_bot(op, user_id)) /* has no say in it */
        return false;
    return op->c.is_consent_needed ||
           (LIVE_GET(op->svc->deps.is_adding_contacts_only) && !is_contact(tx, op, user_id));
}

/* ---- offering ---- */

static enum err count_open(struct store_tx *tx, const char *user_id, int64_t *count)
{
    return message_take_number(
        store_query(tx,
                    "SELECT COUNT(*) FROM message_invitations WHERE user_id = ? AND state = ?"
                    " AND expires_at_ms > ?",
                    "sii", user_id, (int64_t)ROW_OFFERED, clock_wall_ms()),
        count);
}

/* Blocks, bans and what was declined: who is refused is not told which. */
static enum err check_invited(struct store_tx *tx, struct message_op *op, const char *user_id,
                              const Message__Invitation *standing, bool *is_welcome)
{
    struct message_member known = {0};
    int64_t open_count = 0;
    enum err err = message_store_member(tx, op->call->arena, op->c.num, user_id, &known);
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    if (!err)
        err = count_open(tx, user_id, &open_count);
    bool is_banned = known.user_id && known.state == MESSAGE__MEMBER_STATE__BANNED;
    bool has_declined = standing && standing->state == MESSAGE__INVITATION_STATE__DECLINED &&
                        who_is(op->call, standing->inviter_id);
    *is_welcome = !is_banned && !has_declined && open_count < OPEN_MAX &&
                  !message_is_bot(op, user_id) &&
                  !message_store_is_blocked(tx, op->svc, user_id, who_id(op->call));
    return err;
}

enum err group_invite(struct store_tx *tx, struct message_op *op, const char *user_id,
                      const char *note, Message__Invitation **out)
{
    Message__Invitation *standing;
    bool is_welcome = false;
    *out = NULL;
    enum err err = find_standing(tx, op, user_id, &standing);
    if (!err && standing && standing->state == MESSAGE__INVITATION_STATE__OFFERED &&
        who_is(op->call, standing->inviter_id)) {
        *out = standing;
        return ERR_OK;
    }
    if (!err)
        err = check_invited(tx, op, user_id, standing, &is_welcome);
    if (err || !is_welcome)
        return err;
    int64_t now = clock_wall_ms();
    err = message_run_shared(
        tx,
        "INSERT INTO message_invitations (conversation_num, user_id, inviter_id, state,"
        " note, created_at_ms, expires_at_ms) VALUES (?,?,?,?,?,?,?)"
        " ON CONFLICT (conversation_num, user_id) DO UPDATE SET"
        " inviter_id = excluded.inviter_id, state = excluded.state,"
        " note = excluded.note, created_at_ms = excluded.created_at_ms,"
        " expires_at_ms = excluded.expires_at_ms",
        "issisii", op->c.num, user_id, who_id(op->call), (int64_t)ROW_OFFERED, note, now,
        now + op->svc->deps.invitation_ms);
    if (!err)
        err = find_standing(tx, op, user_id, out);
    if (!err && *out)
        message_tell_invitation(op, *out);
    return err;
}

struct inviting {
    struct message_op op; /* first */
    const char *note;
};

static enum err invite_one(struct store_tx *tx, struct inviting *v, const char *user_id,
                           Group__InviteMembersReply *reply)
{
    struct message_op *op = &v->op;
    struct message_member known = {0};
    Message__Invitation *invitation;
    enum err err = message_store_member(tx, op->call->arena, op->c.num, user_id, &known);
    if (!err && known.state == MESSAGE__MEMBER_STATE__ACTIVE) {
        reply->member_user_ids[reply->n_member_user_ids++] = (char *)user_id;
        return ERR_OK;
    }
    if (err && err != ERR_NOT_FOUND)
        return err;
    err = group_invite(tx, op, user_id, v->note, &invitation);
    if (!err && invitation)
        reply->invitations[reply->n_invitations++] = invitation;
    else if (!err)
        reply->refused_user_ids[reply->n_refused_user_ids++] = (char *)user_id;
    return err;
}

static enum err invite_job(struct store_tx *tx, struct message_op *op)
{
    struct inviting *v = CONTAINER_OF(op, struct inviting, op);
    const Group__InviteMembersRequest *in = op->in;
    struct arena *arena = op->call->arena;
    enum err err = group_check(op);
    if (err)
        return err;
    if (!group_may_add(op))
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only owner and admins invite.");
    Group__InviteMembersReply *reply = arena_new(arena, Group__InviteMembersReply);
    group__invite_members_reply__init(reply);
    reply->invitations = arena_array(arena, Message__Invitation *, in->n_user_ids);
    reply->refused_user_ids = arena_array(arena, char *, in->n_user_ids);
    reply->member_user_ids = arena_array(arena, char *, in->n_user_ids);
    for (size_t i = 0; i < in->n_user_ids && !err; i++)
        err = invite_one(tx, v, in->user_ids[i], reply);
    op->reply = reply;
    return err;
}

GROUP_HANDLER(group_on_invite, InviteMembersRequest, Group__InviteMembersReply)
{
    struct inviting *v =
        message_op_create(GROUP_OF(rpc), data, sizeof(*v), &in->base, (ProtobufCClosure)closure);
    const Group__InviteMembersRequest *own = v->op.in;
    struct rpc_call *call = v->op.call;
    v->op.fn = invite_job;
    v->op.conversation_id = own->id;
    v->op.needs = MESSAGE_NEEDS_PLACE;
    v->note = text_take(call, own->note, &(struct text_rule){.field = "note", .max = NOTE_MAX});
    if (own->n_user_ids < 1 || own->n_user_ids > INVITE_MAX)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "user_ids: expected 1 to 100 of them");
    who_require_person(call);
    for (size_t i = 0; i < own->n_user_ids && !rpc_failure(call); i++)
        message_is_account(&v->op, own->user_ids[i]);
    message_run(&v->op, ROLE_USER);
}

/* ---- lists ---- */

struct invitation_listing {
    struct message_op op; /* first */
    struct page page;
};

static Group__InvitationList *list_reply(struct message_op *op, Message__Invitation **list,
                                         size_t count, int limit)
{
    Group__InvitationList *reply = arena_new(op->call->arena, Group__InvitationList);
    group__invitation_list__init(reply);
    reply->invitations = list;
    reply->n_invitations = MIN(count, (size_t)limit);
    op->reply = reply;
    return reply;
}

static enum err list_own_job(struct store_tx *tx, struct message_op *op)
{
    struct invitation_listing *l = CONTAINER_OF(op, struct invitation_listing, op);
    struct arena *arena = op->call->arena;
    Message__Invitation **list;
    size_t count;
    enum err err = group_list_invitations(tx, op, &l->page, &list, &count);
    Group__InvitationList *reply = list_reply(op, list, count, l->page.limit);
    if (!err && count > reply->n_invitations) {
        const Message__Invitation *last = list[reply->n_invitations - 1];
        reply->next_cursor = page_cursor(arena, last->created_at_ms, last->conversation_id);
    }
    return err;
}

static void bad_cursor(struct rpc_call *call)
{
    rpc_fail(call, ERR_INVALID_ARGUMENT, "cursor: expected one from an earlier page");
}

GROUP_HANDLER(group_on_list_own_invitations, ListInvitationsRequest, Group__InvitationList)
{
    struct invitation_listing *l =
        message_op_create(GROUP_OF(rpc), data, sizeof(*l), &in->base, (ProtobufCClosure)closure);
    l->op.fn = list_own_job;
    if (!page_parse(&l->page, in->limit, LIST_NORMAL, LIST_MAX, in->cursor))
        bad_cursor(l->op.call);
    message_view(&l->op, ROLE_USER);
}

/* By who is invited. */
static enum err list_job(struct store_tx *tx, struct message_op *op)
{
    const Group__ListGroupInvitationsRequest *in = op->in;
    int limit = in->limit > 0 ? MIN(in->limit, LIST_MAX) : LIST_NORMAL;
    bool is_admin = op->me.role != MESSAGE__MEMBER_ROLE__MEMBER;
    Message__Invitation **list;
    size_t count;
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " INVITATION_COLUMNS INVITATION_JOIN
                    " WHERE i.conversation_num = ? AND i.state = ? AND i.expires_at_ms > ?"
                    " AND i.user_id > ? AND (? = 1 OR i.inviter_id = ?) ORDER BY i.user_id LIMIT ?",
                    "iiisisi", op->c.num, (int64_t)ROW_OFFERED, clock_wall_ms(), in->cursor,
                    (int64_t)is_admin, who_id(op->call), (int64_t)limit + 1);
    enum err err = read_all(st, op->call->arena, (size_t)limit + 1, &list, &count);
    Group__InvitationList *reply = list_reply(op, list, count, limit);
    if (!err && count > reply->n_invitations)
        reply->next_cursor = list[reply->n_invitations - 1]->user_id;
    return err;
}

GROUP_HANDLER(group_on_list_invitations, ListGroupInvitationsRequest, Group__InvitationList)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Group__ListGroupInvitationsRequest *own = op->in;
    op->fn = list_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    if (own->cursor[0] && !id_is_valid(own->cursor))
        bad_cursor(op->call);
    message_view(op, ROLE_USER);
}

/* ---- what becomes of one ---- */

static enum err no_invitation(struct message_op *op)
{
    return message_refuse(op, ERR_NOT_FOUND, "There is no such invitation (any more).");
}

/* The one that waits for this person's answer; ERR_NOT_FOUND after message_refuse. */
static enum err get_offered(struct store_tx *tx, struct message_op *op, const char *user_id,
                            Message__Invitation **out)
{
    enum err err = find_standing(tx, op, user_id, out);
    bool is_offered = !err && *out && (*out)->state == MESSAGE__INVITATION_STATE__OFFERED;
    return err || is_offered ? err : no_invitation(op);
}

static enum err decline_it(struct store_tx *tx, struct message_op *op, Message__Invitation *v)
{
    v->state = MESSAGE__INVITATION_STATE__DECLINED;
    message_tell_invitation(op, v);
    return message_run_shared(tx,
                              "UPDATE message_invitations SET state = ?, note = ''"
                              " WHERE conversation_num = ? AND user_id = ?",
                              "iis", (int64_t)ROW_DECLINED, op->c.num, v->user_id);
}

static enum err come_in(struct store_tx *tx, struct message_op *op, Message__Invitation *v,
                        Group__AnswerInvitationReply *reply)
{
    enum err err = group_let_in(tx, op, who_id(op->call), &op->me);
    if (err)
        return err;
    v->state = MESSAGE__INVITATION_STATE__ACCEPTED;
    v->member_count = (int32_t)op->c.member_count;
    message_tell_invitation(op, v);
    err = message_reply_conversation(tx, op);
    reply->conversation = op->reply;
    return err;
}

static enum err answer_job(struct store_tx *tx, struct message_op *op)
{
    const Group__AnswerInvitationRequest *in = op->in;
    Message__Invitation *v = NULL;
    Group__AnswerInvitationReply *reply = arena_new(op->call->arena, Group__AnswerInvitationReply);
    group__answer_invitation_reply__init(reply);
    enum err err = message_store_find(tx, op->call->arena, in->id, &op->c);
    if (err == ERR_NOT_FOUND)
        return no_invitation(op);
    if (!err)
        err = get_offered(tx, op, who_id(op->call), &v);
    if (!err)
        err = in->is_accepted ? come_in(tx, op, v, reply) : decline_it(tx, op, v);
    op->reply = reply;
    return err;
}

GROUP_HANDLER(group_on_answer, AnswerInvitationRequest, Group__AnswerInvitationReply)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    op->fn = answer_job;
    op->key = ((Group__AnswerInvitationRequest *)op->in)->id;
    who_require_person(op->call);
    message_run(op, ROLE_USER);
}

static enum err revoke_job(struct store_tx *tx, struct message_op *op)
{
    const Group__RevokeInvitationRequest *in = op->in;
    Message__Invitation *v;
    Group__GroupReply *reply = arena_new(op->call->arena, Group__GroupReply);
    group__group_reply__init(reply);
    enum err err = get_offered(tx, op, in->user_id, &v);
    bool is_admin = op->me.role != MESSAGE__MEMBER_ROLE__MEMBER;
    if (!err && !is_admin && !who_is(op->call, v->inviter_id))
        return no_invitation(op); /* of others, members know nothing */
    if (!err)
        err = group_forget_invitation(tx, op->c.num, in->user_id);
    if (err)
        return err;
    v->state = MESSAGE__INVITATION_STATE__REVOKED;
    message_tell_invitation(op, v);
    op->reply = reply;
    return ERR_OK;
}

GROUP_HANDLER(group_on_revoke, RevokeInvitationRequest, Group__GroupReply)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Group__RevokeInvitationRequest *own = op->in;
    op->fn = revoke_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    message_run(op, ROLE_USER);
}
