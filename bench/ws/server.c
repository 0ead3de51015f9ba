/*
 * ws_bench_server: what a service of ours does with sockets, and nothing else, over the same net
 * library: /echo sends back, /sub listens, POST /pub sends its body to all who listen (one frame,
 * ws_multicast, as signaling's rooms do). Parlance has no such paths of its own; this is what
 * bench-ws measures in their place.
 *
 *   ws_bench_server PORT LOOPS
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/log.h"
#include "core/mem.h"
#include "net/server.h"
#include "net/ws.h"

#define LOOPS_MAX 64

struct listener {
    struct net_ticket ticket;
    size_t index; /* in all.listeners */
};

static struct {
    pthread_mutex_t lock;
    struct listener **listeners;
    size_t count;
    size_t capacity;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void listener_add(struct ws *ws)
{
    struct listener *l = mem_new(struct listener);
    l->ticket = ws_ticket(ws);
    ws_set_arg(ws, l);
    pthread_mutex_lock(&all.lock);
    if (all.count == all.capacity) {
        all.capacity = all.capacity ? 2 * all.capacity : 64;
        all.listeners = mem_realloc_array(all.listeners, all.capacity, sizeof(*all.listeners));
    }
    l->index = all.count;
    all.listeners[all.count++] = l;
    pthread_mutex_unlock(&all.lock);
}

static void on_close(void *arg, struct ws *ws, unsigned code, struct str reason)
{
    struct listener *l = arg;
    if (!l)
        return;
    pthread_mutex_lock(&all.lock);
    all.listeners[l->index] = all.listeners[--all.count];
    all.listeners[l->index]->index = l->index;
    pthread_mutex_unlock(&all.lock);
    free(l);
}

static void on_message(void *arg, struct ws *ws, enum ws_opcode opcode, struct str payload)
{
    if (!arg)
        (void)!ws_send_text(ws, payload);
}

static void publish(struct http_request *req)
{
    struct ws_frame *frame = ws_frame_create(WS_TEXT, req->body);
    pthread_mutex_lock(&all.lock);
    size_t count = all.count;
    struct net_ticket *tickets = mem_calloc(count + 1, sizeof(*tickets));
    for (size_t i = 0; i < count; i++)
        tickets[i] = all.listeners[i]->ticket;
    pthread_mutex_unlock(&all.lock);
    ws_multicast(frame, tickets, count, 0);
    ws_frame_unref(&frame);
    free(tickets);
    http_respond(req, &(struct http_response){.status = 202});
}

static void on_request(void *arg, struct http_request *req)
{
    static const struct ws_handler handler = {.on_message = on_message, .on_close = on_close};
    bool is_listening = str_eq(req->path, STR("/sub"));
    struct ws *ws;
    if (str_eq(req->path, STR("/pub"))) {
        publish(req);
    } else if (!is_listening && !str_eq(req->path, STR("/echo"))) {
        http_respond_error(req, 404, "not_found", "/echo, /sub or /pub");
    } else if (ws_accept(req, &(struct ws_options){.handler = &handler}, &ws) == ERR_OK) {
        if (is_listening)
            listener_add(ws);
    }
}

int main(int argc, char **argv)
{
    struct loop *loops[LOOPS_MAX];
    struct net_server *server;
    sigset_t stops;
    int stop;
    long port = argc == 3 ? atol(argv[1]) : 0, loop_count = argc == 3 ? atol(argv[2]) : 0;
    if (port < 1 || port > 65535 || loop_count < 1 || loop_count > LOOPS_MAX) {
        fprintf(stderr, "usage: ws_bench_server PORT LOOPS\n");
        return 2;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stops, NULL);
    for (long i = 0; i < loop_count; i++)
        if (loop_create(&loops[i], "bench") != ERR_OK)
            return 1;
    const struct net_server_options opt = {.name = "bench",
                                           .loops = loops,
                                           .loop_count = (size_t)loop_count,
                                           .host = "127.0.0.1",
                                           .port = (uint16_t)port,
                                           .http = {.on_request = on_request}};
    if (net_server_create(&server, &opt) != ERR_OK)
        return 1;
    sigwait(&stops, &stop);
    net_server_destroy(&server);
    for (long i = 0; i < loop_count; i++)
        loop_destroy(&loops[i]);
    free(all.listeners);
    return 0;
}
