/*
 * user: create, destroy, wiring. The service has no threads and hears no events; calls come through
 * rpc and run on the threads of its share.
 */
#include "core/live.h"
#include "services/user/user.h"

#include <stdlib.h>

#include "core/mem.h"
#include "services/user/user_internal.h"

enum err user_create(struct user_service **out, const struct user_deps *deps)
{
    struct user_service *svc = mem_zalloc(sizeof(*svc));
    svc->rpc = user_rpc_table;
    svc->deps = *deps;
    enum err err = password_create(&svc->hasher, &deps->password);
    if (err)
        user_destroy(&svc);
    else
        user_erase_start(svc);
    *out = svc;
    return err;
}

void user_set_rules(struct user_service *svc, enum user_registration registration, int64_t bots_max)
{
    LIVE_SET(svc->deps.registration, registration);
    LIVE_SET(svc->deps.bots_max, bots_max);
}

ProtobufCService *user_rpc(struct user_service *svc)
{
    return &svc->rpc.base;
}

void user_destroy(struct user_service **svc)
{
    if (!*svc)
        return;
    password_destroy(&(*svc)->hasher);
    free(*svc);
    *svc = NULL;
}
