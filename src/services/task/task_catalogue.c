/*
 * task_catalogue: the tasks that anybody may ask for (docs/events.md): by bus_enqueue_tx, or from
 * outside over the broker. Each is an RPC, on behalf of the account it names; how it went is an
 * event of the channel it belongs to. What is not built in is answered so, not kept waiting.
 *
 * The request is proto/tasks.proto, packed or as JSON (a packed one never begins with '{').
 */
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "services/common/who.h"
#include "services/task/task_internal.h"

#include "events.pb-c.h"
#include "media.pb-c.h"
#include "meeting.pb-c.h"
#include "signaling.pb-c.h"
#include "tasks.pb-c.h"
#include "user.pb-c.h"

enum target { TARGET_NONE, TARGET_MEETING, TARGET_MEDIA, TARGET_SIGNALING };

static const struct row {
    const char *type; /* also the field of the request */
    enum target target;
    const char *method;
    const char *channel, *result; /* where the result is told, and as what */
} rows[] = {
    {"meeting_create", TARGET_MEETING, "CreateMeeting", "meeting_events", "task.finished"},
    {"meeting_end", TARGET_MEETING, "EndMeeting", "meeting_events", "task.finished"},
    {"meeting_user_join", TARGET_MEETING, "JoinMeeting", "meeting_events", "task.finished"},
    {"meeting_user_leave", TARGET_MEETING, "LeaveMeeting", "meeting_events", "task.finished"},
    {"media_stream_process", TARGET_NONE, NULL, "media_events", "stream.processed"},
    {"media_recording_start", TARGET_NONE, NULL, "media_events", "task.finished"},
    {"media_recording_stop", TARGET_NONE, NULL, "media_events", "task.finished"},
    {"media_transcode", TARGET_NONE, NULL, "media_events", "transcode.completed"},
    {"signaling_webrtc_offer", TARGET_MEDIA, "Publish", "signaling_events", "task.finished"},
    {"signaling_webrtc_answer", TARGET_MEDIA, "Answer", "signaling_events", "task.finished"},
    {"signaling_ice_candidate", TARGET_MEDIA, "AddCandidate", "signaling_events", "task.finished"},
    {"signaling_connection_manage", TARGET_SIGNALING, "Disconnect", "signaling_events",
     "task.finished"},
    {"speech_recognition", TARGET_NONE, NULL, "ai_events", "speech_recognition.completed"},
    {"emotion_detection", TARGET_NONE, NULL, "ai_events", "emotion_detection.completed"},
    {"audio_denoising", TARGET_NONE, NULL, "ai_events", "audio_denoising.completed"},
    {"video_enhancement", TARGET_NONE, NULL, "ai_events", "video_enhancement.completed"},
};

static const char *const queues[] = {"meeting", "media", "signaling", "ai"};

static const struct row *find_row(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].type, type) == 0)
            return &rows[i];
    return NULL;
}

static ProtobufCService *service_of(const struct task_service *svc, enum target target)
{
    return target == TARGET_MEETING     ? svc->deps.meeting
           : target == TARGET_MEDIA     ? svc->deps.media
           : target == TARGET_SIGNALING ? svc->deps.signaling
                                        : NULL;
}

/* ---- what is asked ---- */

static const Tasks__TaskRequest *read_request(const struct bus_task *task, struct arena *arena)
{
    struct strbuf problem = {0};
    const ProtobufCMessageDescriptor *d = &tasks__task_request__descriptor;
    bool is_json = task->payload.n && task->payload.p[0] == '{';
    const Tasks__TaskRequest *in =
        is_json ? (const void *)rpc_json_parse(d, task->payload, arena, &problem)
                : (const void *)rpc_message_unpack(d, arena, task->payload.p, task->payload.n);
    if (!in)
        log_warn(NULL, "task: a request of %s cannot be read: %s", task->type,
                 problem.n ? problem.p : "it is not packed as tasks.proto says");
    strbuf_deinit(&problem);
    return in && in->version <= 1 ? in : NULL;
}

/* The request of the RPC; NULL: it is missing. */
static const ProtobufCMessage *request_of(const Tasks__TaskRequest *in, const char *type)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(in->base.descriptor, type);
    return f ? *(ProtobufCMessage *const *)((const char *)in + f->offset) : NULL;
}

/* ---- on whose behalf ---- */

static enum err act_as(struct task_service *svc, const char *actor_id, struct rpc_call *call)
{
    if (!actor_id[0])
        return ERR_OK; /* the system */
    struct rpc_call *asking = rpc_call_create(NULL);
    User__GetUserRequest in = USER__GET_USER_REQUEST__INIT;
    in.id = (char *)actor_id;
    const User__Profile *p = rpc_sync(svc->deps.user, "GetUser", &in.base, asking);
    enum err err = p ? ERR_OK : asking->err;
    if (p && p->is_disabled)
        err = ERR_PERMISSION_DENIED;
    if (!err) {
        struct identity *who = arena_new(call->arena, struct identity);
        who->role = p->role == USER__ROLE__ADMIN ? ROLE_ADMIN : ROLE_USER;
        who->is_bot = p->is_bot;
        snprintf(who->user_id, sizeof(who->user_id), "%s", p->id);
        snprintf(who->name, sizeof(who->name), "%s", p->nickname[0] ? p->nickname : p->username);
        call->who = who;
    }
    rpc_call_unref(&asking);
    return err;
}

/* ---- how it went ---- */

static bool is_passing(enum err err)
{
    return err == ERR_UNAVAILABLE || err == ERR_RESOURCE_EXHAUSTED || err == ERR_ABORTED ||
           err == ERR_DEADLINE_EXCEEDED;
}

static struct str pack(struct arena *arena, const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    protobuf_c_message_pack(m, bytes);
    return (struct str){(const char *)bytes, n};
}

static struct str event_of(struct arena *arena, const struct row *row, const Tasks__TaskRequest *in,
                           Events__TaskResult *result)
{
    if (strcmp(row->channel, "meeting_events") == 0) {
        Meeting__MeetingEvent e = MEETING__MEETING_EVENT__INIT;
        e.version = 1;
        e.type = (char *)row->result;
        e.meeting_id = in->meeting_id;
        e.actor_id = in->actor_id;
        e.at_ms = clock_wall_ms();
        e.result = result;
        return pack(arena, &e.base);
    }
    if (strcmp(row->channel, "media_events") == 0) {
        Media__MediaEvent e = MEDIA__MEDIA_EVENT__INIT;
        e.version = 1;
        e.type = (char *)row->result;
        e.meeting_id = in->meeting_id;
        e.result = result;
        return pack(arena, &e.base);
    }
    if (strcmp(row->channel, "ai_events") == 0) {
        Events__AiEvent e = EVENTS__AI_EVENT__INIT;
        e.version = 1;
        e.type = (char *)row->result;
        e.meeting_id = in->meeting_id;
        e.stream_id = in->engine ? in->engine->stream_id : (char *)"";
        e.at_ms = clock_wall_ms();
        e.result = result;
        return pack(arena, &e.base);
    }
    Events__SignalingEvent e = EVENTS__SIGNALING_EVENT__INIT;
    e.version = 1;
    e.type = (char *)row->result;
    e.meeting_id = in->meeting_id;
    e.at_ms = clock_wall_ms();
    e.result = result;
    return pack(arena, &e.base);
}

static enum err tell(struct task_service *svc, struct arena *arena, const struct row *row,
                     const Tasks__TaskRequest *in, Events__TaskResult *result)
{
    result->task = (char *)row->type;
    result->id = in->id;
    return bus_publish_sync(svc->deps.bus,
                            &(struct bus_event){.channel = row->channel,
                                                .type = row->result,
                                                .key = in->meeting_id[0] ? in->meeting_id : in->id,
                                                .payload = event_of(arena, row, in, result)});
}

static char *reply_json(struct arena *arena, const ProtobufCMessage *reply)
{
    struct strbuf text = {0};
    if (reply->descriptor == &meeting__join_meeting_reply__descriptor) {
        Meeting__JoinMeetingReply shown = *(const Meeting__JoinMeetingReply *)reply;
        shown.access_token = (char *)"";
        rpc_json_write(&text, &shown.base);
    } else {
        rpc_json_write(&text, reply);
    }
    char *copy = arena_strdup(arena, text.p);
    strbuf_deinit(&text);
    return copy;
}

/* ---- doing it ---- */

/* An error that passes is the bus's to retry; any other is an answer. */
struct outcome {
    struct arena *arena;
    Events__TaskResult *result;
};

static enum err run_rpc(struct task_service *svc, const struct row *row,
                        const Tasks__TaskRequest *in, struct rpc_call *call,
                        const struct outcome *out)
{
    ProtobufCService *service = service_of(svc, row->target);
    const ProtobufCMessage *request = request_of(in, row->type);
    const ProtobufCMessage *reply = NULL;
    enum err err = request && service ? act_as(svc, in->actor_id, call) : ERR_INVALID_ARGUMENT;
    if (row->target == TARGET_MEDIA && in->node_id[0])
        call->instance = in->node_id;
    call->affinity = in->meeting_id[0] ? in->meeting_id : NULL;
    if (!err) {
        reply = rpc_sync(service, row->method, request, call);
        err = reply ? ERR_OK : call->err;
    }
    out->result->status = (char *)(err ? err_name(err) : "done");
    if (err)
        out->result->message = arena_strdup(out->arena, !request ? "the request is missing"
                                                        : call->message[0] ? call->message
                                                                           : err_text(err));
    else
        out->result->reply = reply_json(out->arena, reply);
    return err;
}

/* Nothing that is begun with it comes to a good end; a file stays. */
static const char *over_of(struct task_service *svc, const Tasks__TaskRequest *in)
{
    if (in->engine && in->engine->file_id[0])
        return NULL;
    if (in->engine && task_over_has(svc->over, in->engine->stream_id))
        return "The stream has stopped.";
    return task_over_has(svc->over, in->meeting_id) ? "The meeting has ended." : NULL;
}

static void answer_no_engine(struct task_service *svc, const Tasks__TaskRequest *in,
                             Events__TaskResult *result)
{
    const char *over = over_of(svc, in);
    result->status = (char *)(over ? err_name(ERR_FAILED_PRECONDITION) : "no_engine");
    result->message = (char *)(over ? over : "");
}

static enum err on_task(void *arg, const struct bus_task *task, int attempt)
{
    struct task_service *svc = arg;
    const struct row *row = find_row(task->type);
    struct arena *arena = arena_create(); /* the call's is its handler's, after a deadline */
    struct rpc_call *call = rpc_call_create(NULL);
    const Tasks__TaskRequest *in = row ? read_request(task, arena) : NULL;
    Events__TaskResult result = EVENTS__TASK_RESULT__INIT;
    enum err err = ERR_OK;
    if (!in) {
        bus_give_up(task);
        err = ERR_INVALID_ARGUMENT;
    } else if (row->target == TARGET_NONE) {
        answer_no_engine(svc, in, &result);
        err = tell(svc, arena, row, in, &result);
    } else {
        enum err went = run_rpc(svc, row, in, call, &(struct outcome){arena, &result});
        bool is_retried = is_passing(went) && attempt < task->attempts_max;
        err = is_retried ? went : tell(svc, arena, row, in, &result);
        err = err ? err : is_passing(went) ? went : ERR_OK;
    }
    rpc_call_unref(&call);
    arena_destroy(&arena);
    return err;
}

void task_catalogue_start(struct task_service *svc)
{
    for (size_t i = 0; i < ARRAY_LEN(queues); i++)
        bus_work_bounded(svc->deps.bus, queues[i], on_task, svc, CATALOGUE_AT_ONCE);
}
