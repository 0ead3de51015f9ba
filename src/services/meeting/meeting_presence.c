/*
 * Who is there, by the clock. Signaling reports every half minute who is on the wire; who has a
 * place and has not been reported for a while has left (a process died, or joined by REST and never
 * came). A meeting that nobody is in ends by itself after a grace, and one whose time is long over
 * without anybody having come, too. One write job does it all, so it costs a commit now and then.
 */
#include "services/meeting/meeting_internal.h"

#define REPORT_MAX 5000    /* participants in one report */
#define CLOCK_STEP_MS 2000 /* more is no slewing any more */
#define MISSED_AFTER_MS (24 * 3600 * 1000LL)

/* ---- reports ---- */

static enum err find_admitted(struct store_tx *tx, struct arena *arena,
                              const Meeting__RoomPresence *room,
                              Meeting__ReportPresenceReply *reply)
{
    for (size_t i = 0; i < room->n_waiting_participant_ids; i++) {
        char *id = room->waiting_participant_ids[i];
        struct meeting_person p;
        enum err err = meeting_store_get_person(tx, arena, room->meeting_id, id, &p);
        if (err && err != ERR_NOT_FOUND)
            return err;
        if (!err && p.state == MEETING__PARTICIPANT_STATE__ADMITTED)
            reply->admitted_participant_ids[reply->n_admitted_participant_ids++] = id;
    }
    return ERR_OK;
}

static enum err report_job(struct store_tx *tx, struct meeting_op *op)
{
    const Meeting__ReportPresenceRequest *in = op->in;
    struct arena *arena = op->call->arena;
    Meeting__ReportPresenceReply *reply = arena_new(arena, Meeting__ReportPresenceReply);
    meeting__report_presence_reply__init(reply);
    reply->gone_participant_ids = arena_array(arena, char *, REPORT_MAX);
    reply->admitted_participant_ids = arena_array(arena, char *, REPORT_MAX);
    op->reply = reply;
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < in->n_rooms; i++) {
        const Meeting__RoomPresence *room = in->rooms[i];
        for (size_t j = 0; j < room->n_participant_ids; j++) {
            char *id = room->participant_ids[j];
            enum err err = meeting_store_seen(tx, room->meeting_id, id, now_ms);
            if (err == ERR_NOT_FOUND)
                reply->gone_participant_ids[reply->n_gone_participant_ids++] = id;
            else if (err)
                return err;
        }
        enum err err = find_admitted(tx, arena, room, reply);
        if (err)
            return err;
    }
    return ERR_OK;
}

void *meeting_do_report(struct meeting_service *svc, struct rpc_call *call,
                        const Meeting__ReportPresenceRequest *in)
{
    size_t count = 0;
    for (size_t i = 0; i < in->n_rooms; i++)
        count += MAX(in->rooms[i]->n_participant_ids, in->rooms[i]->n_waiting_participant_ids);
    if (count > REPORT_MAX) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "rooms: at most %d participants at once", REPORT_MAX);
        return NULL;
    }
    struct meeting_op op = {.svc = svc, .call = call, .in = in, .fn = report_job};
    return meeting_change(&op);
}

/* ---- the sweep ---- */

struct sweep {
    struct meeting_service *svc;
    struct rpc_call *call;
};

static struct meeting_op op_of(const struct sweep *s)
{
    return (struct meeting_op){.svc = s->svc, .call = s->call};
}

/* A clock that was set, or a machine that slept, must not put people out. */
static void note_clock(struct meeting_service *svc, int64_t now_ms)
{
    int64_t offset_ms = now_ms - clock_mono_ms();
    if (llabs(offset_ms - svc->clock_offset_ms) > CLOCK_STEP_MS)
        svc->grace_from_ms = now_ms;
    svc->clock_offset_ms = offset_ms;
}

static enum err let_go_unseen(struct store_tx *tx, const struct sweep *s, int64_t now_ms)
{
    int64_t presence_ms = s->svc->deps.presence_ms;
    struct meeting_person *people;
    size_t count;
    /* After a start, and when the clock was set, everybody has time to be reported. */
    note_clock(s->svc, now_ms);
    if (now_ms - s->svc->grace_from_ms < presence_ms)
        return ERR_OK;
    enum err err = meeting_store_unseen(tx, s->call->arena, now_ms - presence_ms,
                                        now_ms + presence_ms, &people, &count);
    for (size_t i = 0; i < count && !err; i++) {
        struct meeting_op op = op_of(s);
        err = meeting_store_find(tx, s->call->arena, people[i].meeting_id, &op.m);
        if (!err)
            err = meeting_leave_tx(&op, tx, &people[i], "timeout");
    }
    return err;
}

static enum err end_all(struct store_tx *tx, const struct sweep *s, const char **ids, size_t count,
                        const char *kind)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && !err; i++) {
        struct meeting_op op = op_of(s);
        err = meeting_store_find(tx, s->call->arena, ids[i], &op.m);
        if (!err)
            err = meeting_end_tx(&op, tx, kind);
        if (!err)
            log_info(&s->call->log, "meeting %s ended: %s", op.m.id, kind);
    }
    return err;
}

static enum err sweep_job(struct store_tx *tx, void *arg)
{
    struct sweep *s = arg;
    int64_t now_ms = clock_wall_ms();
    struct arena *arena = s->call->arena;
    const char **ids;
    size_t count;
    enum err err = let_go_unseen(tx, s, now_ms);
    if (!err)
        err =
            meeting_store_abandoned(tx, arena, now_ms - s->svc->deps.empty_grace_ms, &ids, &count);
    if (!err)
        err = end_all(tx, s, ids, count, "empty");
    if (!err)
        err = meeting_store_missed(tx, arena, now_ms - MISSED_AFTER_MS, &ids, &count);
    return err ? err : end_all(tx, s, ids, count, "missed");
}

static struct sweep *sweep_create(struct meeting_service *svc)
{
    struct sweep *s = mem_zalloc(sizeof(*s));
    s->svc = svc;
    s->call = rpc_call_create(NULL);
    return s;
}

static void on_swept(enum err err, void *arg)
{
    struct sweep *s = arg;
    if (err)
        log_warn(NULL, "meetings could not be swept: %s", err_name(err));
    rpc_call_unref(&s->call);
    free(s);
}

enum err meeting_sweep(struct meeting_service *svc)
{
    struct sweep *s = sweep_create(svc);
    enum err err = store_write_essential_sync(svc->deps.store, 0, sweep_job, s);
    on_swept(err, s);
    return err;
}

static void on_timer(void *arg)
{
    struct meeting_service *svc = arg;
    store_write_essential(svc->deps.store, 0, sweep_job, sweep_create(svc), on_swept);
    loop_timer_start(svc->deps.loop, &svc->sweep_timer, svc->deps.sweep_every_ms, on_timer, svc);
}

static void stop_timer(void *arg)
{
    struct meeting_service *svc = arg;
    loop_timer_stop(&svc->sweep_timer);
}

void meeting_sweep_start(struct meeting_service *svc)
{
    if (svc->deps.loop)
        loop_post(svc->deps.loop, on_timer, svc);
}

void meeting_sweep_stop(struct meeting_service *svc)
{
    if (!svc->deps.loop)
        return;
    loop_call(svc->deps.loop, stop_timer, svc);
    store_flush(svc->deps.store); /* a sweep that is queued still uses the service */
}
