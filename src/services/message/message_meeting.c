/*
 * The chat of a meeting, and what else the log hears of meetings. The chat follows what the meeting
 * service tells (at least once, in order): who comes into the meeting belongs to its chat, with the
 * same rank, and reads all of it; who is removed reads until then. It stays with its members when
 * the meeting has ended. A chat in which nothing was said shows in nobody's list.
 */
#include <unistd.h>

#include "core/log.h"
#include "services/message/message_internal.h"

#include "meeting.pb-c.h"

#define TRIES 25
#define TRIES_STOPPING 3
#define TRY_AGAIN_MS 200
#define QUEUE "message_follow"
#define ATTEMPTS_MAX 20
#define LANE_MAX 100000 /* of one meeting, while a database is away */
#define AWAY_MS 300

struct following {
    struct message_op op; /* first */
    const Meeting__MeetingEvent *event;
};

static Message__MemberRole role_of(const Meeting__Participant *p)
{
    return p->role == MEETING__PARTICIPANT_ROLE__HOST      ? MESSAGE__MEMBER_ROLE__OWNER
           : p->role == MEETING__PARTICIPANT_ROLE__CO_HOST ? MESSAGE__MEMBER_ROLE__ADMIN
                                                           : MESSAGE__MEMBER_ROLE__MEMBER;
}

static enum err make_chat(struct store_tx *tx, struct following *f, char *key)
{
    struct message_op *op = &f->op;
    const Meeting__MeetingInfo *meeting = f->event->meeting;
    char *id = arena_alloc(op->call->arena, ID_SIZE);
    shards_make_id(id, key, op->svc->shard_count);
    int64_t now_ms = clock_wall_ms();
    op->c = (struct message_conversation){.id = id,
                                          .shard = op->shard->index,
                                          .natural_key = key,
                                          .kind = MESSAGE__CONVERSATION_KIND__MEETING,
                                          .title = meeting ? meeting->title : "",
                                          .avatar_url = "",
                                          .announcement = "",
                                          .owner_id = meeting ? meeting->host_id : "",
                                          .meeting_id = f->event->meeting_id,
                                          .first_seq = 1,
                                          .created_at_ms = now_ms,
                                          .active_at_ms = now_ms};
    return message_store_insert(tx, op->svc, &op->c);
}

static enum err let_in(struct store_tx *tx, struct message_op *op, const Meeting__Participant *p)
{
    struct message_member m = {0};
    enum err err = message_store_member(tx, op->call->arena, op->c.num, p->user_id, &m);
    if (err && err != ERR_NOT_FOUND)
        return err;
    bool is_in = !err && m.state == MESSAGE__MEMBER_STATE__ACTIVE;
    if (is_in && m.role == role_of(p))
        return ERR_OK; /* told before */
    if (!is_in) {
        m = group_newcomer(op, p->user_id);
        m.visible_from_seq = 0;
        m.read_seq = 0;
        op->c.member_count++;
        err = message_store_update(tx, &op->c);
    } else {
        err = ERR_OK;
    }
    m.nickname = p->name;
    m.role = role_of(p);
    return err ? err : message_change_member(tx, op, &m);
}

static enum err put_out(struct store_tx *tx, struct message_op *op, const char *user_id)
{
    struct message_member m = {0};
    enum err err = message_store_member(tx, op->call->arena, op->c.num, user_id, &m);
    if (err == ERR_NOT_FOUND || (!err && m.state != MESSAGE__MEMBER_STATE__ACTIVE))
        return ERR_OK;
    return err ? err : group_let_go(tx, op, &m, MESSAGE__MEMBER_STATE__GONE);
}

static enum err rename_chat(struct store_tx *tx, struct message_op *op, const char *title)
{
    if (strcmp(op->c.title, title) == 0)
        return ERR_OK;
    op->c.title = title;
    return message_change_settings(tx, op);
}

static enum err follow_job(struct store_tx *tx, struct message_op *op)
{
    struct following *f = CONTAINER_OF(op, struct following, op);
    const Meeting__MeetingEvent *e = f->event;
    const char *type = strchr(e->type, '.') + 1;
    bool is_joining = strcmp(type, "user_joined") == 0;
    char *key = arena_printf(op->call->arena, "m:%s", e->meeting_id);
    enum err err = message_store_find_natural(tx, op->call->arena, key, &op->c);
    if (err == ERR_NOT_FOUND && !is_joining)
        return ERR_OK;
    if (err == ERR_NOT_FOUND)
        err = make_chat(tx, f, key);
    if (err)
        return err;
    if (e->participant && (is_joining || strcmp(type, "role_changed") == 0))
        return let_in(tx, op, e->participant);
    if (e->participant && strcmp(type, "user_removed") == 0)
        return put_out(tx, op, e->participant->user_id);
    if (e->meeting && strcmp(type, "updated") == 0)
        return rename_chat(tx, op, e->meeting->title);
    return ERR_OK;
}

static enum err call_job(struct store_tx *tx, struct message_op *op)
{
    return message_call_follow(tx, op, CONTAINER_OF(op, struct following, op)->event);
}

enum err message_follow_here(struct message_service *svc, const struct message_work *work)
{
    struct rpc_call *call = rpc_call_create(NULL);
    struct following *f = arena_new(call->arena, struct following);
    f->op.svc = svc;
    f->op.call = call;
    f->op.fn = work->kind == MESSAGE_WORK_CALL ? call_job : follow_job;
    f->op.key = work->key;
    f->op.told_end = &f->op.told;
    f->event = (const Meeting__MeetingEvent *)rpc_message_unpack(
        &meeting__meeting_event__descriptor, call->arena, work->payload.p, work->payload.n);
    enum err err = f->event ? message_change_sync(&f->op) : ERR_DATA_LOSS;
    rpc_call_unref(&call);
    return err;
}

/* Where the conversation is that the event concerns; without one it was no call of ours. */
static enum err follow_once(struct message_service *svc, const struct bus_event *event,
                            enum message_work_kind kind)
{
    struct rpc_call *call = rpc_call_create(NULL);
    struct message_op op = {.svc = svc, .call = call};
    struct message_work work = {.kind = kind, .payload = event->payload};
    const Meeting__MeetingEvent *e = (const Meeting__MeetingEvent *)rpc_message_unpack(
        &meeting__meeting_event__descriptor, call->arena, event->payload.p, event->payload.n);
    enum err err = e ? ERR_OK : ERR_DATA_LOSS;
    if (!err && kind == MESSAGE_WORK_CALL)
        err = message_call_find(&op, e->meeting_id, &work.key);
    else if (!err)
        work.key = arena_printf(call->arena, "m:%s", e->meeting_id);
    if (!err && work.key)
        err = message_work(svc, &work);
    rpc_call_unref(&call);
    return err;
}

static bool is_passing(enum err err)
{
    return err == ERR_UNAVAILABLE || err == ERR_RESOURCE_EXHAUSTED || err == ERR_ABORTED ||
           err == ERR_DEADLINE_EXCEEDED;
}

/* The event counts as delivered afterwards, and may be that somebody was put out: a store that has
 * no room just now, or let another go first, is asked again. */
static void follow(struct message_service *svc, const struct bus_event *bus_event,
                   enum message_work_kind kind)
{
    enum err err = follow_once(svc, bus_event, kind);
    for (int i = 0; i < (svc->is_stopping ? TRIES_STOPPING : TRIES) && is_passing(err); i++) {
        usleep(TRY_AGAIN_MS * 1000);
        err = follow_once(svc, bus_event, kind);
    }
    if (err)
        log_error(NULL, "message: a conversation did not follow its meeting: %s", err_text(err));
}

static bool is_one_of(const char *type, const char *const *types)
{
    while (*types && strcmp(type, *types) != 0)
        types++;
    return *types != NULL;
}

static const char *const of_chats[] = {"meeting.user_joined", "meeting.role_changed",
                                       "meeting.user_removed", "meeting.updated", NULL};
static const char *const of_calls[] = {"meeting.user_joined", "meeting.ended", "meeting.deleted",
                                       NULL};

/* Once more from the beginning changes nothing. */
static enum err follow_both(struct message_service *svc, const struct bus_event *event)
{
    enum err err =
        is_one_of(event->type, of_chats) ? follow_once(svc, event, MESSAGE_WORK_CHAT) : ERR_OK;
    return err || !is_one_of(event->type, of_calls) ? err
                                                    : follow_once(svc, event, MESSAGE_WORK_CALL);
}

/* What a meeting tells concerns its chat, and perhaps a call. */
static void follow_all(struct message_service *svc, const struct bus_event *event)
{
    if (is_one_of(event->type, of_chats))
        follow(svc, event, MESSAGE_WORK_CHAT);
    if (is_one_of(event->type, of_calls))
        follow(svc, event, MESSAGE_WORK_CALL);
}

/* ---- where a chat may lie in a database that is away ---- */

/* Longer than anybody tries an event: so each is a task, in the order of its meeting. */
struct keeping {
    struct message_service *svc;
    const struct bus_event *event;
};

static enum err keep_job(struct store_tx *tx, void *arg)
{
    const struct keeping *k = arg;
    const struct bus_event *e = k->event;
    return bus_enqueue_tx(k->svc->deps.bus, tx,
                          &(struct bus_task){.queue = QUEUE,
                                             .type = e->type,
                                             .payload = e->payload,
                                             .attempts_max = ATTEMPTS_MAX,
                                             .lane = e->key && e->key[0] ? e->key : "meetings",
                                             .lane_max = LANE_MAX});
}

static void keep(struct message_service *svc, const struct bus_event *event)
{
    struct keeping k = {svc, event};
    enum err err = store_write_essential_sync(svc->deps.store, 0, keep_job, &k);
    for (int i = 0; i < (svc->is_stopping ? TRIES_STOPPING : TRIES) && is_passing(err); i++) {
        usleep(TRY_AGAIN_MS * 1000);
        err = store_write_essential_sync(svc->deps.store, 0, keep_job, &k);
    }
    if (err)
        log_error(NULL, "message: what a meeting told was not kept: %s", err_text(err));
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt UNUSED)
{
    const struct bus_event event = {.type = task->type, .payload = task->payload};
    enum err err = follow_both(arg, &event);
    if (is_passing(err))
        bus_put_off(task, AWAY_MS);
    return err;
}

static void on_event(void *arg, const struct bus_event *event)
{
    struct message_service *svc = arg;
    if (svc->base_count == 1)
        follow_all(svc, event);
    else if (is_one_of(event->type, of_chats) || is_one_of(event->type, of_calls))
        keep(svc, event);
}

void message_meeting_start(struct message_service *svc)
{
    if (svc->base_count > 1)
        bus_work(svc->deps.bus, QUEUE, on_task, svc);
    svc->meeting_subscription =
        bus_subscribe_group(svc->deps.bus, "meeting_events", "message", on_event, svc);
}

void message_meeting_stop(struct message_service *svc)
{
    bus_unsubscribe(svc->deps.bus, svc->meeting_subscription);
}
