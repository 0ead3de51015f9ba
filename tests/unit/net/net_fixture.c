#include "net_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/ws_parse_internal.h"

#define DEADLINE_S 10

void fixture_start(struct fixture *f, struct net_server_options opt)
{
    for (int i = 0; i < FIXTURE_LOOPS; i++)
        if (!f->loops[i])
            assert_int_equal(loop_create(&f->loops[i], "test"), ERR_OK);
    opt.name = opt.name ? opt.name : "test";
    opt.loops = f->loops;
    opt.loop_count = opt.loop_count ? opt.loop_count : FIXTURE_LOOPS;
    opt.host = "127.0.0.1";
    opt.tls = f->tls;
    assert_int_equal(net_server_create(&f->server, &opt), ERR_OK);
}

void fixture_stop(struct fixture *f)
{
    net_server_destroy(&f->server);
    assert_null(f->server);
    for (int i = 0; i < FIXTURE_LOOPS; i++)
        loop_destroy(&f->loops[i]);
    net_tls_destroy(&f->tls);
    if (f->dir[0]) {
        char path[128];
        snprintf(path, sizeof(path), "%s/fullchain.pem", f->dir);
        unlink(path);
        snprintf(path, sizeof(path), "%s/privkey.pem", f->dir);
        unlink(path);
        rmdir(f->dir);
        f->dir[0] = '\0';
    }
}

const char *fixture_dir(struct fixture *f)
{
    if (!f->dir[0]) {
        strcpy(f->dir, "/tmp/net-test-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
    }
    return f->dir;
}

static void set_deadline(int fd)
{
    struct timeval t = {.tv_sec = DEADLINE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

void client_connect(struct client *c, struct fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(net_server_port(f->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(c->fd >= 0);
    set_deadline(c->fd);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

void client_connect_tls(struct client *c, struct fixture *f)
{
    client_connect(c, f);
    c->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_options(c->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    c->ssl = SSL_new(c->ctx);
    SSL_set_alpn_protos(c->ssl, (const unsigned char *)"\x08http/1.1", 9);
    SSL_set_fd(c->ssl, c->fd);
    assert_int_equal(SSL_connect(c->ssl), 1);
}

void client_connect_unix(struct client *c, const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
    *c = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    set_deadline(c->fd);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

void client_close(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
    strbuf_deinit(&c->in);
    *c = (struct client){.fd = -1};
}

void client_send(struct client *c, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = c->ssl ? SSL_write(c->ssl, bytes.p, (int)bytes.n)
                           : send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server may rightly have closed; what is read next tells */
        bytes = str_sub(bytes, (size_t)n, SIZE_MAX);
    }
}

void client_sends(struct client *c, const char *text)
{
    client_send(c, str_from(text));
}

void client_send_in_steps(struct client *c, struct str bytes, size_t step)
{
    for (size_t at = 0; at < bytes.n; at += step)
        client_send(c, str_sub(bytes, at, step));
}

void client_shut(struct client *c)
{
    shutdown(c->fd, SHUT_WR);
}

bool client_read_some(struct client *c)
{
    char *to = strbuf_reserve(&c->in, 65536);
    ssize_t n = c->ssl ? SSL_read(c->ssl, to, 65536) : recv(c->fd, to, 65536, 0);
    if (n < 0 && !c->ssl && (errno == EAGAIN || errno == EWOULDBLOCK))
        fail_msg("the server kept the client waiting for %d s", DEADLINE_S);
    if (n <= 0)
        return false;
    c->in.n += (size_t)n;
    return true;
}

void client_consume(struct client *c, size_t n)
{
    memmove(c->in.p, c->in.p + n, c->in.n - n);
    c->in.n -= n;
}

struct str client_header(struct str head, const char *name)
{
    struct str line;
    size_t n = strlen(name);
    while (str_cut(&head, '\n', &line)) {
        line = str_trim(line);
        if (line.n > n && line.p[n] == ':' && strncasecmp(line.p, name, n) == 0)
            return str_trim(str_sub(line, n + 1, SIZE_MAX));
    }
    return STR_NULL;
}

struct client_response client_read_response(struct client *c, bool is_head)
{
    struct client_response r = {0};
    const char *end;
    while (c->in.n == 0 || !(end = memmem(c->in.p, c->in.n, "\r\n\r\n", 4)))
        if (!client_read_some(c))
            return r;
    size_t head_n = (size_t)(end - c->in.p) + 4;
    struct str length = client_header((struct str){c->in.p, head_n}, "Content-Length");
    uint64_t body_n = 0;
    if (length.p && !is_head)
        assert_true(str_to_u64(length, &body_n));
    while (c->in.n < head_n + body_n)
        if (!client_read_some(c))
            return r;
    /* Moved behind the buffer's end, so that the next answer may take its place. */
    static char copy[4 * 1024 * 1024];
    assert_true(head_n + body_n < sizeof(copy));
    memcpy(copy, c->in.p, head_n + body_n);
    client_consume(c, head_n + body_n);
    r.head = (struct str){copy, head_n};
    r.body = (struct str){copy + head_n, body_n};
    r.status = atoi(copy + 9);
    return r;
}

struct client_response client_get(struct client *c, const char *text)
{
    client_sends(c, text);
    return client_read_response(c, false);
}

bool client_is_closed(struct client *c)
{
    return c->in.n == 0 && !client_read_some(c);
}

void client_ws_open(struct client *c, const char *path, const char *extra_headers)
{
    struct strbuf request = {0};
    strbuf_printf(&request,
                  "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                  path, extra_headers);
    client_send(c, strbuf_str(&request));
    strbuf_deinit(&request);
    struct client_response r = client_read_response(c, true);
    assert_int_equal(r.status, 101);
    /* The example of RFC 6455, 1.3. */
    assert_true(
        str_eq(client_header(r.head, "Sec-WebSocket-Accept"), STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
}

void client_ws_encode(struct strbuf *out, unsigned opcode, struct str payload, unsigned flags)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t header[WS_HEADER_MAX];
    size_t n = ws_header_write(header, (uint8_t)opcode, payload.n);
    if (flags & CLIENT_WS_NOT_FINAL)
        header[0] &= 0x7f;
    if (flags & CLIENT_WS_RSV1)
        header[0] |= 0x40;
    if (flags & CLIENT_WS_RSV2)
        header[0] |= 0x20;
    if (flags & CLIENT_WS_RSV3)
        header[0] |= 0x10;
    bool is_masked = !(flags & CLIENT_WS_UNMASKED);
    if (is_masked)
        header[1] |= 0x80;
    strbuf_add(out, header, n);
    if (is_masked)
        strbuf_add(out, mask, 4);
    size_t start = out->n;
    strbuf_add(out, payload.p ? payload.p : "", payload.n);
    for (size_t i = 0; is_masked && i < payload.n; i++)
        out->p[start + i] = (char)((uint8_t)out->p[start + i] ^ mask[i & 3]);
}

void client_ws_send(struct client *c, unsigned opcode, struct str payload, unsigned flags)
{
    struct strbuf frame = {0};
    client_ws_encode(&frame, opcode, payload, flags);
    client_send(c, strbuf_str(&frame));
    strbuf_deinit(&frame);
}

static bool need(struct client *c, size_t n)
{
    while (c->in.n < n)
        if (!client_read_some(c))
            return false;
    return true;
}

struct client_ws_frame client_ws_read(struct client *c)
{
    static char copy[17 * 1024 * 1024];
    struct client_ws_frame f = {0};
    if (!need(c, 2))
        return f;
    const uint8_t *b = (const uint8_t *)c->in.p;
    unsigned short_n = b[1];
    assert_true(b[0] & 0x80);  /* we never fragment */
    assert_false(b[1] & 0x80); /* nor mask */
    size_t header_n = short_n == 127 ? 10 : short_n == 126 ? 4 : 2;
    if (!need(c, header_n))
        return f;
    b = (const uint8_t *)c->in.p;
    uint64_t n = short_n < 126 ? short_n : 0;
    for (size_t i = 2; i < header_n; i++)
        n = n << 8 | b[i];
    assert_true(n < sizeof(copy));
    if (!need(c, header_n + n))
        return f;
    f.opcode = (uint8_t)c->in.p[0] & 0x0f;
    f.is_deflated = c->in.p[0] & 0x40;
    f.is_there = true;
    memcpy(copy, c->in.p + header_n, n);
    client_consume(c, header_n + n);
    f.payload = (struct str){copy, n};
    return f;
}

unsigned client_ws_read_close(struct client *c)
{
    struct client_ws_frame f = client_ws_read(c);
    if (!f.is_there || f.opcode != WS_WIRE_CLOSE)
        return 0;
    if (f.payload.n < 2)
        return WS_CLOSE_NO_STATUS;
    return (unsigned)(uint8_t)f.payload.p[0] << 8 | (uint8_t)f.payload.p[1];
}
