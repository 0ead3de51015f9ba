/*
 * Links into a group: whoever has one may come in, or ask to where the group's rule says so. Of the
 * token a digest alone is kept: 256 random bits need no more. One that never was, that is over or
 * used up, or that leads where one is banned, is answered alike.
 */
#include "services/message/message_internal.h"

#define TOKEN_CHARS 43
#define LINKS_MAX 20 /* of a group */
#define MINUTE_MS (60 * 1000LL)
#define DAY_MS (24 * 60 * MINUTE_MS)
#define USES_MAX 100000
#define LINK_COLUMNS \
    "id, conversation_num, created_by, created_at_ms, expires_at_ms, max_uses, use_count"
#define STILL_WORKS " expires_at_ms > ? AND (max_uses = 0 OR use_count < max_uses)"

struct link {
    const char *id, *created_by;
    int64_t conversation_num, created_at_ms, expires_at_ms, max_uses, use_count;
};

/* ---- rows ---- */

static struct link read_link(struct store_stmt *st, struct arena *arena)
{
    return (struct link){.id = store_text(st, 0, arena),
                         .conversation_num = store_int(st, 1),
                         .created_by = store_text(st, 2, arena),
                         .created_at_ms = store_int(st, 3),
                         .expires_at_ms = store_int(st, 4),
                         .max_uses = store_int(st, 5),
                         .use_count = store_int(st, 6)};
}

static Group__InviteLink *shape(struct message_op *op, const struct link *link)
{
    Group__InviteLink *out = arena_new(op->call->arena, Group__InviteLink);
    group__invite_link__init(out);
    out->id = (char *)link->id;
    out->conversation_id = (char *)op->c.id;
    out->created_by = (char *)link->created_by;
    out->created_at_ms = link->created_at_ms;
    out->expires_at_ms = link->expires_at_ms;
    out->max_uses = (int32_t)link->max_uses;
    out->use_count = (int32_t)link->use_count;
    return out;
}

static struct message_digest digest_of(const char *token)
{
    return message_digest(token, strlen(token));
}

/* ---- made, listed, ended: by owner and admins ---- */

struct linking {
    struct message_op op; /* first */
    struct link link;
    char token[TOKEN_CHARS + 1];
};

static enum err create_job(struct store_tx *tx, struct message_op *op)
{
    struct linking *l = CONTAINER_OF(op, struct linking, op);
    int64_t count = 0;
    enum err err = group_check(op);
    if (!err)
        err = message_take_number(
            store_query(tx,
                        "SELECT COUNT(*) FROM message_invite_links WHERE conversation_num = ?"
                        " AND" STILL_WORKS,
                        "ii", op->c.num, clock_wall_ms()),
            &count);
    if (!err && count >= LINKS_MAX)
        return message_refuse(op, ERR_RESOURCE_EXHAUSTED,
                              "The group has 20 links: end one of them first.");
    if (err)
        return err;
    struct message_digest digest = digest_of(l->token);
    err = store_run(tx,
                    "INSERT INTO message_invite_links (id, conversation_num, digest, created_by,"
                    " created_at_ms, expires_at_ms, max_uses, use_count) VALUES (?,?,?,?,?,?,?,0)",
                    "sibsiii", l->link.id, op->c.num, (const void *)digest.bytes,
                    sizeof(digest.bytes), l->link.created_by, l->link.created_at_ms,
                    l->link.expires_at_ms, l->link.max_uses);
    Group__InviteLink *reply = shape(op, &l->link);
    reply->token = l->token;
    op->reply = reply;
    return err;
}

GROUP_HANDLER(group_on_create_link, CreateInviteLinkRequest, Group__InviteLink)
{
    struct linking *l =
        message_op_create(GROUP_OF(rpc), data, sizeof(*l), &in->base, (ProtobufCClosure)closure);
    const Group__CreateInviteLinkRequest *own = l->op.in;
    struct rpc_call *call = l->op.call;
    char *id = arena_alloc(call->arena, ID_SIZE);
    id_make(id);
    id_token(l->token, TOKEN_CHARS);
    l->op.fn = create_job;
    l->op.conversation_id = own->id;
    l->op.needs = MESSAGE_NEEDS_ADMIN;
    int64_t lasts_ms = own->expires_in_ms ? own->expires_in_ms : 7 * DAY_MS;
    if (lasts_ms < MINUTE_MS || lasts_ms > 366 * DAY_MS)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "expires_in_ms: expected a minute to a year");
    if (own->max_uses < 0 || own->max_uses > USES_MAX)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "max_uses: expected 0 to 100,000");
    l->link.id = id;
    l->link.created_by = who_id(call);
    l->link.created_at_ms = clock_wall_ms();
    l->link.expires_at_ms = l->link.created_at_ms + lasts_ms;
    l->link.max_uses = own->max_uses;
    message_run(&l->op, ROLE_USER);
}

static enum err list_job(struct store_tx *tx, struct message_op *op)
{
    struct arena *arena = op->call->arena;
    Group__InviteLinkList *reply = arena_new(arena, Group__InviteLinkList);
    group__invite_link_list__init(reply);
    reply->links = arena_array(arena, Group__InviteLink *, LINKS_MAX);
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " LINK_COLUMNS " FROM message_invite_links WHERE conversation_num = ?"
                    " AND" STILL_WORKS " ORDER BY created_at_ms DESC, id LIMIT ?",
                    "iii", op->c.num, clock_wall_ms(), (int64_t)LINKS_MAX);
    while (store_step(st)) {
        struct link link = read_link(st, arena);
        reply->links[reply->n_links++] = shape(op, &link);
    }
    op->reply = reply;
    return store_finish(st);
}

GROUP_HANDLER(group_on_list_links, ListInviteLinksRequest, Group__InviteLinkList)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Group__ListInviteLinksRequest *own = op->in;
    op->fn = list_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_ADMIN;
    message_view(op, ROLE_USER);
}

static enum err revoke_job(struct store_tx *tx, struct message_op *op)
{
    const Group__RevokeInviteLinkRequest *in = op->in;
    Group__GroupReply *reply = arena_new(op->call->arena, Group__GroupReply);
    group__group_reply__init(reply);
    enum err err = message_run_shared(
        tx, "DELETE FROM message_invite_links WHERE id = ? AND conversation_num = ?", "si",
        in->link_id, op->c.num);
    if (!err && store_changes(tx) == 0)
        return message_refuse(op, ERR_NOT_FOUND, "There is no such link (any more).");
    op->reply = reply;
    return err;
}

GROUP_HANDLER(group_on_revoke_link, RevokeInviteLinkRequest, Group__GroupReply)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Group__RevokeInviteLinkRequest *own = op->in;
    op->fn = revoke_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_ADMIN;
    message_run(op, ROLE_USER);
}

/* ---- used ---- */

static enum err conversation_of(struct store_tx *tx, struct message_op *op, int64_t num)
{
    struct store_stmt *st =
        store_query(tx, "SELECT id FROM message_conversations WHERE num = ?", "i", num);
    const char *id = store_step(st) ? store_text(st, 0, op->call->arena) : NULL;
    enum err err = store_finish(st);
    if (err)
        return err;
    return id ? message_store_find(tx, op->call->arena, id, &op->c) : ERR_NOT_FOUND;
}

/* Where the token leads, and the caller's place there, if any. */
static enum err follow(struct store_tx *tx, struct message_op *op, const char *token,
                       struct link *link)
{
    struct message_digest digest = digest_of(token);
    struct store_stmt *st = store_query(
        tx, "SELECT " LINK_COLUMNS " FROM message_invite_links WHERE digest = ? AND" STILL_WORKS,
        "bi", (const void *)digest.bytes, sizeof(digest.bytes), clock_wall_ms());
    bool is_found = store_step(st);
    if (is_found)
        *link = read_link(st, op->call->arena);
    enum err err = store_finish(st);
    if (!err)
        err = is_found ? conversation_of(tx, op, link->conversation_num) : ERR_NOT_FOUND;
    if (!err)
        err = message_store_member(tx, op->call->arena, op->c.num, who_id(op->call), &op->me);
    if (err == ERR_NOT_FOUND && op->c.num)
        err = ERR_OK; /* a stranger: who else */
    bool is_banned = op->me.user_id && op->me.state == MESSAGE__MEMBER_STATE__BANNED;
    return !err && (is_banned || op->c.is_dissolved) ? ERR_NOT_FOUND : err;
}

static enum err refuse_link(struct message_op *op, enum err err)
{
    return err == ERR_NOT_FOUND ? message_refuse(op, err, "This link does not work (any more).")
                                : err;
}

/* Looked for in each database. */
struct following {
    struct message_op *op;
    const char *token;
    struct link link;
    bool is_found;
};

static enum err follow_job(struct store_tx *tx, void *arg)
{
    struct following *f = arg;
    enum err err = follow(tx, f->op, f->token, &f->link);
    f->is_found = !err;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err follow_anywhere(struct store_tx *tx, struct following *f)
{
    enum err err = message_read_until(f->op->svc, tx, follow_job, f, &f->is_found);
    return refuse_link(f->op, err || f->is_found ? err : ERR_NOT_FOUND);
}

static bool is_in_state(const struct message_op *op, Message__MemberState state)
{
    return op->me.user_id && op->me.state == state;
}

static enum err look_job(struct store_tx *tx, struct message_op *op)
{
    const Group__LookAtInviteLinkRequest *in = op->in;
    struct following f = {.op = op, .token = in->token};
    enum err err = follow_anywhere(tx, &f);
    if (err)
        return err;
    Group__InviteLinkView *view = arena_new(op->call->arena, Group__InviteLinkView);
    group__invite_link_view__init(view);
    view->conversation_id = (char *)op->c.id;
    view->kind = op->c.kind;
    view->title = (char *)op->c.title;
    view->avatar_url = (char *)op->c.avatar_url;
    view->member_count = (int32_t)op->c.member_count;
    view->is_member = is_in_state(op, MESSAGE__MEMBER_STATE__ACTIVE);
    view->is_asking = !view->is_member && op->c.join_rule == MESSAGE__JOIN_RULE__ASK;
    view->expires_at_ms = f.link.expires_at_ms;
    op->reply = view;
    return ERR_OK;
}

GROUP_HANDLER(group_on_look_at_link, LookAtInviteLinkRequest, Group__InviteLinkView)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    op->fn = look_job;
    message_view(op, ROLE_USER);
}

static enum err count_use(struct store_tx *tx, const struct link *link)
{
    return message_run_shared(
        tx, "UPDATE message_invite_links SET use_count = use_count + 1 WHERE id = ?", "s",
        link->id);
}

static enum err join_job(struct store_tx *tx, struct message_op *op)
{
    const Group__JoinByLinkRequest *in = op->in;
    struct link link = {0};
    enum err err = refuse_link(op, follow(tx, op, in->token, &link));
    if (err)
        return err;
    if (is_in_state(op, MESSAGE__MEMBER_STATE__ACTIVE))
        return message_reply_conversation(tx, op);
    if (op->c.join_rule != MESSAGE__JOIN_RULE__ASK) {
        err = group_let_in(tx, op, who_id(op->call), &op->me);
        if (!err)
            err = count_use(tx, &link);
        return err ? err : message_reply_conversation(tx, op);
    }
    if (!is_in_state(op, MESSAGE__MEMBER_STATE__ASKING)) {
        err = group_ask(tx, op);
        if (!err)
            err = count_use(tx, &link);
    }
    op->reply = message_conversation_shape(op->call->arena, &op->c, &op->me);
    return err;
}

/* Where the token leads is where the change is made. */
static bool find_group(struct message_op *op)
{
    const Group__JoinByLinkRequest *in = op->in;
    struct following f = {.op = op, .token = in->token};
    enum err err = follow_anywhere(NULL, &f);
    op->key = op->c.id;
    if (err)
        who_fail(op->call, err);
    op->c = (struct message_conversation){0};
    op->me = (struct message_member){0};
    return !err;
}

GROUP_HANDLER(group_on_join_by_link, JoinByLinkRequest, Message__Conversation)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    op->fn = join_job;
    who_require_person(op->call); /* bots are added */
    if (!rpc_failure(op->call) && who_require(op->call, ROLE_USER) && find_group(op))
        message_change(op);
    else
        message_refuse_now(op);
}
