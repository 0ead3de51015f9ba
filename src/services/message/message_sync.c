/*
 * Catching up. A device holds one cursor over all its conversations (shard, epoch, lsn), and a
 * revision for each that it has open. Sync answers what has moved since; when that is too much, or
 * the cursor is of another life of the log, it says "reset" and gives the newest ones to start anew
 * from. GetChanges replays one conversation's revisions: messages and changes merged by rev.
 */
#include "services/message/message_internal.h"

#define CHANGES_NORMAL 100
#define CHANGES_MAX 500
#define SYNC_NORMAL 50
#define SYNC_MAX 200
#define OPEN_MAX 20
#define HEADS_NORMAL 100
#define INVITATIONS_MAX 100
#define HEADS_MAX 500

/* ---- one conversation's revisions ---- */

/* The span of revisions that one answer replays. */
struct span {
    int64_t above, to; /* above < rev <= to */
    int64_t above_seq, to_seq;
};

/* The newest revision that the caller may know of. */
static int64_t last_rev_of(const struct message_op *op)
{
    return op->me.state == MESSAGE__MEMBER_STATE__GONE ? MIN(op->c.rev, op->me.visible_to_rev)
                                                       : op->c.rev;
}

static enum err find_span(struct store_tx *tx, struct message_op *op, int64_t after_rev, int limit,
                          struct span *out)
{
    int64_t last_rev = last_rev_of(op);
    int64_t floor;
    enum err err = message_log_floor(tx, &op->c, &floor);
    if (err)
        return err;
    out->above = CLAMP(after_rev, MIN(floor, last_rev), last_rev); /* the rest is gone */
    out->to = MIN(last_rev, out->above + limit);
    err = message_log_seq_at(tx, &op->c, out->above, &out->above_seq);
    if (!err)
        err = message_log_seq_at(tx, &op->c, out->to, &out->to_seq);
    out->above_seq = MAX(out->above_seq, message_visible_from(op));
    out->to_seq = MIN(out->to_seq, message_visible_to(op));
    return err;
}

/* What happened to messages that the reader may not see, or before the reader came, is no news. */
static bool is_visible(const struct message_op *op, const struct message_change_row *row)
{
    int64_t from = message_visible_from(op);
    return row->seq ? row->seq > from : row->last_seq >= op->me.visible_from_seq;
}

struct merge {
    struct message_row *messages;
    size_t message_count, message_at;
    struct message_change_row *changes;
    size_t change_count, change_at;
};

static enum err take_next(struct store_tx *tx, struct message_op *op, struct merge *merge,
                          Message__Change **out)
{
    struct arena *arena = op->call->arena;
    struct message_reader reader = message_reader(op);
    const struct message_row *m =
        merge->message_at < merge->message_count ? &merge->messages[merge->message_at] : NULL;
    const struct message_change_row *row =
        merge->change_at < merge->change_count ? &merge->changes[merge->change_at] : NULL;
    if (m && (!row || m->rev < row->rev)) {
        Message__MessageInfo *info;
        merge->message_at++;
        enum err err = message_shape(tx, arena, &op->c, m, &reader, &info);
        if (!err)
            *out = message_change_of_message(arena, &op->c, info);
        return err;
    }
    merge->change_at++;
    bool is_hidden = false;
    enum err err =
        row->seq ? message_log_is_hidden(tx, reader.id, op->c.num, row->seq, &is_hidden) : ERR_OK;
    if (err || is_hidden || !is_visible(op, row))
        return err;
    err = message_change_shape(tx, arena, &op->c, row, &reader, out);
    if (!err && (*out)->member && !message_may_hear_of(op, (*out)->member))
        *out = NULL;
    return err;
}

static enum err merge_all(struct store_tx *tx, struct message_op *op, struct merge *merge,
                          int64_t above, Message__ChangeList *out)
{
    size_t total = merge->message_count + merge->change_count;
    out->changes = arena_array(op->call->arena, Message__Change *, total);
    enum err err = ERR_OK;
    int64_t before = above;
    for (size_t i = 0; i < total && !err; i++) {
        Message__Change *change = NULL;
        err = take_next(tx, op, merge, &change);
        if (!change)
            continue;
        if (change->conversation && op->me.state == MESSAGE__MEMBER_STATE__GONE)
            change->conversation = message_conversation_shape(op->call->arena, &op->c, &op->me);
        change->prev_rev = before; /* what was left out is no hole */
        before = change->rev;
        out->changes[out->n_changes++] = change;
    }
    return err;
}

static enum err list_changes(struct store_tx *tx, struct message_op *op, int64_t after_rev,
                             int limit, Message__ChangeList **reply)
{
    struct arena *arena = op->call->arena;
    struct span span;
    enum err err = find_span(tx, op, after_rev, limit, &span);
    if (err)
        return err;
    Message__ChangeList *out = arena_new(arena, Message__ChangeList);
    message__change_list__init(out);
    *reply = out;
    out->rev = span.to;
    out->has_more = span.to < last_rev_of(op);
    struct merge merge = {0};
    if (span.to_seq > span.above_seq)
        err = message_log_range(tx, arena,
                                &(struct message_range){.num = op->c.num,
                                                        .above_seq = span.above_seq,
                                                        .below_seq = span.to_seq + 1,
                                                        .reader_id = op->me.user_id,
                                                        .limit = limit},
                                &merge.messages, &merge.message_count);
    if (!err)
        err = message_log_changes(tx, arena, op->c.num, span.above, span.to, limit, &merge.changes,
                                  &merge.change_count);
    return err ? err : merge_all(tx, op, &merge, span.above, out);
}

enum err message_find_change(struct store_tx *tx, struct message_op *op, int64_t rev,
                             Message__Change **out)
{
    Message__ChangeList *list;
    *out = NULL;
    if (rev < 1 || rev > last_rev_of(op))
        return ERR_OK;
    enum err err = list_changes(tx, op, rev - 1, 1, &list);
    if (!err && list->n_changes && list->changes[0]->rev == rev)
        *out = list->changes[0];
    return err;
}

static enum err changes_job(struct store_tx *tx, struct message_op *op)
{
    const Message__GetChangesRequest *in = op->in;
    Message__ChangeList *reply;
    if (in->after_rev > last_rev_of(op))
        return message_refuse(op, ERR_OUT_OF_RANGE, "after_rev: the conversation is not there yet");
    enum err err =
        list_changes(tx, op, in->after_rev,
                     in->limit > 0 ? MIN(in->limit, CHANGES_MAX) : CHANGES_NORMAL, &reply);
    op->reply = reply;
    return err;
}

MESSAGE_HANDLER(message_on_changes, GetChangesRequest, ChangeList)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__GetChangesRequest *own = op->in;
    op->fn = changes_job;
    op->conversation_id = own->id;
    op->needs = MESSAGE_NEEDS_READ;
    if (own->after_rev < 0)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "after_rev: expected a number from 0");
    message_view(op, ROLE_GUEST);
}

/* ---- the cursor: "shard.epoch.lsn", one of these for each shard, by commas ---- */

static char *cursor_write(const struct message_op *op, const struct message_heads *heads)
{
    struct strbuf text = {0};
    for (unsigned i = 0; i < heads->count; i++)
        strbuf_printf(&text, "%s%u.%s.%lld", i ? "," : "", i, heads->epochs[i],
                      (long long)heads->lsns[i]);
    char *cursor = str_arena(op->call->arena, strbuf_str(&text));
    strbuf_deinit(&text);
    return cursor;
}

static bool cursor_read_one(struct str text, unsigned shard, struct str *epoch, int64_t *lsn)
{
    struct str number;
    int64_t i;
    return str_cut(&text, '.', &number) && str_cut(&text, '.', epoch) && str_to_i64(number, &i) &&
           i == (int64_t)shard && epoch->n < MESSAGE_EPOCH_SIZE && str_to_i64(text, lsn) &&
           *lsn >= 0;
}

/* Of a shard that cannot be looked at the device keeps what it has. */
static bool cursor_take_one(struct message_heads *since, unsigned i, struct str text,
                            struct message_heads *heads)
{
    struct str epoch;
    if (!cursor_read_one(text, i, &epoch, &since->lsns[i]))
        return false;
    if (!(heads->missing >> i & 1))
        return str_eq(epoch, str_from(heads->epochs[i])) && since->lsns[i] <= heads->lsns[i];
    heads->lsns[i] = since->lsns[i];
    snprintf(heads->epochs[i], sizeof(heads->epochs[0]), "%.*s", STR_FMT(epoch));
    return true;
}

/* What the device has seen of each shard; NULL: of another life of the log, of a future that it
 * never had, or no cursor of ours: begin anew. */
static const struct message_heads *cursor_read(const struct message_op *op, const char *cursor,
                                               struct message_heads *heads)
{
    struct message_heads *since = arena_new(op->call->arena, struct message_heads);
    struct str rest = str_from(cursor), one;
    for (; since->count < heads->count; since->count++) {
        unsigned i = since->count;
        bool is_last = !str_cut(&rest, ',', &one);
        if (is_last != (i + 1 == heads->count) || !cursor_take_one(since, i, one, heads))
            return NULL;
    }
    return since;
}

/* ---- sync ---- */

/* All that wait, each time: they are few, and no cursor has to know of them. */
static enum err fill_invitations(struct store_tx *tx, struct message_op *op,
                                 Message__SyncReply *reply)
{
    struct page page = {.limit = INVITATIONS_MAX, .is_first = true};
    size_t count;
    if (who_role(op->call) < ROLE_USER)
        return ERR_OK;
    enum err err = group_list_invitations(tx, op, &page, &reply->invitations, &count);
    reply->n_invitations = MIN(count, (size_t)INVITATIONS_MAX);
    return err;
}

struct opening {
    struct message_op one; /* first */
    int64_t rev;
    Message__ChangeList *list;
};

static enum err open_job(struct store_tx *tx, void *arg)
{
    struct opening *o = arg;
    enum err err = message_op_enter(tx, &o->one);
    return err ? err : list_changes(tx, &o->one, o->rev, CHANGES_NORMAL, &o->list);
}

static bool is_missing(const struct message_service *svc, const char *id, uint64_t missing)
{
    return missing >> shards_find(id, svc->shard_count) & 1;
}

/* Nothing is said of those that cannot be looked at: as if there were no news. */
static enum err fill_open(struct store_tx *tx, struct message_op *op, uint64_t missing,
                          Message__SyncReply *reply)
{
    const Message__SyncRequest *in = op->in;
    reply->open_changes = arena_array(op->call->arena, Message__ChangeList *, in->n_open);
    for (size_t i = 0; i < in->n_open; i++) {
        struct opening o = {.one = {.svc = op->svc,
                                    .call = op->call,
                                    .conversation_id = in->open[i]->conversation_id,
                                    .needs = MESSAGE_NEEDS_READ,
                                    .is_silent = true},
                            .rev = in->open[i]->rev};
        bool is_away = is_missing(op->svc, o.one.conversation_id, missing);
        enum err err =
            is_away ? ERR_OK : message_read_in(message_op_base(&o.one), tx, open_job, &o);
        Message__ChangeList *list = o.list;
        if (err && err != ERR_NOT_FOUND && err != ERR_PERMISSION_DENIED)
            return err;
        if (!list) { /* not the caller's any more: an empty list at revision 0 says so */
            list = arena_new(op->call->arena, Message__ChangeList);
            message__change_list__init(list);
            list->rev = is_away ? in->open[i]->rev : 0;
        }
        reply->open_changes[reply->n_open_changes++] = list;
    }
    return ERR_OK;
}

static enum err fill_moved(struct store_tx *tx, struct message_op *op, uint64_t missing,
                           const struct message_heads *since, size_t limit,
                           Message__SyncReply *reply)
{
    struct message_gathering g = {.op = op, .since = since, .limit = limit, .missing = missing};
    enum err err = message_gather(tx, &g);
    if (!err && since && g.has_more) { /* too much to send as changes */
        reply->is_reset = true;
        g.since = NULL;
        err = message_gather(tx, &g);
    }
    /* One that has just gone away has a head in the cursor; and half of all is not all. */
    if (!err && (g.missing != missing || (g.missing && !g.since)))
        err = ERR_UNAVAILABLE;
    if (err)
        return err;
    reply->has_more = g.has_more;
    reply->n_conversations = g.count;
    reply->conversations = message_gathered(&g);
    return ERR_OK;
}

static enum err sync_job(struct store_tx *tx, struct message_op *op)
{
    const Message__SyncRequest *in = op->in;
    size_t limit = in->limit > 0 ? (size_t)MIN(in->limit, SYNC_MAX) : SYNC_NORMAL;
    Message__SyncReply *reply = arena_new(op->call->arena, Message__SyncReply);
    message__sync_reply__init(reply);
    op->reply = reply;
    struct message_heads *heads = arena_new(op->call->arena, struct message_heads);
    enum err err = message_shard_heads(tx, op->svc, who_id(op->call), heads);
    if (err)
        return err;
    const struct message_heads *since = cursor_read(op, in->cursor, heads);
    uint64_t missing = heads->missing;
    reply->is_reset = !since;
    reply->cursor = cursor_write(op, heads);
    err = fill_moved(tx, op, missing, since, limit, reply);
    if (!err)
        err = fill_open(tx, op, missing, reply);
    if (!err)
        err = fill_invitations(tx, op, reply);
    if (!err)
        err = message_gather_unread(tx, op, &missing, &reply->unread_count);
    reply->is_partial = missing != 0;
    return err;
}

MESSAGE_HANDLER(message_on_sync, SyncRequest, SyncReply)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    const Message__SyncRequest *own = op->in;
    op->fn = sync_job;
    if (own->n_open > OPEN_MAX)
        rpc_fail(op->call, ERR_INVALID_ARGUMENT, "open: at most 20 conversations");
    message_view(op, ROLE_GUEST);
}

/* ---- heads: has this device missed anything? ---- */

static struct store_stmt *query_heads(struct store_tx *tx, struct arena *arena, const char *user_id,
                                      const struct message_heads *since, int64_t limit)
{
    struct store_stmt *st = store_prepare(
        tx, arena_printf(arena,
                         "SELECT c.id, CASE WHEN m.state = 0 THEN c.rev ELSE m.visible_to_rev END,"
                         " CASE WHEN m.state = 0 THEN c.last_seq ELSE m.visible_to_seq END,"
                         " m.own_lsn, c.shard FROM message_members m"
                         " JOIN message_conversations c ON c.num = m.conversation_num"
                         " WHERE m.user_id = ? AND m.state IN (0, 1)%s LIMIT ?",
                         message_store_moved_sql(arena, since)));
    store_bind_text(st, 1, user_id);
    store_bind_int(st, message_store_bind_moved(st, 2, since), limit + 1);
    return st;
}

struct heading {
    struct message_op *op;
    const struct message_heads *since;
    int64_t limit;
    Message__HeadList *reply;
};

static enum err heads_of(struct store_tx *tx, void *arg)
{
    struct heading *h = arg;
    struct arena *arena = h->op->call->arena;
    Message__HeadList *reply = h->reply;
    struct store_stmt *st = query_heads(tx, arena, who_id(h->op->call), h->since, h->limit);
    while (!reply->is_behind && store_step(st)) {
        reply->is_behind = reply->n_heads == (size_t)h->limit;
        if (reply->is_behind)
            break;
        Message__Head *head = arena_new(arena, Message__Head);
        message__head__init(head);
        head->conversation_id = store_text(st, 0, arena);
        head->rev = store_int(st, 1);
        head->last_seq = store_int(st, 2);
        head->is_own = store_int(st, 3) > h->since->lsns[store_int(st, 4)];
        reply->heads[reply->n_heads++] = head;
    }
    return store_finish(st);
}

static enum err heads_job(struct store_tx *tx, struct message_op *op)
{
    const Message__GetHeadsRequest *in = op->in;
    struct arena *arena = op->call->arena;
    int64_t limit = in->limit > 0 ? MIN(in->limit, HEADS_MAX) : HEADS_NORMAL;
    struct message_heads *heads = arena_new(arena, struct message_heads);
    enum err err = message_shard_heads(tx, op->svc, who_id(op->call), heads);
    const struct message_heads *since = err ? NULL : cursor_read(op, in->cursor, heads);
    Message__HeadList *reply = arena_new(arena, Message__HeadList);
    message__head_list__init(reply);
    op->reply = reply;
    reply->is_behind = !since;
    if (reply->is_behind)
        return err;
    reply->heads = arena_array(arena, Message__Head *, (size_t)limit);
    struct heading h = {op, since, limit, reply};
    return message_read_those(op->svc, tx, heads_of, &h, &heads->missing);
}

MESSAGE_HANDLER(message_on_heads, GetHeadsRequest, HeadList)
{
    struct message_op *op =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*op), &in->base, (ProtobufCClosure)closure);
    op->fn = heads_job;
    message_view(op, ROLE_GUEST);
}
