/*
 * How files go, and what keeps them. Whoever refers to a file tells by an event of the transaction
 * that made (or ended) the reference; a file without any, and an upload that gets nothing, go when
 * their time is over. First the row says so, then the bytes go, then the row: a crash in between
 * leaves work for the next round, never bytes that nobody knows of.
 */
#include <unistd.h>

#include "core/clock_trust.h"
#include "services/file/file_internal.h"

#define SWEEP_MS (60 * 1000)
#define ROUNDS_PATIENT 5
#define SWEEP_MAX 200 /* of each state in one round */
#define HOLDER "remove"
#define EVENT_WAIT_MS 200

/* ---- one file ---- */

struct removing {
    const char *id;
};

static enum err mark_job(struct store_tx *tx, void *arg)
{
    const struct removing *r = arg;
    return file_store_mark_deleted(tx, r->id);
}

static enum err mark(struct file_service *svc, struct removing *r)
{
    if (!file_hold_bar(svc, r->id))
        return ERR_FAILED_PRECONDITION;
    enum err err = store_write_essential_sync(svc->deps.store, 0, mark_job, r);
    file_hold_unbar(svc, r->id);
    return err;
}

static enum err delete_job(struct store_tx *tx, void *arg)
{
    const struct removing *r = arg;
    return file_store_delete(tx, r->id);
}

static enum err unless_gone(enum err err)
{
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err remove_bytes(struct file_service *svc, const char *id)
{
    char name[FILE_BLOB_NAME_SIZE], thumbnail[FILE_BLOB_NAME_SIZE];
    file_blob_name(name, id);
    file_thumbnail_name(thumbnail, id);
    enum err err = unless_gone(blob_part_drop(svc->deps.blob, name));
    if (!err)
        err = unless_gone(blob_delete(svc->deps.blob, name));
    return err ? err : unless_gone(blob_delete(svc->deps.blob, thumbnail));
}

enum err file_remove(struct file_service *svc, const char *id)
{
    struct removing r = {.id = id};
    struct file_lock *lock = file_lock_enter(svc->locks, id, HOLDER);
    if (!lock)
        return ERR_UNAVAILABLE;
    enum err err = mark(svc, &r);
    if (!err)
        err = remove_bytes(svc, id);
    if (!err)
        err = store_write_essential_sync(svc->deps.store, 0, delete_job, &r);
    file_lock_leave(svc->locks, lock, FILE_LOCK_FREE);
    return err;
}

/* ---- by the clock ---- */

struct idle_query {
    struct arena *arena;
    File__State state;
    int64_t until_ms;
    char **ids;
    size_t count;
};

static enum err idle_job(struct store_tx *tx, void *arg)
{
    struct idle_query *q = arg;
    return file_store_idle(tx, q->arena, q->state, q->until_ms, SWEEP_MAX, &q->ids, &q->count);
}

static void sweep_state(struct file_service *svc, File__State state, int64_t age_ms)
{
    struct idle_query q = {
        .arena = arena_create(), .state = state, .until_ms = clock_wall_ms() - age_ms};
    enum err err = store_read_one(svc->deps.store, idle_job, &q);
    for (size_t i = 0; i < q.count && !err && !svc->is_stopping; i++) {
        if (state == FILE__STATE__CHECKING) {
            file_check_start(svc, q.ids[i], NULL, NULL);
            continue;
        }
        enum err gone = file_remove(svc, q.ids[i]);
        if (gone && gone != ERR_FAILED_PRECONDITION && gone != ERR_UNAVAILABLE)
            log_warn(NULL, "file: %s stays for now: %s", q.ids[i], err_text(gone));
    }
    if (err)
        log_warn(NULL, "file: cannot see what may go: %s", err_text(err));
    arena_destroy(&q.arena);
}

/* What was begun and not ended. */
static void sweep_begun(struct file_service *svc)
{
    sweep_state(svc, FILE__STATE__DELETED, 0);
    sweep_state(svc, FILE__STATE__CHECKING, 0);
}

void file_sweep(struct file_service *svc)
{
    if (clock_is_trusted()) {
        sweep_state(svc, FILE__STATE__UPLOADING, svc->deps.upload_ms);
        sweep_state(svc, FILE__STATE__READY, svc->deps.orphan_ms);
        sweep_state(svc, FILE__STATE__REFUSED, svc->deps.orphan_ms);
    }
    sweep_begun(svc);
    file_hold_sweep(svc);
}

static void on_timer(void *arg);

static void arm(void *arg)
{
    struct file_service *svc = arg;
    if (!svc->is_stopping)
        loop_timer_start(svc->deps.loop, &svc->timer, SWEEP_MS, on_timer, svc);
}

static void sweep_work(void *arg)
{
    struct file_service *svc = arg;
    /* References that the process before could not tell any more come first. */
    if (svc->rounds++ < ROUNDS_PATIENT)
        sweep_begun(svc);
    else
        file_sweep(svc);
    svc->is_sweeping = false;
}

static void on_timer(void *arg)
{
    struct file_service *svc = arg;
    if (!svc->is_sweeping) {
        svc->is_sweeping = true;
        if (worker_run(svc->checkers, sweep_work, svc))
            svc->is_sweeping = false;
    }
    arm(svc);
}

void file_sweep_start(struct file_service *svc)
{
    /* What was left half done by the process before. */
    svc->is_sweeping = true;
    if (worker_run(svc->checkers, sweep_work, svc))
        svc->is_sweeping = false;
    if (svc->deps.loop)
        loop_post(svc->deps.loop, arm, svc);
}

static void stop_timer(void *arg)
{
    struct file_service *svc = arg;
    loop_timer_stop(&svc->timer);
}

void file_sweep_stop(struct file_service *svc)
{
    svc->is_stopping = true;
    if (svc->deps.loop)
        loop_call(svc->deps.loop, stop_timer, svc);
}

/* ---- references ---- */

static enum err ref_job(struct store_tx *tx, void *arg)
{
    const File__RefEvent *e = arg;
    return e->is_released ? file_store_release(tx, e->file_id, e->ref)
                          : file_store_add_ref(tx, e->file_id, e->ref);
}

static bool is_passing(enum err err)
{
    return err == ERR_UNAVAILABLE || err == ERR_RESOURCE_EXHAUSTED;
}

/* An event that is not noted would be a file that goes although somebody refers to it: while the
 * disk is full this is tried again, until the end (then it comes again at the next start). */
static void on_ref(void *arg, const struct bus_event *event)
{
    struct file_service *svc = arg;
    struct arena *arena = arena_create();
    File__RefEvent *e = (File__RefEvent *)rpc_message_unpack(&file__ref_event__descriptor, arena,
                                                             event->payload.p, event->payload.n);
    enum err err = e ? store_write_essential_sync(svc->deps.store, 0, ref_job, e) : ERR_DATA_LOSS;
    while (is_passing(err) && !svc->is_stopping) {
        usleep(EVENT_WAIT_MS * 1000);
        err = store_write_essential_sync(svc->deps.store, 0, ref_job, e);
    }
    if (!err && !e->is_released)
        file_hold_drop(svc, e->file_id);
    if (err)
        log_error(NULL, "file: a reference was not noted: %s", err_text(err));
    arena_destroy(&arena);
}

void file_refs_start(struct file_service *svc)
{
    svc->subscription = bus_subscribe_group(svc->deps.bus, "file_refs", "file", on_ref, svc);
}

void file_refs_stop(struct file_service *svc)
{
    bus_unsubscribe(svc->deps.bus, svc->subscription);
}
