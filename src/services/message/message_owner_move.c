/*
 * message_owner_move: a shard comes to us, or goes to another. Either counts up the fence in its
 * row, by a job of the shard's own writer, and is told on the bus when that is committed.
 */
#include "core/log.h"
#include "services/message/message_internal.h"

static struct metric metric_moves =
    METRIC_COUNTER("parlance_message_shards_moved_total", "Shards taken and given away.", "how");

/* Others route by it; who does not hear it is told by the answer to its next call. */
static void tell_owner(struct message_service *svc, unsigned shard, const char *owner)
{
    char key[12], payload[MESSAGE_OWNER_SIZE + 16];
    snprintf(key, sizeof(key), "%u", shard);
    snprintf(payload, sizeof(payload), "%u %s", shard, owner);
    bus_publish(svc->deps.bus, &(struct bus_event){.channel = MESSAGE_OWNERS_CHANNEL,
                                                   .type = "owner",
                                                   .key = key,
                                                   .payload = str_from(payload),
                                                   .id = ""});
}

struct move {
    struct message_service *svc;
    struct message_shard_taking taking;
    char to[MESSAGE_OWNER_SIZE]; /* of a gift */
    int64_t fence;
    bool is_failing;
};

static void move_ends(struct move *m, const char *owner, int64_t fence)
{
    struct message_owners *o = m->svc->owners;
    struct message_holding *h = &o->holdings[m->taking.shard->index];
    pthread_mutex_lock(&o->lock);
    h->is_moving = false;
    h->is_failing = m->is_failing;
    if (owner) {
        snprintf(h->owner, sizeof(h->owner), "%s", owner);
        h->fence = fence;
    }
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    free(m);
}

/* ---- taken ---- */

static enum err take_job(struct store_tx *tx, void *arg)
{
    struct move *m = arg;
    return message_shard_take(tx, &m->taking);
}

static void on_taken(enum err err, void *arg)
{
    struct move *m = arg;
    bool is_ours = !err && m->taking.is_taken;
    m->is_failing = err != ERR_OK;
    if (is_ours) {
        unsigned index = m->taking.shard->index;
        message_shard_taken(&m->taking);
        metric_cell_add(metric_cell(&metric_moves, "taken", NULL, NULL), 1);
        log_info(NULL, "message: shard %u is ours (fence %lld)", index, (long long)m->taking.fence);
        tell_owner(m->svc, index, m->svc->owners->me);
    }
    move_ends(m, is_ours ? m->svc->owners->me : NULL, m->taking.fence);
}

void message_owner_take(struct message_service *svc, unsigned index)
{
    struct move *m = mem_zalloc(sizeof(*m));
    m->svc = svc;
    m->taking = (struct message_shard_taking){.shard = &svc->shards[index],
                                              .owner = svc->owners->me,
                                              .seen = svc->owners->holdings[index].fence};
    store_write_essential(m->taking.shard->base->store, message_shard_place(m->taking.shard),
                          take_job, m, on_taken);
}

/* ---- given ---- */

/* Behind what was queued for the shard: that finds the fence gone, and is asked of the new owner.
 */
static enum err give_job(struct store_tx *tx, void *arg)
{
    struct move *m = arg;
    return store_run(tx,
                     "UPDATE message_shards SET fence = ?, owner = ? WHERE shard = ? AND fence = ?",
                     "isii", m->fence + 1, m->to, (int64_t)m->taking.shard->index, m->fence);
}

static void on_given(enum err err, void *arg)
{
    struct move *m = arg;
    unsigned index = m->taking.shard->index;
    if (!err) {
        metric_cell_add(metric_cell(&metric_moves, "given", NULL, NULL), 1);
        log_info(NULL, "message: shard %u was given to %s", index, m->to[0] ? m->to : "nobody");
        tell_owner(m->svc, index, m->to);
    }
    char to[MESSAGE_OWNER_SIZE];
    memcpy(to, m->to, sizeof(to));
    move_ends(m, err ? NULL : to, m->fence + 1);
}

void message_owner_give(struct message_service *svc, unsigned index, const char *to)
{
    struct move *m = mem_zalloc(sizeof(*m));
    struct message_shard *shard = &svc->shards[index];
    m->svc = svc;
    m->taking.shard = shard;
    m->fence = atomic_exchange(&shard->fence, 0);
    if (!m->fence) { /* lost meanwhile */
        move_ends(m, NULL, 0);
        return;
    }
    snprintf(m->to, sizeof(m->to), "%s", to);
    store_write_essential(shard->base->store, message_shard_place(shard), give_job, m, on_given);
}
