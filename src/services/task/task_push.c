/*
 * task_push: people who should hear of a message and have no socket are named, on the bus (channel
 * "push_events") and to the operator's own server, which brings it to their devices. Who that is,
 * is found out here and now, a page at a time: who has read it meanwhile, wants quiet, or is here,
 * is left out. What was said goes along only if the operator wants it to.
 */
#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "core/log.h"
#include "services/task/task_internal.h"

#include "message.pb-c.h"
#include "presence.pb-c.h"
#include "user.pb-c.h"

#define PAGE 200
#define TEXT_BYTES 400

struct push {
    struct task_service *svc;
    struct rpc_call *call; /* of the page */
    char conversation_id[ID_SIZE];
    int64_t seq;
    const char *above;
    const Message__PushTargets *targets;
};

/* ---- who is not here ---- */

static const User__Profile *get_user(struct push *p, struct rpc_call *call, const char *user_id)
{
    User__GetUserRequest request = USER__GET_USER_REQUEST__INIT;
    request.id = (char *)user_id;
    return rpc_sync(p->svc->deps.user, "GetUser", &request.base, call);
}

/* Who is disabled, or gone, stays a member, but is told nothing. When it cannot be known it is no
 * reason to be silent. */
static bool may_hear(struct push *p, const char *user_id)
{
    struct rpc_call *call = rpc_call_create(p->call);
    const User__Profile *who = get_user(p, call, user_id);
    bool may = who ? !who->is_disabled : call->err != ERR_NOT_FOUND;
    rpc_call_unref(&call);
    return may;
}

static enum err leave_out_present(struct push *p, Task__PushWanted *wanted)
{
    struct rpc_call *call = rpc_call_create(p->call);
    Presence__GetPresencesRequest request = PRESENCE__GET_PRESENCES_REQUEST__INIT;
    request.user_ids = p->targets->user_ids;
    request.n_user_ids = p->targets->n_user_ids;
    const Presence__PresenceList *list =
        rpc_sync(p->svc->deps.presence, "GetPresences", &request.base, call);
    enum err err = call->err;
    size_t count = list ? MIN(list->n_presences, p->targets->n_user_ids) : 0;
    wanted->user_ids = arena_array(p->call->arena, char *, count);
    for (size_t i = 0; i < count; i++)
        if (!list->presences[i]->n_devices && may_hear(p, p->targets->user_ids[i]))
            wanted->user_ids[wanted->n_user_ids++] = p->targets->user_ids[i];
    rpc_call_unref(&call);
    return err;
}

/* ---- what is said of it ---- */

static char *name_of(struct push *p, const char *user_id)
{
    struct rpc_call *call = rpc_call_create(p->call);
    const User__Profile *who = user_id[0] ? get_user(p, call, user_id) : NULL;
    char *name = arena_strdup(p->call->arena, who ? who->nickname : "");
    rpc_call_unref(&call);
    return name;
}

/* Whole code points. */
static char *beginning(struct arena *arena, const char *text)
{
    size_t n = strlen(text);
    if (n > TEXT_BYTES)
        for (n = TEXT_BYTES; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80;)
            n--;
    return str_arena(arena, (struct str){text, n});
}

static bool is_named(const Message__Content *content, const char *user_id)
{
    for (size_t i = 0; i < content->n_mentions; i++)
        if (strcmp(content->mentions[i], user_id) == 0)
            return true;
    return content->is_mentioning_all;
}

static const char *kind_of(const Message__Content *content)
{
    static const char *const names[] = {"text",  "image",    "file", "voice",
                                        "video", "location", "card", "system"};
    if (content->note && content->note->event[0])
        return content->note->event; /* call_started ... */
    return (size_t)content->kind < ARRAY_LEN(names) ? names[content->kind] : "text";
}

static void describe(struct push *p, Task__PushWanted *wanted)
{
    struct arena *arena = p->call->arena;
    const Message__MessageInfo *m = p->targets->message;
    const Message__Content *content = m->content;
    wanted->conversation_id = p->conversation_id;
    wanted->conversation_title = p->targets->title;
    wanted->seq = p->seq;
    wanted->message_id = m->id;
    wanted->sender_id = m->sender_id;
    wanted->sender_name = name_of(p, m->sender_id);
    wanted->sent_at_ms = m->created_at_ms;
    wanted->kind = (char *)(content ? kind_of(content) : "text");
    if (content && p->svc->deps.has_push_text)
        wanted->text = beginning(arena, content->text);
    wanted->mentioned_user_ids = arena_array(arena, char *, wanted->n_user_ids);
    for (size_t i = 0; content && i < wanted->n_user_ids; i++)
        if (is_named(content, wanted->user_ids[i]))
            wanted->mentioned_user_ids[wanted->n_mentioned_user_ids++] = wanted->user_ids[i];
}

/* ---- telling ---- */

static void publish(struct push *p, const Task__PushWanted *wanted)
{
    size_t n = task__push_wanted__get_packed_size(wanted);
    uint8_t *bytes = arena_alloc(p->call->arena, n + 1);
    task__push_wanted__pack(wanted, bytes);
    bus_publish(p->svc->deps.bus, &(struct bus_event){.channel = "push_events",
                                                      .type = "push.wanted",
                                                      .key = p->conversation_id,
                                                      .payload = {(const char *)bytes, n},
                                                      .id = ""});
}

static enum err tell(struct push *p, const Task__PushWanted *wanted)
{
    char name[80];
    struct task_went went;
    struct strbuf body = {0};
    rpc_json_write(&body, &wanted->base);
    snprintf(name, sizeof(name), "%s-%s", wanted->message_id, p->above);
    publish(p, wanted);
    enum err err = task_post(p->svc,
                             &(struct task_post){.is_own = true,
                                                 .url = p->svc->push_url,
                                                 .secret = p->svc->push_secret,
                                                 .event = "push.wanted",
                                                 .delivery = name,
                                                 .body = strbuf_str(&body)},
                             &went);
    if (err != ERR_CANCELLED)
        task_push_went(p->svc, !went.problem[0]);
    if (went.problem[0])
        log_warn(NULL, "push.url: %s", went.problem);
    strbuf_deinit(&body);
    return err;
}

static enum err push_page(struct push *p)
{
    Message__GetPushTargetsRequest request = MESSAGE__GET_PUSH_TARGETS_REQUEST__INIT;
    Task__PushWanted wanted = TASK__PUSH_WANTED__INIT;
    request.id = p->conversation_id;
    request.seq = p->seq;
    request.above = (char *)p->above;
    request.limit = PAGE;
    p->targets = rpc_sync(p->svc->deps.message, "GetPushTargets", &request.base, p->call);
    if (!p->targets)
        return p->call->err;
    if (p->targets->is_void || !p->targets->n_user_ids)
        return ERR_OK;
    enum err err = leave_out_present(p, &wanted);
    if (err || !wanted.n_user_ids)
        return err;
    describe(p, &wanted);
    return tell(p, &wanted);
}

static bool take(const struct bus_task *task, struct push *p)
{
    struct str rest = task->payload, id;
    return str_cut(&rest, ' ', &id) && id_read(p->conversation_id, id) && str_to_i64(rest, &p->seq);
}

enum err task_on_push(void *svc, const struct bus_task *task, int attempt UNUSED)
{
    struct push p = {.svc = svc};
    char above[27] = "";
    enum err err = ERR_OK;
    if (!take(task, &p)) {
        log_error(NULL, "a task of queue push cannot be read");
        return ERR_OK;
    }
    int64_t wait_ms = task_push_wait_ms(p.svc);
    if (wait_ms) {
        bus_put_off(task, wait_ms);
        return ERR_UNAVAILABLE;
    }
    for (bool is_more = true; is_more && !err;) {
        p.call = rpc_call_create(NULL);
        p.above = above;
        p.targets = NULL;
        err = push_page(&p);
        is_more = !err && p.targets && p.targets->has_more;
        if (is_more)
            snprintf(above, sizeof(above), "%s", p.targets->user_ids[p.targets->n_user_ids - 1]);
        rpc_call_unref(&p.call);
    }
    return err;
}
