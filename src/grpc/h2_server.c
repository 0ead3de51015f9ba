/*
 * h2_server: listening, connections, and their end. Who resets streams in a row spends tokens that
 * grow back slowly, and is sent away when they are gone: opening and resetting is cheap for him and
 * not for us.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/thread.h"
#include "grpc/h2_server_internal.h"
#include "net/listen.h"

#define ACCEPTS_PER_TURN 64
#define PAUSE_MS 100
#define NOTICE_MS 100 /* a round trip: calls that were on their way when GOAWAY was said */
#define RESETS_A_SECOND 50

static struct metric accepted =
    METRIC_COUNTER("parlance_grpc_accepted_total", "Connections of other instances.", "result");

static void count(const char *result)
{
    metric_cell_add(metric_cell(&accepted, result, NULL, NULL), 1);
}

/* ---- a connection ---- */

static void one_left(struct h2_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->left--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void peer_closed(struct h2_conn *conn)
{
    struct h2_peer *peer = (struct h2_peer *)conn;
    struct h2_server *server = peer->server;
    while (!list_is_empty(&conn->halves))
        h2_stream_on_close(LIST_ENTRY(conn->halves.next, struct h2_half, node), NGHTTP2_CANCEL);
    list_remove(&peer->node);
    server->peer_count--;
    h2_conn_deinit(conn);
    free(peer);
    one_left(server); /* the last touch */
}

static bool peer_reset(struct h2_conn *conn)
{
    struct h2_peer *peer = (struct h2_peer *)conn;
    int64_t now_us = loop_now_us(conn->io->loop);
    int64_t grown = (now_us - peer->reset_us) * RESETS_A_SECOND / 1000000;
    if (grown > 0) {
        uint32_t most = peer->server->opt.resets_max;
        peer->reset_tokens = (uint32_t)MIN((int64_t)peer->reset_tokens + grown, (int64_t)most);
        peer->reset_us = now_us;
    }
    if (peer->reset_tokens == 0) {
        count("reset_flood");
        return false;
    }
    peer->reset_tokens--;
    return true;
}

static void peer_goaway(struct h2_conn *conn, int32_t last_id, uint32_t code)
{
    if (conn->half_count == 0)
        h2_conn_finish(conn);
}

static void peer_settled(struct h2_conn *conn)
{
    count("ok");
}

static const struct h2_role role = {
    .is_server = true,
    .on_begin = h2_stream_on_begin,
    .on_header = h2_stream_on_header,
    .on_headers = h2_stream_on_headers,
    .on_message = h2_stream_on_message,
    .on_broken = h2_stream_on_broken,
    .on_end = h2_stream_on_end,
    .on_sent = h2_stream_on_sent,
    .on_close = h2_stream_on_close,
    .on_goaway = peer_goaway,
    .on_reset = peer_reset,
    .on_settled = peer_settled,
    .on_closed = peer_closed,
};

static void take(struct h2_server *server, int fd)
{
    SSL *ssl = NULL;
    const struct h2_server_options *opt = &server->opt;
    if (server->peer_count >= opt->connections_max ||
        (opt->tls && !(ssl = net_tls_accept(opt->tls)))) {
        count("full");
        close(fd);
        return;
    }
    struct h2_peer *peer = mem_new(struct h2_peer);
    peer->server = server;
    peer->reset_tokens = opt->resets_max;
    peer->reset_us = loop_now_us(server->io->loop);
    if (h2_conn_init(&peer->conn, server->io, fd, ssl,
                     &(struct h2_conn_options){
                         .role = &role,
                         .streams_max = opt->streams_max,
                         .unfinished_max_bytes = opt->unfinished_max_bytes,
                         .keepalive_ms = opt->keepalive_ms,
                         .ping_timeout_ms = opt->ping_timeout_ms,
                         .handshake_timeout_ms = opt->handshake_timeout_ms,
                     })) {
        free(peer);
        return;
    }
    list_add_tail(&server->peers, &peer->node);
    server->peer_count++;
    pthread_mutex_lock(&server->lock);
    server->left++;
    pthread_mutex_unlock(&server->lock);
}

/* ---- listening ---- */

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void on_pause_over(void *arg)
{
    struct h2_server *server = arg;
    if (!server->is_stopped)
        uv_poll_start(&server->poll, UV_READABLE, on_acceptable);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct h2_server *server = CONTAINER_OF(poll, struct h2_server, poll);
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(server, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            count("no_descriptors");
            uv_poll_stop(poll);
            loop_timer_start(server->io->loop, &server->pause, PAUSE_MS, on_pause_over, server);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    one_left(CONTAINER_OF((uv_poll_t *)handle, struct h2_server, poll));
}

static void start(void *arg)
{
    struct h2_server *server = arg;
    uv_poll_init(loop_uv(server->io->loop), &server->poll, server->fd);
    uv_poll_start(&server->poll, UV_READABLE, on_acceptable);
}

static void stop_listening(struct h2_server *server)
{
    if (server->is_stopped)
        return;
    server->is_stopped = true;
    loop_timer_stop(&server->pause);
    uv_close((uv_handle_t *)&server->poll, on_poll_closed);
    close(server->fd);
}

/* ---- the end ---- */

static void say_goaway(void *arg)
{
    struct h2_server *server = arg;
    LIST_FOREACH(&server->peers, node)
    {
        struct h2_conn *conn = &LIST_ENTRY(node, struct h2_peer, node)->conn;
        nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(conn->session),
                              NGHTTP2_NO_ERROR, NULL, 0);
        h2_conn_touch(conn);
    }
}

static void start_drain(void *arg)
{
    struct h2_server *server = arg;
    if (server->is_draining)
        return;
    server->is_draining = true;
    stop_listening(server);
    LIST_FOREACH(&server->peers, node)
    {
        struct h2_conn *conn = &LIST_ENTRY(node, struct h2_peer, node)->conn;
        nghttp2_submit_shutdown_notice(conn->session);
        h2_conn_touch(conn);
    }
    loop_timer_start(server->io->loop, &server->notice, NOTICE_MS, say_goaway, server);
}

static size_t wait_until_empty(struct h2_server *server, int64_t timeout_ms)
{
    int64_t until_us = clock_mono_us() + timeout_ms * 1000;
    bool is_over = false;
    pthread_mutex_lock(&server->lock);
    while (server->left > 0 && !is_over)
        if (timeout_ms < 0)
            pthread_cond_wait(&server->changed, &server->lock);
        else
            is_over = !thread_wait_until(&server->changed, &server->lock, until_us);
    size_t left = server->left;
    pthread_mutex_unlock(&server->lock);
    return left;
}

size_t h2_server_drain(struct h2_server *server, int64_t timeout_ms)
{
    loop_call(server->io->loop, start_drain, server);
    return wait_until_empty(server, timeout_ms);
}

static void stop(void *arg)
{
    struct h2_server *server = arg;
    stop_listening(server);
    loop_timer_stop(&server->notice);
    LIST_FOREACH(&server->peers, node)
    stream_part(&LIST_ENTRY(node, struct h2_peer, node)->conn.stream);
}

static void server_free(struct h2_server *server)
{
    map_destroy(&server->services);
    for (size_t i = 0; i < server->opt.service_count; i++)
        free((char *)(uintptr_t)server->service_list[i].name);
    free(server->service_list);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

void h2_server_destroy(struct h2_server **server_)
{
    struct h2_server *server = *server_;
    *server_ = NULL;
    if (!server)
        return;
    loop_call(server->io->loop, stop, server);
    wait_until_empty(server, -1);
    server_free(server);
}

/* ---- life ---- */

#define DEFAULT(field, value)            \
    do {                                 \
        if (!server->opt.field)          \
            server->opt.field = (value); \
    } while (0)

static void fill_options(struct h2_server *server, const struct h2_server_options *opt)
{
    server->opt = *opt;
    DEFAULT(message_max_bytes, H2_MESSAGE_MAX_BYTES);
    DEFAULT(streams_max, 1000);
    DEFAULT(connections_max, 1000);
    DEFAULT(unfinished_max_bytes, (size_t)64 << 20);
    DEFAULT(resets_max, 1000); /* so many may reach their deadline at once */
    DEFAULT(keepalive_ms, 60000);
    DEFAULT(ping_timeout_ms, 20000);
    DEFAULT(handshake_timeout_ms, 10000);
    server->services = map_create();
    server->service_list = mem_calloc(opt->service_count + 1, sizeof(*server->service_list));
    for (size_t i = 0; i < opt->service_count; i++) {
        server->service_list[i] = opt->services[i];
        server->service_list[i].name = mem_strdup(opt->services[i].name);
        map_set(server->services, str_from(opt->services[i].name), &server->service_list[i]);
    }
}

enum err h2_server_create(struct h2_server **out, const struct h2_server_options *opt)
{
    struct h2_server *server = mem_new(struct h2_server);
    server->io = opt->io;
    list_init(&server->peers);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    fill_options(server, opt);
    enum err err = net_listen(opt->host, opt->port, &server->fd, &server->port);
    if (err) {
        server_free(server);
        *out = NULL;
        return err;
    }
    server->left = 1;
    loop_call(server->io->loop, start, server);
    *out = server;
    return ERR_OK;
}

uint16_t h2_server_port(const struct h2_server *server)
{
    return server->port;
}
