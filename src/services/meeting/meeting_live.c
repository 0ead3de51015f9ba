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

static void write_session(struct meeting_service *svc, int kind, const Events__SignalingEvent *e)
{
    struct news n = {.kind = kind, .c.at_ms = e->at_ms};
    id_read(n.c.meeting_id, str_from(e->meeting_id));
    id_read(n.c.participant_id, str_from(e->participant_id));
    id_read(n.c.session_id, str_from(e->session_id));
    if (kind == NEWS_SEEN || n.c.session_id[0])
        write_news(svc, &n);
}

static void on_created(void *arg, const struct bus_event *event UNUSED, const void *message)
{
    write_session(arg, NEWS_COME, message);
}

static void on_closed(void *arg, const struct bus_event *event UNUSED, const void *message)
{
    write_session(arg, NEWS_PART, message);
}

static void on_connected(void *arg, const struct bus_event *event UNUSED, const void *message)
{
    write_session(arg, NEWS_SEEN, message);
}

static void on_signaling(void *arg, const struct bus_event *event)
{
    static const struct event_case cases[] = {{"session.created", on_created},
                                              {"session.closed", on_closed},
                                              {"webrtc.connected", on_connected}};
    event_dispatch(event, &events__signaling_event__descriptor, cases, ARRAY_LEN(cases), arg);
}

static void on_stream(void *arg, const struct bus_event *event, const void *message)
{
    const Media__MediaEvent *e = message;
    struct news n = {.kind = NEWS_STREAMS};
    if (!e->track || e->track->source < 0 || e->track->source >= 31 ||
        1u << e->track->source > MEETING_STREAMS)
        return;
    unsigned *changed =
        strcmp(event->type, "stream.started") == 0 ? &n.c.streams_on : &n.c.streams_off;
    *changed = 1u << e->track->source;
    id_read(n.c.meeting_id, str_from(e->meeting_id));
    id_read(n.c.participant_id, str_from(e->track->participant_id));
    write_news(arg, &n);
}

static void on_media(void *arg, const struct bus_event *event)
{
    static const struct event_case cases[] = {{"stream.started", on_stream},
                                              {"stream.stopped", on_stream}};
    event_dispatch(event, &media__media_event__descriptor, cases, ARRAY_LEN(cases), arg);
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

static void keep_ai_result(void *arg, const struct bus_event *event, const void *message)
{
    const Events__AiEvent *e = message;
    if (e->result)
        keep(arg,
             &(struct meeting_result){.id = event->id,
                                      .meeting_id = e->meeting_id,
                                      .stream_id = e->stream_id,
                                      .at_ms = e->at_ms ? e->at_ms : event->at_ms},
             e->result);
}

static void on_ai_result(void *arg, const struct bus_event *event)
{
    static const struct event_case any = {NULL, keep_ai_result};
    event_dispatch(event, &events__ai_event__descriptor, &any, 1, arg);
}

static void keep_media_result(void *arg, const struct bus_event *event, const void *message)
{
    const Media__MediaEvent *e = message;
    if (e->result)
        keep(arg,
             &(struct meeting_result){.id = event->id,
                                      .meeting_id = e->meeting_id,
                                      .stream_id = e->track ? e->track->id : "",
                                      .at_ms = event->at_ms},
             e->result);
}

static void on_media_result(void *arg, const struct bus_event *event)
{
    static const struct event_case any = {NULL, keep_media_result};
    event_dispatch(event, &media__media_event__descriptor, &any, 1, arg);
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
