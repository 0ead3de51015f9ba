/*
 * Sockets of other instances. A socket lands anywhere; the instance it landed on (its front) signs
 * it in and hands its frames to the owner of the room, where a socket of the same kind stands for
 * it. Between two instances one request is under way at a time, with all that has gathered
 * meanwhile: so order is kept, and busy links batch by themselves. A request that fails voids all
 * that goes between the two: fronts close those sockets, owners take them for gone, and clients
 * come back with their resume tokens.
 */
#include "services/signaling/signaling_apart_internal.h"

#define LINK_QUEUE_MAX (16 << 20) /* bytes that wait; beyond it the other does not keep up */
#define REQUEST_MAX (1 << 20)     /* bytes in one request, and one frame more */
#define RELAY_MS 4000

struct relay_link {
    struct list in_cluster;
    struct signaling_hub *hub;
    int64_t number;
    char id[ID_SIZE]; /* the other instance */
    struct list queue;
    size_t queued_bytes;
    bool is_sending, needs_reset;
    unsigned broken_count, sent_count; /* sent: how often it had broken when that was sent */
    bool is_broken;                    /* void, as soon as nobody is in the middle of something */
};

struct item {
    struct list in_queue;
    Signaling__RelayKind kind;
    int32_t code, hops;
    Signaling__RelayPerson *who;
    uint64_t *sockets;
    size_t count;
    size_t n;
    uint8_t text[];
};

static struct metric breaks_total =
    METRIC_COUNTER("parlance_signaling_relay_breaks_total", "Links to other instances that broke.");

/* ---- links ---- */

static struct relay_link *link_get(struct signaling_hub *hub, const char *id)
{
    struct signaling_cluster *c = hub->cluster;
    LIST_FOREACH(&c->links, node)
    {
        struct relay_link *link = LIST_ENTRY(node, struct relay_link, in_cluster);
        if (strcmp(link->id, id) == 0)
            return link;
    }
    struct relay_link *link = mem_new(struct relay_link);
    link->hub = hub;
    link->number = ++c->last_number;
    snprintf(link->id, sizeof(link->id), "%s", id);
    list_init(&link->queue);
    list_add_tail(&c->links, &link->in_cluster);
    return link;
}

static void item_free(struct item *item)
{
    list_remove(&item->in_queue);
    signaling_free(item->who);
    free(item->sockets);
    free(item);
}

static void drop_queue(struct relay_link *link)
{
    LIST_FOREACH(&link->queue, node)
    item_free(LIST_ENTRY(node, struct item, in_queue));
    link->queued_bytes = 0;
}

/* Both ways: sockets of ours whose room is there, and theirs whose room is here. */
static void void_sockets(struct relay_link *link)
{
    size_t at = 0;
    uint64_t id;
    void *value;
    while (map64_next(link->hub->sockets, &at, &id, &value)) {
        struct signaling_socket *s = value;
        if (s->owner == link) {
            s->owner = NULL;
            signaling_socket_close(s, CLOSE_GOING_AWAY, "the meeting's server is gone");
        }
        if (s->front == link)
            signaling_socket_gone(s);
    }
}

static void link_break(struct relay_link *link)
{
    link->is_broken = true; /* nothing is queued any more */
    drop_queue(link);
    metric_add(&breaks_total, 1);
    void_sockets(link);
    link->is_broken = false;
    link->needs_reset = true;
    link->broken_count++;
}

void signaling_relay_break(struct signaling_hub *hub, const char *id)
{
    LIST_FOREACH(&hub->cluster->links, node)
    {
        struct relay_link *link = LIST_ENTRY(node, struct relay_link, in_cluster);
        if (strcmp(link->id, id) == 0)
            link_break(link);
    }
}

/* ---- sending ---- */

static void link_flush(struct relay_link *link);

static void on_relayed(struct signaling_hub *hub, struct signaling_socket *s UNUSED, int64_t number,
                       const ProtobufCMessage *reply, struct rpc_call *call)
{
    LIST_FOREACH(&hub->cluster->links, node)
    {
        struct relay_link *link = LIST_ENTRY(node, struct relay_link, in_cluster);
        if (link->number != number)
            continue;
        /* What failed now may have been sent before the link broke for another reason: all that it
         * bore is void already, and what was begun since has not been sent yet. */
        bool is_old = link->sent_count != link->broken_count;
        link->is_sending = false;
        if (!reply && !is_old) {
            log_warn(NULL, "signaling: the link to instance %s broke: %s", link->id, call->message);
            link_break(link);
        } else {
            link_flush(link);
        }
    }
}

static Signaling__RelayItem *shape_of(const struct item *item, struct arena *arena)
{
    Signaling__RelayItem *f = arena_new(arena, Signaling__RelayItem);
    signaling__relay_item__init(f);
    f->kind = item->kind;
    f->code = item->code;
    f->hops = item->hops;
    f->who = item->who ? (Signaling__RelayPerson *)rpc_message_copy(arena, &item->who->base) : NULL;
    f->n_sockets = item->count;
    f->sockets = arena_memdup(arena, item->sockets, item->count * sizeof(item->sockets[0]));
    f->text.len = item->n;
    f->text.data = arena_memdup(arena, item->text, item->n);
    return f;
}

static void take_items(struct relay_link *link, Signaling__RelayRequest *request,
                       struct arena *arena)
{
    size_t bytes = 0, count = 0;
    LIST_FOREACH(&link->queue, counted)
    {
        (void)counted;
        count++;
    }
    request->frames = arena_array(arena, Signaling__RelayItem *, count + 1);
    if (link->needs_reset) {
        Signaling__RelayItem *f = arena_new(arena, Signaling__RelayItem);
        signaling__relay_item__init(f);
        request->frames[request->n_frames++] = f;
        link->needs_reset = false;
    }
    LIST_FOREACH(&link->queue, node)
    {
        struct item *item = LIST_ENTRY(node, struct item, in_queue);
        if (bytes > REQUEST_MAX)
            break;
        bytes += item->n;
        request->frames[request->n_frames++] = shape_of(item, arena);
        link->queued_bytes -= item->n;
        item_free(item);
    }
}

static void link_flush(struct relay_link *link)
{
    struct signaling_cluster *c = link->hub->cluster;
    if (link->is_sending || link->is_broken || (list_is_empty(&link->queue) && !link->needs_reset))
        return;
    struct signaling_node *n = signaling_node_find(&c->signaling, link->id);
    if (!n) {
        link->is_broken = !list_is_empty(&link->queue);
        return;
    }
    struct arena *arena = arena_create();
    Signaling__RelayRequest request = SIGNALING__RELAY_REQUEST__INIT;
    request.from = c->self_id;
    take_items(link, &request, arena);
    link->is_sending = true;
    link->sent_count = link->broken_count;
    signaling_call(link->hub, &(struct signaling_call_options){.service = c->peers,
                                                               .method = "Relay",
                                                               .request = &request.base,
                                                               .request_id = link->number,
                                                               .instance = n->instance,
                                                               .timeout_ms = RELAY_MS,
                                                               .done = on_relayed});
    arena_destroy(&arena);
}

static struct item *item_create(Signaling__RelayKind kind, const uint64_t *sockets, size_t count,
                                struct str text)
{
    struct item *item = mem_zalloc(sizeof(*item) + text.n);
    item->kind = kind;
    item->sockets = mem_dup(sockets, count * sizeof(sockets[0]));
    item->count = count;
    item->n = text.n;
    if (text.n)
        memcpy(item->text, text.p, text.n);
    return item;
}

static void link_queue(struct relay_link *link, struct item *item)
{
    list_add_tail(&link->queue, &item->in_queue);
    link->queued_bytes += item->n;
    if (link->is_broken) {
        item_free(item);
    } else if (link->queued_bytes > LINK_QUEUE_MAX) {
        log_warn(NULL, "signaling: instance %s does not keep up", link->id);
        link->is_broken = true;
    } else {
        link_flush(link);
    }
}

/* ---- at the front ---- */

static Signaling__RelayPerson person_of(struct signaling_socket *s)
{
    Signaling__RelayPerson who = SIGNALING__RELAY_PERSON__INIT;
    who.role = (int32_t)s->who.role;
    who.user_id = s->who.user_id;
    who.session_id = s->who.session_id;
    who.meeting_id = s->who.meeting_id;
    who.name = s->who.name;
    who.is_bot = s->who.is_bot;
    who.remote_addr = s->remote_addr;
    who.request_id = s->request_id;
    return who;
}

static void queue_who(struct signaling_socket *s, Signaling__RelayKind kind, struct str text)
{
    Signaling__RelayPerson who = person_of(s);
    struct item *item = item_create(kind, &s->id, 1, text);
    item->who = signaling_copy(&who.base);
    item->hops = s->hops + 1;
    link_queue(s->owner, item);
}

void signaling_relay_open(struct signaling_socket *s, const char *owner_id, struct str join)
{
    s->owner = link_get(s->hub, owner_id);
    queue_who(s, SIGNALING__RELAY_KIND__RELAY_OPEN, join);
}

void signaling_relay_item(struct signaling_socket *s, struct str text)
{
    link_queue(s->owner, item_create(SIGNALING__RELAY_KIND__RELAY_FRAME, &s->id, 1, text));
}

void signaling_relay_who(struct signaling_socket *s)
{
    if (s->owner)
        queue_who(s, SIGNALING__RELAY_KIND__RELAY_WHO, STR(""));
}

/* ---- at the owner ---- */

static struct str remote_key(char out[ID_SIZE + 24], const struct relay_link *front, uint64_t id)
{
    int n = snprintf(out, ID_SIZE + 24, "%s/%llu", front->id, (unsigned long long)id);
    return (struct str){out, (size_t)n};
}

static struct signaling_socket *find_remote(struct relay_link *front, uint64_t id)
{
    char key[ID_SIZE + 24];
    return map_get(front->hub->cluster->remotes, remote_key(key, front, id));
}

void signaling_relay_send(struct relay_link *front, const uint64_t *ids, size_t count,
                          struct str text)
{
    link_queue(front, item_create(SIGNALING__RELAY_KIND__RELAY_SEND, ids, count, text));
}

static void shut(struct relay_link *front, uint64_t id, unsigned code, const char *reason)
{
    struct item *item = item_create(SIGNALING__RELAY_KIND__RELAY_SHUT, &id, 1, str_from(reason));
    item->code = (int32_t)code;
    link_queue(front, item);
}

void signaling_relay_shut(struct signaling_socket *s, unsigned code, const char *reason)
{
    shut(s->front, s->front_id, code, reason);
}

void signaling_relay_forget(struct signaling_socket *s)
{
    char key[ID_SIZE + 24];
    if (s->front)
        map_remove(s->hub->cluster->remotes, remote_key(key, s->front, s->front_id));
    if (s->owner)
        link_queue(s->owner, item_create(SIGNALING__RELAY_KIND__RELAY_CLOSE, &s->id, 1, STR("")));
    s->front = s->owner = NULL;
}

static void take_open(struct relay_link *front, const Signaling__RelayItem *f)
{
    struct signaling_hub *hub = front->hub;
    char key[ID_SIZE + 24];
    if (!f->who || f->n_sockets != 1 || find_remote(front, f->sockets[0]))
        return;
    if (hub->is_draining) {
        shut(front, f->sockets[0], CLOSE_GOING_AWAY, "the server is going away");
        return;
    }
    struct signaling_socket *s = signaling_socket_open_remote(hub, front, f->sockets[0], f->who);
    s->hops = f->hops;
    map_set(hub->cluster->remotes, remote_key(key, front, s->front_id), s);
    signaling_socket_take(s, (struct str){(const char *)f->text.data, f->text.len});
}

/* ---- what came ---- */

static void take_send(struct relay_link *owner, const Signaling__RelayItem *f)
{
    struct signaling_socket **sockets = mem_calloc(f->n_sockets + 1, sizeof(*sockets));
    size_t count = 0;
    for (size_t i = 0; i < f->n_sockets; i++) {
        struct signaling_socket *s = signaling_socket_find(owner->hub, f->sockets[i]);
        if (s && s->owner == owner)
            sockets[count++] = s;
        else if (!s)
            link_queue(owner,
                       item_create(SIGNALING__RELAY_KIND__RELAY_CLOSE, &f->sockets[i], 1, STR("")));
    }
    signaling_sockets_send_json(sockets, count,
                                (struct str){(const char *)f->text.data, f->text.len});
    free(sockets);
}

static void take_shut(struct relay_link *owner, const Signaling__RelayItem *f)
{
    struct signaling_socket *s =
        f->n_sockets == 1 ? signaling_socket_find(owner->hub, f->sockets[0]) : NULL;
    char reason[100];
    if (!s || s->owner != owner)
        return;
    snprintf(reason, sizeof(reason), "%.*s", (int)MIN(f->text.len, sizeof(reason) - 1),
             (const char *)f->text.data);
    signaling_socket_close(s, (enum signaling_close)f->code, reason);
}

static void take_of_remote(struct relay_link *front, const Signaling__RelayItem *f)
{
    struct signaling_socket *s = f->n_sockets == 1 ? find_remote(front, f->sockets[0]) : NULL;
    if (f->kind == SIGNALING__RELAY_KIND__RELAY_CLOSE) {
        if (s)
            signaling_socket_gone(s);
    } else if (!s) {
        if (f->n_sockets == 1)
            shut(front, f->sockets[0], CLOSE_GOING_AWAY,
                 "the meeting's server knows no such socket");
    } else if (f->kind == SIGNALING__RELAY_KIND__RELAY_FRAME) {
        signaling_socket_take(s, (struct str){(const char *)f->text.data, f->text.len});
    } else if (f->who) {
        signaling_socket_set_who(s, f->who);
        signaling_relay_who(s); /* its room may be elsewhere still */
    }
}

static void take(struct relay_link *link, const Signaling__RelayItem *f)
{
    switch (f->kind) {
    case SIGNALING__RELAY_KIND__RELAY_RESET:
        void_sockets(link);
        break;
    case SIGNALING__RELAY_KIND__RELAY_OPEN:
        take_open(link, f);
        break;
    case SIGNALING__RELAY_KIND__RELAY_SEND:
        take_send(link, f);
        break;
    case SIGNALING__RELAY_KIND__RELAY_SHUT:
        take_shut(link, f);
        break;
    default:
        take_of_remote(link, f);
        break;
    }
}

enum err signaling_relay_take(struct signaling_hub *hub, const Signaling__RelayRequest *in)
{
    struct signaling_cluster *c = hub->cluster;
    if (!c || !signaling_node_find(&c->signaling, in->from))
        return ERR_FAILED_PRECONDITION;
    struct relay_link *link = link_get(hub, in->from);
    for (size_t i = 0; i < in->n_frames; i++)
        take(link, in->frames[i]);
    return ERR_OK;
}

/* ---- the clock, and the end ---- */

void signaling_relay_tick(struct signaling_hub *hub)
{
    LIST_FOREACH(&hub->cluster->links, node)
    {
        struct relay_link *link = LIST_ENTRY(node, struct relay_link, in_cluster);
        if (link->is_broken)
            link_break(link);
        link_flush(link);
    }
}

void signaling_relay_free(struct signaling_hub *hub)
{
    LIST_FOREACH(&hub->cluster->links, node)
    {
        struct relay_link *link = LIST_ENTRY(node, struct relay_link, in_cluster);
        drop_queue(link);
        list_remove(&link->in_cluster);
        free(link);
    }
}
