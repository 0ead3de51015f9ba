/* ws_client: RFC 6455 from the client's side, as far as the tests need it. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "ws_client.h"

static bool read_all(int fd, void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        ssize_t got = read(fd, p, n);
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

void ws_client_open(struct ws_client *c, uint16_t port, const char *path, const char *headers)
{
    char text[1000];
    *c = (struct ws_client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    const int one = 1;
    struct timeval most = {.tv_sec = 20};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
    int n = snprintf(
        text, sizeof(text),
        "GET %s HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
        path, headers);
    assert_int_equal(write(c->fd, text, (size_t)n), n);
    size_t got = 0;
    while (got < sizeof(text) - 1 && (got < 4 || memcmp(text + got - 4, "\r\n\r\n", 4) != 0))
        assert_true(read_all(c->fd, text + got++, 1));
    text[got] = '\0';
    assert_int_equal(strncmp(text, "HTTP/1.1 101", 12), 0);
    assert_non_null(strstr(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

static void send_frame(struct ws_client *c, uint8_t opcode, const void *payload, size_t n)
{
    uint8_t header[14] = {(uint8_t)(0x80 | opcode)};
    size_t at = 2;
    if (n < 126) {
        header[1] = (uint8_t)(0x80 | n);
    } else {
        header[1] = 0x80 | 126;
        header[2] = (uint8_t)(n >> 8);
        header[3] = (uint8_t)n;
        at = 4;
    }
    memset(header + at, 0, 4); /* a mask of zeros is a mask */
    assert_int_equal(write(c->fd, header, at + 4), at + 4);
    if (n)
        assert_int_equal(write(c->fd, payload, n), n);
}

void ws_client_send(struct ws_client *c, const char *json)
{
    send_frame(c, 1, json, strlen(json));
}

json_t *ws_client_next(struct ws_client *c)
{
    static char payload[1 << 18];
    for (;;) {
        uint8_t header[2];
        uint8_t length[8];
        if (!read_all(c->fd, header, 2))
            return NULL;
        size_t n = header[1] & 0x7f;
        if (n == 126) {
            assert_true(read_all(c->fd, length, 2));
            n = (size_t)length[0] << 8 | length[1];
        } else if (n == 127) {
            assert_true(read_all(c->fd, length, 8));
            n = (size_t)length[5] << 16 | (size_t)length[6] << 8 | length[7];
        }
        assert_true(n < sizeof(payload) && read_all(c->fd, payload, n));
        if ((header[0] & 0x0f) == 1) {
            json_t *json = json_loadb(payload, n, 0, NULL);
            assert_non_null(json);
            return json;
        }
        if ((header[0] & 0x0f) == 8) {
            c->close_code =
                n >= 2 ? (unsigned)(uint8_t)payload[0] << 8 | (uint8_t)payload[1] : 1005;
            send_frame(c, 8, payload, n >= 2 ? 2 : 0);
            return NULL;
        }
    }
}

void ws_client_cut(struct ws_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}
