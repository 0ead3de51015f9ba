/*
 * remote: the proxy. A call is packed where it is made and goes to the pool's loop; there an
 * instance is chosen, and there it ends. What is remembered of it until then is one `attempt`.
 */
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/metric.h"
#include "rpc/metadata.h"
#include "rpc/pool.h"
#include "rpc/rpc_internal.h"

#define ATTEMPTS_MAX 3
#define INSTANCES_MAX 256

static struct metric remote_seconds =
    METRIC_HISTOGRAM("parlance_rpc_remote_seconds", "Time from call to reply of another process.",
                     "service", "method");
static struct metric remote_errors =
    METRIC_COUNTER("parlance_rpc_remote_errors_total", "Calls of other processes that failed.",
                   "service", "method", "code");
static struct metric retries = METRIC_COUNTER("parlance_rpc_retries_total",
                                              "Calls made again on another instance.", "service");

struct instance {
    char *id;
    struct rpc_channel *channel;
};

struct rpc_remote {
    ProtobufCService base; /* first: what callers hold */
    struct rpc_pool *pool;
    struct metric_cell **seconds; /* by method index */
    char **paths;                 /* "/parlance.user.v1.User/GetUser", by method index */
    /* On the loop. */
    struct instance instances[INSTANCES_MAX];
    size_t count, next;
    /* Calls, changes of the list under way, and one for the proxy itself. */
    atomic_uint in_flight;
    sem_t drained;
};

struct attempt {
    struct rpc_remote *remote;
    struct rpc_call *call;
    unsigned method;
    ProtobufCClosure closure;
    unsigned count;
    struct rpc_channel *channel; /* of this attempt: stays while it lasts */
    struct arena *arena;         /* of the reply; NULL: none has come */
    ProtobufCMessage *reply;     /* NULL: and it cannot be read */
    unsigned replies;
    size_t request_n;
    uint8_t request[];
};

static void release(struct rpc_remote *remote)
{
    if (atomic_fetch_sub(&remote->in_flight, 1) == 1)
        sem_post(&remote->drained); /* the last touch */
}

/* ---- the end of a call ---- */

static void count_call(const struct attempt *a, bool is_ok)
{
    const struct rpc_call_state *state = rpc_state(a->call);
    const ProtobufCServiceDescriptor *d = a->remote->base.descriptor;
    double seconds = (double)(clock_mono_us() - state->start_us) / 1e6;
    metric_cell_observe(a->remote->seconds[a->method], seconds);
    if (!is_ok)
        metric_cell_add(metric_cell(&remote_errors, d->short_name, d->methods[a->method].name,
                                    err_name(state->fail_err)),
                        1);
}

static void end_call(struct attempt *a, const ProtobufCMessage *reply)
{
    struct rpc_remote *remote = a->remote;
    struct rpc_call *call = a->call;
    count_call(a, reply != NULL);
    rpc_span_end(rpc_state(call), reply ? ERR_OK : rpc_state(call)->fail_err);
    if (!rpc_state(call)->is_managed)
        rpc_call_settle(rpc_state(call), reply);
    a->closure(reply, call);
    arena_destroy(&a->arena);
    free(a);
    rpc_call_unref(&call);
    release(remote);
}

static void end_ok(struct attempt *a)
{
    const ProtobufCMessage *reply = a->replies == 1 ? a->reply : NULL;
    if (!reply)
        rpc_fail(a->call, ERR_INTERNAL, "the answer of another process cannot be read");
    end_call(a, reply);
}

static void take_trailers(struct rpc_call *call, const struct h2_metadata *trailers)
{
    int64_t value;
    const char *retry = h2_metadata_find(trailers, "parlance-retry-after-ms");
    const char *status = h2_metadata_find(trailers, "parlance-http-status");
    const char *moved = h2_metadata_find(trailers, "parlance-moved-to");
    if (moved)
        rpc_move(call, moved);
    if (retry && str_to_i64(str_from(retry), &value) && value > 0)
        call->retry_after_ms = value;
    if (status && str_to_i64(str_from(status), &value) && value >= 400 && value < 600)
        call->http_status = (int)value;
}

/* ---- an attempt ---- */

static void attempt_start(void *arg);

static bool may_try_again(const struct attempt *a, const struct h2_result *result)
{
    bool is_moved = h2_metadata_find(result->metadata, "parlance-moved-to"); /* the route's part */
    bool is_lost = a->call->is_idempotent && result->err == ERR_UNAVAILABLE && !is_moved;
    return (result->is_unprocessed || is_lost) && result->err != ERR_DEADLINE_EXCEEDED &&
           result->err != ERR_CANCELLED && a->count < ATTEMPTS_MAX &&
           clock_mono_us() < a->call->deadline_us;
}

static void channel_unref_later(void *arg)
{
    struct rpc_channel *channel = arg;
    rpc_channel_unref(&channel);
}

/* The last reference goes when the channel is not in the middle of ending calls. */
static void leave_channel(struct attempt *a)
{
    if (a->channel->refs > 1)
        a->channel->refs--;
    else
        loop_post(a->remote->pool->loop, channel_unref_later, a->channel);
    a->channel = NULL;
}

static void on_message(void *arg, const uint8_t *bytes, size_t n)
{
    struct attempt *a = arg;
    const ProtobufCMethodDescriptor *method = &a->remote->base.descriptor->methods[a->method];
    if (a->replies++ > 0)
        return;
    a->arena = arena_create();
    a->reply = rpc_message_unpack(method->output, a->arena, bytes, n);
}

static void on_end(void *arg, const struct h2_result *result)
{
    struct attempt *a = arg;
    leave_channel(a);
    if (result->err == ERR_OK) {
        end_ok(a);
        return;
    }
    if (may_try_again(a, result)) {
        metric_cell_add(metric_cell(&retries, a->remote->base.descriptor->short_name, NULL, NULL),
                        1);
        arena_destroy(&a->arena);
        a->reply = NULL;
        a->replies = 0;
        attempt_start(a);
        return;
    }
    take_trailers(a->call, result->metadata);
    rpc_state(a->call)->was_unsent = result->is_unprocessed;
    rpc_fail(a->call, result->err, "%s", result->message);
    end_call(a, NULL);
}

static const struct h2_call_handler handler = {.on_message = on_message, .on_end = on_end};

static enum h2_channel_state state_of(const struct instance *instance)
{
    return h2_channel_state(instance->channel->channel);
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 32;
    return hash * UINT64_C(0xd6e8feb86659fd93);
}

const char *rpc_share(const char *text)
{
    static const char *const shares[] = {"share 0", "share 1", "share 2", "share 3",
                                         "share 4", "share 5", "share 6", "share 7"};
    return shares[mix(0, text, strlen(text)) % ARRAY_LEN(shares)];
}

/* Every process comes to the same: by what they know of an instance alike, which is its address. */
static uint64_t rank_of(const struct instance *instance, const char *affinity)
{
    const struct rpc_channel *c = instance->channel;
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), c->address, strlen(c->address));
    hash = mix(hash, &c->port, sizeof(c->port));
    return mix(hash, affinity, strlen(affinity));
}

/* The highest rank that is not failing: when one goes or comes, only its own calls move. */
static struct instance *pick_by(struct rpc_remote *remote, const char *affinity)
{
    struct instance *best = NULL;
    uint64_t best_rank = 0;
    for (size_t i = 0; i < remote->count; i++) {
        struct instance *instance = &remote->instances[i];
        uint64_t rank = rank_of(instance, affinity);
        if (state_of(instance) != H2_CHANNEL_FAILING && (!best || rank > best_rank)) {
            best = instance;
            best_rank = rank;
        }
    }
    return best;
}

/* By its id, or by its address: what every process knows of it alike. */
static bool is_called(const struct instance *instance, const char *name)
{
    const struct rpc_channel *c = instance->channel;
    size_t n = strlen(c->address);
    int64_t port;
    return strcmp(instance->id, name) == 0 ||
           (strncmp(name, c->address, n) == 0 && name[n] == ':' &&
            str_to_i64(str_from(name + n + 1), &port) && port == c->port);
}

/* The next in turn that is not failing; a pinned call has no choice. Whose turn is next, attempt_on
 * says. */
static struct instance *pick(struct rpc_remote *remote, const struct rpc_call *call)
{
    const char *pinned = call->instance;
    if (!pinned && call->affinity)
        return pick_by(remote, call->affinity);
    for (size_t i = 0; i < remote->count; i++) {
        struct instance *instance = &remote->instances[(remote->next + i) % remote->count];
        if (pinned ? is_called(instance, pinned) : state_of(instance) != H2_CHANNEL_FAILING) {
            return instance;
        }
    }
    return NULL;
}

static void fail_nobody(struct attempt *a)
{
    const char *name = a->remote->base.descriptor->short_name;
    int64_t pause_ms = 0;
    for (size_t i = 0; i < a->remote->count; i++) {
        int64_t ms = h2_channel_pause_ms(a->remote->instances[i].channel->channel);
        pause_ms = i == 0 ? ms : MIN(pause_ms, ms);
    }
    if (a->call->instance)
        rpc_fail(a->call, ERR_UNAVAILABLE, "the instance %s of %s is gone", a->call->instance,
                 name);
    else
        rpc_fail(a->call, ERR_UNAVAILABLE, "no instance of %s answers", name);
    a->call->retry_after_ms = pause_ms;
    rpc_state(a->call)->was_unsent = true;
    end_call(a, NULL);
}

static void attempt_on(struct attempt *a, const struct instance *instance, int64_t left_us)
{
    struct rpc_remote *remote = a->remote;
    struct arena *arena = arena_create();
    struct h2_pair pairs[RPC_METADATA_MAX_PAIRS];
    struct h2_call *call =
        h2_call_start(instance->channel->channel,
                      &(struct h2_call_options){.path = remote->paths[a->method],
                                                .metadata = pairs,
                                                .metadata_count = rpc_metadata_write(
                                                    a->call, remote->pool->secret, arena, pairs),
                                                .timeout_ms = left_us / 1000 + 1,
                                                .handler = &handler,
                                                .arg = a});
    a->channel = instance->channel;
    a->channel->refs++;
    a->count++;
    if (!a->call->instance && !a->call->affinity)
        remote->next = (size_t)(instance - remote->instances + 1) % remote->count;
    h2_call_send(call, a->request, a->request_n);
    h2_call_end(call);
    arena_destroy(&arena);
}

static void attempt_start(void *arg)
{
    struct attempt *a = arg;
    int64_t left_us = a->call->deadline_us - clock_mono_us();
    const struct instance *instance = pick(a->remote, a->call);
    if (instance && left_us > 0) {
        attempt_on(a, instance, left_us);
    } else if (instance) {
        rpc_fail(a->call, ERR_DEADLINE_EXCEEDED, "%s", err_text(ERR_DEADLINE_EXCEEDED));
        end_call(a, NULL);
    } else {
        fail_nobody(a);
    }
}

/* On the loop already, and somebody is there: what goes out now leaves with the rest of this turn.
 * Everything else waits for the next: nobody is told of an end while he still begins. */
static bool attempt_start_here(struct attempt *a)
{
    struct rpc_remote *remote = a->remote;
    if (!loop_is_current(remote->pool->loop))
        return false;
    int64_t left_us = a->call->deadline_us - loop_now_us(remote->pool->loop);
    const struct instance *instance = pick(remote, a->call);
    if (!instance || left_us <= 0 || state_of(instance) != H2_CHANNEL_READY)
        return false;
    attempt_on(a, instance, left_us);
    return true;
}

static void remote_invoke(ProtobufCService *base, unsigned method, const ProtobufCMessage *input,
                          ProtobufCClosure closure, void *data)
{
    struct rpc_remote *remote = CONTAINER_OF(base, struct rpc_remote, base);
    struct rpc_call *call = data;
    size_t n = protobuf_c_message_get_packed_size(input);
    struct attempt *a = mem_alloc(sizeof(*a) + n);
    rpc_state(call)->was_unsent = false;
    *a = (struct attempt){.remote = remote,
                          .call = rpc_call_ref(call),
                          .method = method,
                          .closure = closure,
                          .request_n = n};
    protobuf_c_message_pack(input, a->request);
    atomic_fetch_add(&remote->in_flight, 1);
    if (!rpc_state(call)->is_managed)
        rpc_call_start_clock(call);
    rpc_span_start(rpc_state(call), base->descriptor, method, SPAN_CLIENT);
    if (!attempt_start_here(a))
        loop_post(remote->pool->loop, attempt_start, a);
}

/* ---- instances ---- */

struct change {
    struct rpc_remote *remote;
    struct arena *arena;
    struct registry_instance *list;
    size_t count;
};

static void instance_drop(struct instance *instance)
{
    rpc_channel_unref(&instance->channel);
    free(instance->id);
}

/* Channels that stay keep their connection: the new references are taken before the old go. */
static void change_apply(void *arg)
{
    struct change *change = arg;
    struct rpc_remote *remote = change->remote;
    struct instance old[INSTANCES_MAX];
    size_t old_count = remote->count;
    memcpy(old, remote->instances, old_count * sizeof(old[0]));
    remote->count = 0;
    for (size_t i = 0; i < change->count && remote->count < INSTANCES_MAX; i++) {
        const struct registry_instance *is = &change->list[i];
        if (is->port)
            remote->instances[remote->count++] = (struct instance){
                mem_strdup(is->id), rpc_channel_get(remote->pool, is->address, is->port)};
    }
    for (size_t i = 0; i < old_count; i++)
        instance_drop(&old[i]);
    arena_destroy(&change->arena);
    free(change);
    release(remote);
}

static void on_changed(void *arg, const struct registry_instance *list, size_t count)
{
    struct rpc_remote *remote = arg;
    struct change *change = mem_new(struct change);
    change->remote = remote;
    change->arena = arena_create();
    change->list = arena_array(change->arena, struct registry_instance, count);
    for (; change->count < count; change->count++)
        change->list[change->count] = (struct registry_instance){
            .id = arena_strdup(change->arena, list[change->count].id),
            .address = arena_strdup(change->arena, list[change->count].address),
            .port = list[change->count].port};
    atomic_fetch_add(&remote->in_flight, 1);
    loop_post(remote->pool->loop, change_apply, change);
}

/* ---- life ---- */

static void remote_destroy(ProtobufCService *base)
{
    rpc_remote_destroy(&base);
}

ProtobufCService *rpc_remote_create(struct rpc_pool *pool,
                                    const ProtobufCServiceDescriptor *descriptor)
{
    struct rpc_remote *remote = mem_new(struct rpc_remote);
    remote->base = (ProtobufCService){descriptor, remote_invoke, remote_destroy};
    remote->pool = pool;
    atomic_init(&remote->in_flight, 1);
    sem_init(&remote->drained, 0, 0);
    remote->seconds = mem_calloc(descriptor->n_methods + 1, sizeof(remote->seconds[0]));
    remote->paths = mem_calloc(descriptor->n_methods + 1, sizeof(remote->paths[0]));
    for (unsigned i = 0; i < descriptor->n_methods; i++) {
        const char *name = descriptor->methods[i].name;
        struct strbuf path = {0};
        remote->seconds[i] = metric_cell(&remote_seconds, descriptor->short_name, name, NULL);
        strbuf_printf(&path, "/%s/%s", descriptor->name, name);
        remote->paths[i] = path.p;
    }
    registry_watch(pool->registry, descriptor->short_name, on_changed, remote);
    return &remote->base;
}

static void drop_instances(void *arg)
{
    struct rpc_remote *remote = arg;
    while (remote->count)
        instance_drop(&remote->instances[--remote->count]);
}

void rpc_remote_destroy(ProtobufCService **base)
{
    if (!*base)
        return;
    struct rpc_remote *remote = CONTAINER_OF(*base, struct rpc_remote, base);
    *base = NULL;
    registry_unwatch(remote->pool->registry, on_changed, remote);
    release(remote);
    while (sem_wait(&remote->drained) != 0)
        ;
    loop_call(remote->pool->loop, drop_instances, remote);
    sem_destroy(&remote->drained);
    free(remote->seconds);
    for (unsigned i = 0; i < remote->base.descriptor->n_methods; i++)
        free(remote->paths[i]);
    free(remote->paths);
    free(remote);
}
