/* signaling: creation, wiring, end. The work is in the files around it; see signaling_internal.h
 * for the map. */
#include "services/signaling/signaling.h"
#include "services/signaling/signaling_apart_internal.h"
#include "services/signaling/signaling_socket.h"

struct signaling_service {
    struct signaling_hub hub;
    struct signaling_rpc *rpc;
};

static void start_on_loop(void *arg)
{
    signaling_presence_start(arg);
}

static void cluster_create(struct signaling_hub *hub, const struct signaling_apart *apart)
{
    struct signaling_cluster *c = mem_new(struct signaling_cluster);
    snprintf(c->self_id, sizeof(c->self_id), "%s", apart->node_id);
    c->registry = apart->registry;
    c->peers = apart->peers;
    c->is_media_apart = apart->is_media_apart;
    c->claims = map_create();
    c->remotes = map_create();
    list_init(&c->links);
    hub->cluster = c;
}

static void cluster_destroy(struct signaling_hub *hub)
{
    struct signaling_cluster *c = hub->cluster;
    if (!c)
        return;
    signaling_nodes_free(hub);
    signaling_relay_free(hub);
    map_destroy(&c->claims);
    map_destroy(&c->remotes);
    free(c);
}

enum err signaling_create(struct signaling_service **out, const struct signaling_deps *deps)
{
    struct signaling_service *s = mem_zalloc(sizeof(*s));
    struct signaling_hub *hub = &s->hub;
    hub->auth = deps->auth;
    hub->meeting = deps->meeting;
    hub->media = deps->media;
    hub->bus = deps->bus;
    hub->resume_ms = deps->resume_ms ? deps->resume_ms : 30 * 1000;
    hub->auth_timeout_ms = deps->auth_timeout_ms ? deps->auth_timeout_ms : 10 * 1000;
    hub->presence_every_ms = deps->presence_every_ms ? deps->presence_every_ms : 30 * 1000;
    hub->sockets = map64_create();
    hub->rooms = map_create();
    hub->resumes = map_create();
    list_init(&hub->checks);
    sem_init(&hub->ended, 0, 0);
    enum err err = loop_create(&hub->loop, "signaling");
    if (err)
        goto fail;
    if (deps->apart.node_id)
        cluster_create(hub, &deps->apart);
    s->rpc = signaling_rpc_create(hub);
    if (hub->cluster)
        signaling_nodes_start(hub);
    signaling_events_start(hub);
    loop_post(hub->loop, start_on_loop, hub);
    *out = s;
    return ERR_OK;
fail:
    signaling_destroy(&s);
    return err;
}

static void drain_on_loop(void *arg)
{
    signaling_socket_drain(arg);
}

void signaling_drain(struct signaling_service *s)
{
    loop_call(s->hub.loop, drain_on_loop, &s->hub);
}

/* People and rooms that are still there; nobody is told, the process ends. */
static void clear_on_loop(void *arg)
{
    struct signaling_hub *hub = arg;
    size_t at = 0;
    struct str key;
    void *value;
    signaling_presence_stop(hub);
    signaling_gap_free(hub);
    while (map_next(hub->rooms, &at, &key, &value)) {
        struct room *room = value;
        LIST_FOREACH(&room->members, node)
        {
            struct member *m = LIST_ENTRY(node, struct member, in_room);
            member_destroy(&m);
        }
        room_release(room);
    }
    at = 0;
    uint64_t id;
    while (map64_next(hub->sockets, &at, &id, &value))
        signaling_socket_destroy(value);
    if (hub->cluster)
        signaling_place_free(hub);
    /* What was just asked (media sessions to close) is answered by posts to this loop. */
    hub->is_ending = true;
    if (hub->call_count == 0)
        sem_post(&hub->ended);
}

void signaling_destroy(struct signaling_service **service)
{
    struct signaling_service *s = *service;
    *service = NULL;
    if (!s)
        return;
    struct signaling_hub *hub = &s->hub;
    if (s->rpc)
        signaling_events_stop(hub);
    if (hub->cluster)
        signaling_nodes_stop(hub);
    if (hub->loop) {
        loop_call(hub->loop, clear_on_loop, hub);
        while (sem_wait(&hub->ended) != 0)
            ;
    }
    sem_destroy(&hub->ended);
    loop_destroy(&hub->loop);
    signaling_rpc_destroy(&s->rpc);
    cluster_destroy(hub);
    map64_destroy(&hub->sockets);
    map_destroy(&hub->rooms);
    map_destroy(&hub->resumes);
    free(s);
}

ProtobufCService *signaling_rpc(struct signaling_service *s)
{
    return signaling_rpc_service(s->rpc);
}

void signaling_accept(struct signaling_service *s, struct http_request *req,
                      const struct identity *who, ws_origin_fn *is_origin_allowed, void *origin_arg)
{
    signaling_socket_accept(&s->hub, req, who, is_origin_allowed, origin_arg);
}
