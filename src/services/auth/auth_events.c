/*
 * auth_events: what auth hears. "audit_events": lines for the log from other services'
 * transactions. "user_events": a disabled account loses its sign-ins; a changed role makes
 * everybody who remembers an answer of ValidateToken ask again. Both come at least once, and doing
 * them twice changes nothing.
 */
#include <string.h>
#include <unistd.h>

#include "services/auth/auth_internal.h"
#include "user.pb-c.h"

/* The event counts as delivered when we return, so a store that is busy is asked again. */
static void write_patiently(struct auth_service *svc, store_fn *fn, void *arg, const char *what)
{
    enum err err = ERR_OK;
    for (int i = 0; i < 5; i++) {
        err = store_write_essential_sync(svc->deps.store, 0, fn, arg);
        if (err != ERR_UNAVAILABLE && err != ERR_RESOURCE_EXHAUSTED)
            break;
        usleep(20000u << i);
    }
    if (err)
        log_error(NULL, "%s: %s", what, err_name(err));
}

/* ---- lines for the log ---- */

static enum err audit_job(struct store_tx *tx, void *arg)
{
    const Auth__AuditEntry *e = arg;
    return auth_store_add_audit(tx, &(struct auth_audit){
                                        .id = e->id,
                                        .at_ms = e->at_ms,
                                        .actor_id = e->actor_id,
                                        .action = e->action,
                                        .target = e->target,
                                        .remote_addr = e->remote_addr,
                                        .detail = e->detail,
                                    });
}

static void on_audit_event(void *arg, const struct bus_event *event)
{
    struct auth_service *svc = arg;
    struct arena *arena = arena_create();
    ProtobufCMessage *entry = rpc_message_unpack(&auth__audit_entry__descriptor, arena,
                                                 event->payload.p, event->payload.n);
    if (entry)
        write_patiently(svc, audit_job, entry, "a line of the audit log is lost");
    else
        log_error(NULL, "an audit event cannot be read");
    arena_destroy(&arena);
}

/* ---- accounts ---- */

struct ending {
    struct auth_service *svc;
    struct arena *arena;
    const User__UserEvent *event;
};

/* The event may come late, or again, when the account is enabled and signed in anew. */
static enum err end_job(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    int count;
    return auth_session_end_all_tx(
        e->svc, tx, e->arena,
        &(struct auth_end_all){.user_id = e->event->user_id, .until_ms = e->event->at_ms}, &count);
}

/* Whose account has ended for good has no keys, nor has any program of that person's. */
static enum err keys_job(struct store_tx *tx, void *arg)
{
    struct ending *e = arg;
    return auth_key_end_all_tx(e->svc, tx, e->arena, e->event->user_id);
}

static void on_user_event(void *arg, const struct bus_event *event)
{
    struct auth_service *svc = arg;
    struct arena *arena = arena_create();
    const User__UserEvent *user = (const User__UserEvent *)rpc_message_unpack(
        &user__user_event__descriptor, arena, event->payload.p, event->payload.n);
    if (user && strcmp(event->type, "user.disabled") == 0) {
        struct ending e = {svc, arena, user};
        write_patiently(svc, end_job, &e, "a disabled account keeps sign-ins on the list");
    }
    if (user && strcmp(event->type, "user.removed") == 0) {
        struct ending e = {svc, arena, user};
        write_patiently(svc, keys_job, &e, "keys of an account that has ended stay on the list");
    }
    if (user && (strcmp(event->type, "user.disabled") == 0 ||
                 strcmp(event->type, "user.role_changed") == 0))
        auth_session_publish_role(svc, user->user_id, user->role);
    arena_destroy(&arena);
}

void auth_events_start(struct auth_service *svc)
{
    svc->audit_subscription =
        bus_subscribe_group(svc->deps.bus, "audit_events", "auth", on_audit_event, svc);
    svc->user_subscription =
        bus_subscribe_group(svc->deps.bus, "user_events", "auth", on_user_event, svc);
}

void auth_events_stop(struct auth_service *svc)
{
    bus_unsubscribe(svc->deps.bus, svc->audit_subscription);
    bus_unsubscribe(svc->deps.bus, svc->user_subscription);
}
