/*
 * fetch: one thread that runs all exchanges with libcurl's multi interface. Others queue what they
 * want under a lock and wake it; everything else is that thread's alone.
 */
#include "fetch/fetch.h"

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <strings.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/metric.h"
#include "fetch/fetch_internal.h"

#define DEFAULT_CONCURRENT_MAX 64
#define POLL_MS 1000
#define POOLED_CONNECTIONS_MAX 16L

static struct metric metric_done =
    METRIC_COUNTER("parlance_fetch_total", "Requests that the server made, by outcome.", "result");

struct fetch {
    struct guard_options guard;
    struct fetch_setup setup;
    unsigned concurrent_max;
    char *user_agent;
    char *ca_file;
    CURLM *multi;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* of the three below */
    struct list queue;
    bool is_closing, is_cancelling;
    struct list running; /* the thread's */
    unsigned running_count;
};

static void end(struct fetch *f, struct fetch_exchange *x, CURLcode code)
{
    if (x->easy && list_is_linked(&x->link)) {
        curl_multi_remove_handle(f->multi, x->easy);
        list_remove(&x->link);
        f->running_count--;
    }
    enum err err = fetch_exchange_end(&x, code);
    metric_cell_add(metric_cell(&metric_done, err_name(err), NULL, NULL), 1);
}

/* ---- the thread ---- */

static void begin(struct fetch *f, struct fetch_exchange *x)
{
    if (!x->err && f->running_count >= f->concurrent_max) {
        x->err = ERR_UNAVAILABLE;
        x->response.problem = "too many requests at once";
    }
    if (x->err || curl_multi_add_handle(f->multi, x->easy) != CURLM_OK) {
        end(f, x, CURLE_FAILED_INIT);
        return;
    }
    list_add_tail(&f->running, &x->link);
    f->running_count++;
}

/* False when the room is closing and nothing is queued any more. */
static bool take_queued(struct fetch *f)
{
    for (;;) {
        struct fetch_exchange *x = NULL;
        pthread_mutex_lock(&f->lock);
        bool is_closing = f->is_closing;
        if (!list_is_empty(&f->queue)) {
            x = LIST_ENTRY(f->queue.next, struct fetch_exchange, link);
            list_remove(&x->link);
        }
        pthread_mutex_unlock(&f->lock);
        if (!x)
            return !is_closing;
        if (is_closing)
            end(f, x, CURLE_ABORTED_BY_CALLBACK);
        else
            begin(f, x);
    }
}

static void end_all(struct fetch *f)
{
    LIST_FOREACH(&f->running, node)
    end(f, LIST_ENTRY(node, struct fetch_exchange, link), CURLE_ABORTED_BY_CALLBACK);
}

static bool take_cancelling(struct fetch *f)
{
    pthread_mutex_lock(&f->lock);
    bool is = f->is_cancelling;
    f->is_cancelling = false;
    pthread_mutex_unlock(&f->lock);
    return is;
}

static void end_finished(struct fetch *f)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(f->multi, &left));) {
        char *x = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x);
        end(f, (struct fetch_exchange *)(void *)x, code);
    }
}

static void *run(void *arg)
{
    struct fetch *f = arg;
    pthread_setname_np(pthread_self(), "fetch");
    while (take_queued(f)) {
        int still_running;
        curl_multi_perform(f->multi, &still_running);
        end_finished(f);
        if (take_cancelling(f))
            end_all(f);
        curl_multi_poll(f->multi, NULL, 0, POLL_MS, NULL);
    }
    end_all(f);
    return NULL;
}

/* ---- the room ---- */

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        log_error(NULL, "fetch: libcurl does not start");
}

enum err fetch_create(struct fetch **out, const struct fetch_options *opt)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct fetch *f = mem_zalloc(sizeof(*f));
    f->guard = opt->guard;
    f->user_agent = mem_strdup(opt->user_agent ? opt->user_agent : "parlance");
    f->ca_file = opt->ca_file ? mem_strdup(opt->ca_file) : NULL;
    f->setup = (struct fetch_setup){&f->guard, f->user_agent, f->ca_file};
    f->concurrent_max = opt->concurrent_max ? opt->concurrent_max : DEFAULT_CONCURRENT_MAX;
    pthread_mutex_init(&f->lock, NULL);
    list_init(&f->queue);
    list_init(&f->running);
    f->multi = curl_multi_init();
    if (!f->multi)
        goto fail;
    curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, POOLED_CONNECTIONS_MAX);
    if (pthread_create(&f->thread, NULL, run, f) != 0)
        goto fail;
    f->has_thread = true;
    *out = f;
    return ERR_OK;
fail:
    fetch_destroy(&f);
    *out = NULL;
    return ERR_UNAVAILABLE;
}

void fetch_destroy(struct fetch **fetch)
{
    struct fetch *f = *fetch;
    *fetch = NULL;
    if (!f)
        return;
    if (f->has_thread) {
        pthread_mutex_lock(&f->lock);
        f->is_closing = true;
        pthread_mutex_unlock(&f->lock);
        curl_multi_wakeup(f->multi);
        pthread_join(f->thread, NULL);
    }
    curl_multi_cleanup(f->multi);
    pthread_mutex_destroy(&f->lock);
    free(f->user_agent);
    free(f->ca_file);
    free(f);
}

void fetch_cancel(struct fetch *f)
{
    pthread_mutex_lock(&f->lock);
    f->is_cancelling = true;
    pthread_mutex_unlock(&f->lock);
    curl_multi_wakeup(f->multi);
}

void fetch_start(struct fetch *f, const struct fetch_request *request, fetch_done_fn *done,
                 void *arg)
{
    struct fetch_exchange *x = fetch_exchange_create(&f->setup, request);
    x->done = done;
    x->arg = arg;
    pthread_mutex_lock(&f->lock);
    assert(!f->is_closing);
    list_add_tail(&f->queue, &x->link);
    pthread_mutex_unlock(&f->lock);
    curl_multi_wakeup(f->multi);
}

/* ---- waiting ---- */

struct waiter {
    sem_t done;
    struct arena *arena;
    struct fetch_response *out;
    enum err err;
};

static void on_done(void *arg, enum err err, const struct fetch_response *r)
{
    struct waiter *w = arg;
    struct fetch_header *headers = arena_array(w->arena, struct fetch_header, r->header_count);
    for (size_t i = 0; i < r->header_count; i++)
        headers[i] = (struct fetch_header){arena_strdup(w->arena, r->headers[i].name),
                                           arena_strdup(w->arena, r->headers[i].value)};
    *w->out = *r;
    w->out->headers = headers;
    w->out->body = (struct str){str_arena(w->arena, r->body), r->body.n};
    w->out->problem = arena_strdup(w->arena, r->problem);
    w->err = err;
    sem_post(&w->done);
}

enum err fetch_sync(struct fetch *f, const struct fetch_request *request, struct arena *arena,
                    struct fetch_response *out)
{
    assert(!loop_current() && "a loop must not wait");
    struct waiter w = {.arena = arena, .out = out};
    sem_init(&w.done, 0, 0);
    fetch_start(f, request, on_done, &w);
    while (sem_wait(&w.done) != 0)
        ;
    sem_destroy(&w.done);
    return w.err;
}

const char *fetch_response_header(const struct fetch_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (strcasecmp(response->headers[i].name, name) == 0)
            return response->headers[i].value;
    return NULL;
}
