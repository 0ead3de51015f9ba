/*
 * Who belongs to a group: added, joining, asking, leaving, removed, banned; and the places members
 * have in it. Each change of membership is one revision of the log and one row.
 */
#include "services/message/message_internal.h"

#define ADD_MAX 100
#define LIST_NORMAL 100
#define LIST_MAX 500
#define NICKNAME_MAX 64
#define MUTE_MAX_MS (3650LL * 24 * 3600 * 1000)

static Group__GroupReply *done(struct message_op *op)
{
    Group__GroupReply *reply = arena_new(op->call->arena, Group__GroupReply);
    group__group_reply__init(reply);
    return reply;
}

/* The other member; ERR_NOT_FOUND after message_refuse when it never was one. */
static enum err find_other(struct store_tx *tx, struct message_op *op, const char *user_id,
                           struct message_member *out)
{
    *out = (struct message_member){0};
    enum err err = message_store_member(tx, op->call->arena, op->c.num, user_id, out);
    return err == ERR_NOT_FOUND ? message_refuse(op, err, "There is no such member.") : err;
}

static enum err count_in(struct store_tx *tx, struct message_op *op, int by)
{
    op->c.member_count += by;
    return message_store_update(tx, &op->c);
}

/* Was a member once: what it could read when that ended is kept. */
static bool has_been_in(const struct message_member *m)
{
    return m->user_id && m->visible_to_rev > 0;
}

/* ---- coming in ---- */

enum err group_let_in(struct store_tx *tx, struct message_op *op, const char *user_id,
                      struct message_member *out)
{
    enum err err = group_check_room(op);
    if (err)
        return err;
    struct message_member known = {0};
    err = message_store_member(tx, op->call->arena, op->c.num, user_id, &known);
    if (err && err != ERR_NOT_FOUND)
        return err;
    *out = group_newcomer(op, user_id);
    if (known.user_id && known.state == MESSAGE__MEMBER_STATE__GONE)
        out->nickname = known.nickname;
    err = count_in(tx, op, 1);
    if (!err)
        err = group_forget_invitation(tx, op->c.num, user_id);
    return err ? err : message_change_member(tx, op, out);
}

static bool may_be_added(struct store_tx *tx, struct message_op *op, const char *user_id,
                         struct message_member *known)
{
    *known = (struct message_member){0};
    enum err err = message_store_member(tx, op->call->arena, op->c.num, user_id, known);
    bool is_banned = !err && known->state == MESSAGE__MEMBER_STATE__BANNED;
    return !is_banned && !message_store_is_blocked(tx, op->svc, user_id, who_id(op->call));
}

static enum err add_one(struct store_tx *tx, struct message_op *op, const char *user_id,
                        Group__AddMembersReply *reply)
{
    struct message_member known, m;
    if (!may_be_added(tx, op, user_id, &known)) {
        reply->refused_user_ids[reply->n_refused_user_ids++] = (char *)user_id;
        return ERR_OK;
    }
    bool is_there = known.user_id && known.state == MESSAGE__MEMBER_STATE__ACTIVE;
    if (!is_there && group_is_asked_first(tx, op, user_id)) {
        Message__Invitation *invitation;
        enum err err = group_invite(tx, op, user_id, "", &invitation);
        if (!err && invitation)
            reply->invited_user_ids[reply->n_invited_user_ids++] = (char *)user_id;
        else if (!err)
            reply->refused_user_ids[reply->n_refused_user_ids++] = (char *)user_id;
        return err;
    }
    enum err err = is_there ? ERR_OK : group_let_in(tx, op, user_id, &m);
    if (!err)
        reply->members[reply->n_members++] =
            message_member_shape(op->call->arena, &op->c, is_there ? &known : &m);
    return err;
}

static enum err add_job(struct store_tx *tx, struct message_op *op)
{
    const Group__AddMembersRequest *in = op->in;
    struct arena *arena = op->call->arena;
    enum err err = group_check(op);
    if (err)
        return err;
    if (!group_may_add(op))
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only owner and admins add members.");
    Group__AddMembersReply *reply = arena_new(arena, Group__AddMembersReply);
    group__add_members_reply__init(reply);
    reply->members = arena_array(arena, Message__Member *, in->n_user_ids);
    reply->refused_user_ids = arena_array(arena, char *, in->n_user_ids);
    reply->invited_user_ids = arena_array(arena, char *, in->n_user_ids);
    for (size_t i = 0; i < in->n_user_ids && !err; i++)
        err = add_one(tx, op, in->user_ids[i], reply);
    op->reply = reply;
    return err;
}

GROUP_HANDLER(group_on_add, AddMembersRequest, Group__AddMembersReply)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Group__AddMembersRequest *own = op->in;
    op->fn = add_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    if (own->n_user_ids < 1 || own->n_user_ids > ADD_MAX)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "user_ids: expected 1 to 100 of them");
    for (size_t i = 0; i < own->n_user_ids && !rpc_failure(op->call); i++)
        message_is_account(op, own->user_ids[i]);
    message_run(op, ROLE_USER);
}

/* ---- joining oneself ---- */

/* Who was a member before keeps what it could read then, for the case that it is refused. */
enum err group_ask(struct store_tx *tx, struct message_op *op)
{
    if (!has_been_in(&op->me))
        op->me = group_newcomer(op, who_id(op->call));
    op->me.state = MESSAGE__MEMBER_STATE__ASKING;
    return message_change_member(tx, op, &op->me);
}

/* Who asks for it learns what anybody with the id may know: what it is, not what is said in it. */
static enum err join_job(struct store_tx *tx, struct message_op *op)
{
    const Group__JoinGroupRequest *in = op->in;
    struct arena *arena = op->call->arena;
    enum err err = message_store_find(tx, arena, in->id, &op->c);
    if (!err)
        err = message_store_member(tx, arena, op->c.num, who_id(op->call), &op->me);
    bool is_known = !err;
    bool is_member = is_known && op->me.state == MESSAGE__MEMBER_STATE__ACTIVE;
    bool is_banned = is_known && op->me.state == MESSAGE__MEMBER_STATE__BANNED;
    bool is_asking = is_known && op->me.state == MESSAGE__MEMBER_STATE__ASKING;
    if (err && err != ERR_NOT_FOUND)
        return err;
    if (!op->c.num || is_banned || (!is_member && op->c.join_rule == MESSAGE__JOIN_RULE__INVITED) ||
        op->c.kind == MESSAGE__CONVERSATION_KIND__DIRECT ||
        op->c.kind == MESSAGE__CONVERSATION_KIND__MEETING)
        return message_refuse(op, ERR_NOT_FOUND, "There is no such group, or it is not open.");
    if ((err = group_check(op)))
        return err;
    if (is_member)
        return message_reply_conversation(tx, op);
    if (op->c.join_rule == MESSAGE__JOIN_RULE__OPEN) {
        err = group_let_in(tx, op, who_id(op->call), &op->me);
        return err ? err : message_reply_conversation(tx, op);
    }
    err = is_asking ? ERR_OK : group_ask(tx, op);
    op->reply = message_conversation_shape(arena, &op->c, &op->me);
    return err;
}

GROUP_HANDLER(group_on_join, JoinGroupRequest, Message__Conversation)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    op->fn = join_job;
    op->key = ((Group__JoinGroupRequest *)op->in)->id;
    who_require_person(op->call); /* bots are added */
    message_run(op, ROLE_USER);
}

/* ---- going ---- */

enum err group_let_go(struct store_tx *tx, struct message_op *op, struct message_member *m,
                      Message__MemberState state)
{
    bool was_in = m->state == MESSAGE__MEMBER_STATE__ACTIVE;
    if (was_in) {
        m->visible_to_seq = op->c.last_seq;
        m->visible_to_rev = op->c.rev + 1; /* the revision of this change */
    }
    /* Who never was in has nothing to go on reading; who was goes on with that. */
    m->state = state == MESSAGE__MEMBER_STATE__BANNED ? state
               : has_been_in(m)                       ? MESSAGE__MEMBER_STATE__GONE
                                                      : MESSAGE__MEMBER_STATE__REFUSED;
    m->role = MESSAGE__MEMBER_ROLE__MEMBER;
    enum err err = was_in ? count_in(tx, op, -1) : ERR_OK;
    if (!err && m->state == MESSAGE__MEMBER_STATE__BANNED) /* may have been invited back */
        err = group_forget_invitation(tx, op->c.num, m->user_id);
    if (!err)
        err = message_change_member(tx, op, m);
    return err || !was_in ? err : group_prune_invitations(tx, op);
}

static enum err leave_job(struct store_tx *tx, struct message_op *op)
{
    op->reply = done(op);
    if (op->c.kind != MESSAGE__CONVERSATION_KIND__GROUP &&
        op->c.kind != MESSAGE__CONVERSATION_KIND__CHANNEL)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This is no group.");
    if (op->me.state != MESSAGE__MEMBER_STATE__ACTIVE)
        return ERR_OK;
    bool is_last = op->c.member_count <= 1;
    if (op->me.role == MESSAGE__MEMBER_ROLE__OWNER && !is_last && !op->c.is_dissolved)
        return message_refuse(op, ERR_FAILED_PRECONDITION,
                              "Hand the group to another member first, or dissolve it.");
    if (is_last && !op->c.is_dissolved) {
        op->c.is_dissolved = true;
        enum err err = message_change_settings(tx, op);
        if (err)
            return err;
    }
    return group_let_go(tx, op, &op->me, MESSAGE__MEMBER_STATE__GONE);
}

GROUP_HANDLER(group_on_leave, LeaveGroupRequest, Group__GroupReply)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Group__LeaveGroupRequest *own = op->in;
    op->fn = leave_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_READ;
    message_run(op, ROLE_USER);
}

/* An admin stands above members, the owner above all. */
static enum err check_rank(struct message_op *op, const struct message_member *other)
{
    if (op->me.role <= other->role)
        return message_refuse(op, ERR_PERMISSION_DENIED,
                              "Only somebody of a higher place can do that.");
    return ERR_OK;
}

static enum err remove_job(struct store_tx *tx, struct message_op *op)
{
    const Group__RemoveMemberRequest *in = op->in;
    struct message_member m;
    op->reply = done(op);
    enum err err = group_check(op);
    if (!err)
        err = find_other(tx, op, in->user_id, &m);
    if (!err)
        err = check_rank(op, &m);
    if (err)
        return err;
    Message__MemberState to =
        in->is_banned ? MESSAGE__MEMBER_STATE__BANNED : MESSAGE__MEMBER_STATE__GONE;
    bool is_out =
        m.state != MESSAGE__MEMBER_STATE__ACTIVE && m.state != MESSAGE__MEMBER_STATE__ASKING;
    bool is_done = m.state == to || (is_out && !in->is_banned);
    return is_done ? ERR_OK : group_let_go(tx, op, &m, to);
}

GROUP_HANDLER(group_on_remove, RemoveMemberRequest, Group__GroupReply)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Group__RemoveMemberRequest *own = op->in;
    op->fn = remove_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_ADMIN;
    message_run(op, ROLE_USER);
}

static enum err unban_job(struct store_tx *tx, struct message_op *op)
{
    const Group__UnbanMemberRequest *in = op->in;
    struct message_member m;
    op->reply = done(op);
    enum err err = group_check(op);
    if (!err)
        err = find_other(tx, op, in->user_id, &m);
    if (err || m.state != MESSAGE__MEMBER_STATE__BANNED)
        return err;
    m.state = has_been_in(&m) ? MESSAGE__MEMBER_STATE__GONE : MESSAGE__MEMBER_STATE__REFUSED;
    m.visible_from_seq = m.visible_to_seq; /* what was read before stays out of reach */
    return message_change_member(tx, op, &m);
}

GROUP_HANDLER(group_on_unban, UnbanMemberRequest, Group__GroupReply)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Group__UnbanMemberRequest *own = op->in;
    op->fn = unban_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_ADMIN;
    message_run(op, ROLE_USER);
}

/* ---- places ---- */

static enum err hand_over(struct store_tx *tx, struct message_op *op, struct message_member *m)
{
    op->me.role = MESSAGE__MEMBER_ROLE__ADMIN;
    m->role = MESSAGE__MEMBER_ROLE__OWNER;
    op->c.owner_id = m->user_id;
    enum err err = message_change_settings(tx, op);
    return err ? err : message_change_member(tx, op, &op->me);
}

/* NULL: nobody but the owner is in it. */
static enum err find_heir(struct store_tx *tx, struct message_op *op, struct message_member *out)
{
    struct store_stmt *st =
        store_query(tx,
                    "SELECT user_id FROM message_members WHERE conversation_num = ? AND state = 0"
                    " AND user_id <> ? AND is_bot = 0 ORDER BY role DESC, joined_at_ms LIMIT 1",
                    "is", op->c.num, op->me.user_id);
    const char *id = store_step(st) ? store_text(st, 0, op->call->arena) : NULL;
    enum err err = store_finish(st);
    *out = (struct message_member){0};
    return err || !id ? err : message_store_member(tx, op->call->arena, op->c.num, id, out);
}

enum err group_leave_for_good(struct store_tx *tx, struct message_op *op)
{
    enum err err = ERR_OK;
    if (op->me.role == MESSAGE__MEMBER_ROLE__OWNER && !op->c.is_dissolved) {
        struct message_member heir;
        err = find_heir(tx, op, &heir);
        if (!err && heir.user_id) {
            err = hand_over(tx, op, &heir);
            if (!err)
                err = message_change_member(tx, op, &heir);
        } else if (!err) {
            op->c.is_dissolved = true;
            err = message_change_settings(tx, op);
        }
    }
    return err ? err : group_let_go(tx, op, &op->me, MESSAGE__MEMBER_STATE__GONE);
}

static enum err set_role(struct store_tx *tx, struct message_op *op, struct message_member *m,
                         Message__MemberRole role)
{
    if (op->me.role != MESSAGE__MEMBER_ROLE__OWNER)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only the owner gives roles.");
    if (who_is(op->call, m->user_id))
        return message_refuse(op, ERR_FAILED_PRECONDITION, "The owner hands over to another.");
    if (m->state != MESSAGE__MEMBER_STATE__ACTIVE)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "Only members have roles.");
    if (role == MESSAGE__MEMBER_ROLE__OWNER)
        return hand_over(tx, op, m);
    if (role != MESSAGE__MEMBER_ROLE__MEMBER && role != MESSAGE__MEMBER_ROLE__ADMIN)
        return message_refuse(op, ERR_INVALID_ARGUMENT, "role: expected member, admin or owner");
    m->role = role;
    return ERR_OK;
}

static enum err decide(struct store_tx *tx, struct message_op *op, struct message_member *m,
                       bool is_admitted)
{
    if (op->me.role == MESSAGE__MEMBER_ROLE__MEMBER)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only owner and admins let people in.");
    if (m->state != MESSAGE__MEMBER_STATE__ASKING)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This person does not ask to join.");
    if (is_admitted)
        return group_let_in(tx, op, m->user_id, m);
    return group_let_go(tx, op, m, MESSAGE__MEMBER_STATE__REFUSED);
}

static enum err set_job(struct store_tx *tx, struct message_op *op)
{
    const Group__SetMemberRequest *in = op->in;
    struct message_member m = {0};
    enum err err = group_check(op);
    if (!err)
        err = find_other(tx, op, in->user_id, &m);
    bool is_self = !err && who_is(op->call, m.user_id);
    struct message_member before = m;
    if (!err && in->_is_admitted_case) {
        err = decide(tx, op, &m, in->is_admitted);
    } else if (!err) {
        if (in->_role_case)
            err = set_role(tx, op, &m, in->role);
        if (!err && (in->_muted_until_ms_case || (in->_nickname_case && !is_self)))
            err = in->_role_case ? ERR_OK : check_rank(op, &m);
        if (!err && in->_muted_until_ms_case)
            m.muted_until_ms = in->muted_until_ms;
        if (!err && in->_nickname_case)
            m.nickname = in->nickname;
        bool is_same = m.role == before.role && m.muted_until_ms == before.muted_until_ms &&
                       strcmp(m.nickname, before.nickname) == 0;
        if (!err && !is_same)
            err = message_change_member(tx, op, &m);
        if (!err && m.role < before.role)
            err = group_prune_invitations(tx, op);
    }
    if (!err)
        op->reply = message_member_shape(op->call->arena, &op->c, &m);
    return err;
}

GROUP_HANDLER(group_on_set_member, SetMemberRequest, Message__Member)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    Group__SetMemberRequest *own = op->in;
    op->fn = set_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_PLACE;
    bool is_alone = !own->_role_case && !own->_muted_until_ms_case && !own->_nickname_case;
    if (own->_is_admitted_case ? !is_alone : is_alone)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT,
                 "expected role, muted_until_ms or nickname, or is_admitted alone");
    if (own->_nickname_case)
        own->nickname = text_take(op->call, own->nickname,
                                  &(struct text_rule){.field = "nickname", .max = NICKNAME_MAX});
    if (own->_muted_until_ms_case &&
        (own->muted_until_ms < 0 || own->muted_until_ms > clock_wall_ms() + MUTE_MAX_MS))
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "muted_until_ms: expected 0 or within ten years");
    message_run(op, ROLE_USER);
}

/* ---- list ---- */

struct member_listing {
    struct message_op op; /* first */
    struct message_member_range range;
};

static enum err list_job(struct store_tx *tx, struct message_op *op)
{
    struct member_listing *l = CONTAINER_OF(op, struct member_listing, op);
    struct arena *arena = op->call->arena;
    if (l->range.state != MESSAGE__MEMBER_STATE__ACTIVE &&
        op->me.role == MESSAGE__MEMBER_ROLE__MEMBER)
        return message_refuse(op, ERR_PERMISSION_DENIED, "Only owner and admins see these.");
    struct message_member *rows;
    size_t count;
    l->range.num = op->c.num;
    enum err err = message_store_members(tx, arena, &l->range, &rows, &count);
    if (err)
        return err;
    Group__MemberList *reply = arena_new(arena, Group__MemberList);
    group__member_list__init(reply);
    op->reply = reply;
    reply->n_members = MIN(count, (size_t)l->range.limit);
    reply->members = arena_array(arena, Message__Member *, reply->n_members);
    for (size_t i = 0; i < reply->n_members; i++)
        reply->members[i] = message_member_shape(arena, &op->c, &rows[i]);
    if (count > reply->n_members)
        reply->next_cursor = (char *)rows[reply->n_members - 1].user_id;
    return ERR_OK;
}

static bool take_state(const char *name, Message__MemberState *out)
{
    static const struct {
        const char *name;
        Message__MemberState state;
    } states[] = {{"", MESSAGE__MEMBER_STATE__ACTIVE},
                  {"active", MESSAGE__MEMBER_STATE__ACTIVE},
                  {"asking", MESSAGE__MEMBER_STATE__ASKING},
                  {"banned", MESSAGE__MEMBER_STATE__BANNED}};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (strcmp(name, states[i].name) == 0) {
            *out = states[i].state;
            return true;
        }
    }
    return false;
}

GROUP_HANDLER(group_on_list_members, ListMembersRequest, Group__MemberList)
{
    struct member_listing *l =
        message_op_create(GROUP_OF(rpc), data, sizeof(*l), &in->base, (ProtobufCClosure)closure);
    const Group__ListMembersRequest *own = l->op.in;
    l->op.fn = list_job;
    l->op.conversation_id = own->id;
    l->op.needs = MESSAGE_NEEDS_PLACE;
    l->range.above = own->cursor;
    l->range.limit = own->limit > 0 ? MIN(own->limit, LIST_MAX) : LIST_NORMAL;
    if (!take_state(own->state, &l->range.state))
        rpc_fail(l->op.call, ERR_INVALID_ARGUMENT, "state: expected active, asking or banned");
    else if (own->cursor[0] && !id_is_valid(own->cursor))
        rpc_fail(l->op.call, ERR_INVALID_ARGUMENT, "cursor: expected one from an earlier page");
    message_view(&l->op, ROLE_GUEST);
}
