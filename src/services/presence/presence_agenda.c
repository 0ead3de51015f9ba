/*
 * What the clock does: devices that nobody reports any more and statuses whose time is over run
 * out, and last visits are written, many to a commit. People lie in a wheel of seconds, so that the
 * tick of a second looks at those alone for whom it counts.
 */
#include "services/presence/presence_internal.h"

#define TICK_MS 1000
#define SEEN_PER_JOB 500

/* ---- the wheel ---- */

void presence_agenda_set(struct presence_service *svc, struct presence_person *p, int64_t due_ms)
{
    p->due_ms = due_ms;
    int64_t s = CLAMP(due_ms / 1000 + 1, svc->swept_s + 1, svc->swept_s + PRESENCE_SLOTS - 1);
    list_remove(&p->in_slot);
    list_add_tail(&svc->slots[s % PRESENCE_SLOTS], &p->in_slot);
}

static void sweep_slot(struct presence_service *svc, struct list *slot, int64_t now_ms)
{
    LIST_FOREACH(slot, node)
    {
        struct presence_person *p = LIST_ENTRY(node, struct presence_person, in_slot);
        if (p->due_ms <= now_ms)
            presence_expire(svc, p);
        else /* beyond a turn of the wheel */
            presence_agenda_set(svc, p, p->due_ms);
    }
}

static void sweep(struct presence_service *svc)
{
    int64_t now_ms = clock_mono_ms();
    pthread_mutex_lock(&svc->lock);
    /* A machine that slept: one turn of the wheel finds everybody. */
    svc->swept_s = MAX(svc->swept_s, now_ms / 1000 - PRESENCE_SLOTS + 1);
    while (svc->swept_s < now_ms / 1000) {
        svc->swept_s++;
        sweep_slot(svc, &svc->slots[svc->swept_s % PRESENCE_SLOTS], now_ms);
    }
    pthread_mutex_unlock(&svc->lock);
}

/* ---- last visits ---- */

void presence_seen_note(struct presence_service *svc, const char *user_id, int64_t at_ms)
{
    struct presence_seen *seen = map_get(svc->seen, str_from(user_id));
    if (!seen) {
        seen = mem_zalloc(sizeof(*seen));
        memcpy(seen->id, user_id, strnlen(user_id, sizeof(seen->id) - 1));
        map_set(svc->seen, str_from(user_id), seen);
    }
    seen->at_ms = MAX(seen->at_ms, at_ms);
}

struct flush {
    struct flush *next;
    struct presence_service *svc;
    size_t count;
    struct presence_seen rows[];
};

static enum err flush_job(struct store_tx *tx, void *arg)
{
    const struct flush *f = arg;
    enum err err = ERR_OK;
    for (size_t i = 0; i < f->count && !err; i++)
        err = presence_store_seen(tx, f->rows[i].id, f->rows[i].at_ms);
    return err;
}

/* What could not be written waits for the next time; what is newer by now, too. */
static void on_flushed(enum err err, void *arg)
{
    struct flush *f = arg;
    struct presence_service *svc = f->svc;
    pthread_mutex_lock(&svc->lock);
    for (size_t i = 0; i < f->count && !err; i++) {
        struct presence_seen *seen = map_get(svc->seen, str_from(f->rows[i].id));
        if (seen && seen->at_ms == f->rows[i].at_ms) {
            map_remove(svc->seen, str_from(seen->id));
            free(seen);
        }
    }
    pthread_mutex_unlock(&svc->lock);
    free(f);
}

/* The next so many from *at on; NULL: that was all. */
static struct flush *gather(struct presence_service *svc, size_t *at)
{
    struct flush *f = mem_zalloc(sizeof(*f) + SEEN_PER_JOB * sizeof(f->rows[0]));
    struct str key;
    void *value;
    f->svc = svc;
    while (f->count < SEEN_PER_JOB && map_next(svc->seen, at, &key, &value))
        f->rows[f->count++] = *(const struct presence_seen *)value;
    if (f->count)
        return f;
    free(f);
    return NULL;
}

static void flush_seen(struct presence_service *svc)
{
    struct flush *all = NULL; /* a refused job ends inside the call, and that wants the lock */
    size_t at = 0;
    pthread_mutex_lock(&svc->lock);
    for (struct flush *f; (f = gather(svc, &at)); all = f)
        f->next = all;
    pthread_mutex_unlock(&svc->lock);
    while (all) {
        struct flush *f = all;
        all = f->next;
        store_write(svc->deps.store, 0, flush_job, f, on_flushed);
    }
}

/* ---- the tick ---- */

static void on_tick(void *arg)
{
    struct presence_service *svc = arg;
    sweep(svc);
    if (clock_mono_ms() >= svc->flush_at_ms) {
        svc->flush_at_ms = clock_mono_ms() + svc->deps.write_behind_ms;
        flush_seen(svc);
    }
    loop_timer_start(svc->deps.loop, &svc->timer, TICK_MS, on_tick, svc);
}

static void stop_timer(void *arg)
{
    struct presence_service *svc = arg;
    loop_timer_stop(&svc->timer);
}

void presence_agenda_start(struct presence_service *svc)
{
    for (size_t i = 0; i < PRESENCE_SLOTS; i++)
        list_init(&svc->slots[i]);
    svc->swept_s = clock_mono_ms() / 1000;
    svc->flush_at_ms = clock_mono_ms() + svc->deps.write_behind_ms;
    loop_post(svc->deps.loop, on_tick, svc);
}

void presence_agenda_stop(struct presence_service *svc)
{
    loop_call(svc->deps.loop, stop_timer, svc);
    flush_seen(svc);
    store_flush(svc->deps.store);
}
