/*
 * ws_load: many WebSocket clients in one thread, for bench-ws. Opens the sockets, says so, waits
 * for a line on stdin (the runner reads the server's CPU and memory meanwhile), works for so many
 * seconds, prints one line of JSON of what it received, and holds the sockets until stdin ends.
 *
 *   ws_load echo|broadcast|idle PORT PATH CONNECTIONS BYTES SECONDS [PUBLISH_PATH BURST]
 *
 * A "%d" in PATH becomes the number of the connection. WS_LOAD_HEADERS is sent with each handshake.
 * echo: each connection sends a message and, when it is back, the next. broadcast: BURST messages
 * are posted to PUBLISH_PATH at once, and, when every connection has them, the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/str.h"

#define OPENING_MAX 64 /* handshakes under way at once */
#define MESSAGE_MAX 4096
#define BURST_MAX 16
#define STUCK_US 10000000
#define EVENTS 512

enum state { OPENING, OPEN, GONE };

struct client {
    int fd;
    uint8_t state;
    uint8_t header[10]; /* of the frame under way, as far as it has come */
    uint8_t header_n;
    uint64_t payload_left;
    unsigned head_matched; /* of the blank line that ends the handshake */
    unsigned head_n;
    char status[13];
};

static struct {
    const char *mode, *path, *publish_path, *headers;
    int port, connections, bytes, seconds, burst;
    int epoll_fd, publish_fd;
    struct client *clients;
    int opening, open, gone;
    uint64_t received; /* whole messages of the right size */
    uint64_t wrong;
    bool is_echoing;
    uint8_t frame[MESSAGE_MAX + 8]; /* a masked message */
    size_t frame_n;
    char read_buffer[256 * 1024];
} load;

static void fail(const char *what)
{
    fprintf(stderr, "ws_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- sockets ---- */

static void send_handshake(struct client *c, int number)
{
    struct strbuf b = {0};
    const char *mark = strstr(load.path, "%d");
    if (mark)
        strbuf_printf(&b, "GET %.*s%d%s", (int)(mark - load.path), load.path, number, mark + 2);
    else
        strbuf_printf(&b, "GET %s", load.path);
    strbuf_printf(&b,
                  " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                  load.port);
    if (load.headers)
        strbuf_printf(&b, "%s\r\n", load.headers);
    strbuf_adds(&b, "\r\n");
    client_send(c->fd, b.p, b.n);
    strbuf_deinit(&b);
}

static void open_client(int number)
{
    struct client *c = &load.clients[number];
    c->fd = client_connect(load.port);
    send_handshake(c, number);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(load.epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0)
        fail("epoll_ctl");
    load.opening++;
}

/* ---- receiving ---- */

/* Returns how much of it was the handshake's answer. */
static size_t take_head(struct client *c, const char *p, size_t n)
{
    static const char end[] = "\r\n\r\n";
    for (size_t i = 0; i < n; i++) {
        if (c->head_n < sizeof(c->status) - 1)
            c->status[c->head_n] = p[i];
        c->head_n++;
        c->head_matched = p[i] == end[c->head_matched] ? c->head_matched + 1 : p[i] == '\r';
        if (c->head_matched < 4)
            continue;
        if (strncmp(c->status, "HTTP/1.1 101", 12) != 0) {
            fprintf(stderr, "ws_load: the handshake was answered with %s\n", c->status);
            exit(1);
        }
        c->state = OPEN;
        load.opening--;
        load.open++;
        return i + 1;
    }
    return n;
}

static size_t header_size(const struct client *c)
{
    if (c->header_n < 2)
        return 2;
    unsigned n = c->header[1] & 0x7f;
    return n < 126 ? 2 : n == 126 ? 4 : 10;
}

static void on_message(struct client *c)
{
    load.received++;
    if (load.is_echoing)
        client_send(c->fd, load.frame, load.frame_n);
}

/* The frame's header is whole. */
static void on_header(struct client *c)
{
    uint64_t n = c->header[1] & 0x7f;
    size_t size = header_size(c);
    if (size > 2) {
        n = 0;
        for (size_t i = 2; i < size; i++)
            n = n << 8 | c->header[i];
    }
    c->payload_left = n;
    unsigned opcode = c->header[0] & 0x0f;
    if (opcode == 9) /* an empty ping, as servers send; answered by an empty pong */
        client_send(c->fd, "\x8a\x80\0\0\0\0", 6);
    else if (opcode > 2 || n != (uint64_t)load.bytes)
        load.wrong++;
}

static void take_frames(struct client *c, const char *p, size_t n)
{
    while (n > 0) {
        if (c->header_n < header_size(c)) {
            c->header[c->header_n++] = (uint8_t)*p++;
            n--;
            if (c->header_n < header_size(c))
                continue;
            on_header(c);
        } else {
            size_t step = MIN(n, c->payload_left);
            c->payload_left -= step;
            p += step;
            n -= step;
        }
        if (c->header_n == header_size(c) && c->payload_left == 0) {
            c->header_n = 0;
            if ((c->header[0] & 0x0f) <= 2)
                on_message(c);
        }
    }
}

static void read_client(struct client *c)
{
    ssize_t n = recv(c->fd, load.read_buffer, sizeof(load.read_buffer), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        load.open -= c->state == OPEN;
        load.gone++;
        c->state = GONE;
        epoll_ctl(load.epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        close(c->fd);
        return;
    }
    size_t at = c->state == OPENING ? take_head(c, load.read_buffer, (size_t)n) : 0;
    take_frames(c, load.read_buffer + at, (size_t)n - at);
}

/* How many had something to say. */
static int poll_clients(int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(load.epoll_fd, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++)
        read_client(events[i].data.ptr);
    return count;
}

/* ---- work ---- */

static void make_frame(void)
{
    size_t at = 0;
    load.frame[at++] = 0x81;
    if (load.bytes < 126) {
        load.frame[at++] = (uint8_t)(0x80 | load.bytes);
    } else {
        load.frame[at++] = 0x80 | 126;
        load.frame[at++] = (uint8_t)(load.bytes >> 8);
        load.frame[at++] = (uint8_t)load.bytes;
    }
    memset(load.frame + at, 0, 4); /* a mask of zeros: what is sent is what is meant */
    memset(load.frame + at + 4, 'x', (size_t)load.bytes);
    load.frame_n = at + 4 + (size_t)load.bytes;
}

static void fill(void)
{
    int64_t until_us = clock_mono_us() + STUCK_US;
    int next = 0, before = 0;
    while (load.open + load.gone < load.connections) {
        while (next < load.connections && load.opening < OPENING_MAX)
            open_client(next++);
        poll_clients(100);
        if (load.open != before)
            until_us = clock_mono_us() + STUCK_US;
        before = load.open;
        if (clock_mono_us() > until_us) {
            fprintf(stderr, "ws_load: stuck with %d of %d open\n", load.open, load.connections);
            exit(1);
        }
    }
}

static void run_echo(int64_t until_us)
{
    load.is_echoing = true;
    for (int i = 0; i < load.connections; i++)
        client_send(load.clients[i].fd, load.frame, load.frame_n);
    while (clock_mono_us() < until_us)
        poll_clients(50);
    load.is_echoing = false;
}

/* How many good answers stand in the text; their bodies are of no interest. */
static int count_taken(const char *text)
{
    int count = 0;
    while ((text = strstr(text, "HTTP/1.1 20"))) {
        text += 11;
        count++;
    }
    return count;
}

/* A burst, pipelined. Whether all of it was taken. */
static bool publish(void)
{
    struct strbuf b = {0};
    char answers[16384];
    size_t n = 0;
    for (int i = 0; i < load.burst; i++) {
        strbuf_printf(&b,
                      "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: text/plain\r\n"
                      "Content-Length: %d\r\n\r\n",
                      load.publish_path, load.port, load.bytes);
        memset(strbuf_reserve(&b, (size_t)load.bytes), 'x', (size_t)load.bytes);
        b.n += (size_t)load.bytes;
    }
    client_send(load.publish_fd, b.p, b.n);
    strbuf_deinit(&b);
    do {
        ssize_t got = recv(load.publish_fd, answers + n, sizeof(answers) - 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        answers[n] = '\0';
    } while (count_taken(answers) < load.burst);
    return true;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* False: not all had the message in time. */
static bool broadcast_once(int64_t patience_us)
{
    uint64_t wanted = load.received + (uint64_t)load.open * (uint64_t)load.burst;
    int64_t stuck_us = clock_mono_us() + patience_us;
    if (!publish())
        return false;
    /* Looks every millisecond rather than sleeps in epoll: a send that wakes the receiver would be
     * charged with that, and how often it does would be chance. */
    while (load.received < wanted && clock_mono_us() < stuck_us)
        if (poll_clients(0) == 0)
            usleep(1000);
    return load.received == wanted;
}

static void run_broadcast(int64_t until_us, struct strbuf *out)
{
    static int64_t delays_us[100000];
    size_t count = 0;
    bool is_good = true;
    while (is_good && clock_mono_us() < until_us && count < ARRAY_LEN(delays_us)) {
        int64_t start_us = clock_mono_us();
        is_good = broadcast_once(STUCK_US);
        delays_us[count++] = clock_mono_us() - start_us;
    }
    qsort(delays_us, count, sizeof(delays_us[0]), by_value);
    strbuf_printf(out, ",\"published\":%zu,\"all_have_it_ms_p50\":%.3f,\"all_have_it_ms_p99\":%.3f",
                  count, (double)delays_us[count / 2] / 1e3,
                  (double)delays_us[count * 99 / 100] / 1e3);
}

/* nchan's workers need a moment until all know of all, and lose what is published before. */
static void warm_up(void)
{
    load.publish_fd = client_connect(load.port);
    usleep(500000);
    for (int i = 0; i < 3; i++)
        broadcast_once(2000000);
}

static void poll_now(void)
{
    poll_clients(0);
}

static void parse_arguments(int argc, char **argv)
{
    if (argc < 7 || argc > 9) {
        fprintf(stderr, "usage: ws_load echo|broadcast|idle PORT PATH CONNECTIONS BYTES SECONDS "
                        "[PUBLISH_PATH BURST]\n");
        exit(2);
    }
    load.mode = argv[1];
    load.port = atoi(argv[2]);
    load.path = argv[3];
    load.connections = atoi(argv[4]);
    load.bytes = atoi(argv[5]);
    load.seconds = atoi(argv[6]);
    load.publish_path = argc > 7 ? argv[7] : "/";
    load.burst = argc > 8 ? atoi(argv[8]) : 1;
    load.headers = getenv("WS_LOAD_HEADERS");
    if (load.connections < 1 || load.bytes < 0 || load.bytes > MESSAGE_MAX || load.burst < 1 ||
        load.burst > BURST_MAX) {
        fprintf(stderr, "ws_load: at least 1 connection, at most %d bytes, bursts of 1 to %d\n",
                MESSAGE_MAX, BURST_MAX);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct strbuf out = {0};
    parse_arguments(argc, argv);
    client_raise_file_limit();
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load.clients = mem_calloc((size_t)load.connections, sizeof(*load.clients));
    make_frame();
    fill();
    if (strcmp(load.mode, "broadcast") == 0)
        warm_up();
    printf("{\"event\":\"ready\",\"open\":%d}\n", load.open);
    fflush(stdout);
    client_wait_for_line(poll_now);
    load.received = load.wrong = 0;
    int64_t start_us = clock_mono_us(), until_us = start_us + load.seconds * INT64_C(1000000);
    if (strcmp(load.mode, "echo") == 0)
        run_echo(until_us);
    else if (strcmp(load.mode, "broadcast") == 0)
        run_broadcast(until_us, &out);
    printf("{\"event\":\"done\",\"received\":%llu,\"wrong\":%llu,\"open\":%d,\"seconds\":%.6f%s}\n",
           (unsigned long long)load.received, (unsigned long long)load.wrong, load.open,
           (double)(clock_mono_us() - start_us) / 1e6, out.p ? out.p : "");
    fflush(stdout);
    client_wait_for_line(poll_now);
    return 0;
}
