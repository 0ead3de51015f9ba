/*
 * task: create, destroy, wiring. Deliveries wait for other people's servers, so only some of the
 * bus's threads may be at it at a time.
 */
#include "services/task/task.h"

#include <stdlib.h>

#include "core/mem.h"
#include "services/task/task_internal.h"

static enum err start_push(struct task_service *svc)
{
    const struct task_deps *d = &svc->deps;
    svc->push_url = mem_strdup(d->push_url);
    svc->push_secret = mem_strdup(d->push_secret ? d->push_secret : "");
    enum err err = fetch_create(
        &svc->push_fetch, &(struct fetch_options){
                              .guard = {.is_loopback_allowed = true, .is_private_allowed = true},
                              .user_agent = "parlance-push",
                          });
    if (!err)
        bus_work_bounded(d->bus, "push", task_on_push, svc, PUSHES_AT_ONCE);
    return err;
}

enum err task_create(struct task_service **out, const struct task_deps *deps)
{
    struct task_service *svc = mem_zalloc(sizeof(*svc));
    svc->rpc = task_rpc_table;
    svc->deps = *deps;
    pthread_rwlock_init(&svc->gate, NULL);
    svc->allowed = mem_zalloc(deps->allowed_count * sizeof(*svc->allowed) + 1);
    if (deps->allowed_count)
        memcpy(svc->allowed, deps->allowed, deps->allowed_count * sizeof(*svc->allowed));
    enum err err = fetch_create(
        &svc->fetch, &(struct fetch_options){
                         .guard = {.allowed = svc->allowed, .allowed_count = deps->allowed_count},
                         .user_agent = "parlance-webhook",
                     });
    if (!err && deps->push_url && deps->push_url[0])
        err = start_push(svc);
    if (err) {
        task_destroy(&svc);
        return err;
    }
    bus_work_bounded(deps->bus, "webhooks", task_on_webhook, svc, DELIVERIES_AT_ONCE);
    svc->over = task_over_create(deps->bus);
    task_catalogue_start(svc);
    *out = svc;
    return ERR_OK;
}

ProtobufCService *task_rpc(struct task_service *svc)
{
    return &svc->rpc.base;
}

void task_stop(struct task_service *svc)
{
    if (!svc)
        return;
    task_over_stop(svc->over);
    pthread_rwlock_wrlock(&svc->gate);
    fetch_destroy(&svc->fetch);
    fetch_destroy(&svc->push_fetch);
    pthread_rwlock_unlock(&svc->gate);
}

void task_destroy(struct task_service **svc)
{
    if (!*svc)
        return;
    task_stop(*svc);
    pthread_rwlock_destroy(&(*svc)->gate);
    task_over_destroy(&(*svc)->over);
    free((*svc)->allowed);
    free((*svc)->push_url);
    free((*svc)->push_secret);
    free(*svc);
    *svc = NULL;
}
