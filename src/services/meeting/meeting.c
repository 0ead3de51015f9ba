/* meeting: create, destroy, wiring. Calls come through rpc and run on the threads of its share. */
#include "core/live.h"
#include "services/meeting/meeting_internal.h"

static void fill_defaults(struct meeting_deps *d)
{
    d->capacity_default = d->capacity_default ? d->capacity_default : 500;
    d->empty_grace_ms = d->empty_grace_ms ? d->empty_grace_ms : 300 * 1000;
    d->presence_ms = d->presence_ms ? d->presence_ms : 120 * 1000;
    if (!d->sweep_every_ms) /* no grace is overstepped by more than a quarter */
        d->sweep_every_ms = CLAMP(d->empty_grace_ms / 4, 250, 15 * 1000);
}

enum err meeting_create(struct meeting_service **out, const struct meeting_deps *deps)
{
    *out = NULL;
    struct meeting_service *svc = mem_zalloc(sizeof(*svc));
    svc->rpc = meeting_rpc_table;
    enum err err = password_create(&svc->hasher, &deps->password);
    if (err) {
        free(svc);
        return err;
    }
    svc->deps = *deps;
    fill_defaults(&svc->deps);
    svc->grace_from_ms = clock_wall_ms();
    svc->clock_offset_ms = clock_wall_ms() - clock_mono_ms();
    meeting_events_start(svc);
    meeting_live_start(svc);
    meeting_sweep_start(svc);
    meeting_erase_start(svc);
    *out = svc;
    return ERR_OK;
}

void meeting_set_rules(struct meeting_service *svc, int64_t capacity_default, bool may_bots_create)
{
    LIVE_SET(svc->deps.capacity_default, capacity_default);
    LIVE_SET(svc->deps.may_bots_create, may_bots_create);
}

ProtobufCService *meeting_rpc(struct meeting_service *svc)
{
    return &svc->rpc.base;
}

void meeting_destroy(struct meeting_service **svc)
{
    if (!*svc)
        return;
    meeting_events_stop(*svc);
    meeting_live_stop(*svc);
    meeting_sweep_stop(*svc);
    password_destroy(&(*svc)->hasher);
    free(*svc);
    *svc = NULL;
}
