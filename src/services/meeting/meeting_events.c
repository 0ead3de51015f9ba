/*
 * What others hear of meetings: channel "meeting_events", keyed by the meeting, in the transaction
 * that causes it. What meetings hear: "user_events", when somebody is called otherwise or looks
 * otherwise now.
 */
#include "services/meeting/meeting_internal.h"

#include "user.pb-c.h"

static enum err publish(struct meeting_op *op, struct store_tx *tx, Meeting__MeetingEvent *event)
{
    event->version = 1;
    size_t n = meeting__meeting_event__get_packed_size(event);
    uint8_t *bytes = arena_alloc(op->call->arena, n + 1);
    meeting__meeting_event__pack(event, bytes);
    return bus_publish_tx(op->svc->deps.bus, tx,
                          &(struct bus_event){.channel = "meeting_events",
                                              .type = event->type,
                                              .key = op->m.id,
                                              .payload = {(const char *)bytes, n}});
}

enum err meeting_publish_place_tx(struct meeting_op *op, struct store_tx *tx, Meeting__Place *place)
{
    Meeting__MeetingEvent event = MEETING__MEETING_EVENT__INIT;
    event.type = (char *)"meeting.placed";
    event.meeting_id = (char *)op->m.id;
    event.at_ms = clock_wall_ms();
    event.place = place;
    return publish(op, tx, &event);
}

enum err meeting_publish_tx(struct meeting_op *op, struct store_tx *tx, const char *type,
                            const struct meeting_person *person, const char *kind)
{
    struct arena *arena = op->call->arena;
    Meeting__MeetingEvent event = MEETING__MEETING_EVENT__INIT;
    event.type = arena_printf(arena, "meeting.%s", type);
    event.meeting_id = (char *)op->m.id;
    event.meeting = meeting_info(arena, &op->m, NULL);
    if (person)
        event.participant = meeting_participant(arena, person);
    event.actor_id = (char *)who_id(op->call);
    event.kind = (char *)(kind ? kind : "");
    event.at_ms = clock_wall_ms();
    return publish(op, tx, &event);
}

/* ---- accounts ---- */

struct renaming {
    const char *user_id, *name, *avatar_url;
};

static enum err rename_job(struct store_tx *tx, void *arg)
{
    const struct renaming *r = arg;
    return meeting_store_rename_host(tx, r->user_id, r->name, r->avatar_url);
}

static void rename_host(struct meeting_service *svc, const char *user_id)
{
    struct rpc_call *call = rpc_call_create(NULL);
    struct meeting_account account;
    enum err err = ERR_OK;
    if (meeting_find_account(svc, call, user_id, &account)) {
        struct renaming r = {account.user_id, account.name, account.avatar_url};
        err = store_write_sync(svc->deps.store, 0, rename_job, &r);
    } else {
        err = rpc_failure(call);
    }
    if (err && err != ERR_NOT_FOUND)
        log_warn(NULL, "meetings keep a former name of %s: %s", user_id, err_name(err));
    rpc_call_unref(&call);
}

static void on_user_event(void *arg, const struct bus_event *e)
{
    if (strcmp(e->type, "user.updated") != 0)
        return;
    struct arena *arena = arena_create();
    const User__UserEvent *user = (const User__UserEvent *)rpc_message_unpack(
        &user__user_event__descriptor, arena, e->payload.p, e->payload.n);
    if (user)
        rename_host(arg, user->user_id);
    arena_destroy(&arena);
}

void meeting_events_start(struct meeting_service *svc)
{
    svc->user_subscription =
        bus_subscribe_group(svc->deps.bus, "user_events", "meeting", on_user_event, svc);
}

void meeting_events_stop(struct meeting_service *svc)
{
    bus_unsubscribe(svc->deps.bus, svc->user_subscription);
}
