/*
 * stream: the socket side of every connection. One uv_poll per stream; reading happens here, what
 * waits to be sent lives in stream_out.c, OpenSSL's ways are hidden in stream_tls.c.
 *
 * Life: init -> (handshake) -> bytes both ways -> finish (flush, shut our side, discard what still
 * comes until the peer closes) -> abort (socket closed at once, on_closed from libuv's close
 * callback, when nothing on the stack can still hold the stream).
 */
#include "net/stream_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "net/metrics_internal.h"

/* Bounds on one turn of one stream, so that a busy peer does not starve the others. */
#define READ_ROUNDS 16
#define PAUSED_KEEP_BYTES 16384
#define IN_GROW_BYTES 1024

static void run_deferred(uv_idle_t *idle);

struct stream_io *stream_io_create(struct loop *loop)
{
    struct stream_io *io = mem_alloc(sizeof(*io));
    io->loop = loop;
    io->corked = NULL;
    io->on_turn = NULL;
    io->is_turning = false;
    io->cork_n = 0;
    io->open_handles = 2;
    list_init(&io->deferred);
    uv_idle_init(loop_uv(loop), &io->idle);
    uv_prepare_init(loop_uv(loop), &io->turn);
    io->idle.data = io->turn.data = io;
    return io;
}

static void on_io_closed(uv_handle_t *handle)
{
    struct stream_io *io = handle->data;
    if (--io->open_handles == 0)
        free(io);
}

void stream_io_destroy(struct stream_io **io)
{
    if (!*io)
        return;
    uv_close((uv_handle_t *)&(*io)->idle, on_io_closed);
    uv_close((uv_handle_t *)&(*io)->turn, on_io_closed);
    *io = NULL;
}

static void run_turn(uv_prepare_t *turn)
{
    struct stream_io *io = turn->data;
    uv_prepare_stop(turn);
    io->is_turning = true;
    io->on_turn(io->turn_arg);
    io->is_turning = false;
}

/*
 * A prepare handle and not an idle one: what an event asks for is done in the same round, and the
 * loop may wait at once, where an idle handle makes it look in vain first.
 */
void stream_io_next_turn(struct stream_io *io, void (*on_turn)(void *arg), void *arg)
{
    io->on_turn = on_turn;
    io->turn_arg = arg;
    uv_prepare_start(&io->turn, run_turn);
    if (io->is_turning) /* this round's are through: the loop must come round without waiting */
        uv_idle_start(&io->idle, run_deferred);
}

static void on_poll(uv_poll_t *poll, int status, int events);

enum err stream_init(struct stream *s, struct stream_io *io, int fd, SSL *ssl,
                     const struct stream_handler *handler)
{
    *s = (struct stream){.handler = handler, .io = io, .ssl = ssl, .fd = fd};
    int rc = UV_ENOMEM;
    if (!ssl || SSL_set_fd(ssl, fd))
        rc = uv_poll_init(loop_uv(io->loop), &s->poll, fd);
    if (rc < 0) {
        SSL_free(ssl);
        close(fd);
        return err_from_uv(rc);
    }
    s->is_handshaking = ssl != NULL;
    stream_update_poll(s);
    return ERR_OK;
}

static bool wants_more(const struct stream *s)
{
    return !s->is_closing && !s->is_ended && !(s->is_paused && s->in_n >= PAUSED_KEEP_BYTES);
}

/* What libuv shall watch follows from the state alone. */
void stream_update_poll(struct stream *s)
{
    if (s->is_closing)
        return;
    uint8_t events = 0;
    if (wants_more(s) || s->is_handshaking)
        events |= UV_READABLE;
    if (s->out_head || (s->is_handshaking && SSL_want_write(s->ssl)))
        events |= UV_WRITABLE;
    if (events == s->events)
        return;
    s->events = events;
    if (events)
        uv_poll_start(&s->poll, events, on_poll);
    else
        uv_poll_stop(&s->poll);
}

/* Where the next bytes go: behind those kept back, else into the buffer that all share. */
static uint8_t *read_space(struct stream *s, size_t *space)
{
    if (s->in_n == 0) {
        *space = sizeof(s->io->read_buffer);
        return s->io->read_buffer;
    }
    if (s->in_capacity - s->in_n < IN_GROW_BYTES) {
        s->in_capacity = MAX(2 * s->in_capacity, s->in_n + IN_GROW_BYTES);
        s->in = mem_realloc(s->in, s->in_capacity);
    }
    *space = s->in_capacity - s->in_n;
    return s->in + s->in_n;
}

static void keep(struct stream *s, const uint8_t *bytes, size_t n)
{
    s->in_capacity = (uint32_t)n;
    s->in = mem_alloc(n);
    memcpy(s->in, bytes, n);
    s->in_n = (uint32_t)n;
}

static size_t offer(struct stream *s, uint8_t *bytes, size_t n)
{
    if (s->is_finishing) /* nobody listens any more */
        return n;
    if (s->is_paused)
        return 0;
    stream_cork(s);
    size_t taken = s->handler->on_bytes(s, bytes, n);
    stream_uncork(s);
    return taken;
}

/* Offers what was kept back. Freed at abort: a handler may abort while it still looks at it. */
static void offer_kept(struct stream *s)
{
    size_t taken = offer(s, s->in, s->in_n);
    if (s->is_closing || taken == 0)
        return;
    s->in_n -= (uint32_t)taken;
    if (s->in_n > 0) {
        memmove(s->in, s->in + taken, s->in_n);
        return;
    }
    free(s->in);
    s->in = NULL;
    s->in_capacity = 0;
}

static void take_bytes(struct stream *s, uint8_t *at, size_t n)
{
    net_count(NET_BYTES_IN, n);
    if (s->in_n > 0) {
        s->in_n += (uint32_t)n;
        offer_kept(s);
        return;
    }
    size_t taken = offer(s, at, n);
    if (!s->is_closing && taken < n)
        keep(s, at + taken, n - taken);
}

static void take_end(struct stream *s)
{
    s->is_ended = true;
    if (s->is_shut) {
        stream_abort(s);
        return;
    }
    if (s->is_finishing)
        return;
    if (s->handler->on_end)
        s->handler->on_end(s);
    else
        stream_finish(s);
}

/* > 0 bytes, 0 end, < 0 negative errno. */
static ssize_t read_socket(struct stream *s, uint8_t *to, size_t space)
{
    if (s->ssl)
        return stream_tls_read(s, to, space);
    ssize_t n = recv(s->fd, to, space, 0);
    return n < 0 ? -errno : n;
}

static void read_some(struct stream *s)
{
    for (int round = 0; round < READ_ROUNDS; round++) {
        if (!wants_more(s))
            return;
        size_t space;
        uint8_t *to = read_space(s, &space);
        ssize_t n = read_socket(s, to, space);
        if (n == -EAGAIN || n == -EINTR)
            return;
        if (n < 0) {
            stream_abort(s);
            return;
        }
        if (n == 0) {
            take_end(s);
            return;
        }
        take_bytes(s, to, (size_t)n);
        /* The socket is most likely empty: spare the system call that would say so. */
        if (s->is_closing || (s->ssl ? !SSL_has_pending(s->ssl) : (size_t)n < space))
            return;
    }
    stream_defer(s); /* OpenSSL may hold bytes that no poll will announce */
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct stream *s = CONTAINER_OF(poll, struct stream, poll);
    if (status < 0) {
        stream_abort(s);
        return;
    }
    if (s->is_handshaking) {
        int rc = stream_tls_handshake(s);
        if (rc < 0) {
            stream_abort(s);
            return;
        }
        if (rc == 0) {
            stream_update_poll(s);
            return;
        }
        s->is_handshaking = false;
    }
    if (s->out_head)
        stream_flush(s);
    if (events & UV_READABLE)
        read_some(s);
    stream_update_poll(s);
}

void stream_defer(struct stream *s)
{
    if (s->is_closing || list_is_linked(&s->deferred_node))
        return;
    if (list_is_empty(&s->io->deferred))
        uv_idle_start(&s->io->idle, run_deferred);
    list_add_tail(&s->io->deferred, &s->deferred_node);
}

static void run_deferred(uv_idle_t *idle)
{
    struct stream_io *io = idle->data;
    uv_idle_stop(idle); /* what is wanted again from here on starts it again */
    /* Those that defer themselves again have their turn in the next round. */
    struct list now;
    list_init(&now);
    while (!list_is_empty(&io->deferred)) {
        struct list *node = io->deferred.next;
        list_remove(node);
        list_add_tail(&now, node);
    }
    while (!list_is_empty(&now)) {
        struct stream *s = LIST_ENTRY(now.next, struct stream, deferred_node);
        list_remove(&s->deferred_node);
        if (s->in_n > 0)
            offer_kept(s);
        if (!s->is_closing && !s->is_handshaking)
            read_some(s);
        stream_update_poll(s);
    }
}

void stream_pause(struct stream *s)
{
    s->is_paused = true;
}

void stream_resume(struct stream *s)
{
    if (!s->is_paused)
        return;
    s->is_paused = false;
    if (s->in_n > 0 || (s->ssl && SSL_has_pending(s->ssl)))
        stream_defer(s);
    else
        stream_update_poll(s);
}

void stream_set_handler(struct stream *s, const struct stream_handler *handler)
{
    s->handler = handler;
    stream_defer(s);
}

void stream_shut(struct stream *s)
{
    s->is_shut = true;
    if (s->is_ended) {
        stream_abort(s);
        return;
    }
    if (s->ssl && !s->is_handshaking)
        stream_tls_shut(s);
    shutdown(s->fd, SHUT_WR);
    s->is_paused = false; /* what still comes is read and dropped */
    stream_update_poll(s);
}

void stream_finish(struct stream *s)
{
    if (s->is_closing || s->is_finishing)
        return;
    s->is_finishing = true;
    if (s->io->corked == s)
        return; /* stream_uncork sees to it */
    if (!s->out_head)
        stream_shut(s);
}

void stream_part(struct stream *s)
{
    if (s->ssl && !s->is_closing && !s->is_handshaking && !s->out_head)
        stream_tls_shut(s);
    stream_abort(s);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct stream *s = CONTAINER_OF((uv_poll_t *)handle, struct stream, poll);
    free(s->in);
    s->in = NULL;
    s->in_n = 0;
    s->handler->on_closed(s);
}

void stream_abort(struct stream *s)
{
    if (s->is_closing)
        return;
    s->is_closing = true;
    list_remove(&s->deferred_node);
    stream_out_clear(s);
    /* Before the descriptor is closed and its number reused: libuv forgets by number. */
    uv_close((uv_handle_t *)&s->poll, on_poll_closed);
    SSL_free(s->ssl);
    s->ssl = NULL;
    close(s->fd);
    s->fd = -1;
}
