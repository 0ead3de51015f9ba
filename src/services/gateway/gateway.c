/* gateway: create, drain, destroy. */
#include <unistd.h>

#include "core/live.h"
#include "services/gateway/gateway_internal.h"

static void start_on_loop(void *arg)
{
    gateway_hub_start(arg);
}

enum err gateway_create(struct gateway **out, const struct gateway_deps *deps)
{
    struct gateway *gw = mem_zalloc(sizeof(*gw));
    gw->deps = *deps;
    gateway_find_methods(gw);
    enum err err = loop_create(&gw->loop, "gateway");
    if (err) {
        free(gw);
        *out = NULL;
        return err;
    }
    loop_call(gw->loop, start_on_loop, gw);
    gateway_events_start(gw);
    *out = gw;
    return ERR_OK;
}

static void drain_on_loop(void *arg)
{
    gateway_hub_drain(arg);
}

void gateway_drain(struct gateway *gw)
{
    loop_call(gw->loop, drain_on_loop, gw);
}

static void clear_on_loop(void *arg)
{
    gateway_hub_clear(arg);
}

struct waiting {
    const struct gateway *gw;
    size_t left;
};

static void count_on_loop(void *arg)
{
    struct waiting *w = arg;
    w->left = w->gw->call_count;
}

void gateway_set_unlimited(struct gateway *gw, bool is_unlimited)
{
    LIVE_SET(gw->deps.is_unlimited, is_unlimited);
}

void gateway_destroy(struct gateway **gwp)
{
    struct gateway *gw = *gwp;
    *gwp = NULL;
    if (!gw)
        return;
    gateway_events_stop(gw);
    loop_call(gw->loop, clear_on_loop, gw);
    /* What was asked for comes to the loop yet, by its deadline at the latest. */
    for (size_t left = 1; left;) {
        struct waiting w = {.gw = gw};
        loop_call(gw->loop, count_on_loop, &w);
        left = w.left;
        if (left)
            usleep(5000);
    }
    loop_destroy(&gw->loop);
    gateway_hub_end(gw);
    free(gw);
}
