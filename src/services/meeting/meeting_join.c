/*
 * Coming and going. What is slow (a password's hash, a name, a guest's token) happens before the
 * transaction; what must not race (capacity, lock, invitation, first to start) inside it.
 */
#include "services/common/throttle.h"
#include "services/meeting/meeting_internal.h"

#include "auth.pb-c.h"

static const struct throttle_rule password_rule = {.scope = "meeting_password",
                                                   .free_count = 5,
                                                   .first_delay_ms = 1000,
                                                   .delay_max_ms = 60 * 1000,
                                                   .window_ms = 15 * 60 * 1000};

struct joining {
    struct meeting_op op; /* first */
    const Meeting__JoinMeetingRequest *in;
    const char *user_id;
    const char *name;
    const char *avatar_url;
    const char *link_hash; /* "": no invitation link */
    bool is_guest;
    bool is_new_guest; /* without a token of this meeting */
    bool has_password; /* the right one was given */
};

/* ---- before the transaction ---- */

static enum err look_job(struct store_tx *tx UNUSED, struct meeting_op *op)
{
    op->reply = &op->m;
    return ERR_OK;
}

/* False after rpc_fail. Guesses are slowed down by meeting and address. */
static bool check_password(struct meeting_service *svc, struct rpc_call *call,
                           const struct meeting_row *m, const char *password)
{
    if (!password[0])
        return false;
    char addr[THROTTLE_ADDR_SIZE];
    char key[THROTTLE_ADDR_SIZE + ID_SIZE + 1];
    throttle_addr(call->remote_addr ? call->remote_addr : "", addr);
    snprintf(key, sizeof(key), "%s:%s", m->id, addr);
    enum err err = throttle_try(svc->deps.cache, &password_rule, key, &call->retry_after_ms);
    bool is_match = false;
    bool is_outdated;
    if (!err)
        err = password_verify(svc->hasher, m->password_hash, str_from(password), &is_match,
                              &is_outdated);
    if (err)
        who_fail(call, err);
    else if (is_match)
        throttle_forget(svc->deps.cache, &password_rule, key);
    return is_match;
}

/* Whom the others see: the name given, else the account's own. False after rpc_fail. */
static bool find_name(struct joining *j)
{
    struct rpc_call *call = j->op.call;
    bool has_account = who_role(call) >= ROLE_USER;
    char *given = meeting_take_name(call, j->in->name, j->is_new_guest);
    if (!given)
        return false;
    j->name = given;
    j->avatar_url = "";
    if (!has_account) {
        if (!given[0])
            j->name = call->who->name;
        return true;
    }
    struct meeting_account account;
    if (!meeting_find_account(j->op.svc, call, "me", &account))
        return false;
    j->avatar_url = account.avatar_url;
    if (!given[0])
        j->name = account.name;
    return true;
}

static enum err refuse_ended(struct meeting_op *op)
{
    return meeting_refuse(op, ERR_FAILED_PRECONDITION, "The meeting has ended.");
}

static enum err refuse_locked(struct meeting_op *op)
{
    return meeting_refuse(op, ERR_FAILED_PRECONDITION, "The meeting is locked.");
}

static enum err refuse_without_password(struct meeting_op *op)
{
    return meeting_refuse(op, ERR_PERMISSION_DENIED, "The meeting's password is needed.");
}

static enum err refuse_full(struct meeting_op *op)
{
    return meeting_refuse(op, ERR_RESOURCE_EXHAUSTED, "The meeting is full.");
}

/* Nobody gets a token for a door that is shut. What counts is asked again inside the transaction.
 * False after rpc_fail. */
static bool may_knock(struct joining *j)
{
    struct meeting_op *op = &j->op;
    const struct meeting_row *m = &op->m;
    if (m->state == MEETING__STATE__ENDED)
        return !refuse_ended(op);
    if (m->is_locked)
        return !refuse_locked(op);
    if (m->password_hash[0] && !j->has_password && !j->link_hash[0])
        return !refuse_without_password(op);
    if (m->present_count >= m->capacity && (!m->has_waiting_room || j->link_hash[0]))
        return !refuse_full(op);
    return true;
}

/* A token for somebody without an account; NULL after rpc_fail. */
static Meeting__JoinMeetingReply *make_guest(struct joining *j, const struct meeting_row *m)
{
    struct rpc_call *call = j->op.call;
    Meeting__JoinMeetingReply *reply = arena_new(call->arena, Meeting__JoinMeetingReply);
    meeting__join_meeting_reply__init(reply);
    if (!j->is_new_guest)
        return reply;
    struct rpc_call *c = rpc_call_create(call);
    c->who = NULL; /* the system's own call */
    Auth__IssueGuestTokenRequest request = AUTH__ISSUE_GUEST_TOKEN_REQUEST__INIT;
    request.meeting_id = (char *)m->id;
    request.name = (char *)j->name;
    const Auth__GuestToken *token =
        rpc_sync(j->op.svc->deps.auth, "IssueGuestToken", &request.base, c);
    if (token) {
        j->user_id = arena_strdup(call->arena, token->user_id);
        reply->access_token = arena_strdup(call->arena, token->access_token);
        reply->expires_in_s = token->expires_in_s;
    } else {
        rpc_fail(call, c->err, "%s", c->message);
    }
    rpc_call_unref(&c);
    return token ? reply : NULL;
}

/* ---- inside the transaction ---- */

static bool was_inside(const struct meeting_person *p)
{
    return p->id && (p->state == MEETING__PARTICIPANT_STATE__ADMITTED ||
                     p->state == MEETING__PARTICIPANT_STATE__LEFT);
}

/* By an account's invitation or by a link; a link counts its uses, but coming back is none. */
static enum err check_invitation(struct store_tx *tx, struct joining *j, bool *is_invited)
{
    struct meeting_op *op = &j->op;
    int64_t now_ms = clock_wall_ms();
    *is_invited = meeting_store_is_invited(tx, op->m.id, j->user_id, now_ms);
    if (*is_invited || !j->link_hash[0])
        return ERR_OK;
    enum err err = ERR_OK;
    if (!was_inside(&op->me) || !meeting_store_has_link(tx, op->m.id, j->link_hash, now_ms))
        err = meeting_store_use_link(tx, op->m.id, j->link_hash, now_ms);
    *is_invited = !err;
    return err == ERR_NOT_FOUND ? meeting_refuse(op, ERR_PERMISSION_DENIED,
                                                 "The invitation is unknown, used up or expired.")
                                : err;
}

/* May this person come in at all? Hosts always may; who was put out may not, until invited anew. */
static enum err check_entry(struct store_tx *tx, struct joining *j, bool is_host, bool *is_invited)
{
    struct meeting_op *op = &j->op;
    const struct meeting_row *m = &op->m;
    *is_invited = is_host;
    if (op->me.id && op->me.state == MEETING__PARTICIPANT_STATE__REMOVED)
        return meeting_refuse(op, ERR_PERMISSION_DENIED, "You were removed from this meeting.");
    if (is_host)
        return ERR_OK;
    if (j->is_guest && !m->are_guests_allowed)
        return meeting_refuse(op, ERR_PERMISSION_DENIED,
                              "This meeting is for people with an account.");
    bool is_back = op->me.id && op->me.state == MEETING__PARTICIPANT_STATE__ADMITTED;
    if (m->is_locked && !is_back)
        return refuse_locked(op);
    enum err err = check_invitation(tx, j, is_invited);
    if (err)
        return err;
    if (m->password_hash[0] && !j->has_password && !*is_invited && !is_back)
        return refuse_without_password(op);
    return ERR_OK;
}

static void fill_person(struct joining *j, struct meeting_person *p)
{
    if (!p->id) {
        char *id = arena_alloc(j->op.call->arena, ID_SIZE);
        id_make(id);
        *p = (struct meeting_person){.id = id, .role = MEETING__PARTICIPANT_ROLE__PARTICIPANT};
    }
    p->meeting_id = j->op.m.id;
    p->user_id = j->user_id;
    p->name = j->name;
    p->avatar_url = j->avatar_url;
    p->is_guest = j->is_guest;
}

static enum err join_job(struct store_tx *tx, struct meeting_op *op)
{
    struct joining *j = (struct joining *)op;
    struct meeting_person p = {0};
    bool is_invited;
    if (op->m.state == MEETING__STATE__ENDED)
        return refuse_ended(op);
    enum err err = meeting_store_find_person(tx, op->call->arena, op->m.id, j->user_id, &p);
    if (err && err != ERR_NOT_FOUND)
        return err;
    op->me = p;
    bool is_host = p.id && p.role != MEETING__PARTICIPANT_ROLE__PARTICIPANT;
    if ((err = check_entry(tx, j, is_host, &is_invited)))
        return err;
    bool was_in = p.id && p.state == MEETING__PARTICIPANT_STATE__ADMITTED;
    bool is_waiting = op->m.has_waiting_room && !is_host && !was_in && !is_invited;
    bool is_owner = is_host && p.role == MEETING__PARTICIPANT_ROLE__HOST; /* never shut out */
    if (!was_in && !is_waiting && !is_owner && op->m.present_count >= op->m.capacity)
        return refuse_full(op);
    fill_person(j, &p);
    p.state =
        is_waiting ? MEETING__PARTICIPANT_STATE__WAITING : MEETING__PARTICIPANT_STATE__ADMITTED;
    if (!was_in)
        p.joined_at_ms = clock_wall_ms();
    if (!was_in && !is_waiting)
        op->m.present_count++;
    if ((err = meeting_store_put_person(tx, &p)))
        return err;
    if (!is_waiting && (err = meeting_start_tx(op, tx)))
        return err;
    Meeting__JoinMeetingReply *reply = op->reply;
    reply->meeting = meeting_info(op->call->arena, &op->m, &p);
    reply->participant = meeting_participant(op->call->arena, &p);
    return meeting_publish_tx(op, tx, is_waiting ? "user_waiting" : "user_joined", &p, NULL);
}

void *meeting_do_join(struct meeting_service *svc, struct rpc_call *call,
                      const Meeting__JoinMeetingRequest *in)
{
    struct joining j = {.op = {.svc = svc, .call = call, .fn = look_job, .meeting_id = in->id},
                        .in = in};
    if (who_is_system(call)) {
        rpc_fail(call, ERR_PERMISSION_DENIED, "Only people join.");
        return NULL;
    }
    if (!meeting_look(&j.op))
        return NULL;
    struct meeting_row m = j.op.m;
    j.is_guest = who_role(call) < ROLE_USER;
    j.is_new_guest = j.is_guest && !meeting_is_guest(call, m.id);
    j.user_id = j.is_new_guest ? "" : who_id(call);
    j.link_hash = meeting_token_hash(call->arena, in->invitation);
    if (j.is_guest && !m.are_guests_allowed) {
        rpc_fail(call, ERR_UNAUTHENTICATED,
                 "This meeting is for people with an account: sign in first.");
        return NULL;
    }
    if (m.password_hash[0] && in->password[0] &&
        !(j.has_password = check_password(svc, call, &m, in->password))) {
        if (!rpc_failure(call))
            rpc_fail(call, ERR_PERMISSION_DENIED, "That is not the meeting's password.");
        return NULL;
    }
    if (!find_name(&j) || (j.is_new_guest && !may_knock(&j)))
        return NULL;
    if (!(j.op.reply = make_guest(&j, &m)))
        return NULL;
    j.op.fn = join_job;
    return meeting_change(&j.op);
}

/* ---- leaving ---- */

/* The longest present co-host with an account. */
static enum err hand_over(struct meeting_op *op, struct store_tx *tx)
{
    struct meeting_person *people;
    size_t count;
    enum err err = meeting_store_people(tx, op->call->arena, op->m.id,
                                        MEETING__PARTICIPANT_STATE__ADMITTED, &people, &count);
    for (size_t i = 0; i < count && !err; i++) {
        if (people[i].role == MEETING__PARTICIPANT_ROLE__CO_HOST && !people[i].is_guest)
            return meeting_transfer_tx(op, tx, &people[i]);
    }
    return err;
}

enum err meeting_leave_tx(struct meeting_op *op, struct store_tx *tx, struct meeting_person *p,
                          const char *kind)
{
    bool was_waiting = p->state == MEETING__PARTICIPANT_STATE__WAITING;
    bool was_never_in = was_waiting && !p->left_at_ms;
    if (!was_waiting && p->state != MEETING__PARTICIPANT_STATE__ADMITTED)
        return ERR_OK; /* leaving twice is fine */
    if (!was_waiting)
        op->m.present_count--;
    p->state = MEETING__PARTICIPANT_STATE__LEFT;
    p->left_at_ms = clock_wall_ms();
    enum err err =
        was_never_in ? meeting_store_delete_person(tx, p->id) : meeting_store_put_person(tx, p);
    if (!err)
        err = meeting_publish_tx(op, tx, "user_left", p, kind);
    if (!err && !was_waiting && p->role == MEETING__PARTICIPANT_ROLE__HOST)
        err = hand_over(op, tx);
    return err;
}

static enum err leave_job(struct store_tx *tx, struct meeting_op *op)
{
    Meeting__LeaveMeetingReply *reply = arena_new(op->call->arena, Meeting__LeaveMeetingReply);
    meeting__leave_meeting_reply__init(reply);
    op->reply = reply;
    return op->me.id ? meeting_leave_tx(op, tx, &op->me, "") : ERR_OK;
}

void *meeting_do_leave(struct meeting_service *svc, struct rpc_call *call,
                       const Meeting__LeaveMeetingRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .fn = leave_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_PLACE};
    return meeting_change(&op);
}

/* ---- for signaling ---- */

static enum err authorize_job(struct store_tx *tx, struct meeting_op *op)
{
    if (!op->me.id || op->m.state == MEETING__STATE__ENDED)
        return meeting_refuse(op, ERR_PERMISSION_DENIED, "Join the meeting first.");
    struct arena *arena = op->call->arena;
    Meeting__AuthorizeParticipantReply *reply =
        arena_new(arena, Meeting__AuthorizeParticipantReply);
    meeting__authorize_participant_reply__init(reply);
    reply->meeting = meeting_info(arena, &op->m, &op->me);
    reply->participant = meeting_participant(arena, &op->me);
    op->reply = reply;
    struct meeting_place place;
    enum err err = meeting_store_find_place(tx, arena, op->m.id, &place);
    reply->place = meeting_place_shape(arena, &place);
    return err;
}

void *meeting_do_authorize(struct meeting_service *svc, struct rpc_call *call,
                           const Meeting__AuthorizeParticipantRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .fn = authorize_job,
                            .meeting_id = in->meeting_id,
                            .needs = MEETING_NEEDS_PLACE};
    return meeting_look(&op);
}
