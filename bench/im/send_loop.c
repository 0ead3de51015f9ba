/*
 * send_loop: the least that telling many can cost: what is posted to /pub goes out to every socket
 * of /sub by one send() each, framed once, one thread, nothing kept, nobody asked.
 *
 *   send_loop PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"

#define LISTENERS_MAX 20000

static int listeners[LISTENERS_MAX];
static int listener_count;

static void send_whole(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

static void tell_all(const char *body, size_t n)
{
    static char frame[66000];
    size_t at = 0;
    frame[at++] = (char)0x81;
    if (n < 126) {
        frame[at++] = (char)n;
    } else {
        frame[at++] = 126;
        frame[at++] = (char)(n >> 8);
        frame[at++] = (char)n;
    }
    memcpy(frame + at, body, n);
    for (int i = 0; i < listener_count; i++)
        send_whole(listeners[i], frame, at + n);
}

/* A request, which comes whole: it is small, and there is one client. */
static void on_request(int fd)
{
    static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                   "Connection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static const char done[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    static char request[66000];
    ssize_t n = recv(fd, request, sizeof(request) - 1, 0);
    if (n <= 0) {
        for (int i = 0; i < listener_count; i++)
            if (listeners[i] == fd)
                listeners[i] = listeners[--listener_count];
        close(fd);
        return;
    }
    request[n] = '\0';
    if (strncmp(request, "GET /sub ", 9) == 0 && listener_count < LISTENERS_MAX) {
        listeners[listener_count++] = fd;
        send_whole(fd, upgraded, sizeof(upgraded) - 1);
    } else if (strncmp(request, "POST /pub ", 10) == 0) {
        const char *body = strstr(request, "\r\n\r\n");
        tell_all(body + 4, (size_t)(request + n - body) - 4);
        send_whole(fd, done, sizeof(done) - 1);
    }
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    if (argc != 2) {
        fprintf(stderr, "usage: send_loop PORT\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(argv[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0), epoll_fd = epoll_create1(0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 4096) != 0) {
        perror("send_loop");
        return 1;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd}, got[256];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    for (;;) {
        int count = epoll_wait(epoll_fd, got, ARRAY_LEN(got), -1);
        for (int i = 0; i < count; i++) {
            if (got[i].data.fd != fd) {
                on_request(got[i].data.fd);
                continue;
            }
            e.data.fd = accept(fd, NULL, NULL);
            setsockopt(e.data.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, e.data.fd, &e);
        }
    }
}
