/*
 * etcd_client: see the header. An endpoint that is left is a `line` of its own, destroyed with the
 * loop's next post: a channel must not go while it is ending calls.
 */
#include "registry/etcd_client.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/id.h"
#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"

#include "etcd.pb-c.h"

#define CALL_TIMEOUT_MS 3000
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 3000
/* Not below five seconds: etcd sends away who pings more often. */
#define KEEPALIVE_MS 6000
#define PING_TIMEOUT_MS 3000
#define MESSAGE_MAX_BYTES (16 << 20)

_Static_assert(CALL_TIMEOUT_MS + PAUSE_MAX_MS * 3 / 2 < ETCD_CLIENT_BACK_MS,
               "a call is to fit, too");

static struct metric is_up =
    METRIC_GAUGE("parlance_registry_up", "Whether the registry on the network answers.");
static struct metric failures =
    METRIC_COUNTER("parlance_registry_failures_total", "Times that an endpoint of it was left.");

struct etcd_client {
    struct h2_io *io;
    struct net_tls *tls;
    struct etcd_endpoint *endpoints;
    size_t endpoint_count, current;
    char *username, *password;
    char *token; /* NULL: not signed in */
    struct etcd_call *signing_in;
    struct h2_channel *channel; /* NULL: with the next call */
    struct list calls;          /* those that wait for the sign-in, too */
    unsigned failed_in_turn, refused_in_turn;
    bool is_up, is_closing;
    bool is_open; /* etcd says that nobody has to sign in */
};

struct etcd_call {
    struct list node;
    struct etcd_client *client;
    struct h2_call *call; /* NULL: waits for the sign-in */
    struct h2_channel *line;
    const char *path;
    const struct etcd_call_handler *handler;
    void *arg;
    bool is_stream;
    bool is_second; /* made again with a new token */
    struct strbuf request;
};

/* ---- endpoints ---- */

bool etcd_endpoint_parse(const char *text, struct etcd_endpoint *out)
{
    struct str rest = str_from(text);
    uint64_t port = 0;
    *out = (struct etcd_endpoint){.is_tls = str_starts(rest, STR("https://"))};
    if (out->is_tls || str_starts(rest, STR("http://")))
        rest = str_sub(rest, out->is_tls ? 8 : 7, rest.n);
    const char *colon = rest.n ? memrchr(rest.p, ':', rest.n) : NULL;
    size_t host_n = colon ? (size_t)(colon - rest.p) : 0;
    struct str host = str_sub(rest, 0, host_n);
    if (!colon || !str_to_u64(str_sub(rest, host_n + 1, rest.n), &port) || port < 1 || port > 65535)
        return false;
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_sub(host, 1, host.n - 2);
    else if (str_find(host, ':') >= 0)
        return false;
    for (size_t i = 0; i < host.n; i++)
        if (strchr("/?#@\\ \t\r\n[]", host.p[i]))
            return false;
    if (host.n < 1 || host.n > 255)
        return false;
    out->host = str_dup(host);
    out->port = (uint16_t)port;
    return true;
}

static void line_destroy(void *channel)
{
    struct h2_channel *line = channel;
    h2_channel_destroy(&line);
}

static struct h2_channel *line_of(struct etcd_client *c)
{
    const struct etcd_endpoint *to = &c->endpoints[c->current];
    if (!c->channel)
        c->channel =
            h2_channel_create(&(struct h2_channel_options){.io = c->io,
                                                           .host = to->host,
                                                           .port = to->port,
                                                           .tls = to->is_tls ? c->tls : NULL,
                                                           .message_max_bytes = MESSAGE_MAX_BYTES,
                                                           .connect_timeout_ms = CALL_TIMEOUT_MS,
                                                           .keepalive_ms = KEEPALIVE_MS,
                                                           .ping_timeout_ms = PING_TIMEOUT_MS});
    return c->channel;
}

static void forget_token(struct etcd_client *c)
{
    if (c->token)
        explicit_bzero(c->token, strlen(c->token));
    free(c->token);
    c->token = NULL;
}

/* The endpoint is no good: the next one. What is under way on it ends when the line does. */
static void leave_line(struct etcd_client *c, const struct h2_channel *bad, const char *why)
{
    const struct etcd_endpoint *from = &c->endpoints[c->current];
    if (!c->channel || c->channel != bad || c->is_closing)
        return;
    if (c->failed_in_turn++ == 0)
        log_warn(NULL, "registry: etcd at %s:%u does not answer (%s); what is known stays",
                 from->host, from->port, why);
    metric_add(&failures, 1);
    metric_set(&is_up, 0);
    c->is_up = false;
    c->current = (c->current + 1) % c->endpoint_count;
    struct h2_channel *line = c->channel;
    c->channel = NULL;
    c->is_open = false;
    forget_token(c);
    loop_post(h2_io_loop(c->io), line_destroy, line);
}

static void answered(struct etcd_client *c)
{
    if (c->is_up)
        return;
    const struct etcd_endpoint *at = &c->endpoints[c->current];
    log_info(NULL, "registry: etcd at %s:%u answers", at->host, at->port);
    c->is_up = true;
    c->failed_in_turn = 0;
    metric_set(&is_up, 1);
}

int64_t etcd_client_pause_ms(const struct etcd_client *c)
{
    unsigned failed = c->failed_in_turn / (unsigned)c->endpoint_count + c->refused_in_turn;
    unsigned doubled = MIN(failed, 5u);
    int64_t pause_ms = MIN((int64_t)PAUSE_MIN_MS << doubled, (int64_t)PAUSE_MAX_MS);
    return pause_ms / 2 + id_random_u32() % pause_ms;
}

bool etcd_client_is_welcome(const struct etcd_client *c)
{
    return c->refused_in_turn == 0;
}

/* ---- calls ---- */

static void release(struct etcd_call *call)
{
    list_remove(&call->node);
    if (call->request.p)
        explicit_bzero(call->request.p, call->request.n); /* it may be a password */
    strbuf_deinit(&call->request);
    free(call);
}

static void on_message(void *arg, const uint8_t *bytes, size_t n)
{
    struct etcd_call *call = arg;
    answered(call->client);
    call->handler->on_message(call->arg, bytes, n);
}

/* Whether this end says that the endpoint is of no use now: silence, or a member without its
 * cluster. */
static bool is_lines_fault(const struct h2_result *result)
{
    if (result->err == ERR_UNAVAILABLE)
        return true;
    return !result->is_answered &&
           (result->err == ERR_DEADLINE_EXCEEDED || result->err == ERR_INTERNAL ||
            result->err == ERR_UNKNOWN || result->err == ERR_UNIMPLEMENTED);
}

/* It has expired, or the users have changed. */
static bool is_tokens_fault(const struct etcd_client *c, enum err err)
{
    return c->username && (err == ERR_UNAUTHENTICATED || err == ERR_INVALID_ARGUMENT);
}

static void sign_in(struct etcd_client *c);

/* False: that has been tried. */
static bool sign_in_again(struct etcd_call *call)
{
    struct etcd_client *c = call->client;
    c->is_open = false;
    forget_token(c);
    if (call == c->signing_in || call->is_second)
        return false;
    call->is_second = true;
    call->call = NULL;
    if (!c->signing_in)
        sign_in(c);
    return true;
}

static void on_end(void *arg, const struct h2_result *result)
{
    struct etcd_call *call = arg;
    struct etcd_client *c = call->client;
    enum err err = result->err;
    const struct etcd_call_handler *handler = call->handler;
    void *user = call->arg;
    bool is_late = err == ERR_CANCELLED && !result->is_answered; /* of a line that was left */
    if (err == ERR_CANCELLED && !c->is_closing)
        err = ERR_UNAVAILABLE; /* also by the server's word: nobody here wished it */
    if (!is_late && is_lines_fault(result))
        leave_line(c, call->line, result->message);
    else if (result->is_answered)
        answered(c);
    if (result->is_answered && is_tokens_fault(c, err) && sign_in_again(call))
        return;
    release(call);
    handler->on_end(user, err, result->message);
}

static const struct h2_call_handler handler_of_calls = {.on_message = on_message, .on_end = on_end};

static void submit(struct etcd_call *call)
{
    struct etcd_client *c = call->client;
    const struct h2_pair pairs[] = {{"hasleader", "true"}, {"token", c->token}};
    call->line = line_of(c);
    call->call = h2_call_start(
        call->line, &(struct h2_call_options){.path = call->path,
                                              .metadata = pairs,
                                              .metadata_count = c->token ? 2 : 1,
                                              .timeout_ms = call->is_stream ? 0 : CALL_TIMEOUT_MS,
                                              .handler = &handler_of_calls,
                                              .arg = call});
    h2_call_send(call->call, call->request.p, call->request.n);
    if (!call->is_stream)
        h2_call_end(call->call);
}

static void pack(struct strbuf *out, const ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    out->n += protobuf_c_message_pack(message, (uint8_t *)strbuf_reserve(out, n));
}

static struct etcd_call *make_call(struct etcd_client *c, const struct etcd_call_options *opt)
{
    struct etcd_call *call = mem_new(struct etcd_call);
    call->client = c;
    call->path = opt->path;
    call->handler = opt->handler;
    call->arg = opt->arg;
    call->is_stream = opt->is_stream;
    pack(&call->request, opt->request);
    list_add_tail(&c->calls, &call->node);
    return call;
}

/* ---- signing in ---- */

static void end_waiting(struct etcd_client *c, enum err err, const char *why)
{
    struct list all = {&all, &all};
    LIST_FOREACH(&c->calls, node)
    {
        if (LIST_ENTRY(node, struct etcd_call, node)->call)
            continue;
        list_remove(node);
        list_add_tail(&all, node);
    }
    while (!list_is_empty(&all)) {
        struct etcd_call *call = LIST_ENTRY(all.next, struct etcd_call, node);
        const struct etcd_call_handler *handler = call->handler;
        void *arg = call->arg;
        release(call);
        handler->on_end(arg, err, why);
    }
}

static void on_token(void *arg, const uint8_t *bytes, size_t n)
{
    struct etcd_client *c = arg;
    struct arena *arena = arena_create();
    Etcd__AuthenticateResponse *reply =
        etcd__authenticate_response__unpack(arena_protobuf(arena, 65536), n, bytes);
    forget_token(c);
    bool is_sound = reply && reply->token[0] && strlen(reply->token) <= 4096;
    for (const char *p = is_sound ? reply->token : ""; *p; p++)
        is_sound &= *p > ' ' && *p < 127;
    if (is_sound)
        c->token = mem_strdup(reply->token);
    arena_destroy(&arena);
}

static void on_signed_in(void *arg, enum err err, const char *why)
{
    struct etcd_client *c = arg;
    c->signing_in = NULL;
    c->is_open = err == ERR_FAILED_PRECONDITION;
    if (!c->is_open && (err || !c->token)) {
        bool is_refused = err && err != ERR_UNAVAILABLE && err != ERR_CANCELLED;
        if (is_refused && c->refused_in_turn++ == 0)
            log_error(NULL, "registry: etcd does not let %s sign in: %s", c->username, why);
        end_waiting(c, err ? err : ERR_UNAUTHENTICATED, why);
        return;
    }
    c->refused_in_turn = 0;
    LIST_FOREACH(&c->calls, node)
    {
        struct etcd_call *call = LIST_ENTRY(node, struct etcd_call, node);
        if (!call->call)
            submit(call);
    }
}

static const struct etcd_call_handler signing_in = {.on_message = on_token, .on_end = on_signed_in};

static void sign_in(struct etcd_client *c)
{
    Etcd__AuthenticateRequest request = ETCD__AUTHENTICATE_REQUEST__INIT;
    request.name = c->username;
    request.password = c->password;
    c->signing_in =
        make_call(c, &(struct etcd_call_options){.path = "/etcdserverpb.Auth/Authenticate",
                                                 .request = &request.base,
                                                 .handler = &signing_in,
                                                 .arg = c});
    submit(c->signing_in);
}

/* ---- for the others ---- */

struct etcd_call *etcd_call_start(struct etcd_client *c, const struct etcd_call_options *opt)
{
    struct etcd_call *call = make_call(c, opt);
    if (!c->username || c->token || c->is_open)
        submit(call);
    else if (!c->signing_in)
        sign_in(c);
    return call;
}

void etcd_call_send(struct etcd_call *call, const ProtobufCMessage *message)
{
    struct strbuf packed = {0};
    pack(&packed, message);
    h2_call_send(call->call, packed.p, packed.n);
    strbuf_deinit(&packed);
}

void etcd_call_cancel(struct etcd_call **call)
{
    if (!*call)
        return;
    h2_call_cancel(&(*call)->call);
    release(*call);
    *call = NULL;
}

void etcd_call_blame(struct etcd_call *call)
{
    leave_line(call->client, call->line, "it is silent");
}

struct etcd_client *etcd_client_create(const struct etcd_client_options *opt)
{
    struct etcd_client *c = mem_new(struct etcd_client);
    c->io = opt->io;
    c->tls = opt->tls;
    list_init(&c->calls);
    if (opt->username && opt->username[0]) {
        c->username = mem_strdup(opt->username);
        c->password = mem_strdup(opt->password ? opt->password : "");
    }
    c->endpoints = mem_calloc(opt->endpoint_count, sizeof(c->endpoints[0]));
    for (size_t i = 0; i < opt->endpoint_count; i++) /* checked by who configures */
        c->endpoint_count +=
            etcd_endpoint_parse(opt->endpoints[i], &c->endpoints[c->endpoint_count]);
    c->current = id_random_u32() % c->endpoint_count;
    return c;
}

void etcd_client_destroy(struct etcd_client **client)
{
    struct etcd_client *c = *client;
    *client = NULL;
    if (!c)
        return;
    c->is_closing = true;
    end_waiting(c, ERR_CANCELLED, "stopping");
    h2_channel_destroy(&c->channel);
    while (!list_is_empty(&c->calls)) { /* on lines that are left and not yet gone */
        struct etcd_call *call = LIST_ENTRY(c->calls.next, struct etcd_call, node);
        const struct etcd_call_handler *handler = call->handler;
        void *arg = call->arg;
        etcd_call_cancel(&call);
        handler->on_end(arg, ERR_CANCELLED, "stopping");
    }
    forget_token(c);
    for (size_t i = 0; i < c->endpoint_count; i++)
        free(c->endpoints[i].host);
    if (c->password)
        explicit_bzero(c->password, strlen(c->password));
    free(c->username);
    free(c->password);
    free(c->endpoints);
    free(c);
}
