/* auth_erase: of an erased account no sign-in, no key and no address remains. What it did stays in
 * the audit log under its id, without the address that it came from. */
#include "services/auth/auth_internal.h"
#include "services/common/erase.h"

#define QUEUE ERASE_QUEUE("auth")

struct erasing {
    struct auth_service *svc;
    struct arena *arena;
    const char *user_id;
};

static enum err erase_job(struct store_tx *tx, void *arg)
{
    struct erasing *e = arg;
    int count;
    enum err err = auth_session_end_all_tx(e->svc, tx, e->arena,
                                           &(struct auth_end_all){.user_id = e->user_id}, &count);
    if (!err)
        err = auth_key_end_all_tx(e->svc, tx, e->arena, e->user_id);
    return err ? err : auth_store_forget(tx, e->user_id);
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt)
{
    struct auth_service *svc = arg;
    char user_id[ID_SIZE];
    if (!id_read(user_id, task->payload))
        return ERR_OK;
    struct erasing e = {svc, arena_create(), user_id};
    enum err err = store_write_essential_sync(svc->deps.store, 0, erase_job, &e);
    arena_destroy(&e.arena);
    return err;
}

void auth_erase_start(struct auth_service *svc)
{
    bus_work(svc->deps.bus, QUEUE, on_task, svc);
}
