/*
 * redis_cluster: many nodes, each with some of the 16,384 slots that keys hash to, and a pipe of
 * its own. One thread asks any node who has what: at the start, when a node says that a key has
 * moved, and while a node does not answer. What was redirected goes to where it was told; if that
 * node is not known yet, it waits until the thread has met it, as long as a call may wait. New
 * nodes are met all at once, so that those that hang cost the time of one.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "redis/redis_internal.h"

#define SLOTS REDIS_SLOTS
#define NODES_MAX 64
#define ATTEMPTS_MAX 5
#define PARKED_MAX 4096
#define LOOK_EVERY_MS 30000
#define LOOK_AGAIN_MS 250 /* while something is amiss */
#define LOOK_MS 1000      /* asking one node may take */
#define MEET_MS 2000      /* those that are met have to connect */
#define NAP_MS 20         /* a stop is looked for so often */

struct node {
    struct redis_host host;
    struct redis_pipe *pipe;   /* NULL: no node */
    bool is_listed;            /* by the last look */
    struct redis_pipe *coming; /* the thread's: it is being met, nobody else knows it */
};

struct redis_cluster {
    const struct redis_address *address;
    int64_t timeout_ms;
    pthread_t thread;
    int stop_fd, wake_fd;
    /* Read by who submits, written by the thread alone. */
    pthread_rwlock_t lock;
    struct node nodes[NODES_MAX];
    uint8_t holder[SLOTS]; /* index into nodes + 1; 0: nobody */
    /* guarded by park_lock: */
    pthread_mutex_t park_lock;
    struct list parked;
    size_t parked_count;
    bool is_stopping;
};

/* ---- requests ---- */

static void route_end(struct redis_route *route, enum err err)
{
    route->request.err = err;
    route->done(route);
}

/* The thread will meet the node, then submit it again. */
static void park(struct redis_cluster *c, struct redis_route *route)
{
    pthread_mutex_lock(&c->park_lock);
    bool is_taken = !c->is_stopping && c->parked_count < PARKED_MAX;
    route->parked_until_us = clock_mono_us() + c->timeout_ms * 1000;
    if (is_taken) {
        list_add_tail(&c->parked, &route->request.node);
        c->parked_count++;
    }
    pthread_mutex_unlock(&c->park_lock);
    redis_event_set(c->wake_fd);
    if (!is_taken)
        route_end(route, ERR_UNAVAILABLE);
}

static struct node *find_node(struct redis_cluster *c, const struct redis_host *host)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        if (c->nodes[i].pipe && c->nodes[i].host.port == host->port &&
            strcmp(c->nodes[i].host.name, host->name) == 0)
            return &c->nodes[i];
    return NULL;
}

static struct node *any_node(struct redis_cluster *c)
{
    struct node *some = NULL;
    for (size_t i = 0; i < NODES_MAX; i++)
        if (c->nodes[i].pipe && (!some || redis_pipe_is_up(c->nodes[i].pipe)))
            some = &c->nodes[i];
    return some;
}

void redis_cluster_submit(struct redis_cluster *c, struct redis_route *route)
{
    enum err err = ERR_NOT_FOUND;
    pthread_rwlock_rdlock(&c->lock);
    struct node *node = NULL;
    if (route->want.port)
        node = find_node(c, &route->want);
    else if (route->slot >= SLOTS)
        node = any_node(c);
    else if (c->holder[route->slot])
        node = &c->nodes[c->holder[route->slot] - 1];
    if (node && node->pipe)
        err = redis_pipe_submit(node->pipe, &route->request);
    pthread_rwlock_unlock(&c->lock);
    if (err == ERR_NOT_FOUND && route->want.port && route->attempts < ATTEMPTS_MAX) {
        park(c, route);
    } else if (err) {
        redis_event_set(c->wake_fd);
        route_end(route, err == ERR_NOT_FOUND ? ERR_UNAVAILABLE : err);
    }
}

/* "MOVED 3999 127.0.0.1:6381", "ASK ..." with an empty host when it is the same. */
static bool parse_redirection(const struct redis_reply *reply, struct redis_route *route)
{
    struct str rest = reply->text, word, slot;
    (void)str_cut(&rest, ' ', &word);
    (void)str_cut(&rest, ' ', &slot);
    bool is_ask = str_eq(word, STR("ASK"));
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < rest.n; i++) /* the last: an IPv6 address has no brackets here */
        colon = rest.p[i] == ':' ? (ptrdiff_t)i : colon;
    int64_t port;
    if ((!is_ask && !str_eq(word, STR("MOVED"))) || colon < 1 || colon >= REDIS_HOST_SIZE ||
        !str_to_i64(str_sub(rest, (size_t)colon + 1, rest.n), &port) || port < 1 || port > 65535)
        return false;
    memset(&route->want, 0, sizeof(route->want));
    memcpy(route->want.name, rest.p, (size_t)colon);
    route->want.port = (uint16_t)port;
    route->is_asking = is_ask;
    return true;
}

/* ASKING goes before the command, once; an answer of its own is skipped. */
static void set_asking(struct redis_route *route, bool is_asking)
{
    static const struct str asking = STR("*1\r\n$6\r\nASKING\r\n");
    struct redis_request *r = &route->request;
    bool has = r->n > asking.n && memcmp(r->bytes, asking.p, asking.n) == 0;
    if (is_asking && !has) {
        r->bytes = mem_realloc(r->bytes, r->n + asking.n);
        memmove(r->bytes + asking.n, r->bytes, r->n);
        memcpy(r->bytes, asking.p, asking.n);
        r->n += asking.n;
    } else if (!is_asking && has) {
        r->n -= asking.n;
        memmove(r->bytes, r->bytes + asking.n, r->n);
    }
    r->skip = is_asking;
}

static bool is_closing(struct redis_cluster *c)
{
    pthread_mutex_lock(&c->park_lock);
    bool is = c->is_stopping;
    pthread_mutex_unlock(&c->park_lock);
    return is;
}

static void on_answer(struct redis_request *request)
{
    struct redis_route *route = CONTAINER_OF(request, struct redis_route, request);
    struct redis_cluster *c = route->cluster;
    const struct redis_reply *reply = request->reply;
    if (reply && reply->type == REDIS_PROBLEM && route->attempts < ATTEMPTS_MAX &&
        parse_redirection(reply, route)) {
        route->attempts++;
        request->reply = NULL;
        set_asking(route, route->is_asking);
        if (!route->is_asking)
            redis_event_set(c->wake_fd);
        redis_cluster_submit(c, route);
        return;
    }
    if (request->err == ERR_CANCELLED && !is_closing(c))
        request->err = ERR_UNAVAILABLE; /* its node has left the cluster, not we */
    if (request->err == ERR_UNAVAILABLE)
        redis_event_set(c->wake_fd);
    route->done(route);
}

/* ---- the thread ---- */

/* Only the thread writes, so it reads without the lock. A node that is new has no pipe until it is
 * welcomed. */
static struct node *meet(struct redis_cluster *c, const struct redis_host *host)
{
    struct node *node = find_node(c, host), *free_one = NULL;
    for (size_t i = 0; !node && i < NODES_MAX; i++) {
        struct node *n = &c->nodes[i];
        if (n->coming && n->host.port == host->port && strcmp(n->host.name, host->name) == 0)
            node = n;
        else if (!n->pipe && !n->coming && !free_one)
            free_one = n;
    }
    if (!node && free_one) {
        node = free_one;
        node->host = *host; /* nobody reads it before there is a pipe */
        node->coming = redis_pipe_create(&(struct redis_pipe_options){
            .address = c->address, .host = host, .timeout_ms = c->timeout_ms});
    }
    if (node)
        node->is_listed = true;
    return node;
}

/* Until its first attempt to connect is over, there is no time any more, or all of this ends. */
static void wait_first(struct redis_cluster *c, struct redis_pipe *pipe, int64_t until_us)
{
    for (bool is_over = false; !is_over && !is_closing(c);) {
        int64_t now_us = clock_mono_us();
        is_over = redis_pipe_wait_first(pipe, MIN(until_us, now_us + NAP_MS * 1000)) ||
                  now_us >= until_us;
    }
}

static void welcome(struct redis_cluster *c)
{
    int64_t until_us = clock_mono_us() + MEET_MS * 1000;
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct node *node = &c->nodes[i];
        if (!node->coming)
            continue;
        wait_first(c, node->coming, until_us);
        pthread_rwlock_wrlock(&c->lock);
        node->pipe = node->coming;
        pthread_rwlock_unlock(&c->lock);
        node->coming = NULL;
    }
}

static void retire(struct redis_cluster *c)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct redis_pipe *pipe = c->nodes[i].pipe;
        if (!pipe || c->nodes[i].is_listed)
            continue;
        pthread_rwlock_wrlock(&c->lock);
        c->nodes[i].pipe = NULL;
        pthread_rwlock_unlock(&c->lock);
        redis_pipe_destroy(&pipe);
    }
}

static void apply_slots(struct redis_cluster *c, const struct redis_reply *reply,
                        const struct redis_host *asked)
{
    uint8_t *holder = mem_zalloc(SLOTS);
    for (size_t i = 0; i < NODES_MAX; i++)
        c->nodes[i].is_listed = false;
    for (size_t i = 0; i < reply->count; i++) {
        struct redis_range range;
        struct node *node = NULL;
        if (redis_range_parse(&reply->items[i], &range)) {
            redis_range_name(&range, asked);
            node = meet(c, &range.host);
        }
        for (int64_t slot = range.first; node && slot <= range.last; slot++)
            holder[slot] = (uint8_t)(node - c->nodes + 1);
    }
    welcome(c);
    pthread_rwlock_wrlock(&c->lock);
    memcpy(c->holder, holder, SLOTS);
    pthread_rwlock_unlock(&c->lock);
    free(holder);
}

static enum err look_at(struct redis_cluster *c, const struct redis_host *host)
{
    char problem[REDIS_PROBLEM_SIZE] = "";
    struct redis_wait wait = {.until_us = clock_mono_us() + LOOK_MS * 1000, .stop_fd = c->stop_fd};
    const struct redis_reply *reply;
    struct redis_link *link;
    enum err err = redis_link_connect(&link, c->address, host, false, &wait, problem);
    if (err)
        return err;
    struct arena *arena = arena_create();
    err = redis_slots_ask(link, arena, &wait, &reply);
    if (err)
        log_warn(NULL, "redis: %s:%u does not say who has which slots: %s", host->name, host->port,
                 reply && reply->type == REDIS_PROBLEM ? reply->text.p : err_text(err));
    else
        apply_slots(c, reply, host);
    arena_destroy(&arena);
    redis_link_close(&link);
    return err;
}

static struct redis_route *take_parked(struct list *parked)
{
    if (list_is_empty(parked))
        return NULL;
    struct redis_route *route = LIST_ENTRY(parked->next, struct redis_route, request.node);
    list_remove(&route->request.node);
    return route;
}

/* Those whose time is over. */
static void expire_parked(struct redis_cluster *c)
{
    struct list over;
    struct redis_route *route;
    int64_t now_us = clock_mono_us();
    list_init(&over);
    pthread_mutex_lock(&c->park_lock);
    LIST_FOREACH(&c->parked, node)
    {
        route = LIST_ENTRY(node, struct redis_route, request.node);
        if (now_us <= route->parked_until_us)
            break; /* they have come in their order */
        list_remove(node);
        list_add_tail(&over, node);
        c->parked_count--;
    }
    pthread_mutex_unlock(&c->park_lock);
    while ((route = take_parked(&over)))
        route_end(route, ERR_UNAVAILABLE);
}

/* Known nodes that are up first, then those that the address names. */
static enum err look(struct redis_cluster *c)
{
    enum err err = ERR_UNAVAILABLE;
    for (size_t i = 0; i < NODES_MAX && err && err != ERR_CANCELLED; i++) {
        struct redis_host host = c->nodes[i].host;
        if (!c->nodes[i].pipe || !redis_pipe_is_up(c->nodes[i].pipe))
            continue;
        err = look_at(c, &host);
        expire_parked(c);
    }
    for (size_t i = 0; i < c->address->host_count && err && err != ERR_CANCELLED; i++) {
        err = look_at(c, &c->address->hosts[i]);
        expire_parked(c);
    }
    return err;
}

/* What waited goes on its way, to the node that it wants. */
static void unpark(struct redis_cluster *c)
{
    struct list ready;
    struct redis_route *route;
    list_init(&ready);
    pthread_mutex_lock(&c->park_lock);
    while ((route = take_parked(&c->parked)))
        list_add_tail(&ready, &route->request.node);
    c->parked_count = 0;
    pthread_mutex_unlock(&c->park_lock);
    LIST_FOREACH(&ready, node)
    {
        route = LIST_ENTRY(node, struct redis_route, request.node);
        if (is_closing(c) || !meet(c, &route->want)) {
            list_remove(&route->request.node);
            route_end(route, is_closing(c) ? ERR_CANCELLED : ERR_UNAVAILABLE);
        }
    }
    welcome(c);
    while ((route = take_parked(&ready))) {
        route->attempts++;
        if (clock_mono_us() > route->parked_until_us)
            route_end(route, ERR_UNAVAILABLE);
        else
            redis_cluster_submit(c, route);
    }
}

static bool is_amiss(struct redis_cluster *c)
{
    bool is = false, has_any = false;
    for (size_t i = 0; i < NODES_MAX; i++) {
        is = is || (c->nodes[i].pipe && !redis_pipe_is_up(c->nodes[i].pipe));
        has_any = has_any || c->nodes[i].pipe;
    }
    return is || !has_any;
}

/* False: it is time to stop. */
static bool wait_for_cause(struct redis_cluster *c)
{
    struct pollfd fds[] = {{.fd = c->stop_fd, .events = POLLIN},
                           {.fd = c->wake_fd, .events = POLLIN}};
    /* At most so often, however many say that something has moved. */
    if (poll(fds, 1, LOOK_AGAIN_MS) != 0)
        return false;
    poll(fds, 2, is_amiss(c) ? LOOK_AGAIN_MS : LOOK_EVERY_MS);
    redis_event_clear(c->wake_fd);
    return !fds[0].revents;
}

static void *cluster_main(void *arg)
{
    struct redis_cluster *c = arg;
    while (wait_for_cause(c)) {
        unpark(c); /* it knows where to */
        if (look(c) == ERR_OK)
            retire(c);
        unpark(c);
    }
    unpark(c);
    return NULL;
}

/* ---- life ---- */

struct redis_cluster *redis_cluster_create(const struct redis_address *address, int64_t timeout_ms)
{
    struct redis_cluster *c = mem_new(struct redis_cluster);
    c->address = address;
    c->timeout_ms = timeout_ms;
    c->stop_fd = redis_event_create();
    c->wake_fd = redis_event_create();
    list_init(&c->parked);
    pthread_rwlock_init(&c->lock, NULL);
    pthread_mutex_init(&c->park_lock, NULL);
    (void)!look(c); /* the first look, before anybody calls */
    thread_must_start(&c->thread, "redis", cluster_main, c);
    return c;
}

void redis_cluster_destroy(struct redis_cluster **cp)
{
    struct redis_cluster *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    pthread_mutex_lock(&c->park_lock);
    c->is_stopping = true;
    pthread_mutex_unlock(&c->park_lock);
    redis_event_set(c->stop_fd);
    pthread_join(c->thread, NULL);
    for (size_t i = 0; i < NODES_MAX; i++)
        c->nodes[i].is_listed = false;
    retire(c);
    pthread_rwlock_destroy(&c->lock);
    pthread_mutex_destroy(&c->park_lock);
    close(c->stop_fd);
    close(c->wake_fd);
    free(c);
}

bool redis_cluster_is_up(struct redis_cluster *c)
{
    pthread_rwlock_rdlock(&c->lock);
    struct node *node = any_node(c);
    bool is_up = node && redis_pipe_is_up(node->pipe);
    pthread_rwlock_unlock(&c->lock);
    return is_up;
}

void redis_cluster_route_init(struct redis_cluster *c, struct redis_route *route)
{
    route->cluster = c;
    route->request.done = on_answer;
}
