/*
 * stream_out: the sending half of a stream. Three ways lead out: at once (nothing waits: most
 * sends), through the cork (small writes of one turn leave together), or the queue (what the socket
 * would not take). A queued chunk owns a copy, shares its owner's bytes until released, or is a
 * part of a file.
 */
#include "net/stream_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "net/metrics_internal.h"

#define PARTS_MAX 6
#define FLUSH_PARTS_MAX 32
#define FLUSH_ROUNDS 16
#define FILE_STEP_BYTES (256 * 1024)

struct stream_chunk {
    struct stream_chunk *next;
    const uint8_t *p; /* what is left */
    size_t n;
    stream_release_fn *release; /* NULL: own bytes */
    void *arg;
    int64_t offset; /* of a file */
    int fd;         /* -1: not a file */
    bool is_begun;  /* some of it was sent */
    uint8_t own[];
};

static void chunk_free(struct stream_chunk *c)
{
    if (c->release)
        c->release(c->arg);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

static void chunk_add(struct stream *s, struct stream_chunk *c)
{
    c->is_begun |= s->is_cut;
    s->is_cut = false;
    if (s->out_tail)
        s->out_tail->next = c;
    else
        s->out_head = c;
    s->out_tail = c;
    if (s->out_bytes == 0)
        s->progress_us = loop_now_us(s->io->loop);
    s->out_bytes += c->n;
}

/* One chunk for all parts: what was sent in one call is dropped or kept as a whole. */
static void queue_copy(struct stream *s, const struct iovec *parts, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += parts[i].iov_len;
    if (n == 0)
        return;
    struct stream_chunk *c = mem_alloc(sizeof(*c) + n);
    *c = (struct stream_chunk){.p = c->own, .fd = -1};
    for (int i = 0; i < count; i++) {
        memcpy(c->own + c->n, parts[i].iov_base, parts[i].iov_len);
        c->n += parts[i].iov_len;
    }
    chunk_add(s, c);
}

void stream_out_clear(struct stream *s)
{
    while (s->out_head) {
        struct stream_chunk *c = s->out_head;
        s->out_head = c->next;
        chunk_free(c);
    }
    s->out_tail = NULL;
    s->out_bytes = 0;
    if (s->io->corked == s)
        s->io->cork_n = 0;
}

void stream_drop_unsent(struct stream *s)
{
    struct stream_chunk *rest = s->out_head;
    s->out_head = s->out_tail = NULL;
    s->out_bytes = 0;
    /* OpenSSL insists on getting again the record that it could not write: that much stays. */
    size_t keep = s->ssl ? STREAM_TLS_RECORD_BYTES : 0;
    while (rest) {
        struct stream_chunk *c = rest;
        rest = c->next;
        c->next = NULL;
        if (c->is_begun || s->out_bytes < keep)
            chunk_add(s, c);
        else
            chunk_free(c);
    }
}

/* Bytes taken, or a negative errno. */
static ssize_t write_parts(struct stream *s, const struct iovec *parts, int count)
{
    ssize_t n;
    if (s->ssl) {
        size_t total = 0;
        for (int i = 0; i < count && total < STREAM_TLS_RECORD_BYTES; i++) {
            size_t take = MIN(parts[i].iov_len, STREAM_TLS_RECORD_BYTES - total);
            memcpy(s->io->record + total, parts[i].iov_base, take);
            total += take;
        }
        n = stream_tls_write(s, s->io->record, total);
    } else if (count == 1) {
        n = send(s->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
        n = n < 0 ? -errno : n;
    } else {
        struct msghdr msg = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
        n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
        n = n < 0 ? -errno : n;
    }
    if (n > 0)
        net_count(NET_BYTES_OUT, (uint64_t)n);
    return n;
}

/* Advances *parts by n bytes. */
static void parts_skip(struct iovec **parts, int *count, size_t n)
{
    while (*count > 0 && n >= (*parts)->iov_len) {
        n -= (*parts)->iov_len;
        (*parts)++;
        (*count)--;
    }
    if (n > 0) {
        (*parts)->iov_base = (uint8_t *)(*parts)->iov_base + n;
        (*parts)->iov_len -= n;
    }
}

/* Sends at once what the socket takes; *parts is what is left. TLS takes a record at a time. */
static void send_parts(struct stream *s, struct iovec **parts, int *count)
{
    s->is_cut = false;
    if (s->out_head || s->is_handshaking)
        return;
    while (*count > 0) {
        ssize_t n = write_parts(s, *parts, *count);
        if (n == -EAGAIN || n == -EINTR)
            return;
        if (n < 0) {
            stream_abort(s);
            return;
        }
        parts_skip(parts, count, (size_t)n);
        s->is_cut = *count > 0;
    }
}

void stream_cork(struct stream *s)
{
    s->io->corked = s;
    s->io->cork_n = 0;
}

/* Sends what is in the cork, if it is this stream's, and then the parts, as far as the socket takes
 * them. Returns how many parts of *left are left; `storage` holds them. */
static int send_with_cork(struct stream *s, const struct iovec *parts, int count,
                          struct iovec storage[PARTS_MAX + 1], struct iovec **left)
{
    int left_count = 0;
    if (s->io->corked == s && s->io->cork_n > 0) {
        storage[left_count++] = (struct iovec){s->io->cork, s->io->cork_n};
        s->io->cork_n = 0;
    }
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len > 0)
            storage[left_count++] = parts[i];
    *left = storage;
    send_parts(s, left, &left_count);
    return left_count;
}

/* Queues a copy of what the socket does not take. */
static void send_copying(struct stream *s, const struct iovec *parts, int count)
{
    struct iovec storage[PARTS_MAX + 1];
    struct iovec *left;
    int left_count = send_with_cork(s, parts, count, storage, &left);
    if (s->is_closing)
        return;
    queue_copy(s, left, left_count);
    stream_update_poll(s);
}

void stream_uncork(struct stream *s)
{
    if (!s->is_closing)
        send_copying(s, NULL, 0);
    s->io->corked = NULL;
    if (s->is_finishing && !s->is_closing && !s->out_head && !s->is_shut)
        stream_shut(s);
}

/* True when the parts found room in the cork. */
static bool cork_parts(struct stream *s, const struct iovec *parts, int count)
{
    struct stream_io *io = s->io;
    if (io->corked != s)
        return false;
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    if (total > STREAM_CORK_BYTES - io->cork_n)
        return false;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0)
            memcpy(io->cork + io->cork_n, parts[i].iov_base, parts[i].iov_len);
        io->cork_n += parts[i].iov_len;
    }
    return true;
}

static bool is_sending(const struct stream *s)
{
    return !s->is_closing && !s->is_finishing;
}

void stream_send(struct stream *s, const struct iovec *parts, int count)
{
    if (is_sending(s) && !cork_parts(s, parts, count))
        send_copying(s, parts, count);
}

void stream_send_shared(struct stream *s, const struct iovec *parts, int count,
                        stream_release_fn *release, void *arg)
{
    if (!is_sending(s) || cork_parts(s, parts, count)) {
        release(arg);
        return;
    }
    struct iovec storage[PARTS_MAX + 1];
    struct iovec *left;
    int left_count = send_with_cork(s, parts, count, storage, &left);
    if (s->is_closing || left_count == 0) {
        release(arg);
        return;
    }
    queue_copy(s, left, left_count - 1);
    stream_queue_shared(s, left[left_count - 1].iov_base, left[left_count - 1].iov_len, release,
                        arg);
}

size_t stream_send_now(struct stream *s, const void *bytes, size_t n)
{
    if (!is_sending(s))
        return 0;
    struct iovec part = {(void *)bytes, n};
    struct iovec *parts = &part;
    int count = 1;
    if (s->io->corked == s) {
        if (cork_parts(s, parts, count))
            return n;
        send_copying(s, NULL, 0);
        if (s->is_closing)
            return 0;
    }
    send_parts(s, &parts, &count);
    return count == 0 ? n : n - part.iov_len;
}

static size_t bytes_of(const struct iovec *parts, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += parts[i].iov_len;
    return n;
}

size_t stream_send_parts_now(struct stream *s, struct iovec *parts, int count)
{
    size_t total = bytes_of(parts, count);
    if (!is_sending(s))
        return 0;
    if (s->io->corked == s) {
        if (cork_parts(s, parts, count))
            return total;
        send_copying(s, NULL, 0);
        if (s->is_closing)
            return 0;
    }
    send_parts(s, &parts, &count);
    return total - bytes_of(parts, count);
}

void stream_queue_shared(struct stream *s, const void *bytes, size_t n, stream_release_fn *release,
                         void *arg)
{
    if (!is_sending(s)) {
        release(arg);
        return;
    }
    struct stream_chunk *c = mem_alloc(sizeof(*c));
    *c = (struct stream_chunk){.p = bytes, .n = n, .fd = -1, .release = release, .arg = arg};
    chunk_add(s, c);
    stream_update_poll(s);
}

void stream_send_file(struct stream *s, int fd, int64_t offset, int64_t n)
{
    if (!is_sending(s) || n <= 0) {
        close(fd);
        return;
    }
    send_copying(s, NULL, 0); /* the cork comes first */
    if (s->is_closing) {
        close(fd);
        return;
    }
    struct stream_chunk *c = mem_alloc(sizeof(*c));
    *c = (struct stream_chunk){.n = (size_t)n, .fd = fd, .offset = offset};
    chunk_add(s, c);
    stream_update_poll(s);
}

static ssize_t flush_file(struct stream *s, struct stream_chunk *c)
{
    ssize_t n;
    if (s->ssl) {
        n = pread(c->fd, s->io->record, MIN(c->n, (size_t)STREAM_TLS_RECORD_BYTES), c->offset);
        if (n > 0)
            n = stream_tls_write(s, s->io->record, (size_t)n);
        else
            n = n < 0 ? -errno : -ENODATA;
    } else {
        off_t offset = c->offset;
        n = sendfile(s->fd, c->fd, &offset, MIN(c->n, (size_t)FILE_STEP_BYTES));
        n = n < 0 ? -errno : n == 0 ? -ENODATA : n;
    }
    if (n > 0) {
        c->offset += n;
        net_count(NET_BYTES_OUT, (uint64_t)n);
    }
    return n;
}

static ssize_t flush_bytes(struct stream *s)
{
    struct iovec parts[FLUSH_PARTS_MAX];
    int count = 0;
    for (struct stream_chunk *c = s->out_head; c && c->fd < 0 && count < FLUSH_PARTS_MAX;
         c = c->next)
        parts[count++] = (struct iovec){(void *)c->p, c->n};
    return write_parts(s, parts, count);
}

/* Takes n sent bytes off the queue. */
static void out_sent(struct stream *s, size_t n)
{
    s->out_bytes -= n;
    s->progress_us = loop_now_us(s->io->loop);
    while (n > 0) {
        struct stream_chunk *c = s->out_head;
        size_t step = MIN(n, c->n);
        c->n -= step;
        c->is_begun = true;
        if (c->fd < 0)
            c->p += step;
        n -= step;
        if (c->n > 0)
            return;
        s->out_head = c->next;
        if (!s->out_head)
            s->out_tail = NULL;
        chunk_free(c);
    }
}

void stream_flush(struct stream *s)
{
    for (int round = 0; s->out_head && round < FLUSH_ROUNDS; round++) {
        ssize_t n = s->out_head->fd >= 0 ? flush_file(s, s->out_head) : flush_bytes(s);
        if (n == -EAGAIN || n == -EINTR)
            return;
        if (n < 0) {
            stream_abort(s);
            return;
        }
        out_sent(s, (size_t)n);
    }
    if (s->out_head)
        return;
    if (s->is_finishing) {
        if (!s->is_shut)
            stream_shut(s);
    } else if (s->handler->on_sent) {
        s->handler->on_sent(s);
    }
}
