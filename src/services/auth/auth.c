/*
 * auth: create, destroy, wiring, and the timer that sweeps away what expired.
 */
#include "services/auth/auth.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/clock_trust.h"
#include "core/mem.h"
#include "services/auth/auth_internal.h"

#define HOUR_MS (3600 * 1000LL)
#define DAY_MS (24 * HOUR_MS)
#define SWEEP_EVERY_MS (10 * 60 * 1000LL)

static void fill_defaults(struct auth_deps *d)
{
    d->access_ms = d->access_ms ? d->access_ms : 24 * HOUR_MS;
    d->refresh_ms = d->refresh_ms ? d->refresh_ms : 168 * HOUR_MS;
    d->guest_ms = d->guest_ms ? d->guest_ms : d->access_ms;
    d->refresh_grace_ms = d->refresh_grace_ms ? d->refresh_grace_ms : 10 * 1000;
    d->session_max = d->session_max ? d->session_max : 100;
    d->audit_keep_days = d->audit_keep_days ? d->audit_keep_days : 400;
}

/* ---- the sweep ---- */

struct sweep {
    int64_t dead_before_ms, audit_before_ms;
};

static enum err sweep_job(struct store_tx *tx, void *arg)
{
    const struct sweep *s = arg;
    if (!clock_is_trusted())
        return ERR_OK; /* later */
    return auth_store_sweep(tx, s->dead_before_ms, s->audit_before_ms);
}

static void on_swept(enum err err, void *arg)
{
    if (err)
        log_warn(NULL, "sweeping old sign-ins: %s", err_name(err));
    free(arg);
}

void auth_sweep(struct auth_service *svc)
{
    struct sweep *s = mem_alloc(sizeof(*s));
    int64_t now_ms = clock_wall_ms();
    /* A sign-in that is over stays known for as long as an access token of it could still live. */
    s->dead_before_ms = now_ms - svc->deps.access_ms - HOUR_MS;
    s->audit_before_ms = now_ms - svc->deps.audit_keep_days * DAY_MS;
    store_write(svc->deps.store, 0, sweep_job, s, on_swept);
}

static void on_sweep_timer(void *arg)
{
    struct auth_service *svc = arg;
    auth_sweep(svc);
    loop_timer_start(svc->deps.loop, &svc->sweep_timer, SWEEP_EVERY_MS, on_sweep_timer, svc);
}

static void stop_timer(void *arg)
{
    struct auth_service *svc = arg;
    loop_timer_stop(&svc->sweep_timer);
}

/* ---- life ---- */

enum err auth_create(struct auth_service **out, const struct auth_deps *deps)
{
    *out = NULL;
    struct auth_service *svc = mem_zalloc(sizeof(*svc));
    svc->rpc = auth_rpc_table;
    enum err err = auth_keys_create(&svc->keys, deps->secret, deps->key_pem);
    if (!err)
        err = password_create(&svc->hasher, &deps->password);
    if (err) {
        auth_keys_destroy(&svc->keys);
        free(svc);
        return err;
    }
    svc->deps = *deps;
    svc->deps.secret = STR_NULL; /* the keys have it */
    svc->deps.key_pem = NULL;
    svc->started_at_ms = clock_wall_ms();
    fill_defaults(&svc->deps);
    if (svc->deps.is_remembering)
        svc->known = auth_known_create(deps->bus, deps->cache, svc->deps.access_ms);
    auth_events_start(svc);
    auth_erase_start(svc);
    if (svc->deps.loop)
        loop_post(svc->deps.loop, on_sweep_timer, svc);
    *out = svc;
    return ERR_OK;
}

ProtobufCService *auth_rpc(struct auth_service *svc)
{
    return &svc->rpc.base;
}

void auth_destroy(struct auth_service **svc)
{
    if (!*svc)
        return;
    if ((*svc)->deps.loop)
        loop_call((*svc)->deps.loop, stop_timer, *svc);
    auth_events_stop(*svc);
    auth_known_destroy(&(*svc)->known);
    password_destroy(&(*svc)->hasher);
    auth_keys_destroy(&(*svc)->keys);
    free(*svc);
    *svc = NULL;
}
