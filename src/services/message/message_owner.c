/* message_owner: see message_owner.h. Every half second one small transaction; what follows from
 * what it read is decided in message_owner_plan.c and done in message_owner_move.c. */
#include "services/message/message_owner.h"

#include <time.h>

#include "core/log.h"
#include "core/thread.h"
#include "services/message/message_internal.h"
#include "services/message/message_owner_plan.h"

#define BEAT_MS 500
#define CONTROL_PLACE 127 /* of the store's shards: writes of owners about owning */
#define LEAVE_MS 5000
#define BURY_MS 60000 /* whose beat stands still for so long has no row any more */
#define LOOK_EVERY_MS 100

static struct metric metric_owned =
    METRIC_GAUGE("parlance_message_shards_owned", "Shards of the log that this process owns.");
static struct message_owners *owners_of(struct message_service *svc)
{
    return svc->owners;
}

static double read_owned(void *arg)
{
    const struct message_service *svc = arg;
    unsigned count = 0;
    for (unsigned i = 0; i < svc->shard_count; i++)
        count += message_shard_is_here(&svc->shards[i]);
    return count;
}

/* ---- the beat ---- */

struct beat {
    struct message_service *svc;
    struct message_view view;
    bool has_webhooks;
    size_t at; /* which of the other databases is looked at */
};

static enum err beat_own(struct store_tx *tx, const struct message_owners *o)
{
    if (o->is_leaving)
        return store_run(tx, "DELETE FROM message_instances WHERE id = ?", "s", o->me);
    enum err err =
        store_run(tx, "UPDATE message_instances SET beat = beat + 1 WHERE id = ?", "s", o->me);
    return err || store_changes(tx)
               ? err
               : store_run(tx, "INSERT INTO message_instances (id, beat) VALUES (?, 1)", "s",
                           o->me);
}

/* A process that was killed does not delete its own row, and by then its next life has another
 * name. One that only slept makes it again with its next beat. The peers are changed on this
 * thread alone. */
static enum err bury(struct store_tx *tx, const struct message_owners *o)
{
    int64_t now_ms = clock_mono_ms();
    enum err err = ERR_OK;
    for (unsigned i = 0; i < MESSAGE_PEERS_MAX && !err; i++) {
        const struct message_peer *p = &o->peers[i];
        if (p->id[0] && p->is_listed && now_ms - p->seen_ms > BURY_MS)
            err = store_run(tx, "DELETE FROM message_instances WHERE id = ? AND beat = ?", "si",
                            p->id, p->beat);
    }
    return err;
}

/* Of the shards that lie in this database. */
static enum err read_owners(struct store_tx *tx, struct message_view *v)
{
    struct store_stmt *st = store_query(tx, "SELECT shard, owner, fence FROM message_shards", "");
    while (store_step(st)) {
        int64_t index = store_int(st, 0);
        struct str owner = store_str(st, 1);
        if (index < 0 || index >= SHARDS_MAX)
            continue;
        snprintf(v->owners[index], sizeof(v->owners[0]), "%.*s", (int)owner.n, owner.p);
        v->fences[index] = store_int(st, 2);
    }
    return store_finish(st);
}

static enum err read_view(struct store_tx *tx, struct message_view *v)
{
    struct store_stmt *st = store_query(tx, "SELECT id, beat FROM message_instances", "");
    while (v->peer_count < MESSAGE_PEERS_MAX && store_step(st)) {
        struct message_peer *p = &v->peers[v->peer_count++];
        struct str id = store_str(st, 0);
        snprintf(p->id, sizeof(p->id), "%.*s", (int)id.n, id.p);
        p->beat = store_int(st, 1);
    }
    enum err err = store_finish(st);
    return err ? err : read_owners(tx, v);
}

/* Made by another process, perhaps. */
static enum err look_for_webhooks(struct store_tx *tx, struct beat *b)
{
    int64_t webhooks = 0;
    enum err err = message_take_number(
        store_query(tx, "SELECT kind FROM message_webhooks WHERE kind = ? LIMIT 1", "i",
                    (int64_t)WEBHOOK__WEBHOOK_KIND__OUTGOING),
        &webhooks);
    b->has_webhooks |= webhooks != 0;
    return err;
}

static enum err beat_job(struct store_tx *tx, void *arg)
{
    struct beat *b = arg;
    b->view.peer_count = 0;
    enum err err = beat_own(tx, owners_of(b->svc));
    if (!err)
        err = bury(tx, owners_of(b->svc));
    if (!err)
        err = read_view(tx, &b->view);
    return err ? err : look_for_webhooks(tx, b);
}

/* Does what the plan says; the jobs may run at once on their writers. */
static void carry_out(struct message_service *svc, const struct message_plan *plan)
{
    for (unsigned i = 0; i < svc->shard_count; i++) {
        if (plan->steps[i].kind == MESSAGE_STEP_TAKE)
            message_owner_take(svc, i);
        else if (plan->steps[i].kind == MESSAGE_STEP_GIVE)
            message_owner_give(svc, i, plan->steps[i].to);
    }
}

/* Another process took it, while this one slept perhaps. */
static void notice_losses(struct message_service *svc, const struct message_view *v)
{
    for (unsigned i = 0; i < svc->shard_count; i++) {
        int64_t held = atomic_load(&svc->shards[i].fence);
        if (held && v->fences[i] > held &&
            atomic_compare_exchange_strong(&svc->shards[i].fence, &held, 0))
            log_warn(NULL, "message: shard %u was taken by %s", i, v->owners[i]);
    }
}

/* Lock held. While we could not look nobody's beat is known to have stood still: it was perhaps the
 * database that was away, and they could not beat either. */
static void excuse_all(struct message_owners *o, int64_t now_ms)
{
    bool was_blind = now_ms - o->viewed_ms >= MESSAGE_LEASE_MS;
    for (unsigned i = 0; i < MESSAGE_PEERS_MAX && was_blind; i++)
        o->peers[i].seen_ms = now_ms;
    o->viewed_ms = now_ms;
}

/* ---- what lies in other databases ---- */

static enum err look_job(struct store_tx *tx, void *arg)
{
    struct beat *b = arg;
    enum err err = read_owners(tx, &b->view);
    return err ? err : look_for_webhooks(tx, b);
}

/* Kept for the beats to come. Of one that is away the last that was seen counts: whoever acts by it
 * finds its fence gone. */
static void on_looked(enum err err, void *arg)
{
    struct beat *b = arg;
    struct message_service *svc = b->svc;
    struct message_owners *o = owners_of(svc);
    bool is_first = false;
    pthread_mutex_lock(&o->lock);
    for (unsigned i = 0; i < svc->shard_count && !err; i++) {
        if (svc->shards[i].base != &svc->bases[b->at])
            continue;
        is_first |= o->seen_fences[i] < 0;
        o->seen_fences[i] = b->view.fences[i];
        memcpy(o->seen_owners[i], b->view.owners[i], sizeof(o->seen_owners[i]));
    }
    pthread_mutex_unlock(&o->lock);
    if (!err && b->has_webhooks)
        svc->has_webhooks = true;
    if (is_first)
        message_owners_look(svc);
    pthread_mutex_lock(&o->lock); /* last: who stops waits for this */
    o->is_looking[b->at] = false;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    free(b);
}

/* Each at its own pace: one that hangs must not hold up our beat. */
static void look_elsewhere(struct message_service *svc)
{
    struct message_owners *o = owners_of(svc);
    for (size_t at = 1; at < svc->base_count; at++) {
        pthread_mutex_lock(&o->lock);
        bool must = !o->is_looking[at] && !o->is_leaving;
        o->is_looking[at] |= must;
        pthread_mutex_unlock(&o->lock);
        if (!must)
            continue;
        struct beat *b = mem_zalloc(sizeof(*b));
        b->svc = svc;
        b->at = at;
        store_write_essential(svc->bases[at].store, CONTROL_PLACE, look_job, b, on_looked);
    }
}

/* Lock held. */
static void add_seen(const struct message_service *svc, struct message_view *v)
{
    const struct message_owners *o = owners_of((struct message_service *)svc);
    for (unsigned i = 0; i < svc->shard_count; i++) {
        if (message_base_is_home(svc, svc->shards[i].base))
            continue;
        v->fences[i] = o->seen_fences[i];
        memcpy(v->owners[i], o->seen_owners[i], sizeof(v->owners[i]));
    }
}

static void on_beat(enum err err, void *arg)
{
    struct beat *b = arg;
    struct message_service *svc = b->svc;
    struct message_owners *o = owners_of(svc);
    struct message_plan plan = {0};
    bool is_ours[SHARDS_MAX] = {0};
    pthread_mutex_lock(&o->lock);
    add_seen(svc, &b->view);
    pthread_mutex_unlock(&o->lock);
    if (!err)
        notice_losses(svc, &b->view);
    for (unsigned i = 0; i < svc->shard_count; i++)
        is_ours[i] = message_shard_is_here(&svc->shards[i]);
    if (!err && b->has_webhooks)
        svc->has_webhooks = true;
    int64_t now_ms = clock_mono_ms();
    pthread_mutex_lock(&o->lock);
    if (!err) {
        excuse_all(o, now_ms);
        message_plan(o, &b->view, svc->shard_count, is_ours, now_ms, &plan);
    }
    pthread_mutex_unlock(&o->lock);
    carry_out(svc, &plan);
    look_elsewhere(svc);
    pthread_mutex_lock(&o->lock);
    o->is_beating = false;
    o->beats += !err;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    free(b);
}

void message_owners_look(struct message_service *svc)
{
    struct message_owners *o = owners_of(svc);
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    bool must = !o->is_beating;
    o->is_beating = true;
    pthread_mutex_unlock(&o->lock);
    if (!must)
        return;
    struct beat *b = mem_zalloc(sizeof(*b));
    b->svc = svc;
    store_write_essential(svc->deps.store, CONTROL_PLACE, beat_job, b, on_beat);
}

static void on_timer(void *arg)
{
    struct message_service *svc = arg;
    message_owners_look(svc);
    loop_timer_start(svc->deps.loop, &owners_of(svc)->timer, BEAT_MS, on_timer, svc);
}

static void stop_timer(void *arg)
{
    loop_timer_stop(arg);
}

/* ---- life ---- */

/* Lock held: is anything on its way? */
static bool is_moving(const struct message_owners *o)
{
    bool is = o->is_beating;
    for (unsigned i = 0; i < SHARDS_MAX; i++)
        is |= o->holdings[i].is_moving;
    for (unsigned i = 0; i < MESSAGE_BASES_MAX; i++)
        is |= o->is_looking[i];
    return is;
}

void message_owners_settle(struct message_service *svc, unsigned beats, int64_t timeout_ms)
{
    struct message_owners *o = owners_of(svc);
    int64_t until_us = clock_mono_us() + timeout_ms * 1000;
    pthread_mutex_lock(&o->lock);
    unsigned wanted = o->beats + beats;
    while ((o->beats < wanted || is_moving(o)) &&
           thread_wait_until(&o->changed, &o->lock, until_us))
        ;
    pthread_mutex_unlock(&o->lock);
}

/* News of owners: what was given to us is looked at at once. */
static void on_news(void *arg, const struct bus_event *event)
{
    struct message_service *svc = arg;
    struct str rest = event->payload, shard;
    if (str_cut(&rest, ' ', &shard) && str_eq(rest, str_from(owners_of(svc)->me)))
        message_owners_look(svc);
}

enum err message_owners_start(struct message_service *svc)
{
    struct message_owners *o = mem_zalloc(sizeof(*o));
    svc->owners = o;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
    bool is_reachable = svc->deps.instance && svc->deps.instance[0];
    snprintf(o->me, sizeof(o->me), "%s%s", is_reachable ? "" : MESSAGE_ALONE,
             is_reachable     ? svc->deps.instance
             : svc->deps.name ? svc->deps.name
                              : "");
    for (unsigned i = 0; i < SHARDS_MAX; i++)
        o->seen_fences[i] = -1;
    o->subscription = bus_subscribe(svc->deps.bus, MESSAGE_OWNERS_CHANNEL, "message", on_news, svc);
    metric_register_read(&metric_owned, read_owned, svc);
    message_owners_look(svc);
    message_owners_settle(svc, 1, MESSAGE_OWNERS_START_MS);
    if (message_owners_are_apart(svc)) {
        message_owners_stop(svc);
        return ERR_FAILED_PRECONDITION;
    }
    if (svc->deps.loop)
        loop_post(svc->deps.loop, on_timer, svc);
    return ERR_OK;
}

void message_owners_leave(struct message_service *svc)
{
    struct message_owners *o = owners_of(svc);
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    bool is_first = !o->is_leaving;
    o->is_leaving = true;
    pthread_mutex_unlock(&o->lock);
    if (!is_first)
        return;
    message_owners_settle(svc, 0, LEAVE_MS); /* a beat on its way does not know yet */
    message_owners_look(svc);
    message_owners_settle(svc, 1, LEAVE_MS);
}

void message_owners_stop(struct message_service *svc)
{
    struct message_owners *o = owners_of(svc);
    if (!o)
        return;
    bus_unsubscribe(svc->deps.bus, o->subscription);
    if (svc->deps.loop)
        loop_call(svc->deps.loop, stop_timer, &o->timer);
    message_owners_leave(svc);
    for (unsigned i = 0; i < svc->shard_count; i++) /* nobody was there to take them */
        if (message_shard_is_here(&svc->shards[i]))
            message_owner_give(svc, i, "");
    for (size_t i = 0; i < svc->base_count; i++)
        store_flush(svc->bases[i].store);
    metric_unregister_read(&metric_owned, svc);
    svc->owners = NULL;
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

void message_owner_of(struct message_service *svc, unsigned shard, char out[MESSAGE_OWNER_SIZE])
{
    struct message_owners *o = owners_of(svc);
    out[0] = '\0';
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    bool is_mine = strcmp(o->holdings[shard].owner, o->me) == 0;
    if (!is_mine)
        memcpy(out, o->holdings[shard].owner, MESSAGE_OWNER_SIZE);
    int64_t now_ms = clock_mono_ms();
    bool must_look = now_ms - o->looked_ms > LOOK_EVERY_MS; /* we are asked: perhaps it is ours */
    if (must_look)
        o->looked_ms = now_ms;
    pthread_mutex_unlock(&o->lock);
    if (must_look)
        message_owners_look(svc);
}
