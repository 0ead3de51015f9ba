/*
 * file_erase: an erased account's files go as soon as no message refers to them; its own messages
 * let go of theirs meanwhile. What somebody else has sent on stays with that message, nameless.
 */
#include "services/common/erase.h"
#include "services/file/file_internal.h"

#define QUEUE ERASE_QUEUE("file")
#define PATIENT_ATTEMPTS 8 /* about four minutes: then what is left is another's */
#define BATCH 100

struct listing {
    struct arena *arena;
    const char *owner_id, *above;
    char **ids;
    size_t count;
};

static enum err list_job(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return file_store_ids_of(tx, l->arena, l->owner_id, l->above, BATCH, &l->ids, &l->count);
}

static enum err unname_job(struct store_tx *tx, void *arg)
{
    return file_store_unname(tx, arg);
}

/* One batch beyond *above; counts what is still referred to. */
static enum err erase_batch(struct file_service *svc, struct listing *l, size_t *left)
{
    enum err err = store_read_one(svc->deps.store, list_job, l);
    for (size_t i = 0; i < l->count && !err; i++) {
        err = file_remove(svc, l->ids[i]);
        if (err == ERR_FAILED_PRECONDITION) {
            ++*left;
            err = ERR_OK;
        }
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    return err;
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt)
{
    struct file_service *svc = arg;
    char user_id[ID_SIZE], above[ID_SIZE] = "";
    size_t left = 0, count;
    enum err err;
    if (!id_read(user_id, task->payload))
        return ERR_OK;
    do {
        struct listing l = {.arena = arena_create(), .owner_id = user_id, .above = above};
        err = erase_batch(svc, &l, &left);
        count = l.count;
        if (count)
            snprintf(above, sizeof(above), "%s", l.ids[count - 1]);
        arena_destroy(&l.arena);
    } while (!err && count == BATCH && !svc->is_stopping);
    if (err || !left)
        return err;
    if (attempt < PATIENT_ATTEMPTS)
        return ERR_UNAVAILABLE; /* perhaps its messages are not erased yet */
    return store_write_essential_sync(svc->deps.store, 0, unname_job, user_id);
}

void file_erase_start(struct file_service *svc)
{
    bus_work(svc->deps.bus, QUEUE, on_task, svc);
}
