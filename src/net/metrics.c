/*
 * metrics: the counters of the room, by name. Each event finds its cell once per process.
 */
#include <stdatomic.h>

#include "core/metric.h"
#include "net/metrics_internal.h"

static struct metric connections =
    METRIC_GAUGE("parlance_net_connections", "Open connections.", "server");
static struct metric ws_sockets = METRIC_GAUGE("parlance_net_websockets", "Open WebSockets.");
static struct metric accepted =
    METRIC_COUNTER("parlance_net_accepted_total", "Connections accepted.");
static struct metric refused =
    METRIC_COUNTER("parlance_net_refused_total", "Connections refused or given up early.", "why");
static struct metric timeouts =
    METRIC_COUNTER("parlance_net_timeouts_total", "Connections closed for being slow.", "in");
static struct metric answers =
    METRIC_COUNTER("parlance_net_answers_total", "HTTP requests by outcome.", "outcome");
static struct metric ws_messages =
    METRIC_COUNTER("parlance_net_websocket_messages_total", "WebSocket messages.", "direction");
static struct metric ws_slow = METRIC_COUNTER("parlance_net_websocket_slow_total",
                                              "What slow WebSocket receivers cost.", "what");
static struct metric ws_opened =
    METRIC_COUNTER("parlance_net_websockets_opened_total", "WebSockets accepted.");
static struct metric bytes = METRIC_COUNTER(
    "parlance_net_bytes_total", "Payload bytes of sockets (before encryption).", "direction");

static const struct {
    struct metric *metric;
    const char *label;
} rows[NET_COUNTS] = {
    [NET_ACCEPTED] = {&accepted, NULL},
    [NET_REFUSED_FULL] = {&refused, "connections_max"},
    [NET_REFUSED_DESCRIPTORS] = {&refused, "descriptors"},
    [NET_REFUSED_PENDING] = {&refused, "pending_max"},
    [NET_TIMEOUT_HEAD] = {&timeouts, "head"},
    [NET_TIMEOUT_BODY] = {&timeouts, "body"},
    [NET_TIMEOUT_SEND] = {&timeouts, "send"},
    [NET_ANSWER_1XX] = {&answers, "1xx"},
    [NET_ANSWER_2XX] = {&answers, "2xx"},
    [NET_ANSWER_3XX] = {&answers, "3xx"},
    [NET_ANSWER_4XX] = {&answers, "4xx"},
    [NET_ANSWER_5XX] = {&answers, "5xx"},
    [NET_ANSWER_STALE] = {&answers, "stale"},
    [NET_ABORTED] = {&answers, "aborted"},
    [NET_WS_OPENED] = {&ws_opened, NULL},
    [NET_WS_IN] = {&ws_messages, "in"},
    [NET_WS_OUT] = {&ws_messages, "out"},
    [NET_WS_DROPPED] = {&ws_slow, "dropped"},
    [NET_WS_OVERFLOW] = {&ws_slow, "closed"},
    [NET_BYTES_IN] = {&bytes, "in"},
    [NET_BYTES_OUT] = {&bytes, "out"},
};

void net_count(enum net_count what, uint64_t n)
{
    static _Atomic(struct metric_cell *) cells[NET_COUNTS];
    struct metric_cell *cell = atomic_load_explicit(&cells[what], memory_order_acquire);
    if (unlikely(!cell)) {
        cell = metric_cell(rows[what].metric, rows[what].label, NULL, NULL);
        atomic_store_explicit(&cells[what], cell, memory_order_release);
    }
    metric_cell_add(cell, (double)n);
}

void net_connections_add(const char *server, int delta)
{
    metric_cell_add(metric_cell(&connections, server, NULL, NULL), delta);
}

void net_ws_add(int delta)
{
    metric_add(&ws_sockets, delta);
}
