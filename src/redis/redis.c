/*
 * redis: the room's front. Reads the address, prepares TLS, and gives each command to the one pipe
 * (or to the cluster). A call that waits is a posted one with a condition.
 */
#include "redis/redis.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/worker.h"
#include "net/tls.h"
#include "redis/redis_internal.h"

#define TIMEOUT_MS 1000
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

static struct metric metric_calls = METRIC_HISTOGRAM(
    "parlance_redis_call_seconds", "Commands, from the call to the answer.", "client");
static struct metric metric_errors = METRIC_COUNTER(
    "parlance_redis_errors_total", "Commands without a good answer.", "client", "err");
static struct metric metric_up =
    METRIC_GAUGE("parlance_redis_up", "Clients of Redis whose server answers.");
static struct metric metric_clients = METRIC_GAUGE("parlance_redis_clients", "Clients of Redis.");

struct redis {
    struct redis_address address;
    struct arena *arena;
    struct redis_pipe *pipe;       /* NULL: a cluster */
    struct redis_cluster *cluster; /* NULL: a pipe */
    struct metric_cell *call_seconds;
};

/* A command on its way, and who wants its answer. */
struct call {
    struct redis_route route;
    struct redis *redis;
    int64_t start_us;
    redis_done_fn *done; /* posted */
    void *arg;
    pthread_mutex_t lock; /* of who waits */
    pthread_cond_t changed;
    bool is_over;
};

static double read_up(void *arg)
{
    return redis_is_up(arg);
}

static double read_one(void *arg)
{
    return 1;
}

/* ---- opening and closing ---- */

static enum err prepare_tls(struct redis_address *a, struct strbuf *problem)
{
    static const char *const no_alpn[] = {NULL};
    if (!a->is_tls)
        return ERR_OK;
    struct net_tls_options opt = {.ca_path = a->ca ? a->ca : SYSTEM_CA,
                                  .cert_path = a->cert,
                                  .key_path = a->key,
                                  .alpn = no_alpn,
                                  .is_client = true};
    return net_tls_create(&a->tls, &opt, problem);
}

enum err redis_open(struct redis **out, const struct redis_options *opt, struct strbuf *problem)
{
    *out = NULL;
    struct redis *r = mem_new(struct redis);
    r->arena = arena_create();
    enum err err = ERR_OK;
    if (!redis_address_parse(str_from(opt->url), r->arena, &r->address, problem))
        err = ERR_INVALID_ARGUMENT;
    if (!err)
        err = prepare_tls(&r->address, problem);
    if (err) {
        arena_destroy(&r->arena);
        free(r);
        return err;
    }
    const char *name = opt->name ? opt->name : "redis";
    int64_t timeout_ms = opt->timeout_ms ? opt->timeout_ms : TIMEOUT_MS;
    r->address.name = arena_printf(r->arena, "parlance-%s", name);
    r->call_seconds = metric_cell(&metric_calls, r->address.name, NULL, NULL);
    if (r->address.kind == REDIS_KIND_CLUSTER) {
        r->cluster = redis_cluster_create(&r->address, timeout_ms);
    } else {
        r->pipe = redis_pipe_create(
            &(struct redis_pipe_options){.address = &r->address, .timeout_ms = timeout_ms});
        (void)!redis_pipe_wait_first(r->pipe, clock_mono_us() + (timeout_ms + 1000) * 1000);
    }
    metric_register_read(&metric_up, read_up, r);
    metric_register_read(&metric_clients, read_one, r);
    *out = r;
    return ERR_OK;
}

void redis_close(struct redis **redisp)
{
    struct redis *r = *redisp;
    *redisp = NULL;
    if (!r)
        return;
    metric_unregister_read(&metric_up, r);
    metric_unregister_read(&metric_clients, r);
    redis_pipe_destroy(&r->pipe);
    redis_cluster_destroy(&r->cluster);
    net_tls_destroy(&r->address.tls);
    arena_destroy(&r->arena);
    free(r);
}

bool redis_is_up(struct redis *r)
{
    return r->pipe ? redis_pipe_is_up(r->pipe) : redis_cluster_is_up(r->cluster);
}

const struct redis_address *redis_address_of(const struct redis *r)
{
    return &r->address;
}

/* ---- calling ---- */

static void call_count(struct call *call)
{
    struct redis *r = call->redis;
    enum err err = call->route.request.err;
    metric_cell_observe(r->call_seconds, (double)(clock_mono_us() - call->start_us) / 1e6);
    if (err && err != ERR_ALREADY_EXISTS && err != ERR_NOT_FOUND) /* those are answers */
        metric_cell_add(metric_cell(&metric_errors, r->address.name, err_name(err), NULL), 1);
}

static void call_end(struct call *call)
{
    struct redis_request *request = &call->route.request;
    call_count(call);
    free(request->bytes);
    if (call->done) {
        call->done(call->arg, request->err, request->reply);
        arena_destroy(&request->arena);
        free(call);
        return;
    }
    pthread_mutex_lock(&call->lock);
    call->is_over = true;
    pthread_cond_signal(&call->changed);
    pthread_mutex_unlock(&call->lock);
}

static void on_request_done(struct redis_request *request)
{
    call_end(CONTAINER_OF(request, struct call, route.request));
}

static void on_route_done(struct redis_route *route)
{
    call_end(CONTAINER_OF(route, struct call, route));
}

static void call_start(struct redis *r, const struct redis_command *command, struct call *call)
{
    struct redis_request *request = &call->route.request;
    call->redis = r;
    call->start_us = clock_mono_us();
    request->bytes = redis_format(command->argv, command->argc, &request->n);
    if (r->cluster) {
        redis_cluster_route_init(r->cluster, &call->route);
        call->route.done = on_route_done;
        struct str key = command->key_at ? command->argv[command->key_at] : command->route;
        call->route.slot = key.n ? redis_slot(key) : REDIS_SLOTS;
        redis_cluster_submit(r->cluster, &call->route);
        return;
    }
    request->done = on_request_done;
    enum err err = redis_pipe_submit(r->pipe, request);
    if (err) {
        request->err = err;
        call_end(call);
    }
}

enum err redis_call(struct redis *r, const struct redis_command *command, struct arena *arena,
                    const struct redis_reply **reply)
{
    struct call call = {.route.request.arena = arena};
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.changed, NULL);
    call_start(r, command, &call);
    pthread_mutex_lock(&call.lock);
    while (!call.is_over)
        pthread_cond_wait(&call.changed, &call.lock);
    pthread_mutex_unlock(&call.lock);
    pthread_cond_destroy(&call.changed);
    pthread_mutex_destroy(&call.lock);
    *reply = call.route.request.reply;
    return call.route.request.err;
}

void redis_post(struct redis *r, const struct redis_command *command, redis_done_fn *done,
                void *arg)
{
    struct call *call = mem_new(struct call);
    call->route.request.arena = arena_create();
    call->done = done;
    call->arg = arg;
    call_start(r, command, call);
}

/* ---- for the room's threads ---- */

int redis_event_create(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        log_error(NULL, "redis: no descriptor is left");
        abort();
    }
    return fd;
}

void redis_event_set(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof(one));
}

void redis_event_clear(int fd)
{
    uint64_t ignored;
    (void)!read(fd, &ignored, sizeof(ignored));
}
