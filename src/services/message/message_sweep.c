/*
 * Sweep: something done to one conversation after another, found a page at a time in short looks,
 * so that neither a transaction nor memory grows with how many there are.
 */
#include "services/message/message_internal.h"

#define PAGE 100

struct page_of {
    const struct message_sweep *sweep;
    struct arena *arena;
    int64_t above_num;
    char *ids[PAGE];
    size_t count;
};

static enum err find_job(struct store_tx *tx, void *arg)
{
    struct page_of *p = arg;
    struct store_stmt *st = p->sweep->query(tx, p->sweep->arg, p->above_num, PAGE);
    for (p->count = 0; p->count < PAGE && store_step(st); p->count++) {
        p->above_num = store_int(st, 0);
        p->ids[p->count] = store_text(st, 1, p->arena);
    }
    return store_finish(st);
}

static enum err sweep_one(struct message_service *svc, const struct message_base *base,
                          const struct message_sweep *sweep)
{
    struct page_of page = {.sweep = sweep};
    enum err err;
    do {
        page.arena = arena_create();
        err = store_read(base->store, find_job, &page);
        for (size_t i = 0; i < page.count && !err; i++)
            err = svc->is_stopping ? ERR_CANCELLED : sweep->each(svc, page.ids[i], sweep->arg);
        arena_destroy(&page.arena);
    } while (!err && page.count == PAGE);
    return err;
}

enum err message_sweep(struct message_service *svc, const struct message_sweep *sweep)
{
    enum err first = ERR_OK;
    for (size_t i = 0; i < svc->base_count && first != ERR_CANCELLED; i++) {
        enum err err = sweep_one(svc, &svc->bases[i], sweep);
        first = !first || err == ERR_CANCELLED ? err : first;
    }
    return first;
}
