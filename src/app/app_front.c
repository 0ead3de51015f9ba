/*
 * app_front: how the world gets in. Loops, certificate, and the servers: a gateway's for all rows,
 * else one for each service that has a port, and, on an address of its own, the operators'.
 */
#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#include "app/app_internal.h"
#include "app/app_split.h"
#include "core/clock.h"
#include "core/log.h"

static enum err start_loops(struct app *app)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    long wanted = app->config->http_loops > 0 ? (long)app->config->http_loops : cores;
    wanted = CLAMP(wanted, 1, APP_LOOPS_MAX);
    for (long i = 0; i < wanted; i++) {
        char name[16];
        snprintf(name, sizeof(name), "edge-%ld", i);
        enum err err = loop_create(&app->loops[app->loop_count], name);
        if (err)
            return err;
        app->loop_count++;
    }
    return ERR_OK;
}

/* The certificate that is configured, or one of our own in the data directory. */
static enum err load_certificate(struct app *app, struct strbuf *problem)
{
    const struct app_config *c = app->config;
    struct net_tls_options opt = {.cert_path = c->tls_cert, .key_path = c->tls_key};
    if (!c->tls_cert[0]) {
        char host[256] = "localhost";
        gethostname(host, sizeof(host) - 1);
        const char *hosts[] = {"localhost", "127.0.0.1", "::1", host};
        const char *dir = app_path(app, "tls");
        opt.cert_path = app_path(app, "tls/fullchain.pem");
        opt.key_path = app_path(app, "tls/privkey.pem");
        bool is_new = access(opt.cert_path, F_OK) != 0;
        enum err err = net_tls_self_signed(dir, hosts, ARRAY_LEN(hosts));
        if (err) {
            strbuf_printf(problem, "cannot make a certificate in %s: %s", dir, err_text(err));
            return err;
        }
        if (is_new)
            app_note(app, "made a self-signed certificate: %s", opt.cert_path);
    }
    return net_tls_create(&app->tls, &opt, problem);
}

/* One of the ports by which the world comes in. */
struct door {
    const char *name, *key; /* as the log and the configuration call it */
    const char *host;
    int64_t port;
    struct net_tls *tls;
    struct http_options http;
};

/* "http.tls_port" -> "PARLANCE_HTTP_TLS_PORT" */
static void write_env(const char *key, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "PARLANCE_%s", key);
    for (size_t i = 0; i < n && i < size; i++)
        out[i] = out[i] == '.' ? '_' : (char)toupper((unsigned char)out[i]);
}

static void say_why(const struct door *door, enum err err, struct strbuf *problem)
{
    char env[80];
    write_env(door->key, env, sizeof(env));
    if (err == ERR_ALREADY_EXISTS)
        strbuf_printf(problem,
                      "port %lld is taken by another program: stop that one, or choose another "
                      "port (%s in the configuration, or %s=%lld before the command)",
                      (long long)door->port, door->key, env, (long long)door->port + 100);
    else if (err == ERR_PERMISSION_DENIED)
        strbuf_printf(problem, "port %lld needs privileges: choose one above 1023 (%s)",
                      (long long)door->port, door->key);
    else
        strbuf_printf(problem, "cannot listen on port %lld (%s, address \"%s\"): %s",
                      (long long)door->port, door->key, door->host, err_text(err));
}

static enum err open_door(struct app *app, const struct door *door, uint16_t *port,
                          struct strbuf *problem)
{
    struct net_server **server = &app->servers[app->server_count];
    enum err err =
        net_server_create(server, &(struct net_server_options){.name = door->name,
                                                               .loops = app->loops,
                                                               .loop_count = app->loop_count,
                                                               .host = door->host,
                                                               .port = (uint16_t)door->port,
                                                               .tls = door->tls,
                                                               .http = door->http});
    if (err) {
        say_why(door, err, problem);
        return err;
    }
    app->server_count++;
    *port = net_server_port(*server);
    return ERR_OK;
}

/* A gateway's: everything, plain and over TLS. */
static enum err open_gateway(struct app *app, struct strbuf *problem)
{
    const struct app_config *c = app->config;
    enum err err = open_door(app,
                             &(struct door){.name = "http",
                                            .key = "http.port",
                                            .host = c->http_host,
                                            .port = c->http_port,
                                            .http = edge_http_options(app->edge, false)},
                             &app->report.http_port, problem);
    if (err || !app->tls)
        return err;
    return open_door(app,
                     &(struct door){.name = "https",
                                    .key = "http.tls_port",
                                    .host = c->http_host,
                                    .port = c->https_port,
                                    .tls = app->tls,
                                    .http = edge_http_options(app->edge, true)},
                     &app->report.https_port, problem);
}

#define PORT(name)                                                               \
    {                                                                            \
#name, "http.ports." #name, offsetof(struct app_config, http_ports.name) \
    }
static const struct service_port {
    const char *name, *key;
    size_t offset;
} service_ports[] = {PORT(user),    PORT(auth), PORT(meeting),  PORT(signaling), PORT(media),
                     PORT(message), PORT(file), PORT(presence), PORT(task)};
#undef PORT

/* Without a gateway: the rows of the services that live here, on the port of each. */
static enum err open_services(struct app *app, struct strbuf *problem)
{
    const struct app_config *c = app->config;
    enum err err = ERR_OK;
    for (size_t i = 0; !err && i < ARRAY_LEN(service_ports); i++) {
        const struct service_port *s = &service_ports[i];
        uint16_t opened = 0;
        int64_t port = *(const int64_t *)((const char *)c + s->offset);
        if (port < 0 || !app_runs(c, s->name))
            continue;
        err = open_door(app,
                        &(struct door){.name = s->name,
                                       .key = s->key,
                                       .host = c->http_host,
                                       .port = port,
                                       .http = edge_http_options(app->edge, false)},
                        &opened, problem);
        if (!err)
            log_info(NULL, "HTTP: %s on port %u", s->name, opened);
        if (!app->report.http_port)
            app->report.http_port = opened;
    }
    return err;
}

static enum err open_management(struct app *app, struct strbuf *problem)
{
    const struct app_config *c = app->config;
    if (!c->management_host[0])
        return ERR_OK;
    enum err err = open_door(app,
                             &(struct door){.name = "management",
                                            .key = "management.port",
                                            .host = c->management_host,
                                            .port = c->management_port,
                                            .http = edge_management_options(app->edge)},
                             &app->report.management_port, problem);
    if (!err)
        log_info(NULL, "management on port %u", app->report.management_port);
    return err;
}

enum err app_front_start(struct app *app, struct strbuf *problem)
{
    bool is_gateway = app_runs(app->config, "gateway");
    enum err err = start_loops(app);
    if (!err && app->config->has_tls && is_gateway)
        err = load_certificate(app, problem);
    if (!err)
        err = is_gateway ? open_gateway(app, problem) : open_services(app, problem);
    return err ? err : open_management(app, problem);
}

/* The time is for all servers together; the management's answers until the others are through. */
void app_front_drain(struct app *app)
{
    int64_t until_ms = clock_mono_ms() + app->config->drain_ms;
    size_t left = 0, count = app->server_count - (app->report.management_port ? 1 : 0);
    for (size_t i = count; i > 0; i--)
        left +=
            net_server_drain(app->servers[i - 1], MAX(until_ms - clock_mono_ms(), (int64_t)100));
    if (left)
        log_warn(NULL, "%zu connections did not end in time", left);
}

void app_front_stop(struct app *app)
{
    while (app->server_count)
        net_server_destroy(&app->servers[--app->server_count]);
    net_tls_destroy(&app->tls);
}

void app_front_join(struct app *app)
{
    while (app->loop_count)
        loop_destroy(&app->loops[--app->loop_count]);
}
