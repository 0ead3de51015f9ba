/* meeting_erase: meetings keep an erased account's id, and no name or picture. */
#include "services/common/erase.h"
#include "services/meeting/meeting_internal.h"

#define QUEUE ERASE_QUEUE("meeting")

static enum err erase_job(struct store_tx *tx, void *arg)
{
    return meeting_store_forget(tx, arg);
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt)
{
    struct meeting_service *svc = arg;
    char user_id[ID_SIZE];
    if (!id_read(user_id, task->payload))
        return ERR_OK;
    return store_write_essential_sync(svc->deps.store, 0, erase_job, user_id);
}

void meeting_erase_start(struct meeting_service *svc)
{
    bus_work(svc->deps.bus, QUEUE, on_task, svc);
}
