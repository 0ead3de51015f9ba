/*
 * People who are here. The gateway learns a person's conversations when the first socket comes, a
 * page after the other, and follows membership by the events of the log from then on. An event that
 * came while the list was on its way is held against the lsns of its first page: the newer counts.
 */
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"
#include "services/gateway/gateway_hub.h"

#define LOAD_AGAIN_MS 1000
#define LOOK_AGAIN_MS \
    5000 /* for what lies in a database that is away; and as much again by chance */

struct load {
    struct gateway *gw;
    char user_id[ID_SIZE];
    uint64_t serial;
    struct rpc_call *call;
    const Message__Memberships *list; /* in the call's arena; NULL: not now */
    bool is_look;                     /* only: is all there again? */
};

static void load_page(struct user *u);
static void look_again(struct user *u);

static void on_load_timer(void *arg)
{
    load_page(arg);
}

void hub_user_ready(struct member *m)
{
    m->is_ready = true;
    Gateway__Ready ready = GATEWAY__READY__INIT;
    ready.user_id = m->user->id;
    Gateway__ServerFrame frame = gateway_answer(GATEWAY__SERVER_FRAME__BODY_READY, &ready.base);
    struct fan fan = {0};
    fan_add(&fan, m);
    fan_send(&fan, &frame, 0);
}

/* Ready before, and since then something may not have come. */
static void tell_missed(const struct member *m)
{
    Gateway__Missed missed = GATEWAY__MISSED__INIT;
    Gateway__ServerFrame frame = gateway_answer(GATEWAY__SERVER_FRAME__BODY_MISSED, &missed.base);
    struct fan fan = {0};
    fan_add(&fan, m);
    fan_send(&fan, &frame, 0);
}

static void apply_news(struct user *u, const struct news *n)
{
    if (n->is_in)
        topic_add(u->gw, u, n->conversation_id, n->visible_from_seq);
    else
        topic_remove(u->gw, u, n->conversation_id);
}

void hub_user_note(struct user *u, const struct news *news)
{
    if (u->is_loaded) {
        apply_news(u, news);
        return;
    }
    u->news = array_grown(u->news, u->news_count, sizeof(u->news[0]));
    u->news[u->news_count++] = *news;
}

static void drop_news(struct user *u)
{
    free(u->news);
    u->news = NULL;
    u->news_count = 0;
}

static bool is_known_to_list(const struct user *u, const struct news *n)
{
    return n->shard < u->load_lsn_count && n->lsn <= u->load_lsns[n->shard];
}

static void drop_lsns(struct user *u)
{
    free(u->load_lsns);
    u->load_lsns = NULL;
    u->load_lsn_count = 0;
}

/* What the list does not know yet: also between its pages, or who was put out would be told until
 * the last one is there. */
static void apply_younger(struct user *u)
{
    for (size_t i = 0; i < u->news_count; i++) {
        if (!is_known_to_list(u, &u->news[i]))
            apply_news(u, &u->news[i]);
    }
}

static void finish(struct user *u)
{
    u->is_loaded = u->gw->has_loaded = true;
    apply_younger(u);
    drop_news(u);
    drop_lsns(u);
    LIST_FOREACH(&u->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_user);
        if (m->is_ready)
            tell_missed(m);
        else
            hub_user_ready(m);
    }
    gap_user_done(u);
}

static void on_whole(void *arg)
{
    struct user *u = arg;
    finish(u);
    if (u->is_partial)
        look_again(u);
}

static void take_page(struct user *u, const Message__Memberships *list)
{
    for (size_t i = 0; i < list->n_conversation_ids; i++)
        topic_add(u->gw, u, list->conversation_ids[i], list->visible_from_seqs[i]);
    for (size_t i = 0; i < list->n_fences; i++)
        hub_fence_note(u->gw, i, list->fences[i]);
    if (!u->load_after) { /* what is newer than the first page may be missing on any */
        drop_lsns(u);
        u->load_lsn_count = list->n_lsns;
        u->load_lsns = mem_calloc(list->n_lsns, sizeof(u->load_lsns[0]));
        for (size_t i = 0; i < list->n_lsns; i++)
            u->load_lsns[i] = list->lsns[i];
    }
    apply_younger(u);
    u->is_partial |= list->is_partial != 0;
    u->load_after = list->next;
    if (u->load_after) {
        load_page(u);
        return;
    }
    interest_wait(u, on_whole); /* what is said until then is in the log before "ready" */
}

/* What could not be listed is asked for until it can be; then all is read anew, and the sockets
 * hear that they missed something. Meanwhile they have the rest. */
static void take_look(struct user *u, const Message__Memberships *list)
{
    if (!list || list->is_partial) {
        look_again(u);
        return;
    }
    hub_user_forget(u);
    hub_user_load(u);
}

static void on_list(void *arg)
{
    struct load *l = arg;
    struct gateway *gw = l->gw;
    struct user *u = map_get(gw->users, str_from(l->user_id));
    gw->call_count--;
    if (u && u->serial == l->serial) {
        if (l->is_look)
            take_look(u, l->list);
        else if (l->list)
            take_page(u, l->list);
        else
            loop_timer_start(gw->loop, &u->load_timer, LOAD_AGAIN_MS, on_load_timer, u);
    }
    rpc_call_unref(&l->call);
    free(l);
}

static void on_memberships(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct load *l = call->user;
    if (reply)
        l->list = (const Message__Memberships *)rpc_message_copy(call->arena, reply);
    loop_post(l->gw->loop, on_list, l);
}

static void ask(struct user *u, bool is_look)
{
    struct load *l = mem_zalloc(sizeof(*l));
    ProtobufCService *message = u->gw->deps.message;
    l->gw = u->gw;
    l->call = rpc_call_create(NULL); /* the system asks */
    l->call->user = l;
    l->serial = u->serial;
    l->is_look = is_look;
    memcpy(l->user_id, u->id, sizeof(l->user_id));
    Message__GetMembershipsRequest request = MESSAGE__GET_MEMBERSHIPS_REQUEST__INIT;
    request.user_id = l->user_id;
    request.after = is_look ? INT64_MAX : u->load_after;
    u->gw->call_count++;
    rpc_async(message, (unsigned)rpc_method_find(message->descriptor, "GetMemberships"),
              &request.base, l->call, on_memberships, 0);
}

static void load_page(struct user *u)
{
    ask(u, false);
}

static void on_look_timer(void *arg)
{
    ask(arg, true);
}

static void look_again(struct user *u)
{
    int64_t wait_ms = LOOK_AGAIN_MS + id_random_u32() % LOOK_AGAIN_MS;
    loop_timer_start(u->gw->loop, &u->load_timer, wait_ms, on_look_timer, u);
}

void hub_user_load(struct user *u)
{
    u->load_after = 0;
    u->is_partial = false;
    interest_wait(u, on_load_timer);
}

void hub_user_forget(struct user *u)
{
    LIST_FOREACH(&u->members, node)
    {
        topic_close_for_now(LIST_ENTRY(node, struct member, in_user));
    }
    topic_remove_all(u);
    loop_timer_stop(&u->load_timer);
    interest_cancel(u);
    drop_news(u);
    u->is_loaded = false;
    u->serial = ++u->gw->last_serial; /* a list that is on its way is of before */
}

struct user *hub_user_get(struct gateway *gw, const char *id, bool is_guest)
{
    struct user *u = map_get(gw->users, str_from(id));
    if (u)
        return u;
    u = mem_zalloc(sizeof(*u));
    u->gw = gw;
    u->serial = ++gw->last_serial;
    u->is_guest = is_guest;
    memcpy(u->id, id, strnlen(id, sizeof(u->id) - 1));
    list_init(&u->members);
    list_add_tail(&gw->round, &u->in_round);
    map_set(gw->users, str_from(id), u);
    interest_add(gw, u->id);
    hub_user_load(u); /* by then we hear who lets them into what */
    return u;
}

void hub_user_destroy(struct user *u)
{
    topic_remove_all(u);
    loop_timer_stop(&u->load_timer);
    interest_cancel(u);
    interest_remove(u->gw, u->id);
    list_remove(&u->in_round);
    gap_user_done(u);
    map_remove(u->gw->users, str_from(u->id));
    drop_news(u);
    drop_lsns(u);
    free(u);
}
