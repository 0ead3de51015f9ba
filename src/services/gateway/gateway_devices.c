/*
 * Who is here, for the presence service: each socket of somebody with an account is a device. What
 * came, changed or went is gathered for a moment and reported together; everybody is reported again
 * within two minutes, well inside the time to live, so that a lost report mends itself.
 */
#include "core/log.h"
#include "services/gateway/gateway_hub.h"

#define GATHER_MS 50
#define REPORTS_MAX 250
#define ROUND_S 120

struct report {
    struct list node; /* gw->reports, while it is gathered */
    struct gateway *gw;
    struct rpc_call *call;
    Presence__ReportDevicesRequest request; /* what it points to lies in the call's arena */
};

static void on_done_here(void *arg)
{
    struct report *r = arg;
    r->gw->call_count--;
    if (r->call->err)
        log_warn(NULL, "presence of %zu devices was not taken: %s", r->request.n_devices,
                 r->call->message);
    rpc_call_unref(&r->call);
    free(r);
}

static void on_done(const ProtobufCMessage *reply UNUSED, struct rpc_call *call)
{
    struct report *r = call->user;
    loop_post(r->gw->loop, on_done_here, r);
}

static void report_send(struct report *r)
{
    struct gateway *gw = r->gw;
    ProtobufCService *presence = gw->deps.presence;
    list_remove(&r->node);
    gw->call_count++;
    rpc_async(presence, (unsigned)rpc_method_find(presence->descriptor, "ReportDevices"),
              &r->request.base, r->call, on_done, RPC_REQUEST_IN_ARENA);
}

void device_flush(struct gateway *gw)
{
    loop_timer_stop(&gw->report_timer);
    while (!list_is_empty(&gw->reports))
        report_send(LIST_ENTRY(gw->reports.next, struct report, node));
}

static void on_gathered(void *arg)
{
    device_flush(arg);
}

/* All of one person's are reported to the same instance: each record has one writer. */
static struct report *report_get(struct gateway *gw, const char *share)
{
    LIST_FOREACH(&gw->reports, node)
    {
        struct report *known = LIST_ENTRY(node, struct report, node);
        if (known->call->affinity == share)
            return known;
    }
    struct report *r = mem_zalloc(sizeof(*r));
    r->gw = gw;
    r->call = rpc_call_create(NULL); /* the gateway itself says so */
    r->call->user = r;
    r->call->affinity = share;
    presence__report_devices_request__init(&r->request);
    r->request.devices = arena_array(r->call->arena, Presence__DeviceReport *, REPORTS_MAX);
    if (list_is_empty(&gw->reports))
        loop_timer_start(gw->loop, &gw->report_timer, GATHER_MS, on_gathered, gw);
    list_add_tail(&gw->reports, &r->node);
    return r;
}

void device_report(struct member *m, bool is_gone)
{
    struct gateway *gw = m->user->gw;
    if (m->user->is_guest)
        return;
    struct report *r = report_get(gw, rpc_share(m->user->id));
    struct arena *arena = r->call->arena;
    Presence__DeviceReport *d = arena_new(arena, Presence__DeviceReport);
    presence__device_report__init(d);
    d->user_id = arena_strdup(arena, m->user->id);
    d->device_id = arena_printf(arena, "%s.%llu", gw->instance_id, (unsigned long long)m->socket);
    d->kind = (Presence__DeviceKind)m->kind;
    d->is_idle = m->is_idle;
    d->is_gone = is_gone;
    r->request.devices[r->request.n_devices++] = d;
    if (r->request.n_devices == REPORTS_MAX)
        report_send(r);
}

/* ---- keeping it fresh ---- */

static void refresh(struct user *u)
{
    list_remove(&u->in_round);
    list_add_tail(&u->gw->round, &u->in_round);
    u->round_count++;
    LIST_FOREACH(&u->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_user);
        device_report(m, false);
        if (u->round_count % 2 == 0) /* what no event tells of: conversations that ended */
            watch_doubt(m);
    }
}

static void on_round(void *arg)
{
    struct gateway *gw = arg;
    gw->round_credit += map_count(gw->users);
    for (; gw->round_credit >= ROUND_S && !list_is_empty(&gw->round); gw->round_credit -= ROUND_S)
        refresh(LIST_ENTRY(gw->round.next, struct user, in_round));
    loop_timer_start(gw->loop, &gw->round_timer, 1000, on_round, gw);
}

void device_start(struct gateway *gw)
{
    id_make(gw->instance_id);
    list_init(&gw->round);
    list_init(&gw->reports);
    on_round(gw);
}

void device_stop(struct gateway *gw)
{
    loop_timer_stop(&gw->round_timer);
    device_flush(gw);
}
