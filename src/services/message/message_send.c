/*
 * Sending. One transaction finds the conversation (or makes a direct one), checks that the sender
 * may write, and appends; the answer follows the commit. A client_msg_id that was used before by
 * the same sender is the same message, for as long as the message lives: the first answer again if
 * the content is the same, a conflict if not.
 */
#include "services/message/message_internal.h"

#include "user.pb-c.h"

struct sending {
    struct message_op op;   /* first */
    const char *to_user_id; /* "": conversation_id is given */
    char *natural_key;      /* of the direct conversation */
    Message__Content *content;
    struct message_row m;
    bool is_kept;     /* what was attached was found out when it was scheduled */
    enum err refusal; /* for what it attaches, unless it repeats what was sent */
};

/* ---- direct conversations ---- */

static char *direct_key(struct arena *arena, const char *a, const char *b)
{
    bool is_a_first = strcmp(a, b) < 0;
    return arena_printf(arena, "d:%s:%s", is_a_first ? a : b, is_a_first ? b : a);
}

static enum err add_direct_member(struct store_tx *tx, const struct message_op *op,
                                  const char *user_id)
{
    const struct message_conversation *c = &op->c;
    struct message_member m = {.is_bot = message_is_bot(op, user_id),
                               .conversation_num = c->num,
                               .user_id = user_id,
                               .nickname = "",
                               .draft = "",
                               .joined_at_ms = c->created_at_ms};
    return message_store_put_member(tx, &m);
}

static enum err make_direct(struct store_tx *tx, struct sending *s)
{
    struct message_conversation *c = &s->op.c;
    char *id = arena_alloc(s->op.call->arena, ID_SIZE);
    shards_make_id(id, s->natural_key, s->op.svc->shard_count);
    *c = (struct message_conversation){.id = id,
                                       .shard = s->op.shard->index,
                                       .natural_key = s->natural_key,
                                       .kind = MESSAGE__CONVERSATION_KIND__DIRECT,
                                       .title = "",
                                       .avatar_url = "",
                                       .announcement = "",
                                       .owner_id = "",
                                       .meeting_id = "",
                                       .member_count = 2,
                                       .first_seq = 1,
                                       .created_at_ms = clock_wall_ms(),
                                       .active_at_ms = clock_wall_ms()};
    enum err err = message_store_insert(tx, s->op.svc, c);
    if (!err)
        err = add_direct_member(tx, &s->op, who_id(s->op.call));
    return err ? err : add_direct_member(tx, &s->op, s->to_user_id);
}

enum err message_check_block(struct store_tx *tx, struct message_op *op)
{
    if (op->c.kind != MESSAGE__CONVERSATION_KIND__DIRECT)
        return ERR_OK;
    const char *me = who_id(op->call);
    const char *peer = message_peer(op->call->arena, &op->c, me);
    bool by_peer, by_me;
    enum err err = message_store_blocks(tx, op->svc, peer, me, &by_peer, &by_me);
    if (err)
        return err;
    if (by_peer)
        return message_refuse(op, ERR_PERMISSION_DENIED, "This person takes no messages from you.");
    if (by_me)
        return message_refuse(op, ERR_FAILED_PRECONDITION,
                              "You have blocked this person: lift that first.");
    return ERR_OK;
}

static enum err enter_direct(struct store_tx *tx, struct sending *s)
{
    struct message_op *op = &s->op;
    enum err err = message_store_find_natural(tx, op->call->arena, s->natural_key, &op->c);
    if (err == ERR_NOT_FOUND)
        err = make_direct(tx, s);
    if (err)
        return err;
    err = message_store_member(tx, op->call->arena, op->c.num, who_id(op->call), &op->me);
    return err ? err : message_op_check(op);
}

/* ---- what it refers to ---- */

static enum err check_references(struct store_tx *tx, struct sending *s)
{
    struct message_op *op = &s->op;
    int64_t from = MAX(op->me.visible_from_seq, op->c.first_seq - 1);
    int64_t refs[] = {s->m.reply_to_seq, s->m.thread_seq};
    for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
        if (refs[i] && (refs[i] <= from || refs[i] > op->c.last_seq))
            return message_refuse(op, ERR_INVALID_ARGUMENT,
                                  "reply_to_seq, thread_seq: no such message");
    }
    if (!s->m.thread_seq)
        return ERR_OK;
    struct message_row root;
    enum err err = message_log_get(tx, op->call->arena, op->c.num, s->m.thread_seq, &root);
    if (!err && root.thread_seq)
        return message_refuse(op, ERR_INVALID_ARGUMENT,
                              "thread_seq: expected the message that began the thread");
    return err;
}

/* ---- the log ---- */

/* Readers count a thread by what they see of it; the root says that there is one. */
static enum err add_to_thread(struct store_tx *tx, const struct message_row *m)
{
    enum err err = store_run(tx,
                             "INSERT INTO message_threads (conversation_num, thread_seq, seq)"
                             " VALUES (?,?,?)",
                             "iii", m->conversation_num, m->thread_seq, m->seq);
    return err ? err
               : store_run(tx,
                           "UPDATE message_messages SET has_extras = 1"
                           " WHERE conversation_num = ? AND seq = ?",
                           "ii", m->conversation_num, m->thread_seq);
}

/* Who writes has read what stands before. */
static enum err move_own_read(struct store_tx *tx, const struct sending *s)
{
    return store_run(tx,
                     "UPDATE message_members SET read_seq = ?, delivered_seq = ?,"
                     " is_marked_unread = 0 WHERE conversation_num = ? AND user_id = ?",
                     "iiis", s->m.seq, s->m.seq, s->m.conversation_num, s->m.sender_id);
}

Message__SendMessageReply *message_send_reply(struct message_op *op, const struct message_row *m,
                                              bool is_duplicate)
{
    Message__SendMessageReply *reply = arena_new(op->call->arena, Message__SendMessageReply);
    message__send_message_reply__init(reply);
    reply->conversation_id = (char *)op->c.id;
    reply->seq = m->seq;
    reply->rev = m->rev;
    reply->id = (char *)m->id;
    reply->created_at_ms = m->created_at_ms;
    reply->is_duplicate = is_duplicate;
    return reply;
}

/* Sent before by this id: answers with it if it is the same. ERR_NOT_FOUND. */
static enum err find_sent(struct store_tx *tx, struct sending *s, bool *is_same)
{
    struct message_row sent;
    *is_same = false;
    enum err err = message_log_find_sent(tx, s->op.call->arena, s->op.c.num, s->m.sender_id,
                                         s->m.client_msg_id, &sent);
    if (err)
        return err;
    *is_same = memcmp(&sent.digest, &s->m.digest, sizeof(sent.digest)) == 0;
    if (*is_same)
        s->op.reply = message_send_reply(&s->op, &sent, true);
    return ERR_OK;
}

/* What was sent by this id, or kept if this too is for later. */
static enum err find_earlier(struct store_tx *tx, struct sending *s, bool *is_same)
{
    const Message__SendMessageRequest *in = s->op.in;
    enum err err = find_sent(tx, s, is_same);
    return err != ERR_NOT_FOUND || !in->send_at_ms
               ? err
               : message_find_kept(tx, &s->op, s->m.client_msg_id, &s->m.digest, is_same);
}

/* Refused now, but it may be the repetition of what was accepted before. */
static enum err answer_refused(struct store_tx *tx, struct sending *s, enum err refusal)
{
    bool is_same = false;
    if (s->op.c.num && find_earlier(tx, s, &is_same) == ERR_OK && is_same)
        return ERR_OK;
    return refusal;
}

static enum err refuse_other(struct sending *s)
{
    return message_refuse(&s->op, ERR_ALREADY_EXISTS,
                          "client_msg_id: used before for another message");
}

static enum err answer_duplicate(struct store_tx *tx, struct sending *s)
{
    bool is_same;
    enum err err = find_sent(tx, s, &is_same);
    return err || is_same ? err : refuse_other(s);
}

/* Another time alone makes no other message. */
static enum err schedule(struct store_tx *tx, struct sending *s)
{
    bool is_same;
    enum err err = find_earlier(tx, s, &is_same);
    if (err == ERR_NOT_FOUND) {
        Message__SendMessageRequest later = *(const Message__SendMessageRequest *)s->op.in;
        later.content = s->content;
        return message_schedule(tx, &s->op, &later, &s->m.digest);
    }
    return err || is_same ? err : refuse_other(s);
}

enum err message_append(struct store_tx *tx, struct message_op *op, struct message_row *m,
                        const Message__Content *content)
{
    struct arena *arena = op->call->arena;
    enum err err = message_log_append(tx, op->svc, &op->c, m);
    if (!err && content)
        err = message_add_mentions(tx, m, content);
    if (!err && m->thread_seq)
        err = add_to_thread(tx, m);
    if (!err)
        err = message_files_add(tx, op, m);
    Message__MessageInfo *info;
    if (!err)
        err = message_shape(tx, arena, &op->c, m, MESSAGE_ANY_READER, &info);
    if (err)
        return err;
    op->reply = message_send_reply(op, m, false);
    message_tell(op, message_change_of_message(arena, &op->c, info), m->lsn, NULL);
    return ERR_OK;
}

/* The first message makes it known to both: gateways have not heard of it. */
static void concern_both(struct message_op *op)
{
    op->concerned = arena_array(op->call->arena, char *, 2);
    op->concerned[0] = (char *)op->me.user_id;
    op->concerned[1] = message_conversation_shape(op->call->arena, &op->c, &op->me)->peer_id;
    op->concerned_count = 2;
}

static enum err append(struct store_tx *tx, struct sending *s)
{
    if (s->op.c.kind == MESSAGE__CONVERSATION_KIND__DIRECT && !s->op.c.last_seq)
        concern_both(&s->op);
    enum err err = message_append(tx, &s->op, &s->m, s->content);
    if (err == ERR_ALREADY_EXISTS)
        return answer_duplicate(tx, s);
    return err ? err : move_own_read(tx, s);
}

static enum err enter(struct store_tx *tx, struct sending *s)
{
    const Message__SendMessageRequest *in = s->op.in;
    if (s->natural_key)
        return enter_direct(tx, s);
    s->op.conversation_id = in->conversation_id;
    return message_op_enter(tx, &s->op);
}

static enum err send_job(struct store_tx *tx, struct message_op *op)
{
    struct sending *s = CONTAINER_OF(op, struct sending, op);
    const Message__SendMessageRequest *in = op->in;
    enum err err = enter(tx, s);
    if (!err)
        err = message_check_block(tx, op);
    if (!err)
        err = message_check_mentions(op, s->content);
    if (!err)
        err = check_references(tx, s);
    if (!err && in->forward_conversation_id[0])
        err = message_forward(tx, op, in->forward_conversation_id, in->forward_seq, &s->m);
    if (!err)
        err = s->refusal;
    if (err)
        return answer_refused(tx, s, err);
    return in->send_at_ms ? schedule(tx, s) : append(tx, s);
}

/* ---- before the transaction ---- */

/* A conversation with somebody new begins: is there such an account? */
static bool check_peer(struct sending *s)
{
    struct rpc_call *call = s->op.call;
    if (who_role(call) < ROLE_USER || who_is(call, s->to_user_id)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "to_user_id: expected the id of another user");
        return false;
    }
    /* A bot answers; it does not speak to people who have not spoken to it. */
    return who_require_person(call) && message_is_account(&s->op, s->to_user_id);
}

static enum err look_for_direct(struct store_tx *tx, void *arg)
{
    struct sending *s = arg;
    return message_store_find_natural(tx, s->op.call->arena, s->natural_key, &s->op.c);
}

static bool prepare_direct(struct sending *s)
{
    struct rpc_call *call = s->op.call;
    s->natural_key = direct_key(call->arena, who_id(call), s->to_user_id);
    s->op.key = s->natural_key;
    enum err err = message_read_in(message_op_base(&s->op), NULL, look_for_direct, s);
    if (err && err != ERR_NOT_FOUND) {
        who_fail(call, err);
        return false;
    }
    return !err || check_peer(s);
}

struct message_digest message_send_digest(struct arena *arena,
                                          const Message__SendMessageRequest *in,
                                          Message__Content *content)
{
    Message__SendMessageRequest chosen = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    chosen.content = content ? message_files_named(arena, content) : NULL;
    chosen.reply_to_seq = in->reply_to_seq;
    chosen.thread_seq = in->thread_seq;
    chosen.forward_conversation_id = in->forward_conversation_id;
    chosen.forward_seq = in->forward_seq;
    size_t n;
    const void *bytes = message_pack(arena, &chosen.base, &n);
    return message_digest(bytes, n);
}

static bool prepare(struct sending *s)
{
    struct rpc_call *call = s->op.call;
    const Message__SendMessageRequest *in = s->op.in;
    s->to_user_id = in->to_user_id;
    s->m.client_msg_id = message_take_client_id(call, in->client_msg_id);
    if (!s->m.client_msg_id)
        return false;
    if (!in->forward_conversation_id[0]) {
        s->content = message_take_content(call, in->content);
        if (!s->content)
            return false;
        s->refusal = s->is_kept ? ERR_OK : message_files_claim(&s->op, s->content);
        s->m.kind = s->content->kind;
        s->m.content = message_pack(call->arena, &s->content->base, &s->m.content_n);
    }
    s->m.digest = message_send_digest(call->arena, in, s->content);
    char *id = arena_alloc(call->arena, ID_SIZE);
    id_make(id);
    s->m.id = id;
    s->m.sender_id = arena_strdup(call->arena, who_id(call));
    s->m.forwarded = "";
    s->m.reply_to_seq = in->reply_to_seq;
    s->m.thread_seq = in->thread_seq;
    if (!s->to_user_id[0] == !in->conversation_id[0]) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "expected conversation_id or to_user_id");
        return false;
    }
    s->op.key = in->conversation_id;
    return s->to_user_id[0] ? prepare_direct(s) : true;
}

#define SEND_LATER_MIN_MS (5 * 1000)
#define SEND_LATER_MAX_MS (366LL * 24 * 3600 * 1000)

static bool is_time_to_come(const Message__SendMessageRequest *in)
{
    int64_t wait_ms = in->send_at_ms - clock_wall_ms();
    return in->send_at_ms > 0 && wait_ms >= SEND_LATER_MIN_MS && wait_ms <= SEND_LATER_MAX_MS;
}

/* No time to send anything at; but it was, if this repeats what was accepted then. */
static enum err late_job(struct store_tx *tx, struct message_op *op)
{
    struct sending *s = CONTAINER_OF(op, struct sending, op);
    const Message__SendMessageRequest *in = op->in;
    enum err err = s->natural_key
                       ? message_store_find_natural(tx, op->call->arena, s->natural_key, &op->c)
                       : message_store_find(tx, op->call->arena, in->conversation_id, &op->c);
    if (err && err != ERR_NOT_FOUND)
        return err;
    if (answer_refused(tx, s, ERR_INVALID_ARGUMENT) == ERR_OK)
        return ERR_OK;
    return message_refuse(op, ERR_INVALID_ARGUMENT,
                          "send_at_ms: expected a time from some seconds to a year ahead");
}

static void start(struct message_service *svc, struct rpc_call *call,
                  const Message__SendMessageRequest *in, ProtobufCClosure closure)
{
    struct sending *s = message_op_create(svc, call, sizeof(*s), &in->base, closure);
    s->op.fn = send_job;
    s->op.needs = MESSAGE_NEEDS_WRITE;
    /* Guests are gone when the hour comes. */
    enum identity_role least = in->send_at_ms ? ROLE_USER : ROLE_GUEST;
    if (!who_require(call, least) || !prepare(s)) {
        message_refuse_now(&s->op);
    } else if (in->send_at_ms && !is_time_to_come(in)) {
        s->op.fn = late_job;
        message_look(&s->op);
    } else {
        message_change(&s->op);
    }
}

enum err message_send_kept(struct store_tx *tx, struct message_op *op,
                           const Message__SendMessageRequest *request)
{
    struct sending *s = arena_new(op->call->arena, struct sending);
    s->op = *op;
    s->op.told_end = &s->op.told;
    s->op.in = (void *)request;
    s->is_kept = true;
    enum err err = prepare(s) ? send_job(tx, &s->op) : rpc_failure(op->call);
    *op = s->op;
    return err;
}

MESSAGE_HANDLER(message_on_send, SendMessageRequest, SendMessageReply)
{
    start(CONTAINER_OF(rpc, struct message_service, rpc), data, in, (ProtobufCClosure)closure);
}

MESSAGE_HANDLER(message_on_send_group, SendGroupMessageRequest, SendMessageReply)
{
    Message__SendMessageRequest request = MESSAGE__SEND_MESSAGE_REQUEST__INIT;
    request.conversation_id = in->group_id;
    request.client_msg_id = in->client_msg_id;
    request.content = in->content;
    request.reply_to_seq = in->reply_to_seq;
    start(CONTAINER_OF(rpc, struct message_service, rpc), data, &request,
          (ProtobufCClosure)closure);
}
