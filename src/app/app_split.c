/*
 * app_split: see app_split.h. A unit is what runs or does not run as a whole (services.run); it may
 * have several contracts, all on its one gRPC port.
 */
#include "app/app_split.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/app_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/tls.h"
#include "rpc/remote.h"

extern const unsigned char proto_contracts[]; /* tools/contracts.sh: all contracts, described */
extern const unsigned long proto_contracts_size;

#define CONTRACTS_MAX 4
#define PORT(name) offsetof(struct app_config, grpc_ports.name)

static const struct unit {
    const char *name;
    size_t port_offset;                   /* 0: none */
    const char *contracts[CONTRACTS_MAX]; /* short names, as the registry has them */
} units[] = {
    {"user", PORT(user), {"User"}},
    {"auth", PORT(auth), {"Auth"}},
    {"media", PORT(media), {"Media"}},
    {"meeting", PORT(meeting), {"Meeting"}},
    {"signaling", PORT(signaling), {"Signaling"}},
    {"file", PORT(file), {"File"}},
    {"message", PORT(message), {"Message", "Group", "Contact", "Webhook"}},
    {"presence", PORT(presence), {"Presence"}},
    {"task", PORT(task), {"Task"}},
    {"gateway", 0, {NULL}},
};

struct app_split {
    const struct app_config *config;
    struct loop *loop;
    struct net_tls *tls_in, *tls_out;
    struct rpc_pool *pool;
    ProtobufCService *offered[ARRAY_LEN(units)][CONTRACTS_MAX];
    size_t offered_count[ARRAY_LEN(units)];
    struct rpc_server *servers[ARRAY_LEN(units)];
};

/* ---- what the configuration says ---- */

bool app_is_service(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (str_eq(name, str_from(units[i].name)))
            return true;
    return str_eq(name, STR("all"));
}

static bool is_registered_name(struct str name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (size_t i = 0; i < name.n; i++)
        if (!memchr(allowed, name.p[i], sizeof(allowed) - 1))
            return false;
    return name.n > 0 && name.n <= 64;
}

bool app_remote_parse(struct str text, struct app_remote *out)
{
    uint64_t port;
    struct str rest = text;
    if (!str_cut(&rest, '=', &out->service) || !app_is_service(out->service) ||
        str_eq(out->service, STR("all")))
        return false;
    out->registered = STR_NULL;
    if (str_starts(rest, STR("etcd://"))) {
        out->registered = str_sub(rest, 7, rest.n);
        return is_registered_name(out->registered);
    }
    const char *colon = memrchr(rest.p, ':', rest.n);
    if (!colon || !str_to_u64(str_sub(rest, (size_t)(colon - rest.p) + 1, rest.n), &port) ||
        port < 1 || port > 65535)
        return false;
    out->host = str_sub(rest, 0, (size_t)(colon - rest.p));
    out->port = (uint16_t)port;
    if (out->host.n > 2 && out->host.p[0] == '[' && out->host.p[out->host.n - 1] == ']')
        out->host = str_sub(out->host, 1, out->host.n - 2);
    return out->host.n > 0 && out->host.n < 256 && str_find(out->host, '/') < 0;
}

bool app_runs(const struct app_config *config, const char *service)
{
    for (size_t i = 0; i < config->services.count; i++)
        if (strcmp(config->services.items[i], "all") == 0 ||
            strcmp(config->services.items[i], service) == 0)
            return true;
    return config->services.count == 0;
}

static bool runs_all(const struct app_config *config)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (!app_runs(config, units[i].name))
            return false;
    return true;
}

const char *app_split_problem(const struct app_config *c)
{
    bool has_cert = c->grpc_tls_cert[0], has_key = c->grpc_tls_key[0], has_ca = c->grpc_tls_ca[0];
    if (has_cert != has_key || (has_cert && !has_ca))
        return "grpc.tls_cert, grpc.tls_key and grpc.tls_ca: expected all three or none";
    if ((c->has_grpc || !runs_all(c)) && !has_cert && !c->grpc_secret[0])
        return "services of several processes: expected grpc.secret, or grpc.tls_cert, "
               "grpc.tls_key and grpc.tls_ca, by which they know one another";
    if (c->store_driver && !runs_all(c) && !c->jwt_secret[0])
        return "services of several processes: expected jwt.secret, the same for all of them";
    return NULL;
}

static const struct unit *unit_named(struct str name)
{
    const struct unit *u = units;
    while (!str_eq(name, str_from(u->name)))
        u++;
    return u;
}

size_t app_remote_instances(const struct app_config *config, struct arena *arena,
                            struct registry_instance **out)
{
    size_t n = 0;
    *out = arena_array(arena, struct registry_instance, config->remotes.count * CONTRACTS_MAX);
    for (size_t i = 0; i < config->remotes.count; i++) {
        struct app_remote remote;
        if (!app_remote_parse(str_from(config->remotes.items[i]), &remote))
            continue; /* checked when it was read */
        if (remote.registered.n)
            continue;
        const struct unit *u = unit_named(remote.service);
        for (size_t j = 0; j < CONTRACTS_MAX && u->contracts[j]; j++)
            (*out)[n++] = (struct registry_instance){.service = u->contracts[j],
                                                     .id = arena_printf(arena, "static-%zu", i + 1),
                                                     .address = str_arena(arena, remote.host),
                                                     .port = remote.port};
    }
    return n;
}

static const char *registered_name(const struct unit *u, struct arena *arena)
{
    return arena_printf(arena, "parlance-%s", u->name);
}

/* What services.remote says of a service: names it by host, or under names of the registry. */
static bool is_named(const struct app_config *config, const struct unit *u, struct arena *arena,
                     const char **registered)
{
    bool is_by_host = false;
    *registered = registered_name(u, arena);
    for (size_t i = 0; i < config->remotes.count; i++) {
        struct app_remote remote;
        if (!app_remote_parse(str_from(config->remotes.items[i]), &remote) ||
            !str_eq(remote.service, str_from(u->name)))
            continue;
        if (remote.registered.n)
            *registered = str_arena(arena, remote.registered);
        else
            is_by_host = true;
    }
    return is_by_host;
}

size_t app_remote_aliases(const struct app_config *config, struct arena *arena,
                          struct registry_alias **out)
{
    size_t n = 0;
    *out = arena_array(arena, struct registry_alias, ARRAY_LEN(units) * CONTRACTS_MAX);
    for (size_t i = 0; config->registry_type && i < ARRAY_LEN(units); i++) {
        const char *registered;
        if (is_named(config, &units[i], arena, &registered) && !app_runs(config, units[i].name))
            continue;
        for (size_t j = 0; j < CONTRACTS_MAX && units[i].contracts[j]; j++)
            (*out)[n++] =
                (struct registry_alias){.name = units[i].contracts[j], .target = registered};
    }
    return n;
}

/* ---- up ---- */

static enum err load_tls(struct app_split *split, struct strbuf *problem)
{
    static const char *const alpn[] = {"h2", NULL};
    const struct app_config *c = split->config;
    struct net_tls_options opt = {.cert_path = c->grpc_tls_cert,
                                  .key_path = c->grpc_tls_key,
                                  .ca_path = c->grpc_tls_ca,
                                  .alpn = alpn};
    if (!c->grpc_tls_cert[0])
        return ERR_OK;
    enum err err = net_tls_create(&split->tls_in, &opt, problem);
    opt.is_client = true;
    return err ? err : net_tls_create(&split->tls_out, &opt, problem);
}

static void warn_of_remotes(const struct app_config *c)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        bool is_known =
            app_runs(c, units[i].name) || !units[i].port_offset || c->registry_type != 0;
        for (size_t j = 0; j < c->remotes.count && !is_known; j++) {
            struct app_remote remote;
            is_known = app_remote_parse(str_from(c->remotes.items[j]), &remote) &&
                       str_eq(remote.service, str_from(units[i].name));
        }
        if (!is_known)
            log_warn(NULL, "service %s runs neither here nor anywhere that services.remote names",
                     units[i].name);
    }
    if (!runs_all(c) && !c->event_bus)
        log_warn(NULL, "event_bus.type is memory, so the bus is this process's own: events of "
                       "services elsewhere do not come here");
}

enum err app_split_create(struct app_split **out, const struct app_config *config,
                          struct registry *registry, struct strbuf *problem)
{
    *out = NULL;
    if (!config->has_grpc && runs_all(config))
        return ERR_OK;
    struct app_split *split = mem_new(struct app_split);
    split->config = config;
    *out = split;
    enum err err = load_tls(split, problem);
    if (!err)
        err = loop_create(&split->loop, "grpc");
    if (err)
        return err;
    warn_of_remotes(config);
    split->pool = rpc_pool_create(&(struct rpc_pool_options){.loop = split->loop,
                                                             .registry = registry,
                                                             .tls = split->tls_out,
                                                             .secret = config->grpc_secret});
    return ERR_OK;
}

struct loop *app_split_loop(struct app_split *split)
{
    return split->loop;
}

ProtobufCService *app_split_remote(struct app_split *split,
                                   const ProtobufCServiceDescriptor *service)
{
    return rpc_remote_create(split->pool, service);
}

void app_split_offer(struct app_split *split, ProtobufCService *service)
{
    if (!split)
        return;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        for (size_t j = 0; j < CONTRACTS_MAX && units[i].contracts[j]; j++)
            if (strcmp(units[i].contracts[j], service->descriptor->short_name) == 0)
                split->offered[i][split->offered_count[i]++] = service;
}

enum err app_split_serve(struct app_split *split, struct strbuf *problem)
{
    enum err err = ERR_OK;
    for (size_t i = 0; split && !err && i < ARRAY_LEN(units); i++) {
        const struct app_config *c = split->config;
        if (!split->offered_count[i])
            continue;
        int64_t port = *(const int64_t *)((const char *)c + units[i].port_offset);
        err =
            rpc_server_create(&split->servers[i],
                              &(struct rpc_server_options){.loop = split->loop,
                                                           .host = c->grpc_host,
                                                           .port = (uint16_t)port,
                                                           .services = split->offered[i],
                                                           .service_count = split->offered_count[i],
                                                           .tls = split->tls_in,
                                                           .secret = c->grpc_secret,
                                                           .contracts = proto_contracts,
                                                           .contracts_n = proto_contracts_size});
        if (err)
            strbuf_printf(problem, "cannot serve gRPC on port %lld (grpc.ports.%s): %s",
                          (long long)port, units[i].name, err_text(err));
        else
            log_info(NULL, "gRPC: %s on port %u", units[i].name,
                     rpc_server_port(split->servers[i]));
    }
    return err;
}

void app_split_each_served(const struct app_split *split, app_served_fn *fn, void *arg)
{
    for (size_t i = 0; split && i < ARRAY_LEN(units); i++) {
        struct arena *arena = arena_create();
        if (split->servers[i])
            fn(arg, registered_name(&units[i], arena), rpc_server_port(split->servers[i]));
        arena_destroy(&arena);
    }
}

void app_split_reload(struct app_split *split)
{
    struct strbuf problem = {0};
    if (!split || !split->tls_in)
        return;
    if (net_tls_reload(split->tls_in, &problem) || net_tls_reload(split->tls_out, &problem))
        log_error(NULL, "the certificate of gRPC stays as it was: %s",
                  problem.p ? problem.p : "unreadable");
    strbuf_deinit(&problem);
}

/* ---- down ---- */

void app_split_leave(struct app_split *split)
{
    for (size_t i = 0; split && i < ARRAY_LEN(units); i++)
        if (split->servers[i])
            rpc_server_leave(split->servers[i]);
}

void app_split_drain(struct app_split *split, int64_t until_ms)
{
    for (size_t i = 0; split && i < ARRAY_LEN(units); i++)
        if (split->servers[i])
            rpc_server_drain(split->servers[i], MAX(until_ms - clock_mono_ms(), (int64_t)100));
}

void app_split_close(struct app_split *split)
{
    for (size_t i = 0; split && i < ARRAY_LEN(units); i++)
        rpc_server_destroy(&split->servers[i]);
}

void app_split_destroy(struct app_split **split_)
{
    struct app_split *split = *split_;
    *split_ = NULL;
    if (!split)
        return;
    app_split_close(split);
    rpc_pool_destroy(&split->pool);
    loop_destroy(&split->loop);
    net_tls_destroy(&split->tls_in);
    net_tls_destroy(&split->tls_out);
    free(split);
}
