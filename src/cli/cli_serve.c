/*
 * serve: runs the server until it is told to stop. Signals are taken by this thread alone: SIGTERM
 * and SIGINT drain and end, SIGHUP reads the certificate again.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "cli/cli.h"
#include "core/log.h"

#define STOP_GRACE_S 10 /* beyond http.drain_ms, for what cannot be hurried */

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void set_log(const struct app_config *c)
{
    log_set_level((enum log_level)c->log_level);
    if (c->log_format != APP_LOG_AUTO)
        log_set_json(c->log_format == APP_LOG_JSON);
}

static void say_unknown(void *arg UNUSED, struct str name)
{
    log_warn(NULL, "environment %.*s: no such option, it changes nothing", STR_FMT(name));
}

/* For people; the log says the same for machines. */
static void say_hello(const struct app_report *r)
{
    char http[80] = "without HTTP", https[80] = "";
    if (r->http_port)
        snprintf(http, sizeof(http), "http://localhost:%u", r->http_port);
    if (r->https_port)
        snprintf(https, sizeof(https), " and https://localhost:%u", r->https_port);
    log_info(NULL, "parlance %s is ready: %s%s, data in %s", PARLANCE_VERSION, http, https,
             r->data_dir);
    for (size_t i = 0; i < r->note_count; i++)
        log_info(NULL, "%s", r->notes[i]);
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\n  Parlance %s is ready.\n\n    %s\n", PARLANCE_VERSION, http);
    if (r->https_port)
        fprintf(stderr,
                "    https://localhost:%u   (other machines need this one for camera and "
                "microphone)\n",
                r->https_port);
    fprintf(stderr, "\n    data: %s\n", r->data_dir);
    for (size_t i = 0; i < r->note_count; i++)
        fprintf(stderr, "    %s\n", r->notes[i]);
    fprintf(stderr, "\n  Ctrl+C stops it.\n\n");
}

/* Until a signal says to stop. */
static void wait_for_end(struct app *app, const sigset_t *set)
{
    for (;;) {
        int number = 0;
        if (sigwait(set, &number) != 0)
            continue;
        if (number == SIGHUP) {
            app_reload(app);
            continue;
        }
        log_info(NULL, "stopping: new connections are refused, what is in work ends");
        return;
    }
}

static void on_too_late(int number UNUSED)
{
    static const char words[] = "parlance: it did not stop in time\n";
    if (write(STDERR_FILENO, words, sizeof(words) - 1) < 0)
        _exit(2);
    _exit(1);
}

/* Whatever hangs, the process ends: what was acknowledged is on disk. A second signal ends it now.
 */
static void bound_stop(int64_t drain_ms)
{
    sigset_t set;
    signal(SIGALRM, on_too_late);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    alarm((unsigned)(drain_ms / 1000) + STOP_GRACE_S);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int serve(const char *path, const char *services)
{
    sigset_t set;
    struct arena *arena = arena_create();
    struct app_config config;
    struct strbuf problem = {0};
    struct app *app = NULL;
    block_signals(&set);
    enum err err = app_config_load_for(path, services, arena, &config, &problem);
    if (!err) {
        set_log(&config);
        app_config_unknown(say_unknown, NULL);
        app_raise_descriptor_limit();
        err = app_create(&app, &config, PARLANCE_VERSION, &problem);
    }
    if (err) {
        fprintf(stderr, "parlance: %s\n", problem.p);
    } else {
        say_hello(app_report(app));
        wait_for_end(app, &set);
        bound_stop(config.drain_ms);
        app_drain(app);
        app_destroy(&app);
        log_info(NULL, "stopped");
    }
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    return err ? 1 : 0;
}

static int run(int argc, char **argv)
{
    const char *path = cli_take_value(&argc, argv, "config");
    const char *services = cli_take_value(&argc, argv, "services");
    if (!cli_has_words(&cli_serve, argc, argv, 0))
        return 2;
    return serve(path, services);
}

const struct cli_command cli_serve = {
    .name = "serve",
    .summary = "Runs the server (the default).",
    .usage = "parlance [serve] [--config FILE] [--services user,auth,...]",
    .about = "  --config FILE  the configuration; without it ./parlance.yaml if it is there\n"
             "  --services LIST  the services of this process, instead of all (services.run); the\n"
             "                 others are found by services.remote\n\n"
             "Every option has a default, and every one can be set from the environment too:\n"
             "http.port is PARLANCE_HTTP_PORT. `parlance check-config --example` prints a file\n"
             "with all of them.\n\n"
             "SIGTERM and SIGINT stop it: nothing new is accepted, sockets are told to come back,\n"
             "what is in work ends within http.drain_ms. SIGHUP reads the certificate again.\n",
    .run = run,
};
