/*
 * h2_dial: resolves on libuv's threads, connects without blocking. Each address gets an equal part
 * of the time that is left, so that one which swallows packets does not use it all up.
 */
#include "grpc/h2_dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"

#define ADDRESSES_MAX 8

struct h2_dial {
    struct loop *loop;
    uv_getaddrinfo_t resolving;
    uv_poll_t poll;
    struct loop_timer timer;
    h2_dial_fn *done;
    void *arg;
    int64_t until_us;
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    socklen_t sizes[ADDRESSES_MAX];
    size_t count, at;
    int fd;
    enum err err;
    char why[160];
    bool is_resolving, is_over;
};

static void try_next(struct h2_dial *d);

static void free_if_over(struct h2_dial *d)
{
    if (d->is_over && !d->is_resolving && d->fd < 0)
        free(d);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct h2_dial *d = CONTAINER_OF((uv_poll_t *)handle, struct h2_dial, poll);
    d->fd = -1;
    if (d->is_over)
        free_if_over(d);
    else
        try_next(d);
}

static void finish(struct h2_dial *d, int fd)
{
    loop_timer_stop(&d->timer);
    d->is_over = true;
    d->done(d->arg, fd, d->err, d->why);
}

static void fail(struct h2_dial *d, enum err err, const char *why)
{
    d->err = err;
    snprintf(d->why, sizeof(d->why), "%s", why);
}

/* This address has answered, or its time is over: the poll's end leads to the next one. */
static void give_up(struct h2_dial *d, const char *why)
{
    fail(d, ERR_UNAVAILABLE, why);
    loop_timer_stop(&d->timer);
    if (uv_is_closing((uv_handle_t *)&d->poll))
        return;
    uv_close((uv_handle_t *)&d->poll, on_poll_closed);
    close(d->fd);
}

static void on_late(void *arg)
{
    give_up(arg, "no answer");
}

static void on_connected(uv_poll_t *poll, int status, int events)
{
    struct h2_dial *d = CONTAINER_OF(poll, struct h2_dial, poll);
    int error = 0;
    socklen_t n = sizeof(error);
    if (status < 0 || getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = EIO;
    if (error) {
        give_up(d, strerror(error));
        return;
    }
    /* libuv has forgotten the number when uv_close returns. */
    uv_close((uv_handle_t *)&d->poll, on_poll_closed);
    finish(d, d->fd);
}

static void try_next(struct h2_dial *d)
{
    while (d->at < d->count) {
        size_t i = d->at++;
        int one = 1;
        d->fd = socket(d->addresses[i].ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (d->fd < 0) {
            fail(d, err_from_errno(errno), strerror(errno));
            continue;
        }
        (void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if ((connect(d->fd, (struct sockaddr *)&d->addresses[i], d->sizes[i]) != 0 &&
             errno != EINPROGRESS) ||
            uv_poll_init(loop_uv(d->loop), &d->poll, d->fd) != 0) {
            fail(d, ERR_UNAVAILABLE, strerror(errno));
            close(d->fd);
            d->fd = -1;
            continue;
        }
        int64_t left_us = MAX(d->until_us - loop_now_us(d->loop), (int64_t)1000);
        uv_poll_start(&d->poll, UV_WRITABLE, on_connected);
        loop_timer_start(d->loop, &d->timer, left_us / 1000 / (int64_t)(d->count - i), on_late, d);
        return;
    }
    finish(d, -1);
    free_if_over(d);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct h2_dial *d = CONTAINER_OF(req, struct h2_dial, resolving);
    d->is_resolving = false;
    if (d->is_over) {
        uv_freeaddrinfo(found);
        free_if_over(d);
        return;
    }
    if (status < 0)
        fail(d, ERR_UNAVAILABLE, uv_strerror(status));
    for (struct addrinfo *ai = found; ai && d->count < ADDRESSES_MAX; ai = ai->ai_next) {
        memcpy(&d->addresses[d->count], ai->ai_addr, ai->ai_addrlen);
        d->sizes[d->count++] = ai->ai_addrlen;
    }
    uv_freeaddrinfo(found);
    try_next(d);
}

/* uv_getaddrinfo would not even begin. */
static void on_stillborn(void *arg)
{
    struct h2_dial *d = arg;
    finish(d, -1);
    free_if_over(d);
}

struct h2_dial *h2_dial_start(struct loop *loop, const char *host, uint16_t port,
                              int64_t timeout_ms, h2_dial_fn *done, void *arg)
{
    struct h2_dial *d = mem_new(struct h2_dial);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[8];
    d->loop = loop;
    d->done = done;
    d->arg = arg;
    d->fd = -1;
    d->until_us = loop_now_us(loop) + timeout_ms * 1000;
    fail(d, ERR_UNAVAILABLE, "no address");
    snprintf(service, sizeof(service), "%u", port);
    int rc = uv_getaddrinfo(loop_uv(loop), &d->resolving, on_resolved, host, service, &hints);
    d->is_resolving = rc == 0;
    if (rc != 0) {
        fail(d, err_from_uv(rc), uv_strerror(rc));
        loop_timer_start(loop, &d->timer, 0, on_stillborn, d);
    }
    return d;
}

void h2_dial_cancel(struct h2_dial **dial)
{
    struct h2_dial *d = *dial;
    *dial = NULL;
    if (!d)
        return;
    d->is_over = true;
    loop_timer_stop(&d->timer);
    if (d->is_resolving)
        uv_cancel((uv_req_t *)&d->resolving);
    else if (d->fd >= 0 && !uv_is_closing((uv_handle_t *)&d->poll)) {
        uv_close((uv_handle_t *)&d->poll, on_poll_closed);
        close(d->fd);
    } else
        free_if_over(d);
}
