/*
 * user_erase: the end of an account and of what is known of its person. One transaction takes the
 * names away, ends every sign-in and gives each service its part as a task; what remains is an id
 * without a name, which logs and lists still need. The picture goes by a task of our own.
 */
#include "core/clock.h"
#include "core/log.h"
#include "services/common/audit.h"
#include "services/common/erase.h"
#include "services/common/who.h"
#include "services/user/user_internal.h"

#define QUEUE ERASE_QUEUE("user")
#define BOTS_MAX 1000
#define OTHERS_AFTER_MS 2000 /* an edge may believe an ended sign-in for a second */

struct erasing {
    struct user_service *svc;
    struct rpc_call *call;
    const char *id;
};

static enum err enqueue(struct store_tx *tx, const struct erasing *e, const char *queue,
                        const char *id, int64_t delay_ms)
{
    return bus_enqueue_tx(e->svc->deps.bus, tx,
                          &(struct bus_task){.queue = queue,
                                             .type = "erase",
                                             .payload = str_from(id),
                                             .idempotency_key = id,
                                             .delay_ms = delay_ms,
                                             .attempts_max = ERASE_ATTEMPTS_MAX});
}

static enum err forget(struct store_tx *tx, const struct erasing *e, struct user_row *row)
{
    const char *taken;
    row->nickname = "(erased)";
    row->email = row->phone = row->description = "";
    row->locale = "en";
    row->time_zone = "UTC";
    row->role = ROLE_USER;
    row->is_disabled = true;
    row->updated_at_ms = MAX(clock_wall_ms(), row->updated_at_ms + 1);
    enum err err = user_store_update(tx, e->call->arena, row, &taken);
    return err ? err : user_store_forget(tx, row->id);
}

static enum err erase_row(struct store_tx *tx, const struct erasing *e, struct user_row *row)
{
    const struct user_deps *deps = &e->svc->deps;
    enum err err = forget(tx, e, row);
    if (!err)
        err = user_publish_tx(e->svc, tx, e->call, "user.disabled", row);
    if (!err)
        err = user_publish_tx(e->svc, tx, e->call, "user.removed", row);
    if (!err)
        err = enqueue(tx, e, QUEUE, row->id, 0);
    for (size_t i = 0; i < deps->erase_queue_count && !err; i++)
        err = enqueue(tx, e, deps->erase_queues[i], row->id, OTHERS_AFTER_MS);
    return err;
}

static enum err erase_bots(struct store_tx *tx, const struct erasing *e)
{
    struct user_row *bots;
    size_t count;
    enum err err = user_store_list_bots(tx, e->call->arena, e->id, BOTS_MAX, &bots, &count);
    for (size_t i = 0; i < count && !err; i++)
        err = erase_row(tx, e, &bots[i]);
    return err;
}

static enum err check_admin(struct store_tx *tx, const struct erasing *e,
                            const struct user_row *row)
{
    int64_t others = 1;
    if (row->role != ROLE_ADMIN || row->is_disabled)
        return ERR_OK;
    enum err err = user_store_count_other_admins(tx, row->id, &others);
    if (err || others > 0)
        return err;
    rpc_fail(e->call, ERR_FAILED_PRECONDITION,
             "this is the last administrator: make another one first");
    return ERR_FAILED_PRECONDITION;
}

static enum err erase_job(struct store_tx *tx, void *arg)
{
    struct erasing *e = arg;
    struct user_row row;
    enum err err = user_store_find(tx, e->call->arena, e->id, &row);
    if (!err)
        err = check_admin(tx, e, &row);
    if (!err)
        err = erase_bots(tx, e);
    if (!err)
        err = erase_row(tx, e, &row);
    return err ? err
               : audit_publish_tx(e->svc->deps.bus, tx, e->call,
                                  &(struct audit_note){"user_erased", row.id, NULL, NULL});
}

User__EraseUserReply *user_erase(struct user_service *svc, struct rpc_call *call, const char *id)
{
    struct erasing e = {svc, call, id};
    enum err err = id_is_valid(id) ? store_write_essential_sync(svc->deps.store, 0, erase_job, &e)
                                   : ERR_NOT_FOUND;
    if (err)
        return who_fail(call, err);
    log_info(&call->log, "account %s is being erased", id);
    User__EraseUserReply *out = arena_new(call->arena, User__EraseUserReply);
    user__erase_user_reply__init(out);
    return out;
}

/* ---- the picture ---- */

struct picture {
    struct arena *arena;
    const char *id;
    struct user_row row;
};

static enum err find_picture(struct store_tx *tx, void *arg)
{
    struct picture *p = arg;
    return user_store_find(tx, p->arena, p->id, &p->row);
}

static enum err clear_picture(struct store_tx *tx, void *arg)
{
    struct picture *p = arg;
    const char *taken;
    p->row.avatar_version = p->row.avatar_type = "";
    return user_store_update(tx, p->arena, &p->row, &taken);
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt)
{
    struct user_service *svc = arg;
    char id[ID_SIZE];
    if (!id_read(id, task->payload))
        return ERR_OK;
    struct picture p = {.arena = arena_create(), .id = id};
    enum err err = store_read_one(svc->deps.store, find_picture, &p);
    if (!err && p.row.avatar_version[0]) {
        err = user_delete_avatar(svc, id, p.row.avatar_version);
        if (!err)
            err = store_write_essential_sync(svc->deps.store, 0, clear_picture, &p);
    }
    arena_destroy(&p.arena);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void user_erase_start(struct user_service *svc)
{
    bus_work(svc->deps.bus, QUEUE, on_task, svc);
}
