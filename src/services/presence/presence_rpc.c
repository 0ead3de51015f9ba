/* The RPCs: who may call, then the domain function. */
#include "services/presence/presence_internal.h"

#define REPORTS_MAX 1000

static struct presence_service *service_of(Presence__Presence_Service *rpc)
{
    return CONTAINER_OF(rpc, struct presence_service, rpc);
}

static Presence__PresenceReply *reply_of(struct rpc_call *call)
{
    Presence__PresenceReply *reply = arena_new(call->arena, Presence__PresenceReply);
    presence__presence_reply__init(reply);
    return reply;
}

/* ---- being here ---- */

static bool check_report(struct rpc_call *call, const Presence__DeviceReport *d)
{
    size_t n = strlen(d->device_id);
    if (!id_is_valid(d->user_id))
        rpc_fail(call, ERR_INVALID_ARGUMENT, "user_id: expected the id of a user");
    else if (n < 1 || n > PRESENCE_DEVICE_ID_MAX)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "device_id: 1 to 64 characters");
    else if (d->kind > PRESENCE__DEVICE_KIND__BOT)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "kind: expected unknown, web, desktop, phone or bot");
    return !rpc_failure(call);
}

static Presence__PresenceReply *report(struct presence_service *svc, struct rpc_call *call,
                                       Presence__DeviceReport **devices, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!check_report(call, devices[i]))
            return NULL;
    }
    enum err err = presence_report(svc, call->arena, devices, count);
    return err ? who_fail(call, err) : reply_of(call);
}

/* Of oneself; services say of whom. NULL after rpc_fail. */
static Presence__PresenceReply *report_one(struct presence_service *svc, struct rpc_call *call,
                                           Presence__DeviceReport *d)
{
    if (!who_require(call, ROLE_USER))
        return NULL;
    if (!who_is_system(call) && d->user_id[0] && !who_is(call, d->user_id)) {
        rpc_fail(call, ERR_PERMISSION_DENIED, "user_id: only oneself");
        return NULL;
    }
    if (!who_is_system(call)) { /* such names are no sockets' */
        d->user_id = (char *)who_id(call);
        d->device_id =
            d->device_id[0] ? arena_printf(call->arena, "-%s", d->device_id) : (char *)"";
    }
    return report(svc, call, &d, 1);
}

static void on_user_online(Presence__Presence_Service *rpc, const Presence__UserOnlineRequest *in,
                           Presence__PresenceReply_Closure closure, void *data)
{
    Presence__DeviceReport d = PRESENCE__DEVICE_REPORT__INIT;
    d.user_id = in->user_id;
    d.device_id = in->device_id;
    d.kind = in->kind;
    d.is_idle = in->is_idle;
    closure(report_one(service_of(rpc), data, &d), data);
}

static void on_user_offline(Presence__Presence_Service *rpc, const Presence__UserOfflineRequest *in,
                            Presence__PresenceReply_Closure closure, void *data)
{
    Presence__DeviceReport d = PRESENCE__DEVICE_REPORT__INIT;
    d.user_id = in->user_id;
    d.device_id = in->device_id;
    d.is_gone = true;
    closure(report_one(service_of(rpc), data, &d), data);
}

static void on_report_devices(Presence__Presence_Service *rpc,
                              const Presence__ReportDevicesRequest *in,
                              Presence__PresenceReply_Closure closure, void *data)
{
    struct rpc_call *call = data;
    Presence__PresenceReply *reply = NULL;
    if (who_require_system(call) && in->n_devices > REPORTS_MAX)
        rpc_fail(call, ERR_INVALID_ARGUMENT, "devices: at most %d", REPORTS_MAX);
    if (!rpc_failure(call))
        reply = report(service_of(rpc), call, in->devices, in->n_devices);
    closure(reply, call);
}

/* ---- seeing ---- */

/* NULL after rpc_fail. */
static Presence__Views *views_of(Presence__Presence_Service *rpc, struct rpc_call *call, char **ids,
                                 size_t count)
{
    if (!who_require(call, ROLE_USER))
        return NULL;
    return presence_views(service_of(rpc), call, who_is_system(call) ? NULL : who_id(call), ids,
                          count);
}

static void on_get_user_presence(Presence__Presence_Service *rpc,
                                 const Presence__GetUserPresenceRequest *in,
                                 Presence__PresenceInfo_Closure closure, void *data)
{
    char *id = in->user_id;
    const Presence__Views *views = views_of(rpc, data, &id, 1);
    closure(views ? views->views[0]->presence : NULL, data);
}

static void on_is_user_online(Presence__Presence_Service *rpc,
                              const Presence__IsUserOnlineRequest *in,
                              Presence__IsUserOnlineReply_Closure closure, void *data)
{
    char *id = in->user_id;
    const Presence__Views *views = views_of(rpc, data, &id, 1);
    Presence__IsUserOnlineReply reply = PRESENCE__IS_USER_ONLINE_REPLY__INIT;
    reply.is_online = views && views->views[0]->presence->status != PRESENCE__STATUS__OFFLINE;
    closure(views ? &reply : NULL, data);
}

static void on_get_presences(Presence__Presence_Service *rpc,
                             const Presence__GetPresencesRequest *in,
                             Presence__PresenceList_Closure closure, void *data)
{
    struct rpc_call *call = data;
    const Presence__Views *views = views_of(rpc, call, in->user_ids, in->n_user_ids);
    Presence__PresenceList reply = PRESENCE__PRESENCE_LIST__INIT;
    if (views) {
        reply.n_presences = views->n_views;
        reply.presences = arena_array(call->arena, Presence__PresenceInfo *, views->n_views);
        for (size_t i = 0; i < views->n_views; i++)
            reply.presences[i] = views->views[i]->presence;
    }
    closure(views ? &reply : NULL, call);
}

static void on_get_online_users(Presence__Presence_Service *rpc,
                                const Presence__GetOnlineUsersRequest *in,
                                Presence__OnlineUsers_Closure closure, void *data)
{
    bool is_allowed = who_require(data, ROLE_USER);
    closure(is_allowed ? presence_online_users(service_of(rpc), data, in) : NULL, data);
}

static void on_get_views(Presence__Presence_Service *rpc, const Presence__GetViewsRequest *in,
                         Presence__Views_Closure closure, void *data)
{
    bool is_allowed = who_require_system(data);
    closure(is_allowed
                ? presence_views(service_of(rpc), data, in->viewer_id, in->user_ids, in->n_user_ids)
                : NULL,
            data);
}

/* ---- one's own ---- */

static bool require_person(struct rpc_call *call)
{
    if (who_is_system(call))
        rpc_fail(call, ERR_INVALID_ARGUMENT, "nobody's own");
    return !who_is_system(call) && who_require(call, ROLE_USER);
}

static void on_get_own_presence(Presence__Presence_Service *rpc,
                                const Presence__GetOwnPresenceRequest *in UNUSED,
                                Presence__OwnPresence_Closure closure, void *data)
{
    closure(require_person(data) ? presence_get_own(service_of(rpc), data) : NULL, data);
}

static void on_set_presence(Presence__Presence_Service *rpc, const Presence__SetPresenceRequest *in,
                            Presence__OwnPresence_Closure closure, void *data)
{
    closure(require_person(data) ? presence_set(service_of(rpc), data, in) : NULL, data);
}

const Presence__Presence_Service presence_rpc_table = PRESENCE__PRESENCE__INIT(on_);
