/*
 * What meetings hear of what goes on in them. Of signaling: who is connected, so attendance can be
 * told, and that they were seen. Of media: what they send. These come at most once, to every
 * process; each writes the same. Of AI and media, too: what came of tasks about a meeting, kept
 * with it; that comes at least once, to one process.
 */
#include <unistd.h>

#include "services/common/event_read.h"
#include "services/meeting/meeting_internal.h"

#include "events.pb-c.h"
#include "media.pb-c.h"

#define REPLY_MAX_BYTES (256 * 1024)
#define TRIES 5

/* ---- who is here, and sends what ---- */

struct news {
    struct meeting_connection c;
    enum { NEWS_COME, NEWS_PART, NEWS_SEEN, NEWS_STREAMS } kind;
};

static enum err news_job(struct store_tx *tx, void *arg)
{
    const struct news *n = arg;
    const struct meeting_connection *c = &n->c;
    enum err err = ERR_OK;
    if (n->kind == NEWS_COME)
        err = meeting_store_come(tx, c);
    else if (n->kind == NEWS_PART)
        return meeting_store_part(tx, c->participant_id, c->session_id, c->at_ms);
    else if (n->kind == NEWS_STREAMS)
        return meeting_store_set_streams(tx, c);
    if (!err)
        err = meeting_store_seen(tx, c->meeting_id, c->participant_id, clock_wall_ms());
    return err == ERR_NOT_FOUND ? ERR_OK : err; /* has left meanwhile */
}

static void on_written(enum err err, void *arg)
{
    if (err)
        log_warn(NULL, "meetings: who is connected was not written: %s", err_name(err));
    free(arg);
}

static void write_news(struct meeting_service *svc, const struct news *n)
{
    if (n->c.meeting_id[0] && n->c.participant_id[0])
        store_write(svc->deps.store, 0, news_job, mem_dup(n, sizeof(*n)), on_written);
}

static void copy_id(char out[ID_SIZE], const char *id)
{
    snprintf(out, ID_SIZE, "%s", id_is_valid(id) ? id : "");
}

static void on_signaling(void *arg, const struct bus_event *event)
{
    struct news n = {.kind = NEWS_SEEN};
    if (strcmp(event->type, "session.created") == 0)
        n.kind = NEWS_COME;
    else if (strcmp(event->type, "session.closed") == 0)
        n.kind = NEWS_PART;
    else if (strcmp(event->type, "webrtc.connected") != 0)
        return;
    Events__SignalingEvent *e =
        events__signaling_event__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    if (!e)
        return;
    copy_id(n.c.meeting_id, e->meeting_id);
    copy_id(n.c.participant_id, e->participant_id);
    copy_id(n.c.session_id, e->session_id);
    n.c.at_ms = e->at_ms;
    if (n.kind == NEWS_SEEN || n.c.session_id[0])
        write_news(arg, &n);
    events__signaling_event__free_unpacked(e, NULL);
}

static void on_media(void *arg, const struct bus_event *event)
{
    bool is_on = strcmp(event->type, "stream.started") == 0;
    if (!is_on && strcmp(event->type, "stream.stopped") != 0)
        return;
    Media__MediaEvent *e =
        media__media_event__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    struct news n = {.kind = NEWS_STREAMS};
    if (e && e->track && e->track->source >= 0 && e->track->source < 31 &&
        1u << e->track->source <= MEETING_STREAMS) {
        unsigned bit = 1u << e->track->source;
        copy_id(n.c.meeting_id, e->meeting_id);
        copy_id(n.c.participant_id, e->track->participant_id);
        n.c.streams_on = is_on ? bit : 0;
        n.c.streams_off = is_on ? 0 : bit;
        write_news(arg, &n);
    }
    if (e)
        media__media_event__free_unpacked(e, NULL);
}

/* ---- what came of tasks ---- */

static enum err result_job(struct store_tx *tx, void *arg)
{
    return meeting_store_add_result(tx, arg);
}

/* The event counts as delivered when we return, so a store that is busy is asked again. */
static void keep(struct meeting_service *svc, struct meeting_result *r,
                 const Events__TaskResult *result)
{
    if (!id_is_valid(r->meeting_id) || !r->id[0] || strcmp(result->status, "no_engine") == 0)
        return;
    bool is_small = strlen(result->reply) <= REPLY_MAX_BYTES;
    r->task = result->task;
    r->task_id = result->id;
    r->status = result->status;
    r->message = is_small ? result->message : "what came of it is too long to be kept";
    r->reply = is_small ? result->reply : "";
    enum err err = ERR_UNAVAILABLE;
    for (int i = 0; i < TRIES; i++) {
        err = store_write_sync(svc->deps.store, 0, result_job, r);
        if (err != ERR_UNAVAILABLE && err != ERR_RESOURCE_EXHAUSTED)
            break;
        usleep(20000u << i);
    }
    if (err && err != ERR_NOT_FOUND)
        log_error(NULL, "meetings: what came of %s is lost: %s", result->task, err_name(err));
}

static void on_ai_result(void *arg, const struct bus_event *event)
{
    struct arena *arena = arena_create();
    const Events__AiEvent *e = event_read(event, &events__ai_event__descriptor, arena);
    if (e && e->result)
        keep(arg,
             &(struct meeting_result){.id = event->id,
                                      .meeting_id = e->meeting_id,
                                      .stream_id = e->stream_id,
                                      .at_ms = e->at_ms ? e->at_ms : event->at_ms},
             e->result);
    arena_destroy(&arena);
}

static void on_media_result(void *arg, const struct bus_event *event)
{
    struct arena *arena = arena_create();
    const Media__MediaEvent *e = event_read(event, &media__media_event__descriptor, arena);
    if (e && e->result)
        keep(arg,
             &(struct meeting_result){.id = event->id,
                                      .meeting_id = e->meeting_id,
                                      .stream_id = e->track ? e->track->id : "",
                                      .at_ms = event->at_ms},
             e->result);
    arena_destroy(&arena);
}

void meeting_live_start(struct meeting_service *svc)
{
    struct bus *bus = svc->deps.bus;
    int *ids = svc->live_subscriptions;
    ids[0] = bus_subscribe(bus, "signaling_events", "meeting", on_signaling, svc);
    ids[1] = bus_subscribe(bus, "media_events", "meeting-live", on_media, svc);
    ids[2] = bus_subscribe_group(bus, "ai_events", "meeting", on_ai_result, svc);
    ids[3] = bus_subscribe_group(bus, "media_events", "meeting", on_media_result, svc);
}

void meeting_live_stop(struct meeting_service *svc)
{
    for (size_t i = 0; i < ARRAY_LEN(svc->live_subscriptions); i++)
        bus_unsubscribe(svc->deps.bus, svc->live_subscriptions[i]);
}

/* ---- who may read it ---- */

static enum err results_job(struct store_tx *tx, struct meeting_op *op)
{
    struct arena *arena = op->call->arena;
    struct meeting_result *rows;
    size_t count;
    if (!meeting_sees_people(op))
        return meeting_refuse(op, ERR_PERMISSION_DENIED, "You have not been let in yet.");
    enum err err = meeting_store_results(tx, arena, op->m.id, &rows, &count);
    if (err)
        return err;
    Meeting__MeetingResultList *list = arena_new(arena, Meeting__MeetingResultList);
    meeting__meeting_result_list__init(list);
    list->results = arena_array(arena, Meeting__MeetingResult *, count);
    for (size_t i = 0; i < count; i++) {
        Meeting__MeetingResult *shape = arena_new(arena, Meeting__MeetingResult);
        meeting__meeting_result__init(shape);
        shape->id = (char *)rows[i].id;
        shape->task = (char *)rows[i].task;
        shape->task_id = (char *)rows[i].task_id;
        shape->stream_id = (char *)rows[i].stream_id;
        shape->status = (char *)rows[i].status;
        shape->message = (char *)rows[i].message;
        shape->reply = (char *)rows[i].reply;
        shape->at_ms = rows[i].at_ms;
        list->results[list->n_results++] = shape;
    }
    op->reply = list;
    return ERR_OK;
}

void *meeting_do_results(struct meeting_service *svc, struct rpc_call *call,
                         const Meeting__ListResultsRequest *in)
{
    struct meeting_op op = {.svc = svc,
                            .call = call,
                            .in = in,
                            .fn = results_job,
                            .meeting_id = in->id,
                            .needs = MEETING_NEEDS_PLACE};
    return meeting_look(&op);
}
