/*
 * Search. Besides the words of a message its conversation, sender and kind stand in the index
 * (message_index.c), so a question by these alone is answered like one for a word, without reading
 * messages that are none. A search looks only into conversations of who asks, and every hit is held
 * against the asker's place once more.
 */
#include "services/message/message_internal.h"

#define QUERY_MAX 200
#define CONVERSATIONS_AT_ONCE 500 /* of the asker, in one query of the index */
#define CLOSED_MANY 1000      /* messages closed to the asker: they are passed by, not looked at */
#define CLOCK_SLACK_MS 120000 /* times may run backwards this far in the log as a whole */
#define LIMIT_NORMAL 20
#define LIMIT_MAX 100
#define HITS_LOOKED_AT(limit) ((limit)*4 + 20)

struct searching {
    struct message_op op; /* first */
    const char *terms;    /* NULL: whatever text */
    int64_t above_lsn, below_lsn;
    int limit;
};

struct hit {
    struct message_row m;
    const char *conversation_id;
};

/* A conversation of who asks, and the part of the log to look for its messages in. */
struct place {
    int64_t num;
    int64_t above_lsn; /* 0: most of it is open to the asker, from the beginning */
    int64_t last_lsn;
};

struct places {
    struct place *list;
    size_t count, room;
};

static void add_place(struct arena *arena, struct places *places, const struct place *p)
{
    if (places->count == places->room) {
        struct place *former = places->list;
        places->room = places->room ? places->room * 2 : 64;
        places->list = arena_array(arena, struct place, places->room);
        if (former)
            memcpy(places->list, former, places->count * sizeof(*former));
    }
    places->list[places->count++] = *p;
}

/* Those where something happened last come first: they fill the page, and the others need not be
 * looked at. Where the sender has never said anything is no place to look. */
static enum err find_places(struct store_tx *tx, const struct searching *s, struct places *places)
{
    const Message__SearchRequest *in = s->op.in;
    struct store_stmt *st = store_query(
        tx,
        "SELECT c.num, CASE WHEN p.visible_from_seq < c.first_seq + ? THEN 0 ELSE COALESCE(("
        "SELECT x.lsn FROM message_messages x WHERE x.conversation_num = c.num"
        " AND x.seq = p.visible_from_seq), 0) END,"
        " CASE WHEN p.state = 0 THEN c.head_lsn ELSE COALESCE(("
        "SELECT x.lsn FROM message_messages x WHERE x.conversation_num = c.num"
        " AND x.seq = p.visible_to_seq), c.head_lsn) END AS last_lsn"
        " FROM message_members p JOIN message_conversations c ON c.num = p.conversation_num"
        " WHERE p.user_id = ? AND p.state IN (0, 1) AND (? = 0 OR c.num = ?)"
        " AND (? = '' OR EXISTS (SELECT 1 FROM message_messages x"
        " WHERE x.conversation_num = c.num AND x.sender_id = ?)) ORDER BY last_lsn DESC",
        "isiiss", (int64_t)CLOSED_MANY, who_id(s->op.call), s->op.c.num, s->op.c.num, in->sender_id,
        in->sender_id);
    while (store_step(st))
        add_place(s->op.call->arena, places,
                  &(struct place){store_int(st, 0), store_int(st, 1), store_int(st, 2)});
    return store_finish(st);
}

static struct store_stmt *query_hits(struct store_tx *tx, const struct searching *s,
                                     const struct place *places, size_t count, int64_t above_lsn)
{
    const Message__SearchRequest *in = s->op.in;
    struct arena *arena = s->op.call->arena;
    int64_t *nums = arena_array(arena, int64_t, count);
    for (size_t i = 0; i < count; i++)
        nums[i] = places[i].num;
    const struct message_looking looking = {
        .nums = nums,
        .count = count,
        .terms = s->terms,
        .sender_id = in->sender_id,
        .kind = in->_kind_case ? arena_printf(arena, "k%d", (int)in->kind) : "",
        .above_lsn = MAX(above_lsn, s->above_lsn),
        .below_lsn = s->below_lsn,
        .from_ms = in->from_ms,
        .to_ms = in->to_ms ? in->to_ms : INT64_MAX,
        .asker_id = who_id(s->op.call),
        .limit = HITS_LOOKED_AT(s->limit),
    };
    return message_index_of(tx)->find(tx, &looking);
}

/* The first line of the whole log that is of this time or later, by halving what is left of it. */
static enum err lsn_at(struct store_tx *tx, int64_t at_ms, int64_t *lsn)
{
    int64_t low = 0, high;
    enum err err =
        message_take_number(store_query(tx, "SELECT MAX(lsn) FROM message_messages", ""), &high);
    for (high++; low < high && !err;) {
        int64_t middle = low + (high - low) / 2;
        struct store_stmt *st = store_query(
            tx,
            "SELECT lsn, created_at_ms FROM message_messages WHERE lsn >= ? ORDER BY lsn LIMIT 1",
            "i", middle);
        bool is_before = store_step(st) && store_int(st, 1) < at_ms;
        low = is_before ? store_int(st, 0) + 1 : low;
        high = is_before ? high : middle;
        err = store_finish(st);
    }
    *lsn = low;
    return err;
}

/* Times become places in the log; a little around them, since each hit's own time is looked at. */
static enum err bound_by_time(struct store_tx *tx, struct searching *s)
{
    const Message__SearchRequest *in = s->op.in;
    int64_t lsn;
    enum err err = ERR_OK;
    if (in->from_ms > CLOCK_SLACK_MS) {
        err = lsn_at(tx, in->from_ms - CLOCK_SLACK_MS, &lsn);
        s->above_lsn = lsn - 1;
    }
    if (!err && in->to_ms && in->to_ms < INT64_MAX - CLOCK_SLACK_MS) {
        err = lsn_at(tx, in->to_ms + CLOCK_SLACK_MS, &lsn);
        s->below_lsn = MIN(s->below_lsn, lsn);
    }
    return err;
}

/* The newest first. Beside them as much room twice more: whoever asks may belong to very many
 * conversations. */
struct found {
    struct hit *hits, *old, *more;
    size_t count, room;
};

/* What is in `more` comes in, as far as there is room. */
static void merge_hits(struct found *f, size_t more_count)
{
    memcpy(f->old, f->hits, f->count * sizeof(*f->old));
    size_t a = 0, b = 0, n = 0;
    while (n < f->room && (a < f->count || b < more_count)) {
        bool is_old = b == more_count || (a < f->count && f->old[a].m.lsn > f->more[b].m.lsn);
        f->hits[n++] = is_old ? f->old[a++] : f->more[b++];
    }
    f->count = n;
}

/* Hits above this one alone are wanted: the worst of those found, once there are enough. */
static int64_t worst_lsn(const struct found *found)
{
    return found->count == found->room ? found->hits[found->room - 1].m.lsn : 0;
}

static enum err add_hits(struct store_tx *tx, struct searching *s, const struct place *places,
                         size_t count, struct found *found)
{
    struct arena *arena = s->op.call->arena;
    size_t n = 0;
    struct store_stmt *st =
        query_hits(tx, s, places, count, MAX(worst_lsn(found), count == 1 ? places->above_lsn : 0));
    for (; n < found->room && store_step(st); n++) {
        message_log_read(st, arena, &found->more[n].m);
        found->more[n].conversation_id = store_text(st, MESSAGE_COLUMN_COUNT, arena);
    }
    merge_hits(found, n);
    return store_finish(st);
}

/* Some hundred conversations at once; those of which much is closed to the asker, each by itself
 * from where it opens. Each hit is in one of them. */
static enum err find_hits(struct store_tx *tx, struct searching *s, struct found *found)
{
    struct places all = {0};
    enum err err = find_places(tx, s, &all);
    struct place *batch = arena_array(s->op.call->arena, struct place, CONVERSATIONS_AT_ONCE);
    size_t count = 0;
    for (size_t i = 0; i < all.count && !err && all.list[i].last_lsn > worst_lsn(found); i++) {
        if (all.list[i].above_lsn)
            err = add_hits(tx, s, &all.list[i], 1, found);
        else
            batch[count++] = all.list[i];
        if (!err && count == CONVERSATIONS_AT_ONCE) {
            err = add_hits(tx, s, batch, count, found);
            count = 0;
        }
    }
    return err || !count ? err : add_hits(tx, s, batch, count, found);
}

/* Is the hit within what the asker may read? Then `one` holds the asker's place there. */
static bool is_readable(struct store_tx *tx, struct message_op *one, const struct hit *hit)
{
    if (one->c.num != hit->m.conversation_num) {
        one->conversation_id = hit->conversation_id;
        one->me = (struct message_member){0};
        if (message_op_enter(tx, one)) {
            one->c.num = 0;
            return false;
        }
    }
    return hit->m.seq > message_visible_from(one) && hit->m.seq <= message_visible_to(one);
}

static enum err take_hits(struct store_tx *tx, const struct searching *s, const struct found *found,
                          Message__SearchReply *reply, int64_t *lsns)
{
    const struct hit *hits = found->hits;
    size_t count = found->count;
    struct arena *arena = s->op.call->arena;
    struct message_op one = {
        .svc = s->op.svc, .call = s->op.call, .needs = MESSAGE_NEEDS_READ, .is_silent = true};
    int64_t last_lsn = 0;
    reply->messages = arena_array(arena, Message__MessageInfo *, (size_t)s->limit);
    for (size_t i = 0; i < count; i++) {
        if (!is_readable(tx, &one, &hits[i]))
            continue;
        if (reply->n_messages == (size_t)s->limit) {
            reply->next_cursor = arena_printf(arena, "%lld", (long long)last_lsn);
            return ERR_OK;
        }
        struct message_reader reader = message_reader(&one);
        enum err err = message_shape(tx, arena, &one.c, &hits[i].m, &reader,
                                     &reply->messages[reply->n_messages]);
        if (err)
            return err;
        last_lsn = lsns[reply->n_messages++] = hits[i].m.lsn;
    }
    if (count == found->room) /* there may be more beyond what was looked at */
        reply->next_cursor = arena_printf(arena, "%lld", (long long)hits[count - 1].m.lsn);
    return ERR_OK;
}

struct page_found {
    struct searching *s;
    Message__SearchReply *reply; /* of all databases so far */
    int64_t *lsns;               /* of its messages */
    int64_t floor;               /* below it there may be more that was not looked at */
};

static void take_messages(struct page_found *all, const Message__SearchReply *one,
                          const int64_t *lsns)
{
    Message__SearchReply *reply = all->reply;
    for (size_t i = 0; i < one->n_messages; i++) {
        size_t at = reply->n_messages++;
        for (; at && all->lsns[at - 1] < lsns[i]; at--) {
            all->lsns[at] = all->lsns[at - 1];
            reply->messages[at] = reply->messages[at - 1];
        }
        all->lsns[at] = lsns[i];
        reply->messages[at] = one->messages[i];
    }
}

/* One database's page. */
static enum err search_one(struct store_tx *tx, void *arg)
{
    struct page_found *all = arg;
    struct searching s = *all->s; /* times are other places of the log in each */
    struct arena *arena = s.op.call->arena;
    struct found found = {.room = (size_t)HITS_LOOKED_AT(s.limit)};
    found.hits = arena_array(arena, struct hit, found.room);
    found.old = arena_array(arena, struct hit, found.room);
    found.more = arena_array(arena, struct hit, found.room);
    int64_t *lsns = arena_array(arena, int64_t, (size_t)s.limit), floor = 0;
    Message__SearchReply one = MESSAGE__SEARCH_REPLY__INIT;
    enum err err = bound_by_time(tx, &s);
    if (!err)
        err = find_hits(tx, &s, &found);
    if (!err)
        err = take_hits(tx, &s, &found, &one, lsns);
    if (!err && one.next_cursor && one.next_cursor[0])
        (void)!str_to_i64(str_from(one.next_cursor), &floor);
    if (err)
        return err;
    all->floor = MAX(all->floor, floor);
    take_messages(all, &one, lsns);
    return ERR_OK;
}

/* As many as are wanted, and only as far down as each database was looked at. */
static void cut(const struct page_found *all)
{
    Message__SearchReply *reply = all->reply;
    size_t n = 0, limit = (size_t)all->s->limit;
    while (n < reply->n_messages && n < limit && all->lsns[n] >= all->floor)
        n++;
    bool is_full = n < reply->n_messages && n == limit;
    int64_t next = is_full ? all->lsns[n - 1] : all->floor;
    reply->n_messages = n;
    if (next)
        reply->next_cursor = arena_printf(all->s->op.call->arena, "%lld", (long long)next);
}

static enum err search_job(struct store_tx *tx, struct message_op *op)
{
    struct searching *s = CONTAINER_OF(op, struct searching, op);
    struct arena *arena = op->call->arena;
    Message__SearchReply *reply = arena_new(arena, Message__SearchReply);
    message__search_reply__init(reply);
    for (unsigned i = 0; i < op->svc->shard_count; i++)
        reply->is_indexing |=
            op->svc->shards[i].is_index_behind || op->svc->shards[i].is_index_full;
    op->reply = reply;
    size_t room = (size_t)s->limit * op->svc->base_count;
    struct page_found all = {.s = s, .reply = reply};
    reply->messages = arena_array(arena, Message__MessageInfo *, room);
    all.lsns = arena_array(arena, int64_t, room);
    enum err err = op->conversation_id ? search_one(tx, &all)
                                       : message_read_each(op->svc, tx, search_one, &all);
    if (!err)
        cut(&all);
    return err;
}

static bool has_filter(const Message__SearchRequest *in)
{
    return in->id[0] || in->sender_id[0] || in->from_ms || in->to_ms || in->_kind_case;
}

/* The words that are looked for; NULL: whatever text, or after rpc_fail. */
static const char *take_query(struct rpc_call *call, const Message__SearchRequest *in)
{
    if (!in->query[0] && has_filter(in))
        return NULL;
    const char *query = text_take(
        call, in->query, &(struct text_rule){.field = "query", .min = 1, .max = QUERY_MAX});
    const char *terms = query ? message_terms_query(call->arena, query) : NULL;
    if (query && !terms)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "query: expected a word");
    return terms;
}

MESSAGE_HANDLER(message_on_search, SearchRequest, SearchReply)
{
    struct searching *s =
        message_op_create(MESSAGE_OF(rpc), data, sizeof(*s), &in->base, (ProtobufCClosure)closure);
    const Message__SearchRequest *own = s->op.in;
    struct rpc_call *call = s->op.call;
    s->op.fn = search_job;
    s->op.may_be_stale = true;
    s->op.conversation_id = own->id[0] ? own->id : NULL;
    s->op.needs = MESSAGE_NEEDS_READ;
    s->limit = own->limit > 0 ? MIN(own->limit, LIMIT_MAX) : LIMIT_NORMAL;
    s->below_lsn = INT64_MAX;
    s->terms = take_query(call, own);
    if (own->sender_id[0] && !id_is_valid(own->sender_id))
        rpc_fail(call, ERR_INVALID_ARGUMENT, "sender_id: expected the id of a user");
    if (own->_kind_case && (unsigned)own->kind > MESSAGE__CONTENT_KIND__SYSTEM)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "kind: there is no such kind");
    if (own->from_ms < 0 || own->to_ms < 0)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "from_ms, to_ms: expected times");
    if (own->cursor[0] && !str_to_i64(str_from(own->cursor), &s->below_lsn))
        rpc_fail(call, ERR_INVALID_ARGUMENT, "cursor: expected one from an earlier page");
    message_view(&s->op, ROLE_GUEST);
}
