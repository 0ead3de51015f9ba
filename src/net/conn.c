/*
 * conn: the life of an accepted connection, whatever it speaks: its slot, its one timer, its place
 * among the newcomers, and its slow goodbye. The timer is lazy: deadlines mostly move later, so the
 * heap is touched when one moves earlier or the timer fires, not with each request.
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"
#include "net/server_internal.h"
#include "net/tls.h"

#define LINGER_US 2000000

static const struct conn_protocol linger_protocol;

static uint32_t slot_take(struct shard *shard, struct conn *conn)
{
    if (shard->free_slot_count == 0) {
        uint32_t old = shard->slot_count;
        shard->slot_count = old ? 2 * old : 64;
        shard->slots = mem_realloc_array(shard->slots, shard->slot_count, sizeof(*shard->slots));
        shard->free_slots =
            mem_realloc_array(shard->free_slots, shard->slot_count, sizeof(*shard->free_slots));
        for (uint32_t slot = shard->slot_count; slot-- > old;) {
            shard->slots[slot] = NULL;
            shard->free_slots[shard->free_slot_count++] = slot;
        }
    }
    uint32_t slot = shard->free_slots[--shard->free_slot_count];
    shard->slots[slot] = conn;
    return slot;
}

void conn_create(struct shard *shard, int fd, const struct net_address *address)
{
    SSL *ssl = NULL;
    if (shard->is_draining || (shard->server->tls && !(ssl = net_tls_accept(shard->server->tls)))) {
        close(fd);
        net_server_left(shard->server);
        return;
    }
    struct conn *conn = mem_new(struct conn);
    conn->protocol = &http_protocol;
    if (stream_init(&conn->stream, shard->io, fd, ssl, &http_protocol.stream)) {
        free(conn);
        net_server_left(shard->server);
        return;
    }
    conn->shard = shard;
    conn->address = *address;
    conn->slot = slot_take(shard, conn);
    list_add_tail(&shard->conns, &conn->node);
    list_add_tail(&shard->pending, &conn->pending_node);
    if (++shard->pending_count > shard->server->pending_max) {
        net_count(NET_REFUSED_PENDING, 1);
        struct conn *oldest = LIST_ENTRY(shard->pending.next, struct conn, pending_node);
        conn_is_known(oldest);
        stream_abort(&oldest->stream);
    }
    http_conn_start(conn);
}

void conn_free(struct conn *conn)
{
    struct shard *shard = conn->shard;
    loop_timer_stop(&conn->timer);
    conn_is_known(conn);
    list_remove(&conn->node);
    shard->slots[conn->slot] = NULL;
    shard->free_slots[shard->free_slot_count++] = conn->slot;
    free(conn);
    net_server_left(shard->server);
}

void conn_set_protocol(struct conn *conn, const struct conn_protocol *protocol)
{
    conn->protocol = protocol;
    stream_set_handler(&conn->stream, &protocol->stream);
}

void conn_is_known(struct conn *conn)
{
    if (!list_is_linked(&conn->pending_node))
        return;
    list_remove(&conn->pending_node);
    conn->shard->pending_count--;
}

void conn_new_generation(struct conn *conn)
{
    conn->generation = ++conn->shard->last_generation;
}

struct net_ticket conn_ticket(const struct conn *conn)
{
    return (struct net_ticket){conn->shard->id, conn->slot, conn->generation};
}

static void on_timer(void *arg)
{
    struct conn *conn = arg;
    if (conn->stream.is_closing || conn->deadline_us == 0)
        return;
    if (conn_now_us(conn) < conn->deadline_us)
        conn_set_deadline(conn, conn->deadline_us);
    else
        conn->protocol->on_timeout(conn);
}

void conn_set_deadline(struct conn *conn, int64_t deadline_us)
{
    conn->deadline_us = deadline_us;
    if (deadline_us == 0 ||
        (loop_timer_is_armed(&conn->timer) && conn->timer.due_us <= deadline_us))
        return;
    /* Rounded up: firing a little early would only arm it again. */
    int64_t after_ms = MAX(deadline_us - conn_now_us(conn), 0) / 1000 + 1;
    loop_timer_start(conn->shard->loop, &conn->timer, after_ms, on_timer, conn);
}

void conn_linger(struct conn *conn)
{
    if (conn->stream.is_closing || conn->protocol == &linger_protocol)
        return;
    conn_set_protocol(conn, &linger_protocol);
    stream_finish(&conn->stream);
    conn_set_deadline(conn, conn_now_us(conn) + LINGER_US);
}

static size_t linger_on_bytes(struct stream *s, uint8_t *bytes, size_t n)
{
    return n;
}

static void linger_on_closed(struct stream *s)
{
    conn_free(conn_of(s));
}

/* An answer may be long in leaving: as long as it gets on, it may. */
static void linger_on_timeout(struct conn *conn)
{
    const struct stream *s = &conn->stream;
    int64_t stall_us = (int64_t)conn->shard->server->http.send_stall_ms * 1000;
    if (s->out_bytes > 0 && conn_now_us(conn) < s->progress_us + stall_us) {
        conn_set_deadline(conn, conn_now_us(conn) + LINGER_US);
        return;
    }
    stream_abort(&conn->stream);
}

static void linger_on_drain(struct conn *conn)
{
}

static const struct conn_protocol linger_protocol = {
    .stream = {.on_bytes = linger_on_bytes, .on_closed = linger_on_closed},
    .on_timeout = linger_on_timeout,
    .on_drain = linger_on_drain,
};
