/*
 * Whose is a meeting. The meeting service keeps the place; who wants a meeting that nobody (alive)
 * has takes it with the fence it saw, and of two only one succeeds. While one join takes it, the
 * others of that meeting wait here.
 */
#include "services/signaling/signaling_apart_internal.h"

#define CLAIM_TRIES 4
#define NEWS_MS \
    5000 /* an instance that took a meeting so long ago is known everywhere, if it lives */
#define LOOK_AGAIN_MS 300
#define HOPS_MAX 3 /* a meeting changes hands while a socket is on its way */

/* A join that waits for the place. */
struct waiter {
    struct list in_claim;
    uint64_t socket_id;
    int64_t request_id;
    Meeting__AuthorizeParticipantReply *reply;
};

struct claim {
    struct signaling_hub *hub;
    int64_t number;
    char meeting_id[ID_SIZE];
    unsigned tries;
    Meeting__Place *place; /* as it was seen last; NULL: never placed */
    int64_t until_ms;      /* so long its owner may be one that we have not heard of yet */
    struct loop_timer timer;
    struct list waiters;
};

void signaling_place_ask(struct signaling_hub *hub, const struct place_wish *wish)
{
    Meeting__PlaceMeetingRequest request = MEETING__PLACE_MEETING_REQUEST__INIT;
    request.meeting_id = (char *)wish->meeting_id;
    request.signaling_id = (char *)wish->signaling_id;
    request.media_id = (char *)wish->media_id;
    request.expected_fence = wish->expected_fence;
    signaling_call(hub, &(struct signaling_call_options){.service = hub->meeting,
                                                         .method = "PlaceMeeting",
                                                         .request = &request.base,
                                                         .request_id = wish->request_id,
                                                         .is_idempotent = true, /* by its fence */
                                                         .done = wish->done});
}

/* What operators and other processes see in the registry; the row decides. */
void signaling_place_note(const struct room *room)
{
    struct signaling_cluster *c = room->hub->cluster;
    char text[200];
    snprintf(text, sizeof(text), "{\"signaling_id\":\"%s\",\"media_id\":\"%s\",\"fence\":%lld}",
             c->self_id, room->media_id, (long long)room->fence);
    if (registry_record_put(c->registry, SPACE_MEETINGS, room->id, text))
        log_debug(NULL, "signaling: meeting %s is not in the registry", room->id);
}

static void forget_note(const struct room *room)
{
    if (registry_record_drop(room->hub->cluster->registry, SPACE_MEETINGS, room->id))
        log_debug(NULL, "signaling: meeting %s was not in the registry", room->id);
}

/* ---- those who wait ---- */

static void add_waiter(struct claim *claim, uint64_t socket_id, int64_t request_id,
                       Meeting__AuthorizeParticipantReply *reply)
{
    struct waiter *w = mem_new(struct waiter);
    w->socket_id = socket_id;
    w->request_id = request_id;
    w->reply = reply;
    list_add_tail(&claim->waiters, &w->in_claim);
}

static void waiter_free(struct waiter *w)
{
    list_remove(&w->in_claim);
    signaling_free(w->reply);
    free(w);
}

static void claim_free(struct claim *claim)
{
    map_remove(claim->hub->cluster->claims, str_from(claim->meeting_id));
    loop_timer_stop(&claim->timer);
    signaling_free(claim->place);
    LIST_FOREACH(&claim->waiters, node)
    waiter_free(LIST_ENTRY(node, struct waiter, in_claim));
    free(claim);
}

static void refuse_all(struct claim *claim, enum err err, const char *message)
{
    LIST_FOREACH(&claim->waiters, node)
    {
        struct waiter *w = LIST_ENTRY(node, struct waiter, in_claim);
        struct signaling_socket *s = signaling_socket_find(claim->hub, w->socket_id);
        if (!s)
            continue;
        signaling_reply_error(s, w->request_id, err, message);
        signaling_socket_done(s);
    }
    claim_free(claim);
}

static void enter_all(struct claim *claim, const Meeting__Place *place)
{
    LIST_FOREACH(&claim->waiters, node)
    {
        struct waiter *w = LIST_ENTRY(node, struct waiter, in_claim);
        struct signaling_socket *s = signaling_socket_find(claim->hub, w->socket_id);
        if (!s || !s->is_authenticated) /* its sign-in may have ended while it waited */
            continue;
        struct room *room = room_get_or_create(claim->hub, w->reply->meeting);
        room->fence = place->fence;
        snprintf(room->media_id, sizeof(room->media_id), "%s", place->media_id);
        signaling_place_note(room);
        signaling_enter(s, w->request_id, room, w->reply->participant);
    }
    claim_free(claim);
}

/* ---- relaying ---- */

static void relay(struct signaling_socket *s, int64_t request_id, const char *meeting_id,
                  const char *owner_id)
{
    if (s->hops >= HOPS_MAX) {
        signaling_reply_error(s, request_id, ERR_UNAVAILABLE, "The meeting changes hands.");
        signaling_socket_done(s);
        return;
    }
    Signaling__ClientFrame frame = SIGNALING__CLIENT_FRAME__INIT;
    frame.type = (char *)"join_room";
    if (request_id != SIGNALING_NO_ID) {
        frame._id_case = SIGNALING__CLIENT_FRAME___ID_ID;
        frame.id = request_id;
    }
    frame.meeting_id = (char *)meeting_id;
    frame.resume_token = s->resume_token;
    struct strbuf json = {0};
    rpc_json_write(&json, &frame.base);
    signaling_relay_open(s, owner_id, strbuf_str(&json));
    strbuf_deinit(&json);
    signaling_socket_done(s);
}

static void relay_all(struct claim *claim, const char *owner_id)
{
    LIST_FOREACH(&claim->waiters, node)
    {
        struct waiter *w = LIST_ENTRY(node, struct waiter, in_claim);
        struct signaling_socket *s = signaling_socket_find(claim->hub, w->socket_id);
        if (s)
            relay(s, w->request_id, claim->meeting_id, owner_id);
    }
    claim_free(claim);
}

/* Another instance that lives has it. */
static const char *owner_of(struct signaling_hub *hub, const Meeting__Place *place)
{
    struct signaling_node *n =
        place && place->signaling_id[0]
            ? signaling_node_find(&hub->cluster->signaling, place->signaling_id)
            : NULL;
    return n ? n->id : NULL;
}

/* ---- taking ---- */

/* Its tracks stay where they are while that node is good. */
static const char *media_for(struct signaling_hub *hub, const Meeting__Place *place)
{
    struct signaling_cluster *c = hub->cluster;
    if (!c->is_media_apart)
        return c->self_id;
    struct signaling_node *n = NULL;
    if (place && place->media_id[0])
        n = signaling_node_find(&c->media, place->media_id);
    if (!n)
        n = signaling_node_choose(&c->media);
    return n ? n->id : NULL;
}

static void on_placed(struct signaling_hub *hub, struct signaling_socket *s, int64_t number,
                      const ProtobufCMessage *reply, struct rpc_call *call);

static void claim_try(struct claim *claim)
{
    const Meeting__Place *place = claim->place;
    const char *media_id = media_for(claim->hub, place);
    if (!media_id || claim->tries++ == CLAIM_TRIES) {
        refuse_all(claim, ERR_UNAVAILABLE,
                   media_id ? "The meeting changes hands." : "No media node answers.");
        return;
    }
    signaling_place_ask(claim->hub,
                        &(struct place_wish){.meeting_id = claim->meeting_id,
                                             .signaling_id = claim->hub->cluster->self_id,
                                             .media_id = media_id,
                                             .expected_fence = place ? place->fence : 0,
                                             .request_id = claim->number,
                                             .done = on_placed});
}

/* Another instance may have started a moment ago, or we have: then its owner is not known here yet,
 * but is no less its owner. */
static int64_t doubt_until_ms(struct signaling_hub *hub, const Meeting__Place *place)
{
    struct signaling_cluster *c = hub->cluster;
    if (!place || !place->signaling_id[0] || strcmp(place->signaling_id, c->self_id) == 0 ||
        signaling_node_is_dead(&c->signaling, place->signaling_id))
        return 0;
    return MAX(clock_mono_ms() + NEWS_MS - place->age_ms, c->started_ms + NODE_LOST_MS);
}

static void look_again(void *arg)
{
    struct claim *claim = arg;
    const char *owner_id = owner_of(claim->hub, claim->place);
    if (owner_id)
        relay_all(claim, owner_id);
    else if (clock_mono_ms() >= claim->until_ms)
        claim_try(claim);
    else
        loop_timer_start(claim->hub->loop, &claim->timer, LOOK_AGAIN_MS, look_again, claim);
}

/* Takes it, or leaves it to who has it. */
static void claim_go_on(struct claim *claim, const Meeting__Place *place)
{
    signaling_free(claim->place);
    claim->place = place ? signaling_copy(&place->base) : NULL;
    claim->until_ms = doubt_until_ms(claim->hub, claim->place);
    look_again(claim);
}

static struct claim *claim_find(struct signaling_hub *hub, int64_t number)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->cluster->claims, &at, &key, &value))
        if (((struct claim *)value)->number == number)
            return value;
    return NULL;
}

static void on_placed(struct signaling_hub *hub, struct signaling_socket *s UNUSED, int64_t number,
                      const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct claim *claim = claim_find(hub, number);
    const Meeting__PlaceMeetingReply *r = (const Meeting__PlaceMeetingReply *)reply;
    if (!claim)
        return;
    if (!r || !r->place) {
        refuse_all(claim, r ? ERR_INTERNAL : call->err, r ? "" : call->message);
        return;
    }
    if (r->is_placed)
        enter_all(claim, r->place);
    else
        claim_go_on(claim, r->place);
}

static void claim_start(struct signaling_socket *s, int64_t request_id,
                        const Meeting__AuthorizeParticipantReply *reply)
{
    struct signaling_cluster *c = s->hub->cluster;
    struct claim *claim = mem_new(struct claim);
    claim->hub = s->hub;
    claim->number = ++c->last_number;
    snprintf(claim->meeting_id, sizeof(claim->meeting_id), "%s", reply->meeting->id);
    list_init(&claim->waiters);
    map_set(c->claims, str_from(claim->meeting_id), claim);
    add_waiter(claim, s->id, request_id, signaling_copy(&reply->base));
    claim_go_on(claim, reply->place);
}

void signaling_place_enter(struct signaling_socket *s, int64_t request_id,
                           const Meeting__AuthorizeParticipantReply *reply)
{
    struct signaling_hub *hub = s->hub;
    const char *meeting_id = reply->meeting->id;
    struct room *room = room_find(hub, meeting_id);
    struct claim *claim = map_get(hub->cluster->claims, str_from(meeting_id));
    const char *owner_id = owner_of(hub, reply->place);
    if (room) {
        room_set_meeting(room, reply->meeting);
        signaling_enter(s, request_id, room, reply->participant);
    } else if (claim) {
        add_waiter(claim, s->id, request_id, signaling_copy(&reply->base));
    } else if (owner_id) {
        relay(s, request_id, meeting_id, owner_id);
    } else {
        claim_start(s, request_id, reply);
    }
}

/* ---- giving back, and losing ---- */

void signaling_place_release(struct room *room)
{
    forget_note(room);
    signaling_place_ask(room->hub, &(struct place_wish){.meeting_id = room->id,
                                                        .signaling_id = "",
                                                        .media_id = "",
                                                        .expected_fence = room->fence});
}

void signaling_place_lost(struct room *room)
{
    log_warn(NULL, "signaling: meeting %s is another instance's now", room->id);
    room->fence = -1; /* nothing is ours to give back */
    forget_note(room);
    LIST_FOREACH(&room->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_room);
        struct signaling_socket *s = m->socket;
        member_destroy(&m);
        if (s)
            signaling_socket_close(s, CLOSE_GOING_AWAY, "the meeting is elsewhere now");
    }
    room_release(room);
}

void signaling_place_free(struct signaling_hub *hub)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->cluster->claims, &at, &key, &value))
        claim_free(value);
}
