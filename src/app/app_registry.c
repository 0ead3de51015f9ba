/*
 * app_registry: see the header. A process announces its services under their names
 * ("parlance-user"), all with its one instance id, by the address at which others can reach it.
 */
#include "app/app_registry.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/app_split.h"
#include "core/log.h"
#include "registry/etcd_client.h"

/* ---- what the configuration says ---- */

bool app_is_endpoint(struct str text)
{
    struct etcd_endpoint endpoint;
    char *copy = str_dup(text);
    bool is = etcd_endpoint_parse(copy, &endpoint);
    if (is)
        free(endpoint.host);
    free(copy);
    return is;
}

const char *app_registry_problem(const struct app_config *c)
{
    bool is_etcd = c->registry_type != 0;
    if (is_etcd && !c->registry_endpoints.count)
        return "registry.type: expected registry.endpoints, too";
    for (size_t i = 0; i < c->registry_endpoints.count; i++)
        if (str_starts(str_from(c->registry_endpoints.items[i]), STR("https://")) &&
            !c->registry_tls_ca[0])
            return "registry.endpoints: expected registry.tls_ca, too, for https";
    if (!c->registry_tls_cert[0] != !c->registry_tls_key[0])
        return "registry.tls_cert and registry.tls_key: expected both or neither";
    for (size_t i = 0; i < c->remotes.count; i++) {
        struct app_remote remote;
        if (!is_etcd && app_remote_parse(str_from(c->remotes.items[i]), &remote) &&
            remote.registered.n)
            return "services.remote: expected registry.type etcd for a target etcd://";
    }
    return NULL;
}

/* ---- opening ---- */

static struct registry_options options_of(const struct app_config *c)
{
    return (struct registry_options){.driver = app_registry_drivers[c->registry_type],
                                     .endpoints = c->registry_endpoints.items,
                                     .endpoint_count = c->registry_endpoints.count,
                                     .prefix = c->registry_prefix,
                                     .username = c->registry_username,
                                     .password = c->registry_password,
                                     .tls_ca = c->registry_tls_ca,
                                     .tls_cert = c->registry_tls_cert,
                                     .tls_key = c->registry_tls_key,
                                     .lease_ms = c->registry_lease_s * 1000};
}

static enum err open_with(struct registry **out, const struct registry_options *opt,
                          struct strbuf *problem)
{
    enum err err = registry_open(out, opt);
    if (err)
        strbuf_printf(problem, "cannot open the registry (the log says why): %s", err_text(err));
    return err;
}

enum err app_registry_open(struct app *app, struct strbuf *problem)
{
    static const char *const spaces[] = {APP_SPACE_CONFIG, APP_SPACE_MEETINGS};
    struct registry_options opt = options_of(app->config);
    struct registry_instance *fixed;
    struct registry_alias *aliases;
    opt.fixed_count = app_remote_instances(app->config, app->arena, &fixed);
    opt.fixed = fixed;
    opt.alias_count = app_remote_aliases(app->config, app->arena, &aliases);
    opt.aliases = aliases;
    opt.spaces = spaces;
    opt.space_count = ARRAY_LEN(spaces);
    return open_with(&app->registry, &opt, problem);
}

enum err app_registry_open_for_tool(struct registry **out, const struct app_config *config,
                                    struct strbuf *problem)
{
    static const char *const spaces[] = {APP_SPACE_CONFIG};
    struct registry_options opt = options_of(config);
    opt.spaces = spaces;
    opt.space_count = ARRAY_LEN(spaces);
    return open_with(out, &opt, problem);
}

/* ---- announcing ---- */

/* The address that this machine has on the way to etcd; false: there is no way. */
static bool find_own_address(const char *endpoint, char *out, size_t size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    struct sockaddr_storage own;
    socklen_t n = sizeof(own);
    struct etcd_endpoint to;
    char port[8];
    if (!etcd_endpoint_parse(endpoint, &to))
        return false;
    snprintf(port, sizeof(port), "%u", to.port);
    int fd = -1;
    bool is_found =
        getaddrinfo(to.host, port, &hints, &found) == 0 &&
        (fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0 &&
        connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
        getsockname(fd, (struct sockaddr *)&own, &n) == 0 &&
        getnameinfo((struct sockaddr *)&own, n, out, (socklen_t)size, NULL, 0, NI_NUMERICHOST) == 0;
    if (fd >= 0)
        close(fd);
    if (found)
        freeaddrinfo(found);
    free(to.host);
    return is_found;
}

static bool is_everywhere(const char *host)
{
    return !host[0] || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

const char *app_registry_host(const struct app *app)
{
    const struct app_config *c = app->config;
    char text[256] = "localhost";
    if (c->registry_advertise[0])
        return c->registry_advertise;
    if (!is_everywhere(c->grpc_host))
        return c->grpc_host;
    for (size_t i = 0; i < c->registry_endpoints.count; i++)
        if (find_own_address(c->registry_endpoints.items[i], text, sizeof(text)))
            return arena_strdup(app->arena, text);
    gethostname(text, sizeof(text) - 1);
    return arena_strdup(app->arena, text);
}

struct announcing {
    struct app *app;
    const char *host, *metadata;
};

static void announce(void *arg, const char *registered, uint16_t port)
{
    const struct announcing *a = arg;
    enum err err =
        registry_announce(a->app->registry, &(struct registry_instance){.service = registered,
                                                                        .id = a->app->instance_id,
                                                                        .address = a->host,
                                                                        .port = port,
                                                                        .metadata = a->metadata});
    if (err)
        log_error(NULL, "cannot announce %s at %s:%u: %s", registered, a->host, port,
                  err_text(err));
}

void app_registry_announce(struct app *app)
{
    struct strbuf metadata = {0};
    if (!app->config->registry_type || !app->split)
        return;
    strbuf_adds(&metadata, "{\"version\":");
    strbuf_add_json(&metadata, str_from(app->version));
    strbuf_adds(&metadata, "}");
    struct announcing a = {app, app_registry_host(app), metadata.p};
    log_info(NULL, "registry: this process is %s at %s", app->instance_id, a.host);
    app_split_each_served(app->split, announce, &a);
    strbuf_deinit(&metadata);
}
