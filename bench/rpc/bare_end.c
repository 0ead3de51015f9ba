/*
 * rpc_bare: what a call costs before anything is said in it. As many bytes as a call of ours has go
 * there and back over a connection between two processes that wait with epoll; nothing is packed,
 * nobody proves anything. Each end makes three system calls a turn and sleeps once, as the others.
 *
 *   rpc_bare server PORT
 *   rpc_bare client PORT 1 SECONDS
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "rpc/said.h"

#define QUESTION_BYTES 82 /* as strace shows them of rpc_parlance, from the second call on */
#define ANSWER_BYTES 261
#define WAIT_MS 1000

static char bytes[65536];

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        abort();
}

/* Waits, then takes what is there: n bytes, 0 at the end. */
static ssize_t take(int epoll, int fd)
{
    struct epoll_event event;
    while (epoll_wait(epoll, &event, 1, WAIT_MS) < 1)
        ;
    return recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
}

static int serve(int port)
{
    struct sockaddr_in address = loopback(port);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 16) != 0)
        return 1;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        int epoll = epoll_create1(0);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        watch(epoll, fd);
        while (take(epoll, fd) > 0)
            if (send(fd, bytes, ANSWER_BYTES, MSG_NOSIGNAL) != ANSWER_BYTES)
                break;
        close(epoll);
    }
    return 1;
}

static uint64_t calls, wrong;

static void run(int epoll, int fd, int64_t run_us)
{
    int64_t until_us = clock_mono_us() + run_us;
    calls = wrong = 0;
    while (clock_mono_us() < until_us) {
        bool is_right = send(fd, bytes, QUESTION_BYTES, MSG_NOSIGNAL) == QUESTION_BYTES &&
                        take(epoll, fd) == ANSWER_BYTES;
        is_right ? calls++ : wrong++;
    }
}

static int measure(int port, unsigned seconds)
{
    struct sockaddr_in address = loopback(port);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return 1;
    watch(epoll, fd);
    run(epoll, fd, 200000);
    said_ready();
    said_wait();
    int64_t start_us = clock_mono_us();
    run(epoll, fd, (int64_t)seconds * 1000000);
    said_done(calls, wrong, (double)(clock_mono_us() - start_us) / 1e6);
    said_wait();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "server") == 0)
        return serve(atoi(argv[2]));
    if (argc == 5 && strcmp(argv[1], "client") == 0 && strcmp(argv[3], "1") == 0)
        return measure(atoi(argv[2]), (unsigned)atoi(argv[4]));
    fprintf(stderr, "usage: rpc_bare server PORT | client PORT 1 SECONDS\n");
    return 2;
}
