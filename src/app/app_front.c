/*
 * app_front: how the world gets in. Loops, certificate, the HTTP and HTTPS servers.
 */
#include <stdio.h>
#include <unistd.h>

#include "app/app_internal.h"
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

static enum err listen_on(struct app *app, bool is_tls, struct net_server **out,
                          struct strbuf *problem)
{
    const struct app_config *c = app->config;
    int64_t port = is_tls ? c->https_port : c->http_port;
    const char *key = is_tls ? "http.tls_port" : "http.port";
    const char *env = is_tls ? "PARLANCE_HTTP_TLS_PORT" : "PARLANCE_HTTP_PORT";
    enum err err = net_server_create(
        out, &(struct net_server_options){.name = is_tls ? "https" : "http",
                                          .loops = app->loops,
                                          .loop_count = app->loop_count,
                                          .host = c->http_host,
                                          .port = (uint16_t)port,
                                          .tls = is_tls ? app->tls : NULL,
                                          .http = edge_http_options(app->edge, is_tls)});
    if (err == ERR_ALREADY_EXISTS)
        strbuf_printf(problem,
                      "port %lld is taken by another program: stop that one, or choose another "
                      "port (%s in the configuration, or %s=%lld before the command)",
                      (long long)port, key, env, (long long)port + 100);
    else if (err == ERR_PERMISSION_DENIED)
        strbuf_printf(problem, "port %lld needs privileges: choose one above 1023 (%s)",
                      (long long)port, key);
    else if (err)
        strbuf_printf(problem, "cannot listen on port %lld (%s, http.host \"%s\"): %s",
                      (long long)port, key, c->http_host, err_text(err));
    return err;
}

enum err app_front_start(struct app *app, struct strbuf *problem)
{
    enum err err = start_loops(app);
    if (err)
        return err;
    if (app->config->has_tls) {
        err = load_certificate(app, problem);
        if (err)
            return err;
    }
    err = listen_on(app, false, &app->http, problem);
    if (err)
        return err;
    app->report.http_port = net_server_port(app->http);
    if (!app->tls)
        return ERR_OK;
    err = listen_on(app, true, &app->https, problem);
    if (!err)
        app->report.https_port = net_server_port(app->https);
    return err;
}

/* The time is for both servers together. */
void app_front_drain(struct app *app)
{
    int64_t until_ms = clock_mono_ms() + app->config->drain_ms;
    size_t left = 0;
    if (app->https)
        left += net_server_drain(app->https, app->config->drain_ms);
    if (app->http)
        left += net_server_drain(app->http, MAX(until_ms - clock_mono_ms(), (int64_t)100));
    if (left)
        log_warn(NULL, "%zu connections did not end in time", left);
}

void app_front_stop(struct app *app)
{
    if (app->https)
        net_server_destroy(&app->https);
    if (app->http)
        net_server_destroy(&app->http);
    net_tls_destroy(&app->tls);
}

void app_front_join(struct app *app)
{
    while (app->loop_count)
        loop_destroy(&app->loops[--app->loop_count]);
}
