/* app_operate: see the header. A command begins a backup and asks how far it is; whether somebody
 * asks or not it goes on to its end. */
#include "app/app_operate.h"

#include <pthread.h>
#include <stdlib.h>

#include "app/app_backup.h"
#include "app/app_events.h"
#include "app/app_export.h"
#include "core/log.h"
#include "core/mem.h"
#include "operate.pb-c.h"
#include "rpc/rpc.h"

struct app_operate {
    Operate__Operate_Service rpc; /* first */
    struct app_operate_options opt;
    struct app_events *events;
    pthread_mutex_t lock;
    pthread_t thread;
    bool has_thread; /* to be joined */
    /* guarded by lock: */
    bool is_running, is_stopping;
    Operate__BackupState__Phase phase;
    struct archive_state state;
    struct strbuf problem;
    char *directory, *login; /* login "": a backup */
};

static bool on_progress(void *arg, const struct archive_state *state)
{
    struct app_operate *o = arg;
    pthread_mutex_lock(&o->lock);
    o->state = *state;
    o->phase = (Operate__BackupState__Phase)(OPERATE__BACKUP_STATE__PHASE__FILES + state->phase);
    bool goes_on = !o->is_stopping;
    pthread_mutex_unlock(&o->lock);
    return goes_on;
}

static enum err backup(struct app_operate *o, struct archive_state *state, struct strbuf *problem)
{
    struct app_backup b = {.store = o->opt.store,
                           .data_dir = o->opt.data_dir,
                           .version = o->opt.version,
                           .directory = o->directory,
                           .progress = {.fn = on_progress, .arg = o}};
    enum err err = app_backup_write(&b, problem);
    *state = b.progress.state;
    return err;
}

static enum err export(struct app_operate *o, struct archive_state *state, struct strbuf *problem) {
    if (o->opt.shard_store_count < o->opt.shard_stores_wanted){
        strbuf_adds(problem,
                    "some messages lie in other databases (messages.shard_stores), which a "
                    "process without the message service does not open: stop it, or export "
                    "with the data directory of one that runs it");
        return ERR_FAILED_PRECONDITION;}
struct app_export e = {.store = o->opt.store,
                       .shard_stores = o->opt.shard_stores,
                       .shard_store_count = o->opt.shard_store_count,
                       .blob_dir = o->opt.blob_dir,
                       .login = o->login,
                       .directory = o->directory,
                       .progress = {.fn = on_progress, .arg = o}};
enum err err = app_export_write(&e, problem);
*state = e.progress.state;
return err;
}

static void *thread_main(void *arg)
{
    struct app_operate *o = arg;
    struct strbuf problem = {0};
    struct archive_state state = {0};
    const char *what = o->login[0] ? "export" : "backup";
    enum err err = o->login[0] ? export(o, &state, &problem) : backup(o, &state, &problem);
    if (err)
        log_warn(NULL, "%s: %.*s", what, STR_FMT(strbuf_str(&problem)));
    else
        log_info(NULL, "%s: %lld files to %s", what, (long long)state.file_count, o->directory);
    pthread_mutex_lock(&o->lock);
    o->state = state;
    o->phase = err ? OPERATE__BACKUP_STATE__PHASE__FAILED : OPERATE__BACKUP_STATE__PHASE__DONE;
    strbuf_clear(&o->problem);
    strbuf_add(&o->problem, problem.n ? problem.p : "", problem.n);
    o->is_running = false;
    pthread_mutex_unlock(&o->lock);
    strbuf_deinit(&problem);
    return NULL;
}

static void answer(struct app_operate *o, Operate__BackupState_Closure closure,
                   struct rpc_call *call)
{
    Operate__BackupState *out = arena_new(call->arena, Operate__BackupState);
    operate__backup_state__init(out);
    pthread_mutex_lock(&o->lock);
    out->phase = o->phase;
    out->done_bytes = o->state.done_bytes;
    out->total_bytes = MAX(o->state.total_bytes, o->state.done_bytes);
    out->file_count = o->state.file_count;
    out->problem = str_arena(call->arena, strbuf_str(&o->problem));
    pthread_mutex_unlock(&o->lock);
    closure(out, call);
}

static enum err begin(struct app_operate *o, const char *directory, const char *login)
{
    enum err err = ERR_OK;
    pthread_mutex_lock(&o->lock);
    if (o->is_running)
        err = ERR_FAILED_PRECONDITION;
    o->is_running = true;
    pthread_mutex_unlock(&o->lock);
    if (err)
        return err;
    if (o->has_thread)
        pthread_join(o->thread, NULL);
    free(o->directory);
    free(o->login);
    o->directory = mem_strdup(directory);
    o->login = mem_strdup(login);
    o->is_stopping = false;
    o->phase = OPERATE__BACKUP_STATE__PHASE__FILES;
    o->state = (struct archive_state){0};
    strbuf_clear(&o->problem);
    o->has_thread = pthread_create(&o->thread, NULL, thread_main, o) == 0;
    if (!o->has_thread) /* else the thread says when it is over, perhaps it has already */
        o->is_running = false;
    return o->has_thread ? ERR_OK : ERR_RESOURCE_EXHAUSTED;
}

static void on_begin_backup(Operate__Operate_Service *rpc, const Operate__BeginBackupRequest *in,
                            Operate__BackupState_Closure closure, void *data)
{
    struct app_operate *o = (struct app_operate *)rpc;
    struct rpc_call *call = data;
    enum err err =
        in->directory[0] == '/' ? begin(o, in->directory, in->export_login) : ERR_INVALID_ARGUMENT;
    if (err) {
        rpc_fail(call, err, "%s",
                 err == ERR_FAILED_PRECONDITION ? "a backup or an export is being written already"
                                                : err_text(err));
        closure(NULL, call);
        return;
    }
    answer(o, closure, call);
}

static void on_get_backup(Operate__Operate_Service *rpc, const Operate__GetBackupRequest *in,
                          Operate__BackupState_Closure closure, void *data)
{
    answer((struct app_operate *)rpc, closure, data);
}

static void on_cancel_backup(Operate__Operate_Service *rpc, const Operate__CancelBackupRequest *in,
                             Operate__BackupState_Closure closure, void *data)
{
    struct app_operate *o = (struct app_operate *)rpc;
    pthread_mutex_lock(&o->lock);
    o->is_stopping = true;
    pthread_mutex_unlock(&o->lock);
    answer(o, closure, data);
}

static void on_get_erasing(Operate__Operate_Service *rpc, const Operate__GetErasingRequest *in,
                           Operate__Erasing_Closure closure, void *data)
{
    struct app_operate *o = (struct app_operate *)rpc;
    struct rpc_call *call = data;
    Operate__Erasing out = OPERATE__ERASING__INIT;
    enum err err = ERR_OK;
    for (size_t i = 0; i < o->opt.erase_queue_count && !err; i++) {
        struct bus_task_stats stats;
        err = bus_task_stats(o->opt.bus, o->opt.erase_queues[i], &stats);
        out.pending_count += err ? 0 : stats.ready + stats.waiting + stats.running;
        out.dead_count += err ? 0 : stats.dead;
    }
    if (err)
        rpc_fail(call, err, "%s", err_text(err));
    closure(err ? NULL : &out, call);
}

static void on_watch_events(Operate__Operate_Service *rpc, const Operate__WatchEventsRequest *in,
                            Operate__WatchedEvents_Closure closure, void *data)
{
    struct app_operate *o = (struct app_operate *)rpc;
    struct rpc_call *call = data;
    Operate__WatchedEvents out = OPERATE__WATCHED_EVENTS__INIT;
    app_events_watch(o->events, in, call->arena, &out);
    closure(&out, call);
}

struct app_operate *app_operate_create(const struct app_operate_options *opt)
{
    struct app_operate *o = mem_new(struct app_operate);
    o->rpc = (Operate__Operate_Service)OPERATE__OPERATE__INIT(on_);
    o->opt = *opt;
    o->events = app_events_create(opt->bus);
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

ProtobufCService *app_operate_rpc(struct app_operate *operate)
{
    return &operate->rpc.base;
}

void app_operate_destroy(struct app_operate **operate)
{
    struct app_operate *o = *operate;
    *operate = NULL;
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    o->is_stopping = true;
    pthread_mutex_unlock(&o->lock);
    if (o->has_thread)
        pthread_join(o->thread, NULL);
    app_events_destroy(&o->events);
    pthread_mutex_destroy(&o->lock);
    strbuf_deinit(&o->problem);
    free(o->directory);
    free(o->login);
    free(o);
}
