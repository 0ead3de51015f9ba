/* Invitations: of an account, or by a link whose token is shown once and kept as a hash. */
#include <sodium.h>

#include "services/meeting/meeting_internal.h"

#define LINK_CHARS 32 /* 192 bits */
#define INVITEES_MAX 100

struct inviting {
    struct meeting_op op; /* first */
    struct meeting_invitation row;
    const char *token;
};

static Meeting__Invitation *shape_of(struct arena *arena, const struct meeting_invitation *i)
{
    Meeting__Invitation *shape = arena_new(arena, Meeting__Invitation);
    meeting__invitation__init(shape);
    shape->id = (char *)i->id;
    shape->meeting_id = (char *)i->meeting_id;
    shape->user_id = (char *)i->user_id;
    shape->user_name = (char *)i->user_name;
    shape->created_at_ms = i->created_at_ms;
    shape->expires_at_ms = i->expires_at_ms;
    shape->uses_max = (int32_t)i->uses_max;
    shape->uses_count = (int32_t)i->uses_count;
    return shape;
}

const char *meeting_token_hash(struct arena *arena, const char *token)
{
    unsigned char digest[crypto_generichash_BYTES];
    if (!token[0])
        return "";
    crypto_generichash(digest, sizeof(digest), (const unsigned char *)token, strlen(token), NULL,
                       0);
    char *hex = arena_alloc(arena, 2 * sizeof(digest) + 1);
    str_hex(hex, digest, sizeof(digest));
    return hex;
}

/* An invited account sees the meeting in its list. */
static enum err add_place(struct store_tx *tx, struct meeting_op *op,
                          const struct meeting_invitation *row)
{
    struct meeting_person p = {0};
    struct arena *arena = op->call->arena;
    enum err err = meeting_store_find_person(tx, arena, op->m.id, row->user_id, &p);
    if (err && err != ERR_NOT_FOUND)
        return err;
    bool was_out = p.id && (p.state == MEETING__PARTICIPANT_STATE__REMOVED ||
                            p.state == MEETING__PARTICIPANT_STATE__REFUSED);
    if (p.id && !was_out)
        return ERR_OK;
    if (!p.id) {
        char *id = arena_alloc(arena, ID_SIZE);
        id_make(id);
        p = (struct meeting_person){.id = id,
                                    .meeting_id = op->m.id,
                                    .user_id = row->user_id,
                                    .name = row->user_name,
                                    .avatar_url = "",
                                    .role = MEETING__PARTICIPANT_ROLE__PARTICIPANT};
    }
    p.state = MEETING__PARTICIPANT_STATE__INVITED;
    err = meeting_store_put_person(tx, &p);
    return err ? err : meeting_publish_tx(op, tx, "user_invited", &p, NULL);
}

enum err meeting_invite_account(struct store_tx *tx, struct meeting_op *op,
                                struct meeting_invitation *row)
{
    row->meeting_id = op->m.id;
    enum err err = meeting_store_forget_invited(tx, op->m.id, row->user_id);
    if (!err)
        err = meeting_store_add_invitation(tx, row, "", who_id(op->call));
    return err ? err : add_place(tx, op, row);
}

static enum err invite_job(struct store_tx *tx, struct meeting_op *op)
{
    struct inviting *v = (struct inviting *)op;
    struct arena *arena = op->call->arena;
    if (op->m.state == MEETING__STATE__ENDED)
        return meeting_refuse(op, ERR_FAILED_PRECONDITION, "The meeting has ended.");
    v->row.meeting_id = op->m.id;
    enum err err = v->row.user_id[0]
                       ? meeting_invite_account(tx, op, &v->row)
                       : meeting_store_add_invitation(
                             tx, &v->row, meeting_token_hash(arena, v->token), who_id(op->call));
    if (err)
        return err;
    Meeting__Invitation *reply = shape_of(arena, &v->row);
    reply->token = (char *)v->token;
    if (v->token[0])
        reply->url = arena_printf(arena, "%s/m/%s?i=%s",
                                  op->svc->deps.public_url ? op->svc->deps.public_url : "",
                                  op->m.code, v->token);
    op->reply = reply;
    return ERR_OK;
}

/* False after rpc_fail. */
static bool make_row(struct meeting_service *svc, struct rpc_call *call, const char *user_id,
                     struct meeting_invitation *row)
{
    char *id = arena_alloc(call->arena, ID_SIZE);
    id_make(id);
    *row = (struct meeting_invitation){.id = id,
                                       .user_id = user_id,
                                       .user_name = "",
                                       .created_at_ms = clock_wall_ms(),
                                       .uses_max = user_id[0] ? 1 : 0};
    if (user_id[0] && !id_is_valid(user_id)) {
        rpc_fail(call, ERR_NOT_FOUND, "There is no such account.");
        return false;
    }
    struct meeting_account account = {.name = ""};
    if (user_id[0] && !meeting_find_account(svc, call, user_id, &account))
        return false;
    row->user_name = account.name;
    return true;
}

static bool is_listed(const struct meeting_invitation *rows, size_t count, const char *user_id)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].user_id, user_id) == 0)
            return true;
    }
    return false;
}

bool meeting_take_invitees(struct meeting_service *svc, struct rpc_call *call,
                           char *const *user_ids, size_t n, struct meeting_invitation **rows,
                           size_t *count)
{
    *count = 0;
    if (n > INVITEES_MAX) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "invite_user_ids: expected at most %d", INVITEES_MAX);
        return false;
    }
    *rows = arena_array(call->arena, struct meeting_invitation, n);
    for (size_t i = 0; i < n; i++) {
        bool is_known =
            strcmp(user_ids[i], who_id(call)) == 0 || is_listed(*rows, *count, user_ids[i]);
        if (is_known)
            continue;
        if (make_row(svc, call, user_ids[i], &(*rows)[*count])) {
            ++*count;
            continue;
        }
        if (rpc_failure(call) == ERR_NOT_FOUND)
            rpc_fail(call, ERR_INVALID_ARGUMENT, "invite_user_ids: there is no such account");
        return false;
    }
    return true;
}

void *meeting_do_invite(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__InviteRequest *in)
{
    if (in->uses_max < 0 || in->expires_at_ms < 0 ||
        (in->expires_at_ms && in->expires_at_ms < clock_wall_ms())) {
        rpc_fail(call, ERR_INVALID_ARGUMENT,
                 "expires_at_ms: must be in the future; uses_max: not negative");
        return NULL;
    }
    char *token = arena_alloc(call->arena, LINK_CHARS + 1);
    struct inviting v = {
        .op = {.svc = svc,
               .call = call,
               .fn = invite_job,
               .meeting_id = in->id,
               .needs = MEETING_NEEDS_COHOST},
        .token = token,
    };
    if (!make_row(svc, call, in->user_id, &v.row))
        return NULL;
    v.row.expires_at_ms = in->expires_at_ms;
    if (!in->user_id[0]) {
        v.row.uses_max = in->uses_max;
        id_token(token, LINK_CHARS);
    }
    return meeting_change(&v.op);
}

static enum err list_job(struct store_tx *tx, struct meeting_op *op)
{
    struct arena *arena = op->call->arena;
    struct meeting_invitation *rows;
    size_t count;
    enum err err = meeting_store_invitations(tx, arena, op->m.id, &rows, &count);
    if (err)
        return err;
    Meeting__InvitationList *list = arena_new(arena, Meeting__InvitationList);
    meeting__invitation_list__init(list);
    list->invitations = arena_array(arena, Meeting__Invitation *, count);
    for (size_t i = 0; i < count; i++)
        list->invitations[list->n_invitations++] = shape_of(arena, &rows[i]);
    op->reply = list;
    return ERR_OK;
}

void *meeting_do_list_invitations(struct meeting_service *svc, struct rpc_call *call,
                                  const Meeting__ListInvitationsRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .fn = list_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_COHOST};
    return meeting_look(&op);
}

static enum err revoke_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__RevokeInvitationRequest *in = op->in;
    Meeting__RevokeInvitationReply *reply =
        arena_new(op->call->arena, Meeting__RevokeInvitationReply);
    meeting__revoke_invitation_reply__init(reply);
    op->reply = reply;
    enum err err = meeting_store_delete_invitation(tx, op->m.id, in->invitation_id);
    return err == ERR_NOT_FOUND ? meeting_refuse(op, err, "There is no such invitation.") : err;
}

void *meeting_do_revoke_invitation(struct meeting_service *svc, struct rpc_call *call,
                                   const Meeting__RevokeInvitationRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = in,
                            .fn = revoke_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_COHOST};
    return meeting_change(&op);
}
