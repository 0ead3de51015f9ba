/* tcp_proxy: see the header. One thread polls everything; a test's handful of connections. */
#include "tcp_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX 64

struct tcp_proxy {
    int listener;
    uint16_t port, to_port;
    pthread_t thread;
    atomic_int mode, seen;
    atomic_bool is_over;
    int pairs[PAIRS_MAX][2];
    int count;
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void reset(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

static void drop_pair(struct tcp_proxy *p, int i)
{
    reset(p->pairs[i][0]);
    reset(p->pairs[i][1]);
    p->count--;
    p->pairs[i][0] = p->pairs[p->count][0];
    p->pairs[i][1] = p->pairs[p->count][1];
}

static void take(struct tcp_proxy *p)
{
    int in = accept(p->listener, NULL, NULL);
    int out = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = loopback(p->to_port);
    if (in < 0 || p->mode == TCP_PROXY_CUT || p->count == PAIRS_MAX ||
        connect(out, (struct sockaddr *)&to, sizeof(to)) != 0) {
        reset(in);
        close(out);
        return;
    }
    p->pairs[p->count][0] = in;
    p->pairs[p->count++][1] = out;
}

static bool pass(int from, int to)
{
    char bytes[16384];
    ssize_t n = read(from, bytes, sizeof(bytes));
    for (ssize_t at = 0; at < n;) {
        ssize_t sent = write(to, bytes + at, (size_t)(n - at));
        if (sent <= 0)
            return false;
        at += sent;
    }
    return n > 0;
}

static void turn(struct tcp_proxy *p)
{
    struct pollfd fds[1 + 2 * PAIRS_MAX] = {{.fd = p->listener, .events = POLLIN}};
    int held = p->mode == TCP_PROXY_HELD;
    while (p->mode == TCP_PROXY_CUT && p->count)
        drop_pair(p, 0);
    p->seen = p->mode;
    for (int i = 0; i < 2 * p->count && !held; i++)
        fds[1 + i] = (struct pollfd){.fd = p->pairs[i / 2][i % 2], .events = POLLIN};
    int count = p->count;
    if (poll(fds, held ? 1 : 1 + 2 * (nfds_t)count, 20) <= 0)
        return;
    for (int i = count - 1; i >= 0 && !held; i--)
        for (int side = 0; side < 2; side++)
            if (fds[1 + 2 * i + side].revents && !pass(p->pairs[i][side], p->pairs[i][!side])) {
                drop_pair(p, i);
                break;
            }
    if (fds[0].revents)
        take(p);
}

static void *run(void *arg)
{
    struct tcp_proxy *p = arg;
    while (!p->is_over)
        turn(p);
    while (p->count)
        drop_pair(p, 0);
    return NULL;
}

struct tcp_proxy *tcp_proxy_start(uint16_t to_port)
{
    struct tcp_proxy *p = calloc(1, sizeof(*p));
    struct sockaddr_in at = loopback(0);
    socklen_t n = sizeof(at);
    p->to_port = to_port;
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(p->listener, (struct sockaddr *)&at, n) != 0 || listen(p->listener, 16) != 0 ||
        getsockname(p->listener, (struct sockaddr *)&at, &n) != 0)
        abort();
    p->port = ntohs(at.sin_port);
    pthread_create(&p->thread, NULL, run, p);
    return p;
}

void tcp_proxy_set(struct tcp_proxy *p, enum tcp_proxy_mode mode)
{
    p->mode = (int)mode;
    while (p->seen != (int)mode)
        usleep(1000);
}

uint16_t tcp_proxy_port(const struct tcp_proxy *p)
{
    return p->port;
}

void tcp_proxy_stop(struct tcp_proxy **proxy)
{
    struct tcp_proxy *p = *proxy;
    p->is_over = true;
    pthread_join(p->thread, NULL);
    close(p->listener);
    free(p);
    *proxy = NULL;
}
