/* presence_erase: an erased account says nothing of itself any more. (The time of its last visit
 * may still be written once, under its id.) */
#include "services/common/erase.h"
#include "services/presence/presence_internal.h"

#define QUEUE ERASE_QUEUE("presence")

static enum err erase_job(struct store_tx *tx, void *arg)
{
    return store_run(tx, "DELETE FROM presence_people WHERE user_id = ?", "s", (const char *)arg);
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt)
{
    struct presence_service *svc = arg;
    char user_id[ID_SIZE];
    if (!id_read(user_id, task->payload))
        return ERR_OK;
    enum err err = store_write_essential_sync(svc->deps.store, 0, erase_job, user_id);
    if (err)
        return err;
    struct arena *arena = arena_create();
    Presence__Settings none = PRESENCE__SETTINGS__INIT;
    none.status = PRESENCE__STATUS__ONLINE;
    presence_settings_changed(svc, arena, user_id, &none);
    arena_destroy(&arena);
    return ERR_OK;
}

void presence_erase_start(struct presence_service *svc)
{
    bus_work(svc->deps.bus, QUEUE, on_task, svc);
}
