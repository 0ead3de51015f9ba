/* meeting: create, destroy, wiring. Calls come through rpc and run on the threads of its share. */
#include "services/meeting/meeting_internal.h"

enum err meeting_create(struct meeting_service **out, const struct meeting_deps *deps)
{
    struct meeting_service *svc = mem_zalloc(sizeof(*svc));
    svc->rpc = meeting_rpc_table;
    svc->deps = *deps;
    enum err err = password_create(&svc->hasher, &deps->password);
    if (err)
        meeting_destroy(&svc);
    *out = svc;
    return err;
}

ProtobufCService *meeting_rpc(struct meeting_service *svc)
{
    return &svc->rpc.base;
}

void meeting_destroy(struct meeting_service **svc)
{
    if (!*svc)
        return;
    password_destroy(&(*svc)->hasher);
    free(*svc);
    *svc = NULL;
}
