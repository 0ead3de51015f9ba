/*
 * Presence for those who watch. A socket has a list of people; the presence service says once what
 * it may see of each and how the two stand to one another (the tie), and from then on the events
 * are shown as the tie allows, without asking anybody. What changed is gathered and told about once
 * a second, all in one frame: however many people come at once, a socket gets one frame a second.
 */
#include "services/common/audience.h"
#include "services/gateway/gateway_hub.h"

#define FIRST_AFTER_MS 100
#define EVERY_MS 1000
#define ENTRIES_PER_TURN 1000 /* then others have their turn on the loop */
#define DOUBTS_ASKED_MAX 64   /* at a time */

static struct metric frames_total =
    METRIC_COUNTER("parlance_gateway_presence_frames_total", "Frames with presence, of watches.");
static struct metric entries_total =
    METRIC_COUNTER("parlance_gateway_presence_entries_total", "People told of in these.");

/* ---- lists ---- */

static struct watched *watched_get(struct gateway *gw, const char *id)
{
    struct watched *who = map_get(gw->watched, str_from(id));
    if (who)
        return who;
    who = mem_zalloc(sizeof(*who));
    memcpy(who->id, id, strnlen(id, sizeof(who->id) - 1));
    map_set(gw->watched, str_from(id), who);
    return who;
}

static void watched_release(struct gateway *gw, struct watched *who)
{
    if (who->watcher_count)
        return;
    map_remove(gw->watched, str_from(who->id));
    if (who->latest)
        presence__presence_event__free_unpacked(who->latest, NULL);
    free(who->watchers);
    free(who);
}

static struct watch *watch_find(const struct member *m, const struct watched *who)
{
    for (size_t i = 0; who && i < m->watch_count; i++) {
        if (m->watches[i].who == who)
            return &m->watches[i];
    }
    return NULL;
}

static struct watch *watch_find_id(const struct member *m, const char *id)
{
    return watch_find(m, map_get(m->user->gw->watched, str_from(id)));
}

static struct watch *watch_add(struct member *m, const char *id)
{
    struct watched *who = watched_get(m->user->gw, id);
    struct watch *w = watch_find(m, who);
    if (w)
        return w;
    who->watchers = array_grown(who->watchers, who->watcher_count, sizeof(who->watchers[0]));
    m->watches = array_grown(m->watches, m->watch_count, sizeof(m->watches[0]));
    who->watchers[who->watcher_count] = (struct watcher){m, (uint32_t)m->watch_count};
    w = &m->watches[m->watch_count++];
    *w = (struct watch){.who = who, .place = (uint32_t)who->watcher_count++};
    return w;
}

/* The last ones of both lists move into the holes. */
static void watch_remove(struct member *m, struct watch *w)
{
    struct watched *who = w->who;
    struct watcher *hole = &who->watchers[w->place];
    *hole = who->watchers[--who->watcher_count];
    hole->member->watches[hole->place].place = w->place;
    watched_release(m->user->gw, who);
    *w = m->watches[--m->watch_count];
    if (w != &m->watches[m->watch_count])
        w->who->watchers[w->place].place = (uint32_t)(w - m->watches);
}

void watch_clear(struct member *m)
{
    while (m->watch_count)
        watch_remove(m, &m->watches[m->watch_count - 1]);
    free(m->watches);
    m->watches = NULL;
    list_remove(&m->in_dirty);
}

/* ---- what is seen ---- */

/* Of an event, by the tie. Borrows from the event. */
static Presence__PresenceInfo seen_of(const Presence__PresenceEvent *e, uint8_t tie)
{
    Presence__PresenceInfo out = *e->presence;
    if (!audience_has(e->shown_to, (Presence__Tie)tie)) {
        presence__presence_info__init(&out);
        out.user_id = e->presence->user_id;
        out.version = e->presence->version;
    } else if (!audience_has(e->last_seen_to, (Presence__Tie)tie)) {
        out.last_seen_ms = 0;
    }
    return out;
}

static uint32_t hash_of(const Presence__PresenceInfo *p)
{
    Presence__PresenceInfo plain = *p;
    plain.version = 0;
    size_t n = presence__presence_info__get_packed_size(&plain);
    uint8_t *bytes = mem_alloc(n + 1);
    presence__presence_info__pack(&plain, bytes);
    uint32_t hash = (uint32_t)map_hash(bytes, n);
    free(bytes);
    return hash;
}

/* Is this news to who watches? Then it counts as told. */
static bool take_news(struct watch *w, const Presence__PresenceInfo *p)
{
    uint32_t hash = hash_of(p);
    bool is_news = p->version >= w->told_version && hash != w->told_hash;
    w->told_version = MAX(w->told_version, p->version);
    w->told_hash = is_news ? hash : w->told_hash;
    return is_news;
}

/* ---- telling, in turns ---- */

static void on_tell(void *arg);

static void mark(struct member *m)
{
    struct gateway *gw = m->user->gw;
    if (list_is_linked(&m->in_dirty))
        return;
    list_add_tail(&gw->dirty, &m->in_dirty);
    if (!loop_timer_is_armed(&gw->dirty_timer)) {
        int64_t rest_ms = gw->dirty_at_ms + EVERY_MS - clock_mono_ms();
        loop_timer_start(gw->loop, &gw->dirty_timer, MAX(rest_ms, FIRST_AFTER_MS), on_tell, gw);
    }
}

static void send_presences(const struct member *m, Presence__PresenceInfo **list, size_t count)
{
    Gateway__Presences presences = GATEWAY__PRESENCES__INIT;
    presences.presences = list;
    presences.n_presences = count;
    Gateway__ServerFrame frame =
        gateway_answer(GATEWAY__SERVER_FRAME__BODY_PRESENCE, &presences.base);
    struct fan fan = {0};
    fan_add(&fan, m);
    fan_send(&fan, &frame, WS_SEND_SKIPPABLE);
    metric_add(&frames_total, 1);
    metric_add(&entries_total, (double)count);
}

static void ask_again(struct member *m);

/* Returns how many people were looked at. */
static size_t tell(struct member *m)
{
    Presence__PresenceInfo shown[WATCH_MAX], *list[WATCH_MAX];
    size_t count = 0;
    bool is_doubtful = false;
    for (size_t i = 0; i < m->watch_count && count < WATCH_MAX; i++) {
        struct watch *w = &m->watches[i];
        is_doubtful |= w->doubt == DOUBT_NEW;
        if (!w->is_dirty || !w->is_known || w->doubt)
            continue;
        w->is_dirty = false;
        shown[count] = seen_of(w->who->latest, w->tie);
        list[count] = &shown[count];
        count += take_news(w, &shown[count]);
    }
    if (count)
        send_presences(m, list, count);
    if (is_doubtful && !m->is_asking && m->user->gw->doubt_count < DOUBTS_ASKED_MAX)
        ask_again(m);
    else if (is_doubtful)
        mark(m);
    return m->watch_count;
}

static void on_tell(void *arg)
{
    struct gateway *gw = arg;
    if (list_is_empty(&gw->telling)) { /* who gets news from now on has to wait a second */
        gw->dirty_at_ms = clock_mono_ms();
        while (!list_is_empty(&gw->dirty)) {
            struct list *node = gw->dirty.next;
            list_remove(node);
            list_add_tail(&gw->telling, node);
        }
    }
    for (size_t done = 0; !list_is_empty(&gw->telling) && done < ENTRIES_PER_TURN;) {
        struct member *m = LIST_ENTRY(gw->telling.next, struct member, in_dirty);
        list_remove(&m->in_dirty);
        done += tell(m) + 1;
    }
    if (!list_is_empty(&gw->telling))
        loop_timer_start(gw->loop, &gw->dirty_timer, 1, on_tell, gw);
    else if (!list_is_empty(&gw->dirty))
        loop_timer_start(gw->loop, &gw->dirty_timer, EVERY_MS, on_tell, gw);
}

void gateway_hub_presence(struct gateway *gw, Presence__PresenceEvent *event)
{
    const char *id = event->presence->user_id;
    struct user *u = event->own ? map_get(gw->users, str_from(id)) : NULL;
    if (u) {
        Gateway__ServerFrame frame =
            gateway_answer(GATEWAY__SERVER_FRAME__BODY_OWN_PRESENCE, &event->own->base);
        struct fan fan = {0};
        fan_add_user(&fan, u, NULL);
        fan_send(&fan, &frame, WS_SEND_SKIPPABLE);
    }
    struct watched *who = map_get(gw->watched, str_from(id));
    if (who && (!who->latest || event->presence->version > who->latest->presence->version)) {
        if (who->latest)
            presence__presence_event__free_unpacked(who->latest, NULL);
        who->latest = event;
        event = NULL;
        for (size_t i = 0; i < who->watcher_count; i++) {
            struct member *m = who->watchers[i].member;
            m->watches[who->watchers[i].place].is_dirty = true;
            mark(m);
        }
    }
    if (event)
        presence__presence_event__free_unpacked(event, NULL);
}

/* ---- asking ---- */

struct view_ask {
    struct gateway *gw;
    uint64_t socket;
    struct rpc_call *call;
    struct asking *asking; /* NULL: nobody waits for the answer (any more) */
    bool is_doubt;
    const Presence__Views *views;
};

/* What this socket sees by this answer, or by an event that is newer. */
static Presence__PresenceInfo *view_take(const struct view_ask *a, struct watch *w,
                                         const Presence__View *view)
{
    Presence__PresenceInfo *seen = view->presence;
    const Presence__PresenceEvent *latest = w->who->latest;
    w->tie = (uint8_t)view->tie;
    w->is_known = true;
    if (a->is_doubt && w->doubt == DOUBT_ASKED)
        w->doubt = DOUBT_NONE;
    if (latest && latest->presence->version > seen->version) {
        Presence__PresenceInfo newer = seen_of(latest, w->tie);
        seen = (Presence__PresenceInfo *)rpc_message_copy(a->call->arena, &newer.base);
    }
    return seen;
}

static void take_views(struct member *m, struct view_ask *a)
{
    Gateway__WatchReply reply = GATEWAY__WATCH_REPLY__INIT;
    reply.presences = arena_array(a->call->arena, Presence__PresenceInfo *, a->views->n_views);
    for (size_t i = 0; i < a->views->n_views; i++) {
        const Presence__View *view = a->views->views[i];
        struct watch *w = watch_find_id(m, view->presence->user_id);
        if (!w)
            continue;
        Presence__PresenceInfo *seen = view_take(a, w, view);
        bool is_news = (a->asking || !w->doubt) && take_news(w, seen);
        if (a->asking || is_news)
            reply.presences[reply.n_presences++] = seen;
    }
    reply.count = (int32_t)m->watch_count;
    if (a->asking)
        gateway_answer_asking(a->asking, &reply.base);
    else if (reply.n_presences)
        send_presences(m, reply.presences, reply.n_presences);
    a->asking = NULL;
}

static void on_views_here(void *arg)
{
    struct view_ask *a = arg;
    struct member *m = map64_get(a->gw->members, a->socket);
    a->gw->call_count--;
    a->gw->doubt_count -= a->is_doubt;
    if (m && a->is_doubt)
        m->is_asking = false;
    if (m && a->views)
        take_views(m, a);
    else if (m)
        watch_doubt(m); /* tried again */
    if (a->asking)
        gateway_refuse_asking(a->asking, a->views ? ERR_UNAVAILABLE : a->call->err,
                              a->views ? "The socket is closing." : a->call->message);
    rpc_call_unref(&a->call);
    free(a);
}

static void on_views(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct view_ask *a = call->user;
    if (reply)
        a->views = (const Presence__Views *)rpc_message_copy(call->arena, reply);
    loop_post(a->gw->loop, on_views_here, a);
}

static void ask_views(struct member *m, char **ids, size_t count, struct asking *asking)
{
    struct view_ask *a = mem_zalloc(sizeof(*a));
    ProtobufCService *presence = m->user->gw->deps.presence;
    Presence__GetViewsRequest request = PRESENCE__GET_VIEWS_REQUEST__INIT;
    a->gw = m->user->gw;
    a->socket = m->socket;
    a->asking = asking;
    a->call = rpc_call_create(NULL); /* the gateway asks, for this viewer */
    a->call->user = a;
    request.viewer_id = m->user->id;
    request.user_ids = ids;
    request.n_user_ids = count;
    a->is_doubt = !asking;
    m->is_asking |= a->is_doubt;
    a->gw->doubt_count += a->is_doubt;
    a->gw->call_count++;
    rpc_async(presence, (unsigned)rpc_method_find(presence->descriptor, "GetViews"), &request.base,
              a->call, on_views, 0);
}

static void ask_again(struct member *m)
{
    char *ids[WATCH_MAX];
    size_t count = 0;
    for (size_t i = 0; i < m->watch_count && count < WATCH_MAX; i++) {
        if (m->watches[i].doubt == DOUBT_NONE)
            continue;
        ids[count++] = m->watches[i].who->id;
        m->watches[i].doubt = DOUBT_ASKED;
    }
    ask_views(m, ids, count, NULL);
}

void watch_doubt(struct member *m)
{
    for (size_t i = 0; i < m->watch_count; i++)
        m->watches[i].doubt = DOUBT_NEW;
    if (m->watch_count)
        mark(m);
}

void watch_forget(struct member *m)
{
    for (size_t i = 0; i < m->watch_count; i++)
        m->watches[i].told_hash = 0;
    watch_doubt(m);
}

static void doubt_one(struct gateway *gw, const char *viewer_id, const char *id)
{
    const struct user *viewer = map_get(gw->users, str_from(viewer_id));
    if (!viewer || !map_get(gw->watched, str_from(id)))
        return;
    LIST_FOREACH(&viewer->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_user);
        struct watch *w = watch_find_id(m, id);
        if (w) {
            w->doubt = DOUBT_NEW;
            mark(m);
        }
    }
}

void watch_doubt_pair(struct gateway *gw, const char *one_id, const char *other_id)
{
    doubt_one(gw, one_id, other_id);
    doubt_one(gw, other_id, one_id);
}

/* ---- the client's wish ---- */

static void change_list(struct member *m, const Gateway__WatchRequest *in)
{
    for (size_t i = 0; i < in->n_removed_ids; i++) {
        struct watch *w = watch_find_id(m, in->removed_ids[i]);
        if (w)
            watch_remove(m, w);
    }
    for (size_t i = 0; i < in->n_user_ids; i++)
        watch_add(m, in->user_ids[i]);
}

static void replace_list(struct member *m, const Gateway__WatchRequest *in)
{
    for (size_t i = 0; i < in->n_user_ids; i++)
        watch_add(m, in->user_ids[i])->is_wanted = true;
    for (size_t i = m->watch_count; i-- > 0;) {
        if (!m->watches[i].is_wanted)
            watch_remove(m, &m->watches[i]);
        else
            m->watches[i].is_wanted = false;
    }
}

/* How many of those watched will be no more: whom the lists name twice counts once, and who is to
 * be watched again does not count. */
static size_t count_removed(const struct member *m, const Gateway__WatchRequest *in)
{
    struct map *named = map_create();
    size_t count = 0;
    for (size_t i = 0; i < in->n_user_ids; i++)
        map_set(named, str_from(in->user_ids[i]), in->user_ids[i]);
    for (size_t i = 0; i < in->n_removed_ids; i++) {
        char *id = in->removed_ids[i];
        if (map_get(named, str_from(id)))
            continue;
        map_set(named, str_from(id), id);
        count += watch_find_id(m, id) != NULL;
    }
    map_destroy(&named);
    return count;
}

static const char *problem_of(const struct member *m, const Gateway__WatchRequest *in)
{
    size_t count = in->n_user_ids;
    if (count > WATCH_MAX)
        return "user_ids: at most 200 are watched";
    for (size_t i = 0; i < in->n_user_ids; i++) {
        if (!id_is_valid(in->user_ids[i]))
            return "user_ids: expected ids of users";
    }
    if (in->n_removed_ids > WATCH_MAX)
        return "removed_ids: at most 200";
    if (in->n_removed_ids && !in->is_change)
        return "removed_ids: only with is_change";
    if (in->is_change)
        count += m->watch_count - count_removed(m, in);
    for (size_t i = 0; in->is_change && i < in->n_user_ids; i++)
        count -= watch_find_id(m, in->user_ids[i]) != NULL;
    return count > WATCH_MAX ? "user_ids: at most 200 are watched" : NULL;
}

void watch_set(struct member *m, struct asking *asking)
{
    const Gateway__WatchRequest *in = gateway_asking_watch(asking);
    const char *problem = problem_of(m, in);
    if (m->user->is_guest) {
        gateway_refuse_asking(asking, ERR_PERMISSION_DENIED, "this needs an account");
    } else if (problem) {
        gateway_refuse_asking(asking, ERR_INVALID_ARGUMENT, problem);
    } else {
        if (in->is_change)
            change_list(m, in);
        else
            replace_list(m, in);
        ask_views(m, in->user_ids, in->n_user_ids, asking);
    }
}
