/* hub_fixture: see hub_fixture.h. Frames are caught where they leave for the sockets' loops: the
 * linker puts the functions named __wrap_ in the place of the room net's. */
#include "hub_fixture.h"

#include <pthread.h>
#include <unistd.h>

#include "net/ws_internal.h"

struct fake_list fake_lists[8];
_Atomic int fake_hold_lists, fake_hold_pages, fake_failing_lists, fake_views_asked, fake_reports,
    fake_tie, fake_hold_views, fake_failing_checks, fake_checks, fake_least_checked;
int64_t fake_fence;
struct hub hub;

/* ---- the services ---- */

static void on_memberships(Message__Message_Service *s UNUSED,
                           const Message__GetMembershipsRequest *in,
                           Message__Memberships_Closure closure, void *data)
{
    struct rpc_call *call = data;
    while (fake_hold_lists || (fake_hold_pages && in->after))
        usleep(1000);
    if (fake_failing_lists > 0) {
        fake_failing_lists--;
        rpc_fail(call, ERR_UNAVAILABLE, "not now");
        closure(NULL, call);
        return;
    }
    Message__Memberships reply = MESSAGE__MEMBERSHIPS__INIT;
    const struct fake_list *list = NULL;
    for (size_t i = 0; i < ARRAY_LEN(fake_lists) && fake_lists[i].user_id; i++) {
        if (strcmp(fake_lists[i].user_id, in->user_id) == 0)
            list = &fake_lists[i];
    }
    size_t from = (size_t)in->after, to = list ? list->count : 0;
    if (list && list->per_page)
        to = MIN(to, from + list->per_page);
    reply.conversation_ids = arena_array(call->arena, char *, to);
    reply.visible_from_seqs = arena_array(call->arena, int64_t, to);
    for (size_t i = from; i < to; i++) {
        reply.conversation_ids[reply.n_conversation_ids++] =
            arena_printf(call->arena, "c-%zu", i + 1);
        reply.n_visible_from_seqs++;
    }
    reply.next = list && to < list->count ? (int64_t)to : 0;
    reply.lsns = arena_new(call->arena, int64_t);
    reply.lsns[reply.n_lsns++] = list ? list->lsn : 0;
    reply.fences = arena_new(call->arena, int64_t);
    reply.fences[reply.n_fences++] = list ? list->fence : 0;
    closure(&reply, call);
}

static Message__Message_Service message = {
    .base = {.descriptor = &message__message__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .get_memberships = on_memberships,
};

static void on_report(Presence__Presence_Service *s UNUSED,
                      const Presence__ReportDevicesRequest *in,
                      Presence__PresenceReply_Closure closure, void *data)
{
    Presence__PresenceReply reply = PRESENCE__PRESENCE_REPLY__INIT;
    fake_reports += (int)in->n_devices;
    closure(&reply, data);
}

static void on_views(Presence__Presence_Service *s UNUSED, const Presence__GetViewsRequest *in,
                     Presence__Views_Closure closure, void *data)
{
    struct rpc_call *call = data;
    Presence__Views reply = PRESENCE__VIEWS__INIT;
    Presence__Tie tie = (Presence__Tie)fake_tie;
    fake_views_asked++;
    reply.n_views = in->n_user_ids;
    reply.views = arena_array(call->arena, Presence__View *, reply.n_views);
    for (size_t i = 0; i < reply.n_views; i++) {
        Presence__View *v = reply.views[i] = arena_new(call->arena, Presence__View);
        presence__view__init(v);
        v->presence = arena_new(call->arena, Presence__PresenceInfo);
        presence__presence_info__init(v->presence);
        v->presence->user_id = in->user_ids[i];
        v->presence->version = 1;
        v->tie = tie;
    }
    while (fake_hold_views)
        usleep(1000);
    closure(&reply, call);
}

static Presence__Presence_Service presence = {
    .base = {.descriptor = &presence__presence__descriptor,
             .invoke = protobuf_c_service_invoke_internal},
    .report_devices = on_report,
    .get_views = on_views,
};

static void on_check(Auth__Auth_Service *s UNUSED, const Auth__CheckSessionsRequest *in,
                     Auth__CheckSessionsReply_Closure closure, void *data)
{
    struct rpc_call *call = data;
    Auth__CheckSessionsReply reply = AUTH__CHECK_SESSIONS_REPLY__INIT;
    reply.roles = arena_array(call->arena, User__Role, in->n_ids);
    for (; reply.n_roles < in->n_ids; reply.n_roles++)
        reply.roles[reply.n_roles] =
            strcmp(in->ids[reply.n_roles], "over") == 0 ? USER__ROLE__NONE : USER__ROLE__USER;
    fake_least_checked = MIN((int)in->n_ids, fake_least_checked);
    fake_checks++;
    if (fake_failing_checks > 0) {
        fake_failing_checks--;
        rpc_fail(call, ERR_UNAVAILABLE, "not now");
    }
    closure(rpc_failure(call) ? NULL : &reply, call);
}

static Auth__Auth_Service auth = {
    .base = {.descriptor = &auth__auth__descriptor, .invoke = protobuf_c_service_invoke_internal},
    .check_sessions = on_check,
};

static Group__Group_Service group = {.base = {.descriptor = &group__group__descriptor}};
static Contact__Contact_Service contact = {.base = {.descriptor = &contact__contact__descriptor}};
static ProtobufCService *message_local, *presence_local, *auth_local;

/* ---- what leaves ---- */

struct caught {
    struct caught *next;
    uint64_t socket;
    char *json;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct caught *caught; /* the latest first */
static unsigned closed[SOCKETS_MAX];
static size_t answers;

void __wrap_ws_multicast(struct ws_frame *frame, struct net_ticket *tickets, size_t count,
                         unsigned flags);
void __wrap_net_ticket_post(struct net_ticket ticket, loop_fn *fn, void *arg);
struct ws *__wrap_ws_ticket_find(struct net_ticket ticket);
void __wrap_ws_close(struct ws *ws, unsigned code, const char *reason);
void *__wrap_ws_arg(const struct ws *ws);
void __wrap_gateway_answer_asking(struct asking *asking, const ProtobufCMessage *reply);
void __wrap_gateway_refuse_asking(struct asking *asking, enum err err, const char *message);
const Gateway__WatchRequest *__wrap_gateway_asking_watch(const struct asking *asking);

void __wrap_ws_multicast(struct ws_frame *frame, struct net_ticket *tickets, size_t count,
                         unsigned flags UNUSED)
{
    struct str wire = ws_frame_wire(frame, false, NULL);
    const char *brace = memchr(wire.p, '{', wire.n);
    assert_non_null(brace);
    size_t n = wire.n - (size_t)(brace - wire.p);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++) {
        struct caught *c = mem_alloc(sizeof(*c));
        *c = (struct caught){caught, tickets[i].slot, mem_alloc(n + 1)};
        memcpy(c->json, brace, n);
        c->json[n] = 0;
        caught = c;
    }
    pthread_mutex_unlock(&lock);
}

void __wrap_net_ticket_post(struct net_ticket ticket UNUSED, loop_fn *fn, void *arg)
{
    fn(arg);
}

struct ws *__wrap_ws_ticket_find(struct net_ticket ticket)
{
    return (struct ws *)(uintptr_t)ticket.slot;
}

void __wrap_ws_close(struct ws *ws, unsigned code, const char *reason UNUSED)
{
    pthread_mutex_lock(&lock);
    closed[(uintptr_t)ws] = code;
    pthread_mutex_unlock(&lock);
}

void *__wrap_ws_arg(const struct ws *ws UNUSED)
{
    return NULL;
}

/* An asking is the wish itself here. */
static void answered(struct asking *asking)
{
    gateway__watch_request__free_unpacked((Gateway__WatchRequest *)asking, NULL);
    pthread_mutex_lock(&lock);
    answers++;
    pthread_mutex_unlock(&lock);
}

void __wrap_gateway_answer_asking(struct asking *asking, const ProtobufCMessage *reply UNUSED)
{
    answered(asking);
}

void __wrap_gateway_refuse_asking(struct asking *asking, enum err err UNUSED,
                                  const char *why UNUSED)
{
    answered(asking);
}

const Gateway__WatchRequest *__wrap_gateway_asking_watch(const struct asking *asking)
{
    return (const Gateway__WatchRequest *)asking;
}

/* ---- looking at it ---- */

static bool is_kind(const char *json, const char *kind)
{
    size_t n = strlen(kind);
    return json[1] == '"' && strncmp(json + 2, kind, n) == 0 && json[2 + n] == '"';
}

static bool has_text(const char *json, const char *text)
{
    return strstr(json, text) != NULL;
}

static size_t count_frames(uint64_t socket, bool (*is_meant)(const char *, const char *),
                           const char *what)
{
    size_t count = 0;
    pthread_mutex_lock(&lock);
    for (const struct caught *c = caught; c; c = c->next)
        count += c->socket == socket && is_meant(c->json, what);
    pthread_mutex_unlock(&lock);
    return count;
}

size_t frames_of(uint64_t socket, const char *kind)
{
    return count_frames(socket, is_kind, kind);
}

size_t frames_with(uint64_t socket, const char *text)
{
    return count_frames(socket, has_text, text);
}

const char *last_of(uint64_t socket, const char *kind)
{
    const char *found = "";
    pthread_mutex_lock(&lock);
    for (const struct caught *c = caught; c && !*found; c = c->next) {
        if (c->socket == socket && is_kind(c->json, kind))
            found = c->json;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

void wait_frames(uint64_t socket, const char *kind, size_t count)
{
    for (int i = 0; i < 6000 && frames_of(socket, kind) < count; i++)
        usleep(5000);
    if (frames_of(socket, kind) < count)
        fail_msg("socket %d waits in vain for %zu %s", (int)socket, count, kind);
}

void forget_frames(void)
{
    pthread_mutex_lock(&lock);
    while (caught) {
        struct caught *c = caught;
        caught = c->next;
        free(c->json);
        free(c);
    }
    pthread_mutex_unlock(&lock);
}

unsigned closed_with(uint64_t socket)
{
    pthread_mutex_lock(&lock);
    unsigned code = closed[socket];
    pthread_mutex_unlock(&lock);
    return code;
}

size_t answers_of(void)
{
    pthread_mutex_lock(&lock);
    size_t count = answers;
    pthread_mutex_unlock(&lock);
    return count;
}

static void nothing(void *arg UNUSED)
{
}

void settle(void)
{
    loop_call(hub.gw->loop, nothing, NULL);
}

static void gap_on_loop(void *arg UNUSED)
{
    gateway_hub_gap(hub.gw);
}

void lose_events(void)
{
    loop_call(hub.gw->loop, gap_on_loop, NULL);
}

/* ---- sockets ---- */

struct hub_post post_of(uint64_t socket, enum hub_post_kind kind)
{
    return (struct hub_post){.gw = hub.gw,
                             .kind = kind,
                             .socket = socket,
                             .ticket = {.shard = 1, .slot = (uint32_t)socket}};
}

static void post_id(uint64_t socket, enum hub_post_kind kind, const char *id)
{
    struct hub_post post = post_of(socket, kind);
    snprintf(post.conversation_id, sizeof(post.conversation_id), "%s", id);
    gateway_hub_post(&post);
}

void join(uint64_t socket, const char *user_id, const char *session_id)
{
    struct hub_post post = post_of(socket, HUB_JOIN);
    snprintf(post.user_id, sizeof(post.user_id), "%s", user_id);
    snprintf(post.session_id, sizeof(post.session_id), "%s", session_id);
    gateway_hub_post(&post);
}

void leave(uint64_t socket)
{
    post_id(socket, HUB_LEAVE, "");
}

void look(uint64_t socket, const char *conversation_id)
{
    post_id(socket, HUB_OPEN, conversation_id);
}

void type(uint64_t socket, const char *conversation_id)
{
    post_id(socket, HUB_TYPING, conversation_id);
}

void watch(uint64_t socket, char **user_ids, size_t count)
{
    Gateway__WatchRequest in = GATEWAY__WATCH_REQUEST__INIT;
    in.user_ids = user_ids;
    in.n_user_ids = count;
    uint8_t *bytes = mem_alloc(gateway__watch_request__get_packed_size(&in) + 1);
    size_t n = gateway__watch_request__pack(&in, bytes);
    struct hub_post post = post_of(socket, HUB_WATCH);
    post.asking = (struct asking *)gateway__watch_request__unpack(NULL, n, bytes);
    free(bytes);
    gateway_hub_post(&post);
}

/* ---- events, by the bus ---- */

static void publish(const char *channel, const char *kind, const char *key,
                    const ProtobufCMessage *m)
{
    uint8_t bytes[2048];
    assert_true(protobuf_c_message_get_packed_size(m) <= sizeof(bytes));
    size_t n = protobuf_c_message_pack(m, bytes);
    bus_publish(hub.bus, &(struct bus_event){.channel = channel,
                                             .type = kind,
                                             .key = key,
                                             .payload = {(const char *)bytes, n},
                                             .id = ""});
}

void say(const struct said *said)
{
    Message__MessageEvent event = MESSAGE__MESSAGE_EVENT__INIT;
    Message__Change change = MESSAGE__CHANGE__INIT;
    Message__MessageInfo info = MESSAGE__MESSAGE_INFO__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    char *mentions[] = {(char *)said->mention};
    content.mentions = mentions;
    content.n_mentions = said->mention != NULL;
    info.sender_id = (char *)said->sender_id;
    info.seq = said->seq;
    info.content = &content;
    change.conversation_id = info.conversation_id = (char *)said->conversation_id;
    change.rev = said->seq;
    change.type = "message";
    change.message = &info;
    event.change = &change;
    event.lsn = said->lsn;
    event.fence = fake_fence;
    event.member_count = said->member_count;
    publish("message_events", "message", said->conversation_id, &event.base);
}

void change_member(const char *conversation_id, const char *user_id, Message__MemberState state,
                   int64_t lsn)
{
    Message__MessageEvent event = MESSAGE__MESSAGE_EVENT__INIT;
    Message__Change change = MESSAGE__CHANGE__INIT;
    Message__Member member = MESSAGE__MEMBER__INIT;
    char *ids[] = {(char *)user_id};
    member.user_id = (char *)user_id;
    member.state = state;
    change.conversation_id = (char *)conversation_id;
    change.type = "member";
    change.member = &member;
    event.change = &change;
    event.lsn = lsn;
    event.fence = fake_fence;
    event.user_ids = ids;
    event.n_user_ids = 1;
    publish("message_events", "member", conversation_id, &event.base);
}

void read_up_to(const char *conversation_id, const char *user_id, int64_t seq)
{
    Message__ReceiptEvent event = MESSAGE__RECEIPT_EVENT__INIT;
    event.conversation_id = (char *)conversation_id;
    event.user_id = (char *)user_id;
    event.read_seq = seq;
    publish("message_ephemeral", "receipt", conversation_id, &event.base);
}

void end_session(const char *user_id, const char *session_id)
{
    Auth__SessionEvent event = AUTH__SESSION_EVENT__INIT;
    event.session_id = (char *)session_id;
    event.user_id = (char *)user_id;
    publish("auth_events", "session.revoked", user_id, &event.base);
}

void appear(const char *user_id, Presence__Status status, int64_t version)
{
    Presence__PresenceEvent event = PRESENCE__PRESENCE_EVENT__INIT;
    Presence__PresenceInfo info = PRESENCE__PRESENCE_INFO__INIT;
    info.user_id = (char *)user_id;
    info.status = status;
    info.version = version;
    event.presence = &info;
    publish("presence_events", "presence.changed", user_id, &event.base);
}

/* ---- one gateway for each test ---- */

int hub_open(void **state UNUSED)
{
    log_set_level(LOG_ERROR);
    memset(fake_lists, 0, sizeof(fake_lists));
    fake_hold_lists = fake_hold_pages = fake_failing_lists = fake_views_asked = fake_reports =
        fake_hold_views = 0;
    fake_failing_checks = fake_checks = 0;
    fake_fence = 0;
    fake_tie = PRESENCE__TIE__CONTACT;
    memset(closed, 0, sizeof(closed));
    answers = 0;
    message_local = rpc_local_create(&message.base, NULL);
    presence_local = rpc_local_create(&presence.base, NULL);
    auth_local = rpc_local_create(&auth.base, NULL);
    assert_int_equal(bus_open(&hub.bus, &(struct bus_options){.driver = "memory"}), ERR_OK);
    assert_int_equal(gateway_create(&hub.gw, &(struct gateway_deps){.auth = auth_local,
                                                                    .message = message_local,
                                                                    .group = &group.base,
                                                                    .contact = &contact.base,
                                                                    .presence = presence_local,
                                                                    .bus = hub.bus}),
                     ERR_OK);
    bus_start(hub.bus);
    return 0;
}

int hub_close(void **state UNUSED)
{
    fake_hold_views = false; /* also after a failure */
    gateway_destroy(&hub.gw);
    bus_close(&hub.bus);
    rpc_local_destroy(&message_local);
    rpc_local_destroy(&presence_local);
    rpc_local_destroy(&auth_local);
    forget_frames();
    return 0;
}
