/* Reading: conversations, history by range and around a message, what is unread. Each reader sees
 * what its place in the conversation shows. */
#include "services/message/message_internal.h"

#define CONVERSATIONS_NORMAL 50
#define CONVERSATIONS_MAX 200
#define HISTORY_NORMAL 50
#define HISTORY_MAX 200

/* ---- conversations ---- */

struct listing {
    struct message_op op; /* first */
    struct page page;
};

static enum err list_job(struct store_tx *tx, struct message_op *op)
{
    struct listing *l = CONTAINER_OF(op, struct listing, op);
    const Message__GetConversationsRequest *in = op->in;
    struct arena *arena = op->call->arena;
    struct message_gathering g = {
        .op = op, .page = &l->page, .is_archived = in->is_archived, .limit = (size_t)l->page.limit};
    enum err err = message_gather(tx, &g);
    if (err || g.missing) /* half a list would pass for the whole */
        return err ? err : ERR_UNAVAILABLE;
    Message__ConversationList *reply = arena_new(arena, Message__ConversationList);
    message__conversation_list__init(reply);
    op->reply = reply;
    reply->conversations = message_gathered(&g);
    reply->n_conversations = g.count;
    if (g.has_more) {
        const struct message_conversation *last = &g.list[g.count - 1].pair.c;
        reply->next_cursor = page_cursor(arena, last->active_at_ms, last->id);
    }
    return ERR_OK;
}

MESSAGE_HANDLER(message_on_conversations, GetConversationsRequest, ConversationList)
{
    struct listing *l =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*l), &in->base, (ProtobufCClosure)closure);
    l->op.fn = list_job;
    if (!page_parse(&l->page, in->limit, CONVERSATIONS_NORMAL, CONVERSATIONS_MAX, in->cursor))
        rpc_fail(l->op.call, ERR_INVALID_ARGUMENT, "cursor: expected one from an earlier page");
    message_view(&l->op, ROLE_GUEST);
}

MESSAGE_HANDLER(message_on_conversation, GetConversationRequest, Conversation)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__GetConversationRequest *own = op->in;
    op->fn = message_reply_conversation;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_READ;
    message_view(op, ROLE_GUEST);
}

/* ---- history ---- */

static enum err shape_rows(struct store_tx *tx, struct message_op *op,
                           const struct message_row *rows, size_t count, Message__MessageInfo **out)
{
    struct message_reader reader = message_reader(op);
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && !err; i++)
        err = message_shape(tx, op->call->arena, &op->c, &rows[i], &reader, &out[i]);
    return err;
}

/* Up to `limit` rows of the range in the order of seq; *has_more: there are others beyond them. */
static enum err take_side(struct store_tx *tx, struct message_op *op, struct message_range range,
                          struct message_row **rows, size_t *count, bool *has_more)
{
    int limit = range.limit++;
    enum err err = message_log_range(tx, op->call->arena, &range, rows, count);
    *has_more = *count > (size_t)limit;
    *count = MIN(*count, (size_t)limit);
    if (range.is_newest_first) {
        for (size_t i = 0; i < *count / 2; i++) {
            struct message_row swap = (*rows)[i];
            (*rows)[i] = (*rows)[*count - 1 - i];
            (*rows)[*count - 1 - i] = swap;
        }
    }
    return err;
}

struct side {
    struct message_row *rows;
    size_t count;
    bool has_more;
};

static enum err take_sides(struct store_tx *tx, struct message_op *op, struct side *older,
                           struct side *newer)
{
    const Message__GetMessageHistoryRequest *in = op->in;
    int limit = in->limit > 0 ? MIN(in->limit, HISTORY_MAX) : HISTORY_NORMAL;
    int64_t first = message_visible_from(op), end = message_visible_to(op) + 1;
    struct message_range range = {.num = op->c.num,
                                  .above_seq = first,
                                  .below_seq = end,
                                  .thread_seq = in->thread_seq,
                                  .is_pinned = in->is_pinned,
                                  .reader_id = op->me.user_id,
                                  .limit = limit};
    int64_t middle = in->around_seq   ? in->around_seq
                     : in->after_seq  ? MIN(in->after_seq, end - 1) + 1
                     : in->before_seq ? in->before_seq
                                      : end;
    middle = CLAMP(middle, first + 1, end);
    struct message_range below = range, above = range;
    below.below_seq = middle;
    below.is_newest_first = true;
    above.above_seq = middle - 1;
    if (in->around_seq)
        below.limit = limit / 2, above.limit = limit - limit / 2;
    else if (in->after_seq)
        below.limit = 0; /* only whether there are any */
    else
        above.limit = 0;
    enum err err = take_side(tx, op, below, &older->rows, &older->count, &older->has_more);
    return err ? err : take_side(tx, op, above, &newer->rows, &newer->count, &newer->has_more);
}

static enum err history_job(struct store_tx *tx, struct message_op *op)
{
    const Message__GetMessageHistoryRequest *in = op->in;
    struct side older, newer;
    if (store_is_stale(tx) && op->c.last_seq < in->before_seq - 1)
        return ERR_ABORTED; /* what is asked for has not come there */
    enum err err = take_sides(tx, op, &older, &newer);
    if (err)
        return err;
    Message__MessageHistory *reply = arena_new(op->call->arena, Message__MessageHistory);
    message__message_history__init(reply);
    op->reply = reply;
    reply->n_messages = older.count + newer.count;
    reply->messages = arena_array(op->call->arena, Message__MessageInfo *, reply->n_messages);
    reply->has_older = older.has_more;
    reply->has_newer = newer.has_more;
    err = shape_rows(tx, op, older.rows, older.count, reply->messages);
    return err ? err : shape_rows(tx, op, newer.rows, newer.count, reply->messages + older.count);
}

MESSAGE_HANDLER(message_on_history, GetMessageHistoryRequest, MessageHistory)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__GetMessageHistoryRequest *own = op->in;
    op->fn = history_job;
    op->may_be_stale = own->before_seq > 0; /* older than what the asker has */
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_READ;
    int places = (own->before_seq != 0) + (own->after_seq != 0) + (own->around_seq != 0);
    if (places > 1 || own->before_seq < 0 || own->after_seq < 0 || own->around_seq < 0)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT,
                 "expected one of before_seq, after_seq and around_seq, from 1");
    else if (own->is_pinned && own->thread_seq)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "expected thread_seq or is_pinned");
    message_view(op, ROLE_GUEST);
}

/* ---- unread ---- */

static enum err unread_of(struct store_tx *tx, struct message_op *op,
                          const struct message_pair *pair, Message__UnreadMessages *reply,
                          size_t room)
{
    Message__Conversation *c;
    op->c = pair->c;
    op->me = pair->me;
    enum err err = message_conversation_full(tx, op->call->arena, pair, &c);
    if (err || !c->own->unread_count)
        return err;
    reply->unread_count += c->own->unread_count;
    reply->mention_count += c->own->mention_count;
    struct message_range range = {.num = pair->c.num,
                                  .above_seq = MAX(message_visible_from(op), pair->me.read_seq),
                                  .below_seq = message_visible_to(op) + 1,
                                  .reader_id = pair->me.user_id,
                                  .limit = (int)(room - reply->n_messages)};
    struct message_row *rows;
    size_t count;
    err = message_log_range(tx, op->call->arena, &range, &rows, &count);
    if (err)
        return err;
    err = shape_rows(tx, op, rows, count, reply->messages + reply->n_messages);
    reply->n_messages += count;
    return err;
}

static size_t unread_room(const struct message_op *op)
{
    const Message__GetUnreadMessagesRequest *in = op->in;
    return in->limit > 0 ? (size_t)MIN(in->limit, HISTORY_MAX) : HISTORY_NORMAL;
}

static enum err unread_of_all(struct store_tx *tx, void *arg)
{
    struct message_op *op = arg;
    struct message_pair *rows;
    size_t count;
    enum err err = message_store_list_since(tx, op->call->arena, who_id(op->call), 0,
                                            CONVERSATIONS_MAX, &rows, &count);
    for (size_t i = 0; i < count && !err; i++)
        err = unread_of(tx, op, &rows[i], op->reply, unread_room(op));
    return err;
}

static enum err unread_job(struct store_tx *tx, struct message_op *op)
{
    struct arena *arena = op->call->arena;
    size_t room = unread_room(op);
    Message__UnreadMessages *reply = arena_new(arena, Message__UnreadMessages);
    message__unread_messages__init(reply);
    reply->messages = arena_array(arena, Message__MessageInfo *, room);
    op->reply = reply;
    if (op->conversation_id) {
        struct message_pair pair = {.c = op->c, .me = op->me};
        return unread_of(tx, op, &pair, reply, room);
    }
    return message_read_each(op->svc, tx, unread_of_all, op);
}

MESSAGE_HANDLER(message_on_unread, GetUnreadMessagesRequest, UnreadMessages)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__GetUnreadMessagesRequest *own = op->in;
    op->fn = unread_job;
    op->conversation_id = own->id[0] ? own->id : NULL;
    op->needs = MESSAGE_NEEDS_READ;
    message_view(op, ROLE_GUEST);
}
