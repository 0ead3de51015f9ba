/* events: watches what happens, as the running server hears it: its own events and, over a broker,
 * those of the other processes. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/app.h"
#include "app/app_control.h"
#include "cli/cli.h"
#include "core/log.h"
#include "operate.pb-c.h"

#define POLL_MS 250

struct watch {
    const struct app_config *config;
    const char *channel;
    bool is_json, is_following;
};

static void print_json(const Operate__WatchedEvent *e)
{
    struct strbuf line = {0};
    const char *const fields[][2] = {{"channel", e->channel},
                                     {"type", e->type},
                                     {"key", e->key},
                                     {"id", e->id},
                                     {"source", e->source}};
    strbuf_printf(&line, "{\"at_ms\":%lld", (long long)e->at_ms);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        strbuf_printf(&line, ",\"%s\":", fields[i][0]);
        strbuf_add_json(&line, str_from(fields[i][1]));
    }
    if (e->payload[0])
        strbuf_printf(&line, ",\"payload\":%s", e->payload);
    strbuf_adds(&line, "}");
    puts(line.p);
    strbuf_deinit(&line);
}

static void print_text(const Operate__WatchedEvent *e)
{
    char at[32];
    time_t seconds = (time_t)(e->at_ms / 1000);
    struct tm tm;
    strftime(at, sizeof(at), "%H:%M:%S", localtime_r(&seconds, &tm));
    printf("%s.%03d %-18s %-24s %s %s\n", at, (int)(e->at_ms % 1000), e->channel, e->type, e->key,
           e->payload);
}

/* One question, on a line of its own, so that other commands are not kept waiting. */
static enum err ask(const struct watch *w, int64_t *after, struct strbuf *problem)
{
    struct app_control_line *line = NULL;
    enum err err = app_control_dial(&line, w->config->data_dir);
    if (err) {
        strbuf_adds(problem, err == ERR_NOT_FOUND ? "no server is running on this data directory"
                                                  : err_text(err));
        return err;
    }
    ProtobufCService *remote = app_control_service(line, &operate__operate__descriptor);
    ProtobufCService *operate =
        rpc_local_create(remote, &(struct rpc_local_options){.workers.thread_count = 1});
    struct rpc_call *call = rpc_call_create(NULL);
    Operate__WatchEventsRequest in = OPERATE__WATCH_EVENTS_REQUEST__INIT;
    in.after = *after;
    in.channel = (char *)(uintptr_t)w->channel;
    const Operate__WatchedEvents *out = rpc_sync(operate, "WatchEvents", &in.base, call);
    if (out) {
        if (out->lost_count)
            fprintf(stderr, "%lld events came faster than they could be shown\n",
                    (long long)out->lost_count);
        for (size_t i = 0; i < out->n_events; i++)
            (w->is_json ? print_json : print_text)(out->events[i]);
        fflush(stdout);
        *after = out->next;
    } else {
        err = call->err;
        strbuf_adds(problem, call->message);
    }
    rpc_call_unref(&call);
    rpc_local_destroy(&operate);
    protobuf_c_service_destroy(remote);
    app_control_hang_up(&line);
    return err;
}

static enum err watch(const struct watch *w, struct strbuf *problem)
{
    int64_t after = -1;
    enum err err = ask(w, &after, problem);
    while (!err) {
        usleep(POLL_MS * 1000);
        err = ask(w, &after, problem);
    }
    return err;
}

static int run(int argc, char **argv)
{
    const char *config_path = cli_take_value(&argc, argv, "config");
    struct watch w = {.channel = cli_take_value(&argc, argv, "channel")};
    w.is_json = cli_take_flag(&argc, argv, "json");
    w.is_following = cli_take_flag(&argc, argv, "follow");
    if (!cli_has_words(&cli_events, argc, argv, 0))
        return 2;
    if (!w.is_following)
        return cli_usage_error(&cli_events, "events are not kept; --follow shows those to come");
    w.channel = w.channel ? w.channel : "";
    struct app_config config;
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    log_set_level(LOG_WARN);
    enum err err = app_config_load(config_path, arena, &config, &problem);
    w.config = &config;
    if (!err)
        err = watch(&w, &problem);
    if (err)
        fprintf(stderr, "parlance events: %s\n", problem.n ? problem.p : err_text(err));
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    return err ? 1 : 0;
}

const struct cli_command cli_events = {
    .name = "events",
    .summary = "Shows what happens, while it happens.",
    .usage = "parlance events --follow [--channel NAME] [--json]",
    .about =
        "The events that the running server hears: its own and, with event_bus.type, those of\n"
        "all processes. docs/events.md lists channels and types.\n\n"
        "  --follow        until interrupted\n"
        "  --channel NAME  this one alone, as meeting_events, media_events, ai_events,\n"
        "                  signaling_events, user_events, local\n"
        "  --json          one object a line\n"
        "  --config FILE   the configuration; without it ./parlance.yaml if it is there\n\n"
        "What people write to one another is not shown.\n",
    .run = run,
};
