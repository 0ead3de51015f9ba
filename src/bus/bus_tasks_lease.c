/* bus_tasks_lease: the leases of tasks whose handler runs. */
#include <stdlib.h>

#include "bus/bus_tasks_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

struct renewal {
    int64_t until_ms;
    size_t count;
    struct {
        int64_t id;
        int attempt;
    } leases[];
};

static enum err renew_run(struct store_tx *tx, void *arg)
{
    const struct renewal *r = arg;
    for (size_t i = 0; i < r->count; i++) {
        struct bus_claim claim = {.id = r->leases[i].id, .attempt = r->leases[i].attempt};
        enum err err = bus_task_renew(tx, &claim, r->until_ms);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* By id and attempt, not by pointer: a handler may end meanwhile. */
void bus_tasks_renew(struct bus_tasks *t)
{
    int64_t lease_ms = t->bus->opt.lease_ms, now_ms = clock_mono_ms();
    if (now_ms < t->next_renew_ms)
        return;
    t->next_renew_ms = now_ms + lease_ms / 3;
    pthread_mutex_lock(&t->lock);
    struct renewal *r = mem_zalloc(sizeof(*r) + t->busy * sizeof(r->leases[0]));
    for (const struct bus_claim *c = t->running; c; c = c->next_running, r->count++) {
        r->leases[r->count].id = c->id;
        r->leases[r->count].attempt = c->attempt;
    }
    pthread_mutex_unlock(&t->lock);
    r->until_ms = clock_wall_ms() + lease_ms;
    if (r->count && store_write_essential_sync(t->bus->opt.store, 0, renew_run, r) != ERR_OK)
        log_warn(NULL, "bus: leases of %zu tasks were not renewed", r->count);
    free(r);
}

/* A handler may take longer to end than its lease, and other processes are waiting. */
void bus_tasks_renew_to_the_end(struct bus_tasks *t)
{
    bool is_running = true;
    while (is_running) {
        bus_tasks_renew(t);
        pthread_mutex_lock(&t->lock);
        if (t->running)
            thread_wait(&t->changed, &t->lock, MAX(1, t->bus->opt.lease_ms / 3));
        is_running = t->running != NULL;
        pthread_mutex_unlock(&t->lock);
    }
}
