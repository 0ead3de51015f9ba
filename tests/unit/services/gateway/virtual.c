/* virtual: see virtual.h. */
#include "virtual.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "seeded.h"
#include "services/gateway/gateway_hub.h"

#define SLOW_QUEUE_MAX 12

struct happening {
    struct happening *next;
    int64_t at_us;
    uint64_t number; /* earlier first, at the same time */
    virtual_fn *fn;
    void *arg;
};

struct link {
    void *client;
    struct identity who;
    bool is_open, is_slow;
    int64_t up_us, down_us; /* when the last thing under way arrives: first in, first out */
    int waiting;            /* frames on their way down */
};

struct virtual
{
    struct world *w;
    struct virtual_options opt;
    struct gateway gw;
    int64_t now_us, post_us, bus_us;
    unsigned seed;
    uint64_t last_number, last_link;
    struct happening *list;
    struct link links[VIRTUAL_LINKS];
    pthread_mutex_t lock; /* of published */
    Message__MessageEvent *published[1024];
    int published_count;
};

static struct virtual *current; /* what the wrapped functions are about */
#define HUB_LOOP ((struct loop *)&current)

/* ---- time ---- */

int64_t virtual_now_us(const struct virtual *v)
{
    return v->now_us;
}

unsigned virtual_chance(struct virtual *v, unsigned n)
{
    return (unsigned)rand_r(&v->seed) % n;
}

static void at(struct virtual *v, int64_t at_us, virtual_fn *fn, void *arg)
{
    struct happening *h = mem_new(struct happening);
    *h = (struct happening){.at_us = at_us, .number = ++v->last_number, .fn = fn, .arg = arg};
    struct happening **place = &v->list;
    while (*place && (*place)->at_us <= at_us)
        place = &(*place)->next;
    h->next = *place;
    *place = h;
}

void virtual_after(struct virtual *v, int64_t delay_us, virtual_fn *fn, void *arg)
{
    at(v, v->now_us + delay_us, fn, arg);
}

/* Mostly short, now and then long. */
static int64_t delay_us(struct virtual *v)
{
    return 100 + virtual_chance(v, virtual_chance(v, 8) ? 3000 : 60000);
}

/* In order behind what is under way already. */
static int64_t arrival(struct virtual *v, int64_t *last_us)
{
    int64_t soon_us = v->now_us + delay_us(v);
    *last_us = MAX(*last_us + 1, soon_us);
    return *last_us;
}

/* ---- the hub's loop ---- */

struct post {
    loop_fn *fn;
    void *arg;
};

static void on_post(struct virtual *v, void *arg)
{
    struct post *p = arg;
    p->fn(p->arg);
    free(p);
}

void __real_loop_post(struct loop *loop, loop_fn *fn, void *arg);
void __wrap_loop_post(struct loop *loop, loop_fn *fn, void *arg);

void __wrap_loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
    if (loop != HUB_LOOP) {
        __real_loop_post(loop, fn, arg);
        return;
    }
    struct post *p = mem_new(struct post);
    *p = (struct post){fn, arg};
    at(current, arrival(current, &current->post_us), on_post, p);
}

struct alarm {
    struct loop_timer *timer;
    size_t round;
};

static void on_alarm(struct virtual *v, void *arg)
{
    struct alarm *a = arg;
    bool is_due = a->timer && a->timer->heap_index == a->round;
    struct loop_timer *t = a->timer;
    free(a);
    if (!is_due)
        return;
    t->heap_index = 0;
    t->fn(t->arg);
}

/* Nobody fires for a timer that is gone with its owner. */
static void forget_alarms(struct virtual *v, const struct loop_timer *t)
{
    for (struct happening *h = v->list; h; h = h->next)
        if (h->fn == on_alarm && ((struct alarm *)h->arg)->timer == t)
            ((struct alarm *)h->arg)->timer = NULL;
}

void __real_loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, loop_fn *fn,
                             void *arg);
void __wrap_loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, loop_fn *fn,
                             void *arg);

void __wrap_loop_timer_start(struct loop *loop, struct loop_timer *t, int64_t after_ms, loop_fn *fn,
                             void *arg)
{
    if (loop != HUB_LOOP) {
        __real_loop_timer_start(loop, t, after_ms, fn, arg);
        return;
    }
    forget_alarms(current, t);
    *t = (struct loop_timer){.loop = loop, .fn = fn, .arg = arg, .heap_index = 1};
    struct alarm *a = mem_new(struct alarm);
    *a = (struct alarm){t, 1};
    virtual_after(current, after_ms * 1000, on_alarm, a);
}

void __real_loop_timer_stop(struct loop_timer *t);
void __wrap_loop_timer_stop(struct loop_timer *t);

void __wrap_loop_timer_stop(struct loop_timer *t)
{
    if (t->loop != HUB_LOOP) {
        __real_loop_timer_stop(t);
        return;
    }
    forget_alarms(current, t);
    t->heap_index = 0;
}

/* ---- devices are not told to anybody here ---- */

void __wrap_device_report(struct member *m, bool is_gone);
void __wrap_device_start(struct gateway *gw);
void __wrap_device_stop(struct gateway *gw);

void __wrap_device_report(struct member *m UNUSED, bool is_gone UNUSED)
{
}

void __wrap_device_start(struct gateway *gw)
{
    list_init(&gw->round);
}

void __wrap_device_stop(struct gateway *gw UNUSED)
{
}

/* ---- the bus ---- */

void __wrap_bus_publish(struct bus *bus, const struct bus_event *event);

/* On the store's writer, after the commit, in its order. */
void __wrap_bus_publish(struct bus *bus UNUSED, const struct bus_event *event)
{
    if (!current || strcmp(event->channel, "message_events") != 0)
        return;
    Message__MessageEvent *m =
        message__message_event__unpack(NULL, event->payload.n, (const uint8_t *)event->payload.p);
    pthread_mutex_lock(&current->lock);
    assert_true(m && current->published_count < (int)ARRAY_LEN(current->published));
    current->published[current->published_count++] = m;
    pthread_mutex_unlock(&current->lock);
}

static void on_event(struct virtual *v, void *event)
{
    gateway_hub_event(&v->gw, event);
    message__message_event__free_unpacked(event, NULL);
}

static void carry_published(struct virtual *v)
{
    pthread_mutex_lock(&v->lock);
    for (int i = 0; i < v->published_count; i++) {
        Message__MessageEvent *event = v->published[i];
        bool is_seventh = event->change && event->change->rev % 7 == 0;
        if (is_seventh && has_bug("event_lost"))
            message__message_event__free_unpacked(event, NULL);
        else if (is_seventh && has_bug("events_swapped"))
            virtual_after(v, 100000, on_event, event);
        else
            at(v, arrival(v, &v->bus_us), on_event, event);
    }
    v->published_count = 0;
    pthread_mutex_unlock(&v->lock);
}

void virtual_run(struct virtual *v, int64_t for_us)
{
    int64_t until_us = v->now_us + for_us;
    while (v->list && v->list->at_us <= until_us) {
        struct happening *h = v->list;
        v->list = h->next;
        v->now_us = h->at_us;
        h->fn(v, h->arg);
        free(h);
        carry_published(v);
    }
    v->now_us = until_us;
}

/* ---- frames on their way ---- */

struct frame {
    uint64_t link;
    size_t n;
    uint8_t bytes[];
};

static void on_frame(struct virtual *v, void *arg)
{
    struct frame *f = arg;
    struct link *l = &v->links[f->link];
    l->waiting--;
    if (l->is_open) {
        Gateway__ServerFrame *frame = gateway__server_frame__unpack(NULL, f->n, f->bytes);
        assert_non_null(frame);
        v->opt.hear(l->client, f->link, frame);
    }
    free(f);
}

static void on_too_slow(struct virtual *v, void *arg)
{
    virtual_cut(v, (uint64_t)(uintptr_t)arg);
}

static void send_down(struct virtual *v, uint64_t link, const uint8_t *bytes, size_t n)
{
    struct link *l = &v->links[link];
    if (!l->is_open)
        return;
    if (l->is_slow && l->waiting >= SLOW_QUEUE_MAX) {
        virtual_after(v, 0, on_too_slow, (void *)(uintptr_t)link);
        return;
    }
    struct frame *f = mem_alloc(sizeof(*f) + n);
    *f = (struct frame){link, n};
    memcpy(f->bytes, bytes, n);
    l->waiting++;
    if (l->is_slow)
        l->down_us = MAX(l->down_us, v->now_us) + 5000 + virtual_chance(v, 20000);
    at(v, arrival(v, &l->down_us), on_frame, f);
}

void virtual_answer(struct virtual *v, uint64_t link, const Gateway__ServerFrame *frame)
{
    size_t n = gateway__server_frame__get_packed_size(frame);
    uint8_t *bytes = mem_alloc(n + 1);
    gateway__server_frame__pack(frame, bytes);
    send_down(v, link, bytes, n);
    free(bytes);
}

void __wrap_fan_send(struct fan *fan, const Gateway__ServerFrame *frame, unsigned flags);

void __wrap_fan_send(struct fan *fan, const Gateway__ServerFrame *frame, unsigned flags UNUSED)
{
    for (int kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < fan->counts[kind]; i++)
            virtual_answer(current, fan->tickets[kind][i].slot, frame);
        free(fan->tickets[kind]);
    }
}

/* ---- connections ---- */

static void post_about(struct virtual *v, uint64_t link, enum hub_post_kind kind)
{
    struct hub_post post = {.gw = &v->gw, .kind = kind, .socket = link, .is_packed = true};
    post.ticket.slot = (uint32_t)link;
    memcpy(post.user_id, v->links[link].who.user_id, sizeof(post.user_id));
    gateway_hub_post(&post);
}

uint64_t virtual_connect(struct virtual *v, const struct identity *who, void *client, bool is_slow)
{
    uint64_t link = ++v->last_link;
    assert_true(link < VIRTUAL_LINKS);
    v->links[link] =
        (struct link){.client = client, .who = *who, .is_open = true, .is_slow = is_slow};
    post_about(v, link, HUB_JOIN);
    return link;
}

bool virtual_is_open(const struct virtual *v, uint64_t link)
{
    return link && v->links[link].is_open;
}

static void on_noticed(struct virtual *v, void *arg)
{
    post_about(v, (uint64_t)(uintptr_t)arg, HUB_LEAVE);
}

/* The server notices some time later. */
void virtual_cut(struct virtual *v, uint64_t link)
{
    struct link *l = &v->links[link];
    if (!l->is_open)
        return;
    l->is_open = false;
    virtual_after(v, delay_us(v), on_noticed, (void *)(uintptr_t)link);
    v->opt.hear(l->client, link, NULL);
}

struct request {
    uint64_t link;
    virtual_fn *fn;
    void *arg;
};

static void on_request(struct virtual *v, void *arg)
{
    struct request *r = arg;
    r->fn(v->links[r->link].is_open ? v : NULL, r->arg); /* NULL: only to be freed */
    free(r);
}

void virtual_send(struct virtual *v, uint64_t link, virtual_fn *fn, void *arg)
{
    struct request *r = mem_new(struct request);
    *r = (struct request){link, fn, arg};
    at(v, arrival(v, &v->links[link].up_us), on_request, r);
}

/* ---- beginning and end ---- */

static void start_hub(struct virtual *v)
{
    v->gw = (struct gateway){.loop = HUB_LOOP, .deps.message = v->w->message};
    gateway_hub_start(&v->gw);
}

static void stop_hub(struct virtual *v)
{
    gateway_hub_clear(&v->gw);
    while (v->gw.call_count) /* lists on their way */
        virtual_run(v, 100000);
    gateway_hub_end(&v->gw);
}

static void cut_all(struct virtual *v)
{
    for (uint64_t link = 1; link <= v->last_link; link++)
        virtual_cut(v, link);
}

void virtual_restart_gateway(struct virtual *v)
{
    cut_all(v);
    virtual_run(v, 200000); /* what it heard before its end */
    cut_all(v);             /* who came back too early */
    stop_hub(v);
    start_hub(v);
}

struct virtual *virtual_open(struct world *w, const struct virtual_options *opt)
{
    struct virtual *v = mem_new(struct virtual);
    v->w = w;
    v->opt = *opt;
    v->seed = opt->seed;
    pthread_mutex_init(&v->lock, NULL);
    current = v;
    start_hub(v);
    return v;
}

void virtual_close(struct virtual **vp)
{
    struct virtual *v = *vp;
    *vp = NULL;
    for (uint64_t link = 1; link <= v->last_link; link++)
        v->links[link].is_open = false;
    virtual_run(v, 10000000);
    stop_hub(v);
    assert_null(v->list);
    current = NULL;
    pthread_mutex_destroy(&v->lock);
    free(v);
}
