/*
 * redis_pipe: one connection that many callers share. Who calls sends its command itself, under the
 * lock, and waits; the pipe's thread reads the answers, which come in the order of the commands,
 * hands them over, connects and reconnects (with a growing, jittered pause), and ends everything
 * that waits when the oldest has waited too long: a server that does not answer one of them will
 * not answer the others. Meanwhile whoever calls is told at once.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/thread.h"
#include "redis/redis_internal.h"

#define WAITING_MAX 65536
#define UNSENT_MAX (64u << 20) /* bytes */
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 2000
#define IDLE_MS 1000
#define CONNECT_MS 3000 /* names, sockets, TLS, signing in; sentinels before */

static struct metric metric_connections = METRIC_COUNTER(
    "parlance_redis_connections_total", "Attempts to connect to Redis.", "client", "result");
static struct metric metric_lost = METRIC_COUNTER(
    "parlance_redis_lost_total", "Connections to Redis given up, and why.", "client", "why");

struct redis_pipe {
    struct redis_pipe_options opt;
    struct redis_host host; /* opt.host */
    pthread_t thread;
    int stop_fd;
    int wake_fd;
    atomic_bool is_stopping;
    pthread_mutex_t lock;
    pthread_cond_t first_over;
    /* guarded by lock: */
    struct redis_link *link; /* NULL: down */
    struct list waiting;     /* requests sent or to be sent, the oldest first */
    size_t waiting_count;
    struct strbuf unsent;
    bool is_first_over;
    bool is_said; /* that it is down: once */
};

/* ---- calling ---- */

/* Lock held: the socket takes it, or keeps the rest for the thread. */
static void send_now(struct redis_pipe *p, const char *bytes, size_t n)
{
    size_t sent = 0;
    if (p->unsent.n == 0 && redis_link_write(p->link, bytes, n, &sent) != ERR_OK)
        sent = n; /* it is over: the thread reads that, and ends what waits */
    if (sent == n)
        return;
    strbuf_add(&p->unsent, bytes + sent, n - sent);
    redis_event_set(p->wake_fd);
}

enum err redis_pipe_submit(struct redis_pipe *p, struct redis_request *request)
{
    pthread_mutex_lock(&p->lock);
    enum err err = atomic_load(&p->is_stopping) ? ERR_CANCELLED
                   : p->link                    ? ERR_OK
                                                : ERR_UNAVAILABLE;
    if (p->waiting_count >= WAITING_MAX || p->unsent.n > UNSENT_MAX)
        err = ERR_UNAVAILABLE;
    if (!err) {
        request->until_us = clock_mono_us() + p->opt.timeout_ms * 1000;
        list_add_tail(&p->waiting, &request->node);
        if (p->waiting_count++ == 0)
            redis_event_set(p->wake_fd); /* from now on it looks at the clock */
        send_now(p, request->bytes, request->n);
    }
    pthread_mutex_unlock(&p->lock);
    return err;
}

bool redis_pipe_is_up(struct redis_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    bool is_up = p->link != NULL;
    pthread_mutex_unlock(&p->lock);
    return is_up;
}

/* ---- answers; the pipe's thread ---- */

static struct redis_request *first_waiting(struct redis_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    struct redis_request *request = NULL;
    if (!list_is_empty(&p->waiting))
        request = LIST_ENTRY(p->waiting.next, struct redis_request, node);
    pthread_mutex_unlock(&p->lock);
    return request;
}

static void end_request(struct redis_pipe *p, struct redis_request *request, enum err err)
{
    pthread_mutex_lock(&p->lock);
    list_remove(&request->node);
    p->waiting_count--;
    pthread_mutex_unlock(&p->lock);
    request->err = err;
    request->done(request);
}

/* A master that became a replica stays connected: look for the new one. */
static bool is_demoted(const struct redis_reply *reply)
{
    return reply->type == REDIS_PROBLEM && str_starts(reply->text, STR("READONLY"));
}

/* Hands over every whole answer. NULL, or why the connection is of no use. */
static const char *hand_over(struct redis_pipe *p)
{
    for (;;) {
        struct redis_request *request = first_waiting(p);
        const struct redis_reply *reply;
        if (!request)
            return redis_link_is_quiet(p->link) ? NULL : "an answer that nobody asked for";
        enum err err = redis_link_take(p->link, request->arena, &reply);
        if (err == ERR_NOT_FOUND)
            return NULL;
        if (err)
            return "no protocol of Redis";
        if (request->skip) {
            request->skip--;
            continue;
        }
        bool is_over = is_demoted(reply);
        request->reply = reply;
        end_request(p, request, redis_reply_err(reply));
        if (is_over)
            return "no master any more";
    }
}

static const char *on_ready(struct redis_pipe *p, short events)
{
    size_t sent = 0;
    pthread_mutex_lock(&p->lock);
    enum err err = events & ~POLLOUT ? redis_link_read(p->link) : ERR_OK;
    if (!err && p->unsent.n)
        err = redis_link_write(p->link, p->unsent.p, p->unsent.n, &sent);
    if (sent) {
        memmove(p->unsent.p, p->unsent.p + sent, p->unsent.n - sent);
        p->unsent.n -= sent;
    }
    pthread_mutex_unlock(&p->lock);
    const char *why = hand_over(p); /* also what came before the end */
    return why ? why : err ? "closed" : NULL;
}

/* Until the oldest must have its answer; -1: nobody waits. */
static int time_left_ms(struct redis_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    int left_ms = -1;
    if (!list_is_empty(&p->waiting)) {
        int64_t until_us = LIST_ENTRY(p->waiting.next, struct redis_request, node)->until_us;
        left_ms = (int)(MAX(until_us - clock_mono_us(), 0) / 1000);
    }
    pthread_mutex_unlock(&p->lock);
    return left_ms;
}

static bool has_unsent(struct redis_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    bool has = p->unsent.n > 0;
    pthread_mutex_unlock(&p->lock);
    return has;
}

static void on_probed(struct redis_request *request)
{
    free(request->bytes);
    arena_destroy(&request->arena);
    free(request);
}

/* Nobody has asked anything for a while: a server that froze meanwhile is found out before somebody
 * has to wait for it. */
static void probe(struct redis_pipe *p)
{
    struct str ping = STR("PING");
    struct redis_request *request = mem_new(struct redis_request);
    request->bytes = redis_format(&ping, 1, &request->n);
    request->arena = arena_create();
    request->done = on_probed;
    if (redis_pipe_submit(p, request) != ERR_OK)
        on_probed(request);
}

/* Serves the connection until it is of no use; says why. */
static const char *serve(struct redis_pipe *p)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = redis_link_fd(p->link), .events = POLLIN | (has_unsent(p) ? POLLOUT : 0)},
            {.fd = p->wake_fd, .events = POLLIN},
            {.fd = p->stop_fd, .events = POLLIN},
        };
        int left_ms = time_left_ms(p);
        int ready = poll(fds, ARRAY_LEN(fds), left_ms < 0 ? IDLE_MS : left_ms + 1);
        if (fds[2].revents)
            return "stopping";
        if (fds[1].revents)
            redis_event_clear(p->wake_fd);
        const char *why = ready > 0 && fds[0].revents ? on_ready(p, fds[0].revents) : NULL;
        if (ready == 0 && left_ms < 0)
            probe(p);
        if (!why && time_left_ms(p) == 0)
            why = "no answer";
        if (why)
            return why;
    }
}

/* ---- the connection ---- */

static void count(struct metric *m, const struct redis_pipe *p, const char *what)
{
    metric_cell_add(metric_cell(m, p->opt.address->name, what, NULL), 1);
}

static void log_attempt(struct redis_pipe *p, const char *problem)
{
    const char *name = p->opt.address->name;
    if (!problem && p->is_said)
        log_info(NULL, "redis: %s is connected again", name);
    else if (problem && !p->is_said)
        log_warn(NULL, "redis: %s is not connected: %s", name, problem);
    p->is_said = problem != NULL;
}

static struct redis_link *connect_once(struct redis_pipe *p)
{
    struct redis_wait wait = {.until_us = clock_mono_us() + CONNECT_MS * 1000,
                              .stop_fd = p->stop_fd};
    struct redis_link *link = NULL;
    const struct redis_host *host = p->opt.host;
    char problem[REDIS_PROBLEM_SIZE] = "";
    enum err err = host ? redis_link_connect(&link, p->opt.address, host, false, &wait, problem)
                        : redis_link_locate(&link, p->opt.address, NULL, &wait, problem);
    if (err != ERR_CANCELLED) {
        log_attempt(p, err ? problem : NULL);
        count(&metric_connections, p, err ? "failed" : "ok");
    }
    return link;
}

static void set_link(struct redis_pipe *p, struct redis_link *link)
{
    pthread_mutex_lock(&p->lock);
    p->link = link;
    strbuf_clear(&p->unsent);
    p->is_first_over = true;
    pthread_cond_broadcast(&p->first_over);
    pthread_mutex_unlock(&p->lock);
}

/* New ones are refused; those that wait are told. */
static void drop_link(struct redis_pipe *p, const char *why)
{
    struct redis_link *link = p->link;
    struct redis_request *request;
    set_link(p, NULL);
    redis_link_close(&link);
    while ((request = first_waiting(p)))
        end_request(p, request, atomic_load(&p->is_stopping) ? ERR_CANCELLED : ERR_UNAVAILABLE);
    if (atomic_load(&p->is_stopping))
        return;
    count(&metric_lost, p, why);
    log_warn(NULL, "redis: the connection of %s is given up: %s", p->opt.address->name, why);
    p->is_said = true;
}

/* False: it is time to stop. */
static bool pause_ms(struct redis_pipe *p, int64_t ms)
{
    struct pollfd stop = {.fd = p->stop_fd, .events = POLLIN};
    return poll(&stop, 1, (int)(ms / 2 + id_random_u32() % ms)) == 0;
}

static void *pipe_main(void *arg)
{
    struct redis_pipe *p = arg;
    int64_t wait_ms = PAUSE_MIN_MS;
    do {
        struct redis_link *link = connect_once(p);
        set_link(p, link);
        if (!link) {
            wait_ms = MIN(wait_ms * 2, PAUSE_MAX_MS);
            continue;
        }
        int64_t since_ms = clock_mono_ms();
        drop_link(p, serve(p));
        if (clock_mono_ms() - since_ms > PAUSE_MAX_MS)
            wait_ms = PAUSE_MIN_MS;
    } while (pause_ms(p, wait_ms));
    return NULL;
}

/* ---- life ---- */

struct redis_pipe *redis_pipe_create(const struct redis_pipe_options *opt)
{
    struct redis_pipe *p = mem_new(struct redis_pipe);
    p->opt = *opt;
    if (opt->host) {
        p->host = *opt->host;
        p->opt.host = &p->host;
    }
    p->stop_fd = redis_event_create();
    p->wake_fd = redis_event_create();
    list_init(&p->waiting);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->first_over, NULL);
    thread_must_start(&p->thread, "redis", pipe_main, p);
    return p;
}

bool redis_pipe_wait_first(struct redis_pipe *p, int64_t until_us)
{
    pthread_mutex_lock(&p->lock);
    while (!p->is_first_over)
        if (!thread_wait_until(&p->first_over, &p->lock, until_us))
            break;
    bool is_over = p->is_first_over;
    pthread_mutex_unlock(&p->lock);
    return is_over;
}

void redis_pipe_destroy(struct redis_pipe **pp)
{
    struct redis_pipe *p = *pp;
    *pp = NULL;
    if (!p)
        return;
    atomic_store(&p->is_stopping, true);
    redis_event_set(p->stop_fd);
    pthread_join(p->thread, NULL);
    strbuf_deinit(&p->unsent);
    pthread_cond_destroy(&p->first_over);
    pthread_mutex_destroy(&p->lock);
    close(p->stop_fd);
    close(p->wake_fd);
    free(p);
}
