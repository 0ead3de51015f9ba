/*
 * Groups and channels: made, set up, dissolved. A group is a conversation with rules; whatever
 * changes them is a revision of its log, in the same transaction.
 */
#include "services/message/message_internal.h"

#define TITLE_MAX 100
#define ANNOUNCEMENT_MAX 2000
#define URL_MAX 500
#define FIRST_MEMBERS_MAX 200
#define RETENTION_DAYS_MAX 36500

enum err group_check(struct message_op *op)
{
    if (op->c.kind != MESSAGE__CONVERSATION_KIND__GROUP &&
        op->c.kind != MESSAGE__CONVERSATION_KIND__CHANNEL)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This is no group.");
    if (op->c.is_dissolved)
        return message_refuse(op, ERR_FAILED_PRECONDITION, "This group has been dissolved.");
    return ERR_OK;
}

static int64_t members_max(const struct message_op *op)
{
    bool is_channel = op->c.kind == MESSAGE__CONVERSATION_KIND__CHANNEL;
    return is_channel ? op->svc->deps.channel_members_max : op->svc->deps.group_members_max;
}

enum err group_check_room(struct message_op *op)
{
    if (op->c.member_count >= members_max(op))
        return message_refuse(op, ERR_RESOURCE_EXHAUSTED, "The group is full.");
    return ERR_OK;
}

struct message_member group_newcomer(const struct message_op *op, const char *user_id)
{
    const struct message_conversation *c = &op->c;
    /* What was said among those who were asked in stays among them. */
    bool reads_all =
        c->kind == MESSAGE__CONVERSATION_KIND__CHANNEL || c->join_rule == MESSAGE__JOIN_RULE__OPEN;
    return (struct message_member){.conversation_num = c->num,
                                   .user_id = user_id,
                                   .nickname = "",
                                   .draft = "",
                                   .joined_at_ms = clock_wall_ms(),
                                   .visible_from_seq = reads_all ? 0 : c->last_seq,
                                   .read_seq = c->last_seq,
                                   .delivered_seq = c->last_seq,
                                   .is_bot = message_is_bot(op, user_id)};
}

/* ---- what people type ---- */

static const char *take_title(struct rpc_call *call, const char *value)
{
    return text_take(call, value,
                     &(struct text_rule){.field = "title", .min = 1, .max = TITLE_MAX});
}

static const char *take_announcement(struct rpc_call *call, const char *value)
{
    return text_take(
        call, value,
        &(struct text_rule){.field = "announcement", .max = ANNOUNCEMENT_MAX, .flags = TEXT_LINES});
}

static const char *take_url(struct rpc_call *call, const char *value)
{
    const char *url =
        text_take(call, value, &(struct text_rule){.field = "avatar_url", .max = URL_MAX});
    bool is_ours = url && (!url[0] || (url[0] == '/' && url[1] != '/'));
    if (url && !is_ours && strncmp(url, "https://", 8) != 0) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "avatar_url: expected https:// or a path from here");
        return NULL;
    }
    return url;
}

/* ---- create ---- */

static enum err add_first(struct store_tx *tx, struct message_op *op, const char *user_id)
{
    struct message_member m = group_newcomer(op, user_id), known;
    bool is_known = message_store_member(tx, op->call->arena, op->c.num, user_id, &known) == ERR_OK;
    if (is_known || message_store_is_blocked(tx, op->svc, user_id, who_id(op->call)))
        return ERR_OK; /* named twice, or the caller itself */
    enum err err = group_check_room(op);
    if (err)
        return err;
    op->concerned[op->concerned_count++] = (char *)user_id;
    op->c.member_count++;
    return message_store_put_member(tx, &m);
}

/* Those who are asked first are told when the group is there. */
static enum err add_first_members(struct store_tx *tx, struct message_op *op)
{
    const Group__CreateGroupRequest *in = op->in;
    enum err err = message_store_put_member(tx, &op->me);
    op->concerned = arena_array(op->call->arena, char *, in->n_user_ids + 1);
    op->concerned[op->concerned_count++] = (char *)op->me.user_id;
    for (size_t i = 0; i < in->n_user_ids && !err; i++) {
        if (!group_is_asked_first(tx, op, in->user_ids[i]))
            err = add_first(tx, op, in->user_ids[i]);
    }
    return err;
}

static enum err invite_first(struct store_tx *tx, struct message_op *op)
{
    const Group__CreateGroupRequest *in = op->in;
    enum err err = ERR_OK;
    for (size_t i = 0; i < in->n_user_ids && !err; i++) {
        Message__Invitation *invitation;
        if (!who_is(op->call, in->user_ids[i]) && group_is_asked_first(tx, op, in->user_ids[i]))
            err = group_invite(tx, op, in->user_ids[i], "", &invitation);
    }
    return err;
}

static enum err create_job(struct store_tx *tx, struct message_op *op)
{
    struct message_conversation fresh = op->c;
    struct arena *arena = op->call->arena;
    enum err err = message_store_find_natural(tx, arena, fresh.natural_key, &op->c);
    if (!err) { /* asked before, with the same client_id */
        err = message_store_member(tx, arena, op->c.num, who_id(op->call), &op->me);
        return err ? err : message_reply_conversation(tx, op);
    }
    if (err != ERR_NOT_FOUND)
        return err;
    op->c = fresh;
    err = message_store_insert(tx, op->svc, &op->c);
    op->me = group_newcomer(op, who_id(op->call));
    op->me.role = MESSAGE__MEMBER_ROLE__OWNER;
    if (!err)
        err = add_first_members(tx, op);
    if (!err)
        err = message_change_settings(tx, op);
    if (!err)
        err = invite_first(tx, op);
    return err ? err : message_reply_conversation(tx, op);
}

static bool check_accounts(struct message_op *op, char *const *ids, size_t count)
{
    if (count > FIRST_MEMBERS_MAX) {
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "user_ids: at most 200 at once");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!message_is_account(op, ids[i]))
            return false;
    }
    return true;
}

static bool prepare_group(struct message_op *op)
{
    const Group__CreateGroupRequest *in = op->in;
    struct rpc_call *call = op->call;
    if (in->kind != MESSAGE__CONVERSATION_KIND__GROUP &&
        in->kind != MESSAGE__CONVERSATION_KIND__CHANNEL) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "kind: expected group or channel");
        return false;
    }
    char *id = arena_alloc(call->arena, ID_SIZE);
    int64_t now_ms = clock_wall_ms();
    op->c = (struct message_conversation){.id = id,
                                          .kind = in->kind,
                                          .title = take_title(call, in->title),
                                          .avatar_url = take_url(call, in->avatar_url),
                                          .announcement = take_announcement(call, in->announcement),
                                          .owner_id = who_id(call),
                                          .meeting_id = "",
                                          .join_rule = in->join_rule,
                                          .members_may_add = in->members_may_add,
                                          .is_consent_needed = in->is_consent_needed,
                                          .members_may_mention_all = in->members_may_mention_all,
                                          .member_count = 1,
                                          .first_seq = 1,
                                          .created_at_ms = now_ms,
                                          .active_at_ms = now_ms};
    const char *client_id = in->client_id[0] ? message_take_client_id(call, in->client_id) : NULL;
    if (rpc_failure(call))
        return false;
    if (client_id)
        op->key = arena_printf(call->arena, "g:%s:%s", who_id(call), client_id);
    if (client_id)
        shards_make_id(id, op->key, op->svc->shard_count);
    else
        id_make(id);
    op->c.natural_key = op->key = client_id ? op->key : id;
    op->c.shard = message_shard_of(op->svc, id)->index;
    return check_accounts(op, in->user_ids, in->n_user_ids);
}

GROUP_HANDLER(group_on_create, CreateGroupRequest, Message__Conversation)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    op->fn = create_job;
    if (who_require(op->call, ROLE_USER) && who_require_person(op->call) && prepare_group(op))
        message_change(op);
    else
        message_refuse_now(op);
}

/* ---- update ---- */

struct update {
    struct message_op op;                          /* first */
    const char *title, *avatar_url, *announcement; /* NULL: as it is */
};

/* The same again changes nothing and takes no revision. */
static bool is_same_setting(const struct message_conversation *a,
                            const struct message_conversation *b)
{
    return strcmp(a->title, b->title) == 0 && strcmp(a->avatar_url, b->avatar_url) == 0 &&
           strcmp(a->announcement, b->announcement) == 0 && a->join_rule == b->join_rule &&
           a->is_muted == b->is_muted && a->retention_days == b->retention_days &&
           a->members_may_add == b->members_may_add &&
           a->is_consent_needed == b->is_consent_needed &&
           a->members_may_mention_all == b->members_may_mention_all;
}

static enum err update_job(struct store_tx *tx, struct message_op *op)
{
    struct update *u = CONTAINER_OF(op, struct update, op);
    const Group__UpdateGroupRequest *in = op->in;
    enum err err = group_check(op);
    if (err)
        return err;
    if (in->_retention_days_case && op->me.role != MESSAGE__MEMBER_ROLE__OWNER)
        return message_refuse(op, ERR_PERMISSION_DENIED,
                              "Only the owner sets how long it is kept.");
    struct message_conversation *c = &op->c;
    struct message_conversation before = *c;
    c->title = u->title ? u->title : c->title;
    c->avatar_url = u->avatar_url ? u->avatar_url : c->avatar_url;
    c->announcement = u->announcement ? u->announcement : c->announcement;
    if (in->_join_rule_case)
        c->join_rule = in->join_rule;
    if (in->_is_muted_case)
        c->is_muted = in->is_muted;
    if (in->_retention_days_case)
        c->retention_days = in->retention_days;
    if (in->_members_may_add_case)
        c->members_may_add = in->members_may_add;
    if (in->_is_consent_needed_case)
        c->is_consent_needed = in->is_consent_needed;
    if (in->_members_may_mention_all_case)
        c->members_may_mention_all = in->members_may_mention_all;
    err = is_same_setting(c, &before) ? ERR_OK : message_change_settings(tx, op);
    if (!err)
        err = group_prune_invitations(tx, op);
    return err ? err : message_reply_conversation(tx, op);
}

GROUP_HANDLER(group_on_update, UpdateGroupRequest, Message__Conversation)
{
    struct update *u =
        message_op_create(GROUP_OF(rpc), data, sizeof(*u), &in->base, (ProtobufCClosure)closure);
    const Group__UpdateGroupRequest *own = u->op.in;
    struct rpc_call *call = u->op.call;
    u->op.fn = update_job;
    u->op.conversation_id = own->id;
    u->op.needs = MESSAGE_NEEDS_ADMIN;
    if (own->_title_case)
        u->title = take_title(call, own->title);
    if (own->_avatar_url_case)
        u->avatar_url = take_url(call, own->avatar_url);
    if (own->_announcement_case)
        u->announcement = take_announcement(call, own->announcement);
    if (own->_retention_days_case &&
        (own->retention_days < 0 || own->retention_days > RETENTION_DAYS_MAX))
        rpc_fail(call, ERR_INVALID_ARGUMENT, "retention_days: expected 0 (for ever) to 36,500");
    message_run(&u->op, ROLE_USER);
}

/* ---- dissolve ---- */

static enum err dissolve_job(struct store_tx *tx, struct message_op *op)
{
    Group__GroupReply *reply = arena_new(op->call->arena, Group__GroupReply);
    group__group_reply__init(reply);
    op->reply = reply;
    enum err err = group_check(op);
    if (err)
        return err;
    op->c.is_dissolved = true;
    err = message_change_settings(tx, op);
    return err ? err : group_prune_invitations(tx, op);
}

GROUP_HANDLER(group_on_dissolve, DissolveGroupRequest, Group__GroupReply)
{
    struct message_op *op =
        message_op_create(GROUP_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Group__DissolveGroupRequest *own = op->in;
    op->fn = dissolve_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_OWNER;
    message_run(op, ROLE_USER);
}
