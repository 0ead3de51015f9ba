/*
 * What media hears of the others. A meeting that ended, somebody who left it or was put out, a
 * signaling session that was closed: signaling closes what belongs to them by calls, and a call may
 * be lost with the process that makes it. So after a moment whatever of it is still here is closed.
 * And what AI did to a stream that is here is noted at its track, and the room is told.
 */
#include "services/common/event_read.h"
#include "services/media/media_internal.h"

#include "events.pb-c.h"
#include "meeting.pb-c.h"

#define ENDINGS_MAX 20000 /* that wait; beyond it the oldest is carried out early */
/* Who came back within so long before a departure may have been told of it late: clocks differ. */
#define CLOCKS_DIFFER_MS 1000

const char *const media_processings[MEDIA_PROCESSINGS] = {"speech_recognition", "emotion_detection",
                                                          "audio_denoising", "video_enhancement"};

static struct metric closed_total =
    METRIC_COUNTER("parlance_media_left_behind_total",
                   "Sessions closed since an event said that they are over.", "reason");

/* ---- what is over ---- */

struct ending {
    struct list in_hub;
    int64_t due_ms;
    int64_t at_ms;                /* wall: when it was over */
    char meeting_id[ID_SIZE];     /* all of it, or */
    char participant_id[ID_SIZE]; /* this one's, or */
    char session_id[ID_SIZE];     /* this one */
};

static bool is_over(const struct ending *e, const struct media_session *s)
{
    if (e->session_id[0])
        return strcmp(s->id, e->session_id) == 0;
    if (!e->participant_id[0])
        return true;
    return strcmp(s->participant_id, e->participant_id) == 0 &&
           s->opened_at_ms + CLOCKS_DIFFER_MS < e->at_ms;
}

static struct media_session *find_over(struct media_hub *hub, const struct ending *e)
{
    struct media_room *room = map_get(hub->rooms, str_from(e->meeting_id));
    if (!room)
        return NULL;
    LIST_FOREACH(&room->sessions, node)
    {
        struct media_session *s = LIST_ENTRY(node, struct media_session, in_room);
        if (is_over(e, s))
            return s;
    }
    return NULL;
}

/* The last session frees its room, so it is looked for anew each time. */
static void ending_carry_out(struct media_hub *hub, struct ending *e)
{
    const char *reason = e->session_id[0] ? "session" : e->participant_id[0] ? "left" : "ended";
    struct media_session *s;
    while ((s = find_over(hub, e))) {
        log_info(NULL, "media: session %s of meeting %s is over (%s): closed", s->id, e->meeting_id,
                 reason);
        metric_cell_add(metric_cell(&closed_total, reason, NULL, NULL), 1);
        media_session_close(s);
    }
    list_remove(&e->in_hub);
    hub->ending_count--;
    free(e);
}

static void arm(struct media_hub *hub);

static void on_due(void *arg)
{
    struct media_hub *hub = arg;
    int64_t now_ms = clock_mono_ms();
    LIST_FOREACH(&hub->endings, node)
    {
        struct ending *e = LIST_ENTRY(node, struct ending, in_hub);
        if (e->due_ms > now_ms)
            break;
        ending_carry_out(hub, e);
    }
    arm(hub);
}

static void arm(struct media_hub *hub)
{
    if (list_is_empty(&hub->endings) || loop_timer_is_armed(&hub->ending_timer))
        return;
    const struct ending *e = LIST_ENTRY(hub->endings.next, struct ending, in_hub);
    loop_timer_start(hub->loop, &hub->ending_timer, MAX(e->due_ms - clock_mono_ms(), 0), on_due,
                     hub);
}

static void note_ending(struct media_hub *hub, struct ending *e)
{
    e->due_ms = clock_mono_ms() + hub->linger_ms;
    list_add_tail(&hub->endings, &e->in_hub);
    if (++hub->ending_count > ENDINGS_MAX)
        ending_carry_out(hub, LIST_ENTRY(hub->endings.next, struct ending, in_hub));
    arm(hub);
}

/* ---- what AI did ---- */

struct processed {
    char meeting_id[ID_SIZE], stream_id[ID_SIZE];
    unsigned what; /* index into media_processings */
};

static void note_processed(struct media_hub *hub, const struct processed *p)
{
    struct media_room *room = map_get(hub->rooms, str_from(p->meeting_id));
    struct media_track *t = room ? media_room_find_track(room, p->stream_id) : NULL;
    if (!t || (t->processed & 1u << p->what))
        return;
    t->processed |= 1u << p->what;
    media_events_track(t, "stream.processed");
}

/* ---- on the loop ---- */

struct heard {
    struct media_hub *hub;
    struct ending *ending; /* or: */
    struct processed processed;
};

static void on_loop(void *arg)
{
    struct heard *h = arg;
    if (h->ending)
        note_ending(h->hub, h->ending);
    else
        note_processed(h->hub, &h->processed);
    free(h);
}

static void hear(const struct heard *h)
{
    loop_post(h->hub->loop, on_loop, mem_dup(h, sizeof(*h)));
}

static void hear_ending(struct media_hub *hub, const struct ending *e)
{
    if (e->meeting_id[0])
        hear(&(struct heard){.hub = hub, .ending = mem_dup(e, sizeof(*e))});
}

/* ---- on the bus's threads ---- */

static void on_ended(void *arg, const struct bus_event *event UNUSED, const void *message)
{
    const Meeting__MeetingEvent *m = message;
    struct ending e = {.at_ms = m->at_ms};
    id_read(e.meeting_id, str_from(m->meeting_id));
    hear_ending(arg, &e);
}

static void on_departed(void *arg, const struct bus_event *event UNUSED, const void *message)
{
    const Meeting__MeetingEvent *m = message;
    struct ending e = {.at_ms = m->at_ms};
    id_read(e.meeting_id, str_from(m->meeting_id));
    if (m->participant && id_read(e.participant_id, str_from(m->participant->id)))
        hear_ending(arg, &e);
}

static void on_meeting(void *arg, const struct bus_event *event)
{
    static const struct event_case cases[] = {{"meeting.ended", on_ended},
                                              {"meeting.deleted", on_ended},
                                              {"meeting.user_left", on_departed},
                                              {"meeting.user_removed", on_departed},
                                              {"meeting.user_refused", on_departed}};
    event_dispatch(event, &meeting__meeting_event__descriptor, cases, ARRAY_LEN(cases), arg);
}

static void on_closed(void *arg, const struct bus_event *event UNUSED, const void *message)
{
    const Events__SignalingEvent *m = message;
    struct ending e = {.at_ms = m->at_ms};
    id_read(e.meeting_id, str_from(m->meeting_id));
    if (id_read(e.session_id, str_from(m->session_id)))
        hear_ending(arg, &e);
}

static void on_signaling(void *arg, const struct bus_event *event)
{
    static const struct event_case closed = {"session.closed", on_closed};
    event_dispatch(event, &events__signaling_event__descriptor, &closed, 1, arg);
}

static void on_result(void *arg, const struct bus_event *event UNUSED, const void *message)
{
    const Events__AiEvent *e = message;
    bool is_done = e->result && strcmp(e->result->status, "done") == 0;
    for (unsigned i = 0; is_done && i < MEDIA_PROCESSINGS; i++) {
        struct heard h = {.hub = arg, .processed.what = i};
        id_read(h.processed.meeting_id, str_from(e->meeting_id));
        id_read(h.processed.stream_id, str_from(e->stream_id));
        if (strcmp(e->result->task, media_processings[i]) == 0)
            hear(&h);
    }
}

static void on_ai(void *arg, const struct bus_event *event)
{
    static const struct event_case any = {NULL, on_result};
    event_dispatch(event, &events__ai_event__descriptor, &any, 1, arg);
}

void media_listen_start(struct media_hub *hub)
{
    hub->subscriptions[0] = bus_subscribe(hub->bus, "meeting_events", "media", on_meeting, hub);
    hub->subscriptions[1] = bus_subscribe(hub->bus, "signaling_events", "media", on_signaling, hub);
    hub->subscriptions[2] = bus_subscribe(hub->bus, "ai_events", "media", on_ai, hub);
}

void media_listen_stop(struct media_hub *hub)
{
    for (size_t i = 0; i < ARRAY_LEN(hub->subscriptions); i++)
        bus_unsubscribe(hub->bus, hub->subscriptions[i]);
}

void media_listen_clear(struct media_hub *hub)
{
    loop_timer_stop(&hub->ending_timer);
    LIST_FOREACH(&hub->endings, node)
    {
        struct ending *e = LIST_ENTRY(node, struct ending, in_hub);
        list_remove(&e->in_hub);
        free(e);
    }
}
