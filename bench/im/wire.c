/* Sockets, and WebSocket frames in as little as a client needs: masks of zeros, no fragments. */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 512

struct client *clients;
int client_count;
static int epoll_fd;
static char buffer[256 * 1024];

void wire_init(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
}

static void fail(const char *what)
{
    fprintf(stderr, "im_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

void wire_send(struct client *c, const void *bytes, size_t n)
{
    client_send(c->fd, bytes, n);
}

void wire_open(struct client *c)
{
    c->fd = client_connect(opt.other_port && c->number % 2 ? opt.other_port : opt.port);
    c->stage = 0;
    c->is_ready = c->is_gone = false;
    opt.protocol->begin(c);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0)
        fail("epoll_ctl");
}

/* By a reset, so that no port waits behind it. */
void wire_close(struct client *c)
{
    struct linger at_once = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    c->fd = -1;
    strbuf_deinit(&c->in);
}

/* ---- reading ---- */

/* Most messages come whole: what did is taken where it lies, and only the rest is kept. */
static void take(struct client *c, const char *p, size_t n)
{
    bool is_kept = c->in.n > 0;
    if (is_kept) {
        strbuf_add(&c->in, p, n);
        p = c->in.p;
        n = c->in.n;
    }
    size_t at = 0, used = 1;
    int fd = c->fd;
    while (at < n && used && c->fd == fd) {
        used = opt.protocol->take(c, p + at, n - at);
        at += used;
    }
    if (c->fd != fd)
        return; /* closed meanwhile, and perhaps opened anew */
    if (is_kept && at < n) {
        memmove(c->in.p, c->in.p + at, n - at);
        c->in.n = n - at;
    } else if (is_kept) {
        strbuf_deinit(&c->in);
    } else if (at < n) {
        strbuf_add(&c->in, p + at, n - at);
    }
}

static void read_client(struct client *c)
{
    ssize_t n = c->fd < 0 ? -1 : recv(c->fd, buffer, sizeof(buffer), 0);
    if (c->fd < 0 || (n < 0 && errno == EAGAIN))
        return;
    if (n > 0) {
        take(c, buffer, (size_t)n);
        return;
    }
    wire_close(c);
    c->is_gone = true;
    load_gone(c);
}

int wire_poll(int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++)
        read_client(events[i].data.ptr);
    return count;
}

/* ---- WebSocket ---- */

void wire_send_text(struct client *c, struct str text)
{
    static char frame[64 * 1024];
    size_t at = 0;
    frame[at++] = (char)0x81;
    if (text.n < 126) {
        frame[at++] = (char)(0x80 | text.n);
    } else {
        frame[at++] = (char)(0x80 | 126);
        frame[at++] = (char)(text.n >> 8);
        frame[at++] = (char)text.n;
    }
    memset(frame + at, 0, 4); /* a mask of zeros: what is sent is what is meant */
    memcpy(frame + at + 4, text.p, text.n);
    wire_send(c, frame, at + 4 + text.n);
}

size_t wire_take_frame(struct client *c, const char *p, size_t n, struct str *payload)
{
    const uint8_t *b = (const uint8_t *)p;
    *payload = (struct str){0};
    if (n < 2)
        return 0;
    size_t length = b[1] & 0x7f, head = length < 126 ? 2 : length == 126 ? 4 : 10;
    if (n < head)
        return 0;
    if (head > 2) {
        length = 0;
        for (size_t i = 2; i < head; i++)
            length = length << 8 | b[i];
    }
    if (n < head + length)
        return 0;
    unsigned opcode = b[0] & 0x0f;
    if (opcode == 9) /* an empty ping, as servers send */
        wire_send(c, "\x8a\x80\0\0\0\0", 6);
    else if (opcode <= 2)
        *payload = (struct str){p + head, length};
    return head + length;
}

size_t wire_take_upgrade(const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (n < 12 || memcmp(p, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "im_load: the handshake was answered with %.*s\n", (int)MIN(n, 200), p);
        exit(1);
    }
    return (size_t)(end - p) + 4;
}
