/*
 * Who is there: the other signaling instances and the media nodes. The registry says where they
 * are; each is asked every second how it is, which tells a process that hangs from one that runs,
 * and a new life at an old address from the old one. Nothing is believed for long: who has not
 * answered for three seconds is left.
 */
#include "services/signaling/signaling_apart_internal.h"

static struct metric nodes_gauge =
    METRIC_GAUGE("parlance_signaling_nodes", "Processes that answer.", "kind");
static struct metric lost_total =
    METRIC_COUNTER("parlance_signaling_nodes_lost_total", "Processes that were left.", "kind");

static const char *kind_of(const struct node_set *set)
{
    return set->is_media ? "media" : "signaling";
}

static bool is_good(const struct signaling_node *n)
{
    return n->is_alive && !n->is_draining;
}

static bool is_self(const struct signaling_node *n)
{
    return strcmp(n->id, n->set->hub->cluster->self_id) == 0;
}

struct signaling_node *signaling_node_find(struct node_set *set, const char *id)
{
    LIST_FOREACH(&set->nodes, node)
    {
        struct signaling_node *n = LIST_ENTRY(node, struct signaling_node, in_set);
        if (is_good(n) && strcmp(n->id, id) == 0)
            return n;
    }
    return NULL;
}

bool signaling_node_is_dead(struct node_set *set, const char *id)
{
    LIST_FOREACH(&set->nodes, node)
    {
        struct signaling_node *n = LIST_ENTRY(node, struct signaling_node, in_set);
        if (strcmp(n->id, id) == 0)
            return !is_good(n);
    }
    return false;
}

struct signaling_node *signaling_node_choose(struct node_set *set)
{
    struct signaling_node *best = NULL;
    double least = 0;
    LIST_FOREACH(&set->nodes, node)
    {
        struct signaling_node *n = LIST_ENTRY(node, struct signaling_node, in_set);
        /* What was given to it a moment ago does not show in its figures yet. */
        double load = n->load + 0.02 * n->placed_count;
        if (!is_good(n) || (best && load >= least))
            continue;
        best = n;
        least = load;
    }
    if (best)
        best->placed_count++;
    return best;
}

/* ---- up and down ---- */

static void count_alive(struct node_set *set)
{
    double alive = 0;
    LIST_FOREACH(&set->nodes, node)
    alive += LIST_ENTRY(node, struct signaling_node, in_set)->is_alive;
    metric_cell_set(metric_cell(&nodes_gauge, kind_of(set), NULL, NULL), alive);
}

static void leave(struct node_set *set, const char *id)
{
    if (set->is_media)
        signaling_move_from(set->hub, id);
    else
        signaling_relay_break(set->hub, id);
}

static void down(struct signaling_node *n, const char *why)
{
    char id[ID_SIZE];
    if (!n->is_alive)
        return;
    n->is_alive = false;
    memcpy(id, n->id, sizeof(id));
    log_warn(NULL, "signaling: %s node %s (%s) %s", kind_of(n->set), id, n->instance, why);
    metric_cell_add(metric_cell(&lost_total, kind_of(n->set), NULL, NULL), 1);
    count_alive(n->set);
    leave(n->set, id);
}

static double load_of(const Node__Node *r)
{
    return MAX(r->cpu_share, r->packets_per_s / 500000) + r->people / 5000.0;
}

static void heard(struct signaling_node *n, const Node__Node *r)
{
    if (n->is_alive && strcmp(n->id, r->id) != 0)
        down(n, "was started anew");
    /* Who goes does not come back in this life: an answer from before may come after its word. */
    bool was_draining = n->is_draining && strcmp(n->id, r->id) == 0;
    n->failures = 0;
    n->heard_ms = clock_mono_ms();
    n->is_draining = was_draining || r->is_draining;
    n->load = load_of(r);
    n->placed_count = 0;
    snprintf(n->id, sizeof(n->id), "%s", r->id);
    if (!n->is_alive && !is_self(n)) {
        n->is_alive = true;
        log_info(NULL, "signaling: %s node %s is at %s", kind_of(n->set), n->id, n->instance);
        count_alive(n->set);
    }
    if (n->is_alive && n->is_draining && !was_draining)
        leave(n->set, n->id);
}

void signaling_nodes_leave(struct signaling_hub *hub, const char *media_id)
{
    struct signaling_node *n = signaling_node_find(&hub->cluster->media, media_id);
    if (!n)
        return;
    n->is_draining = true;
    leave(n->set, media_id);
}

/* ---- asking ---- */

static struct signaling_node *find_number(struct node_set *set, int64_t number)
{
    LIST_FOREACH(&set->nodes, node)
    {
        struct signaling_node *n = LIST_ENTRY(node, struct signaling_node, in_set);
        if (n->number == number)
            return n;
    }
    return NULL;
}

static void on_answer(struct signaling_hub *hub, struct signaling_socket *s UNUSED, int64_t number,
                      const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct signaling_node *n = find_number(&hub->cluster->media, number);
    if (!n)
        n = find_number(&hub->cluster->signaling, number);
    if (!n)
        return;
    n->is_asking = false;
    if (reply)
        heard(n, (const Node__Node *)reply);
    else if (++n->failures >= 2 && call->err == ERR_UNAVAILABLE &&
             clock_mono_ms() - n->heard_ms > NODE_GONE_MS)
        down(n, "is gone");
}

static void ask(struct signaling_node *n)
{
    Node__GetNodeRequest request = NODE__GET_NODE_REQUEST__INIT;
    if (n->is_asking)
        return;
    n->is_asking = true;
    signaling_call(n->set->hub, &(struct signaling_call_options){.service = n->set->service,
                                                                 .method = "GetNode",
                                                                 .request = &request.base,
                                                                 .request_id = n->number,
                                                                 .instance = n->instance,
                                                                 .timeout_ms = 2 * NODE_EVERY_MS,
                                                                 .done = on_answer});
}

static void ask_all(struct node_set *set, bool is_late)
{
    int64_t now_ms = clock_mono_ms();
    LIST_FOREACH(&set->nodes, node)
    {
        struct signaling_node *n = LIST_ENTRY(node, struct signaling_node, in_set);
        if (is_late)
            n->heard_ms = now_ms; /* it was us who slept */
        else if (now_ms - n->heard_ms > NODE_LOST_MS)
            down(n, "does not answer");
        ask(n);
    }
}

static void on_tick(void *arg)
{
    struct signaling_hub *hub = arg;
    struct signaling_cluster *c = hub->cluster;
    int64_t now_ms = clock_mono_ms();
    bool is_late = now_ms - c->ticked_ms > 2 * NODE_EVERY_MS;
    c->ticked_ms = now_ms;
    c->tick_count++;
    ask_all(&c->signaling, is_late);
    ask_all(&c->media, is_late);
    signaling_move_tick(hub);
    signaling_relay_tick(hub);
    loop_timer_start(hub->loop, &c->tick_timer, NODE_EVERY_MS, on_tick, hub);
}

/* ---- what the registry lists ---- */

struct listing {
    struct node_set *set;
    size_t count;
    char instances[][NODE_INSTANCE_SIZE];
};

static struct signaling_node *find_instance(struct node_set *set, const char *instance)
{
    LIST_FOREACH(&set->nodes, node)
    {
        struct signaling_node *n = LIST_ENTRY(node, struct signaling_node, in_set);
        if (strcmp(n->instance, instance) == 0)
            return n;
    }
    return NULL;
}

static void node_free(struct signaling_node *n)
{
    list_remove(&n->in_set);
    free(n);
}

static void on_listing(void *arg)
{
    struct listing *l = arg;
    struct node_set *set = l->set;
    LIST_FOREACH(&set->nodes, node)
    LIST_ENTRY(node, struct signaling_node, in_set)->is_listed = false;
    for (size_t i = 0; i < l->count; i++) {
        struct signaling_node *n = find_instance(set, l->instances[i]);
        if (!n) {
            n = mem_new(struct signaling_node);
            n->set = set;
            n->number = ++set->hub->cluster->last_number;
            snprintf(n->instance, sizeof(n->instance), "%s", l->instances[i]);
            list_add_tail(&set->nodes, &n->in_set);
            ask(n);
        }
        n->is_listed = true;
    }
    LIST_FOREACH(&set->nodes, listed)
    {
        struct signaling_node *n = LIST_ENTRY(listed, struct signaling_node, in_set);
        if (n->is_listed)
            continue;
        down(n, "left the registry");
        node_free(n);
    }
    free(l);
}

/* Without a port it is this process's own. */
static void on_registry(void *arg, const struct registry_instance *list, size_t count)
{
    struct node_set *set = arg;
    struct listing *l = mem_zalloc(sizeof(*l) + count * sizeof(l->instances[0]));
    l->set = set;
    for (size_t i = 0; i < count; i++)
        if (list[i].port)
            snprintf(l->instances[l->count++], NODE_INSTANCE_SIZE, "%s", list[i].id);
    loop_post(set->hub->loop, on_listing, l);
}

/* ---- life ---- */

static void set_init(struct node_set *set, struct signaling_hub *hub, ProtobufCService *service,
                     bool is_media)
{
    *set = (struct node_set){.hub = hub, .service = service, .is_media = is_media};
    list_init(&set->nodes);
}

static void start_on_loop(void *arg)
{
    struct signaling_hub *hub = arg;
    hub->cluster->ticked_ms = hub->cluster->started_ms = clock_mono_ms();
    on_tick(hub);
}

void signaling_nodes_start(struct signaling_hub *hub)
{
    struct signaling_cluster *c = hub->cluster;
    set_init(&c->signaling, hub, c->peers, false);
    set_init(&c->media, hub, hub->media, true);
    registry_watch(c->registry, c->peers->descriptor->short_name, on_registry, &c->signaling);
    if (c->is_media_apart)
        registry_watch(c->registry, hub->media->descriptor->short_name, on_registry, &c->media);
    loop_post(hub->loop, start_on_loop, hub);
}

static void stop_on_loop(void *arg)
{
    struct signaling_hub *hub = arg;
    loop_timer_stop(&hub->cluster->tick_timer);
}

void signaling_nodes_stop(struct signaling_hub *hub)
{
    struct signaling_cluster *c = hub->cluster;
    registry_unwatch(c->registry, on_registry, &c->signaling);
    if (c->is_media_apart)
        registry_unwatch(c->registry, on_registry, &c->media);
    loop_call(hub->loop, stop_on_loop, hub);
}

static void set_free(struct node_set *set)
{
    LIST_FOREACH(&set->nodes, node)
    node_free(LIST_ENTRY(node, struct signaling_node, in_set));
}

void signaling_nodes_free(struct signaling_hub *hub)
{
    set_free(&hub->cluster->signaling);
    set_free(&hub->cluster->media);
}
