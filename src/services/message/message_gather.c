/*
 * message_gather: a person's conversations, which may lie in several databases: each is asked for
 * as many as are wanted, and the latest of all are taken.
 */
#include "services/message/message_internal.h"

static enum err gather_job(struct store_tx *tx, void *arg)
{
    struct message_gathering *g = arg;
    struct arena *arena = g->op->call->arena;
    struct message_pair *rows;
    size_t count;
    enum err err = g->page ? message_store_list(tx, arena, who_id(g->op->call), g->is_archived,
                                                g->page, &rows, &count)
                           : message_store_list_since(tx, arena, who_id(g->op->call), g->since,
                                                      (int)g->limit, &rows, &count);
    if (err)
        return err;
    g->has_more |= count > g->limit;
    for (size_t i = 0; i < MIN(count, g->limit) && !err; i++) {
        struct message_gathered *one = &g->list[g->count++];
        one->pair = rows[i];
        err = message_conversation_full(tx, arena, &rows[i], &one->shown);
    }
    return err;
}

static int compare(const void *a, const void *b)
{
    const struct message_conversation *x = &((const struct message_gathered *)a)->pair.c;
    const struct message_conversation *y = &((const struct message_gathered *)b)->pair.c;
    if (x->active_at_ms != y->active_at_ms)
        return x->active_at_ms < y->active_at_ms ? 1 : -1;
    return strcmp(y->id, x->id);
}

enum err message_gather(struct store_tx *tx, struct message_gathering *g)
{
    const struct message_service *svc = g->op->svc;
    g->list = arena_array(g->op->call->arena, struct message_gathered, g->limit * svc->base_count);
    g->count = 0;
    g->has_more = false;
    enum err err = message_read_those(svc, tx, gather_job, g, &g->missing);
    if (err || svc->base_count == 1)
        return err;
    qsort(g->list, g->count, sizeof(g->list[0]), compare);
    g->has_more |= g->count > g->limit;
    g->count = MIN(g->count, g->limit);
    return ERR_OK;
}

Message__Conversation **message_gathered(const struct message_gathering *g)
{
    Message__Conversation **out =
        arena_array(g->op->call->arena, Message__Conversation *, g->count);
    for (size_t i = 0; i < g->count; i++)
        out[i] = g->list[i].shown;
    return out;
}

/* ---- unread ---- */

struct unread_count {
    const char *user_id;
    int64_t total;
};

static enum err count_job(struct store_tx *tx, void *arg)
{
    struct unread_count *u = arg;
    int64_t count = 0;
    enum err err = message_count_unread(tx, u->user_id, &count);
    u->total += count;
    return err;
}

enum err message_gather_unread(struct store_tx *tx, const struct message_op *op, uint64_t *missing,
                               int64_t *count)
{
    struct unread_count u = {.user_id = who_id(op->call)};
    enum err err = message_read_those(op->svc, tx, count_job, &u, missing);
    *count = u.total;
    return err;
}
