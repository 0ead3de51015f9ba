/* file: create, destroy, wiring. */
#include "core/live.h"
#include "services/file/file_internal.h"

#define CHECKERS 2
#define DAY_MS (24 * 3600 * 1000LL)

enum err file_create(struct file_service **out, const struct file_deps *deps)
{
    struct file_service *svc = mem_zalloc(sizeof(*svc));
    svc->rpc = file_rpc_table;
    svc->deps = *deps;
    if (!svc->deps.file_max_bytes)
        svc->deps.file_max_bytes = 100 << 20;
    if (!svc->deps.quota_bytes)
        svc->deps.quota_bytes = 5LL << 30;
    if (!svc->deps.upload_ms)
        svc->deps.upload_ms = DAY_MS;
    if (!svc->deps.orphan_ms)
        svc->deps.orphan_ms = DAY_MS;
    svc->locks = file_locks_create();
    *out = NULL;
    enum err err = worker_pool_create(
        &svc->checkers, &(struct worker_options){.name = "files", .thread_count = CHECKERS});
    if (err) {
        file_locks_destroy(&svc->locks);
        free(svc);
        return err;
    }
    file_hold_start(svc);
    file_refs_start(svc);
    file_sweep_start(svc);
    file_erase_start(svc);
    *out = svc;
    return ERR_OK;
}

void file_set_limits(struct file_service *svc, int64_t file_max_bytes, int64_t quota_bytes)
{
    LIVE_SET(svc->deps.file_max_bytes, file_max_bytes);
    LIVE_SET(svc->deps.quota_bytes, quota_bytes);
}

ProtobufCService *file_rpc(struct file_service *svc)
{
    return &svc->rpc.base;
}

void file_destroy(struct file_service **svcp)
{
    struct file_service *svc = *svcp;
    *svcp = NULL;
    if (!svc)
        return;
    file_sweep_stop(svc);
    file_refs_stop(svc);
    worker_pool_destroy(&svc->checkers);
    file_locks_destroy(&svc->locks);
    file_hold_end(svc);
    free(svc);
}
