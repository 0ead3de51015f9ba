/* outlet: the queue, its thread, and what becomes of a request. */
#include "telemetry/outlet.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metric.h"
#include "core/thread.h"

#define QUEUE_MAX_BYTES_DEFAULT (8u << 20)
#define BATCH_MAX_BYTES (512u << 10) /* before compression */
#define INTERVAL_MS_DEFAULT 1000
#define RETRY_MS_DEFAULT 500
#define RETRY_MAX_MS 30000
#define ATTEMPTS_MAX 8
#define SEND_TIMEOUT_MS 10000

static struct metric metric_items = METRIC_COUNTER(
    "parlance_telemetry_items_total", "Spans and log lines on their way out.", "what", "result");
static struct metric metric_queue =
    METRIC_GAUGE("parlance_telemetry_queue_bytes", "Spans and log lines that wait to be sent.");

struct outlet {
    struct outlet_options opt;
    char *url;
    struct fetch *fetch;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list queue; /* guarded by lock, as the next three */
    size_t queued_bytes;
    bool is_stopping, is_over; /* over: the thread is about to end */
    pthread_cond_t over;
    _Atomic int64_t flush_until_ms; /* monotonic; while stopping, else 0 */
    bool is_failing;                /* the thread's: said once */
};

static size_t item_bytes(const struct outlet_item *item)
{
    return sizeof(*item) + item->n + strlen(item->group) + 1;
}

static void count(const struct outlet *o, const char *result, size_t items)
{
    metric_cell_add(metric_cell(&metric_items, o->opt.what, result, NULL), (double)items);
}

static double read_queue(void *arg)
{
    struct outlet *o = arg;
    pthread_mutex_lock(&o->lock);
    size_t bytes = o->queued_bytes;
    pthread_mutex_unlock(&o->lock);
    return (double)bytes;
}

void outlet_add(struct outlet *o, const char *group, int64_t time_ns, struct str bytes)
{
    size_t group_bytes = strlen(group) + 1;
    struct outlet_item *item = mem_alloc(sizeof(*item) + bytes.n + group_bytes);
    *item = (struct outlet_item){.time_ns = time_ns, .n = bytes.n};
    memcpy(item->bytes, bytes.p, bytes.n);
    item->group = memcpy(item->bytes + bytes.n, group, group_bytes);
    pthread_mutex_lock(&o->lock);
    bool has_room = o->queued_bytes + item_bytes(item) <= o->opt.queue_max_bytes;
    if (has_room) {
        bool was_little = o->queued_bytes < BATCH_MAX_BYTES;
        list_add_tail(&o->queue, &item->node);
        o->queued_bytes += item_bytes(item);
        if (was_little && o->queued_bytes >= BATCH_MAX_BYTES)
            pthread_cond_signal(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
    if (has_room)
        return;
    free(item);
    count(o, "dropped", 1);
}

/* ---- the thread ---- */

/* Lock held. Until there is much, the outlet stops, or the time is over. */
static void wait_ms(struct outlet *o, int64_t ms, bool is_for_much)
{
    int64_t until_us = clock_mono_us() + ms * 1000;
    while (!o->is_stopping && !(is_for_much && o->queued_bytes >= BATCH_MAX_BYTES))
        if (!thread_wait_until(&o->changed, &o->lock, until_us))
            break;
}

static size_t take_batch(struct outlet *o, struct list *batch)
{
    size_t bytes = 0, items = 0;
    pthread_mutex_lock(&o->lock);
    while (bytes < BATCH_MAX_BYTES && !list_is_empty(&o->queue)) {
        struct outlet_item *item = LIST_ENTRY(o->queue.next, struct outlet_item, node);
        list_remove(&item->node);
        list_add_tail(batch, &item->node);
        bytes += item_bytes(item);
        items++;
    }
    o->queued_bytes -= bytes;
    pthread_mutex_unlock(&o->lock);
    return items;
}

static bool compress_body(const struct strbuf *body, struct strbuf *out)
{
    z_stream z = {0};
    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t bound = deflateBound(&z, body->n);
    z.next_in = (Bytef *)body->p;
    z.avail_in = (uInt)body->n;
    z.next_out = (Bytef *)strbuf_reserve(out, bound);
    z.avail_out = (uInt)bound;
    bool is_done = deflate(&z, Z_FINISH) == Z_STREAM_END;
    out->n = is_done ? z.total_out : 0;
    deflateEnd(&z);
    return is_done;
}

enum sending { SENT, REFUSED, FAILED };

static void say(struct outlet *o, bool is_failing, const struct fetch_response *r)
{
    if (o->is_failing == is_failing)
        return;
    o->is_failing = is_failing;
    if (!is_failing)
        log_info(NULL, "%s are sent again", o->opt.what);
    else if (r->status)
        log_warn(NULL, "%s are not taken: the server answers %d", o->opt.what, r->status);
    else
        log_warn(NULL, "%s cannot be sent: %s", o->opt.what, r->problem);
}

static enum sending send_once(struct outlet *o, struct str body)
{
    const struct fetch_header headers[] = {{"Content-Type", o->opt.content_type},
                                           {"Content-Encoding", "gzip"}};
    int64_t left_ms = o->flush_until_ms ? o->flush_until_ms - clock_mono_ms() : SEND_TIMEOUT_MS;
    if (left_ms <= 0)
        return FAILED;
    struct arena *arena = arena_create();
    struct fetch_response r;
    enum err err = fetch_sync(o->fetch,
                              &(struct fetch_request){.url = o->url,
                                                      .headers = headers,
                                                      .header_count = ARRAY_LEN(headers),
                                                      .body = body,
                                                      .timeout_ms = left_ms},
                              arena, &r);
    bool may_come = err || r.status == 408 || r.status == 429 || r.status >= 500;
    enum sending result = !err && r.status < 300 ? SENT : may_come ? FAILED : REFUSED;
    say(o, result != SENT, &r);
    arena_destroy(&arena);
    return result;
}

/* False: the outlet is stopping, and the next attempt the last. */
static bool pause_before_retry(struct outlet *o, int attempt)
{
    int64_t ms = MIN(o->opt.retry_ms << attempt, (int64_t)RETRY_MAX_MS);
    ms -= (int64_t)((uint64_t)id_random_u32() * ((uint64_t)ms / 2) >> 32);
    pthread_mutex_lock(&o->lock);
    wait_ms(o, ms, false);
    bool is_stopping = o->is_stopping;
    pthread_mutex_unlock(&o->lock);
    return !is_stopping;
}

static void send_batch(struct outlet *o, const struct list *batch, size_t items)
{
    static const char *const results[] = {
        [SENT] = "sent", [REFUSED] = "refused", [FAILED] = "lost"};
    struct strbuf body = {0}, packed = {0};
    enum sending result = FAILED;
    o->opt.pack(o->opt.arg, batch, &body);
    if (compress_body(&body, &packed)) {
        bool is_going_on = true;
        result = send_once(o, strbuf_str(&packed));
        for (int i = 0; result == FAILED && is_going_on && i + 1 < ATTEMPTS_MAX; i++) {
            is_going_on = pause_before_retry(o, i);
            result = send_once(o, strbuf_str(&packed));
        }
    }
    count(o, results[result], items);
    strbuf_deinit(&body);
    strbuf_deinit(&packed);
}

static void free_items(struct list *items)
{
    LIST_FOREACH(items, node)
    free(LIST_ENTRY(node, struct outlet_item, node));
    list_init(items);
}

static void *outlet_main(void *arg)
{
    struct outlet *o = arg;
    for (bool is_stopping = false; !is_stopping;) {
        struct list batch;
        list_init(&batch);
        pthread_mutex_lock(&o->lock);
        wait_ms(o, o->opt.interval_ms, true);
        is_stopping = o->is_stopping;
        pthread_mutex_unlock(&o->lock);
        for (size_t items; (items = take_batch(o, &batch));) {
            send_batch(o, &batch, items);
            free_items(&batch);
            if (o->flush_until_ms && clock_mono_ms() > o->flush_until_ms)
                break;
        }
    }
    pthread_mutex_lock(&o->lock);
    o->is_over = true;
    pthread_cond_signal(&o->over);
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

/* ---- life ---- */

/* A URL that names no path is the server's, and the path its own. */
static char *full_url(const char *url, const char *path)
{
    struct str text = str_from(url);
    const char *host = strstr(url, "://");
    const char *slash = host ? strchr(host + 3, '/') : NULL;
    struct strbuf out = {0};
    if (slash && slash[1] == '\0')
        text.n--;
    strbuf_add(&out, text.p, text.n);
    if (!slash || slash[1] == '\0')
        strbuf_adds(&out, path);
    return out.p;
}

/* The operator names the address, so it may be one of the operator's own network. */
static enum err open_fetch(struct fetch **out)
{
    return fetch_create(out, &(struct fetch_options){
                                 .guard = {.is_loopback_allowed = true, .is_private_allowed = true},
                                 .concurrent_max = 4});
}

static void outlet_free(struct outlet *o)
{
    fetch_destroy(&o->fetch);
    free_items(&o->queue);
    pthread_cond_destroy(&o->changed);
    pthread_cond_destroy(&o->over);
    pthread_mutex_destroy(&o->lock);
    free(o->url);
    free(o);
}

enum err outlet_open(struct outlet **out, const struct outlet_options *opt)
{
    struct outlet *o = mem_new(struct outlet);
    *out = NULL;
    o->opt = *opt;
    if (!o->opt.queue_max_bytes)
        o->opt.queue_max_bytes = QUEUE_MAX_BYTES_DEFAULT;
    if (!o->opt.interval_ms)
        o->opt.interval_ms = INTERVAL_MS_DEFAULT;
    if (!o->opt.retry_ms)
        o->opt.retry_ms = RETRY_MS_DEFAULT;
    o->url = full_url(opt->url, opt->path);
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
    pthread_cond_init(&o->over, NULL);
    list_init(&o->queue);
    enum err err = open_fetch(&o->fetch);
    if (!err && thread_start(&o->thread, "telemetry", outlet_main, o) != ERR_OK)
        err = ERR_UNAVAILABLE;
    if (err) {
        outlet_free(o);
        return err;
    }
    metric_register_read(&metric_queue, read_queue, o);
    *out = o;
    return ERR_OK;
}

/* What was on its way when the end came may take longer than there is time. */
static void wait_over(struct outlet *o, int64_t until_ms)
{
    pthread_mutex_lock(&o->lock);
    while (!o->is_over)
        if (!thread_wait_until(&o->over, &o->lock, until_ms * 1000))
            break;
    bool is_over = o->is_over;
    pthread_mutex_unlock(&o->lock);
    if (!is_over)
        fetch_cancel(o->fetch);
    pthread_join(o->thread, NULL);
}

void outlet_close(struct outlet **outlet, int64_t until_ms)
{
    struct outlet *o = *outlet;
    *outlet = NULL;
    if (!o)
        return;
    metric_unregister_read(&metric_queue, o);
    pthread_mutex_lock(&o->lock);
    o->is_stopping = true;
    o->flush_until_ms = until_ms;
    pthread_cond_signal(&o->changed);
    pthread_mutex_unlock(&o->lock);
    wait_over(o, until_ms);
    outlet_free(o);
}
