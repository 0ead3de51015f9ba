/*
 * h2_health: Check answers at once, Watch tells what is and then what changes. There is one change:
 * the process begins to go.
 */
#include "grpc/h2_health.h"

#include <stdlib.h>

#include "core/list.h"
#include "core/map.h"
#include "core/mem.h"
#include "health.pb-c.h"

#define REQUEST_MAX_BYTES 4096

typedef Health__HealthCheckResponse__ServingStatus status_t;
#define STATUS(name) HEALTH__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

struct h2_health {
    struct map *services;
    struct list watches;
    bool is_stopped;
};

struct asked {
    struct list node; /* in watches, once its service is told */
    struct h2_stream *stream;
    bool is_watch, is_answered, is_known;
};

static bool health_on_open(void *arg, struct h2_stream *s, const char *method)
{
    bool is_watch = strcmp(method, "Watch") == 0;
    if (!is_watch && strcmp(method, "Check") != 0)
        return false;
    struct asked *asked = mem_new(struct asked);
    asked->stream = s;
    asked->is_watch = is_watch;
    h2_stream_set_user(s, asked);
    return true;
}

static void tell(struct h2_stream *s, status_t status)
{
    const Health__HealthCheckResponse reply = {
        .base = PROTOBUF_C_MESSAGE_INIT(&health__health_check_response__descriptor),
        .status = status};
    uint8_t bytes[16];
    h2_stream_send(s, bytes, health__health_check_response__pack(&reply, bytes));
}

static status_t status_of(const struct h2_health *h, const struct asked *asked)
{
    if (!asked->is_known)
        return STATUS(SERVICE_UNKNOWN);
    return h->is_stopped ? STATUS(NOT_SERVING) : STATUS(SERVING);
}

static void answer(struct h2_health *h, struct h2_stream *s, struct asked *asked)
{
    if (asked->is_watch) {
        tell(s, status_of(h, asked));
        list_add_tail(&h->watches, &asked->node);
    } else if (asked->is_known) {
        tell(s, status_of(h, asked));
        h2_stream_finish(s, &(struct h2_status){.err = ERR_OK});
    } else {
        h2_stream_finish(
            s, &(struct h2_status){.err = ERR_NOT_FOUND, .message = "no such service here"});
    }
}

static void health_on_message(void *arg, struct h2_stream *s, const uint8_t *bytes, size_t n)
{
    struct h2_health *h = arg;
    struct asked *asked = h2_stream_user(s);
    Health__HealthCheckRequest *request = n <= REQUEST_MAX_BYTES && !asked->is_answered
                                              ? health__health_check_request__unpack(NULL, n, bytes)
                                              : NULL;
    if (!request) {
        h2_stream_finish(s, &(struct h2_status){.err = ERR_INVALID_ARGUMENT});
        return;
    }
    asked->is_answered = true;
    asked->is_known =
        !request->service[0] || map_get(h->services, str_from(request->service)) != NULL;
    health__health_check_request__free_unpacked(request, NULL);
    answer(h, s, asked);
}

static void health_on_end(void *arg, struct h2_stream *s)
{
    const struct asked *asked = h2_stream_user(s);
    if (!asked->is_answered)
        h2_stream_finish(
            s, &(struct h2_status){.err = ERR_INVALID_ARGUMENT, .message = "a request is missing"});
}

static void health_on_gone(void *arg, struct h2_stream *s)
{
    struct asked *asked = h2_stream_user(s);
    list_remove(&asked->node);
    free(asked);
}

static const struct h2_service_handler handler = {.on_open = health_on_open,
                                                  .on_message = health_on_message,
                                                  .on_end = health_on_end,
                                                  .on_gone = health_on_gone};

struct h2_service h2_health_service(struct h2_health *health)
{
    return (struct h2_service){"grpc.health.v1.Health", &handler, health, REQUEST_MAX_BYTES};
}

void h2_health_stop(struct h2_health *h)
{
    h->is_stopped = true;
    LIST_FOREACH(&h->watches, node)
    {
        struct asked *asked = LIST_ENTRY(node, struct asked, node);
        tell(asked->stream, status_of(h, asked));
        h2_stream_finish(asked->stream, &(struct h2_status){.err = ERR_UNAVAILABLE,
                                                            .message = "the server is stopping"});
    }
}

struct h2_health *h2_health_create(const char *const *services, size_t count)
{
    struct h2_health *h = mem_new(struct h2_health);
    h->services = map_create();
    list_init(&h->watches);
    for (size_t i = 0; i < count; i++)
        map_set(h->services, str_from(services[i]), h);
    return h;
}

void h2_health_destroy(struct h2_health **health)
{
    if (!*health)
        return;
    map_destroy(&(*health)->services);
    free(*health);
    *health = NULL;
}
