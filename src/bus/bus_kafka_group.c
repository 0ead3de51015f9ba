/*
 * bus_kafka_group: one consumer for each group of this process, over all channels that it reads. A
 * parcel that was given to the handlers is `pending` until it is settled; a partition's place moves
 * to the first that is not, so what was not handled comes again. Before a partition goes to another
 * process its parcels are waited for. Order: a partition has one process, and its lanes keep keys.
 */
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "bus/bus_kafka_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define POLL_MS 100
#define LAG_EVERY_MS 1000
#define HAND_OVER_MS 3000 /* so long what is in work may end before another process goes on */
#define COMMIT_EVERY_MS 200
#define SETTLED_MS 2000 /* so long after its last subscription a group is not joining any more */
#define PREFETCH_PARCELS 1000
#define PREFETCH_KBYTES 16384

struct member {
    struct list node;
    struct kafka_topic *topic;
};

struct part {
    struct list node;
    struct kafka_group *group;
    struct kafka_topic *topic;
    int32_t number;
    int64_t next; /* the offset behind what was given out */
    struct list pending;
    bool is_left; /* stopping: what is pending is not waited for */
};

struct pending {
    struct list node;
    struct part *part;
    int64_t offset;
    uint64_t receipt;
    bool is_settled;
};

/* ---- parts, under the bus's lock ---- */

static struct part *find_part(struct kafka_group *g, const char *topic, int32_t number)
{
    LIST_FOREACH(&g->parts, node)
    {
        struct part *p = LIST_ENTRY(node, struct part, node);
        if (p->number == number && strcmp(p->topic->name, topic) == 0)
            return p;
    }
    return NULL;
}

static void add_part(struct kafka_group *g, const char *topic, int32_t number)
{
    struct kafka_topic *t = bus_kafka_topic_named(g->bus, topic);
    if (!t || find_part(g, topic, number))
        return;
    struct part *p = mem_new(struct part);
    p->group = g;
    p->topic = t;
    p->number = number;
    p->next = -1;
    list_init(&p->pending);
    list_add_tail(&g->parts, &p->node);
}

static void pending_free(struct pending *one)
{
    map64_remove(one->part->group->bus->receipts, one->receipt);
    list_remove(&one->node);
    free(one);
}

static void part_free(struct part *p)
{
    while (!list_is_empty(&p->pending))
        pending_free(LIST_ENTRY(p->pending.next, struct pending, node));
    list_remove(&p->node);
    free(p);
}

static rd_kafka_topic_partition_list_t *list_of(const struct part *p, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = kafka.topic_partition_list_new(1);
    kafka.topic_partition_list_add(list, p->topic->name, p->number)->offset = offset;
    return list;
}

/* The place moves behind what is handled without a hole. */
static void move_place(struct part *p)
{
    int64_t place = -1;
    while (!list_is_empty(&p->pending)) {
        struct pending *first = LIST_ENTRY(p->pending.next, struct pending, node);
        if (!first->is_settled)
            break;
        place = first->offset + 1;
        pending_free(first);
    }
    if (place < 0)
        return;
    rd_kafka_topic_partition_list_t *list = list_of(p, place);
    kafka.offsets_store(p->group->rk, list); /* refused: it is not ours any more */
    kafka.topic_partition_list_destroy(list);
}

void bus_kafka_settle(struct bus_impl *b, uint64_t receipt)
{
    pthread_mutex_lock(&b->lock);
    struct pending *one = map64_get(b->receipts, receipt);
    if (one) {
        one->is_settled = true;
        move_place(one->part);
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
}

/* ---- reading ---- */

static uint64_t add_pending(struct part *p, int64_t offset)
{
    struct bus_impl *b = p->group->bus;
    struct pending *one = mem_new(struct pending);
    one->part = p;
    one->offset = offset;
    one->receipt = ++b->last_receipt;
    p->next = offset + 1;
    list_add_tail(&p->pending, &one->node);
    map64_set(b->receipts, one->receipt, one);
    return one->receipt;
}

static void take(struct kafka_group *g, const rd_kafka_message_t *m)
{
    struct bus_impl *b = g->bus;
    struct str bytes = {m->payload, m->len};
    struct kafka_topic *topic = NULL;
    uint64_t receipt = 0;
    pthread_mutex_lock(&b->lock);
    struct part *p = find_part(g, kafka.topic_name(m->rkt), m->partition);
    if (p) {
        topic = p->topic;
        receipt = add_pending(p, m->offset);
    }
    pthread_mutex_unlock(&b->lock);
    if (!topic)
        return;
    enum err err = bytes.n ? bus_link_receive(b->link, topic->channel, g->name, bytes, receipt)
                           : ERR_INVALID_ARGUMENT;
    if (err == ERR_INVALID_ARGUMENT) {
        bus_kafka_bury(b, topic, bytes, "it is no parcel");
        bus_kafka_settle(b, receipt);
    } else if (err) {
        pthread_mutex_lock(&b->lock);
        p = find_part(g, topic->name, m->partition);
        if (p)
            p->is_left = true;
        pthread_mutex_unlock(&b->lock);
    }
}

/* ---- partitions come and go, inside consumer_poll and consumer_close ---- */

/* Lock held. */
static void wait_handled(struct part *p, int64_t until_ms)
{
    while (!list_is_empty(&p->pending) && !p->is_left && clock_mono_ms() < until_ms)
        thread_wait(&p->group->bus->changed, &p->group->bus->lock, 50);
}

static void lose_parts(struct kafka_group *g, const rd_kafka_topic_partition_list_t *list)
{
    bool is_lost = kafka.assignment_lost(g->rk);
    /* For all together; when we stop, the handlers have ended before. */
    int64_t until_ms = clock_mono_ms() + (g->bus->is_stopping ? 0 : HAND_OVER_MS);
    for (int turn = 0; turn < 2; turn++) {
        pthread_mutex_lock(&g->bus->lock);
        for (int i = 0; i < list->cnt; i++) {
            struct part *p = find_part(g, list->elems[i].topic, list->elems[i].partition);
            if (p && turn == 0 && !is_lost)
                wait_handled(p, until_ms);
            else if (p && turn == 1)
                part_free(p);
        }
        pthread_mutex_unlock(&g->bus->lock);
        if (turn == 0 && !is_lost)
            kafka.commit(g->rk, NULL, 0);
    }
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list, void *opaque UNUSED)
{
    struct kafka_group *g = opaque;
    rd_kafka_error_t *problem = NULL;
    bool is_assignment = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (is_assignment) {
        pthread_mutex_lock(&g->bus->lock);
        for (int i = 0; i < list->cnt; i++)
            add_part(g, list->elems[i].topic, list->elems[i].partition);
        pthread_mutex_unlock(&g->bus->lock);
        g->assigned_ms = clock_mono_ms();
        problem = kafka.incremental_assign(rk, list);
    } else {
        lose_parts(g, list);
        problem = kafka.incremental_unassign(rk, list);
    }
    if (problem)
        kafka.error_destroy(problem);
}

/* ---- lag ---- */

static int64_t lag_of(struct kafka_group *g, const struct part *p)
{
    int64_t low, high;
    int64_t place = p->next;
    if (!list_is_empty(&p->pending))
        place = LIST_ENTRY(p->pending.next, struct pending, node)->offset;
    if (place < 0 || kafka.get_watermark_offsets(g->rk, p->topic->name, p->number, &low, &high))
        return 0;
    return MAX(high - place, (int64_t)0);
}

static void tell_lag(struct kafka_group *g)
{
    pthread_mutex_lock(&g->bus->lock);
    LIST_FOREACH(&g->members, node)
    {
        const struct kafka_topic *topic = LIST_ENTRY(node, struct member, node)->topic;
        int64_t lag = 0;
        LIST_FOREACH(&g->parts, at)
        {
            struct part *p = LIST_ENTRY(at, struct part, node);
            lag += p->topic == topic ? lag_of(g, p) : 0;
        }
        bus_link_set_lag(g->bus->link, topic->channel, g->name, lag);
    }
    pthread_mutex_unlock(&g->bus->lock);
}

/* ---- life ---- */

/* librdkafka 2.0 (Debian 12) ends the program by an assertion when a consumer is destroyed that is
 * joining its group: told no partitions yet (confluentinc/librdkafka#4312), or given another
 * subscription meanwhile. Such a one leaves its group and is never destroyed; programs that end are
 * where that happens. */
static bool may_destroy(const struct kafka_group *g)
{
    return g->assigned_ms >= g->changed_ms && clock_mono_ms() - g->changed_ms > SETTLED_MS;
}

static void *main_of(void *arg)
{
    struct kafka_group *g = arg;
    int64_t told_ms = 0;
    while (!g->is_over) {
        rd_kafka_message_t *m = kafka.consumer_poll(g->rk, POLL_MS);
        if (m && !m->err)
            take(g, m);
        else if (m)
            log_debug(NULL, "bus: kafka: group %s: %s", g->name, kafka.err2str(m->err));
        if (m)
            kafka.message_destroy(m);
        if (clock_mono_ms() - told_ms < LAG_EVERY_MS)
            continue;
        told_ms = clock_mono_ms();
        tell_lag(g);
    }
    kafka.consumer_close(g->rk);
    return NULL;
}

static rd_kafka_t *make_consumer(struct kafka_group *g)
{
    char id[BUS_TOPIC_MAX], problem[300] = "";
    struct bus_impl *b = g->bus;
    rd_kafka_conf_t *conf = bus_kafka_group_id(b, g->name, id) ? bus_kafka_conf(b) : NULL;
    if (!conf)
        return NULL;
    kafka.conf_set_opaque(conf, g);
    kafka.conf_set_error_cb(conf, NULL);
    kafka.conf_set_rebalance_cb(conf, on_rebalance);
    bus_kafka_conf_set(conf, "group.id", id);
    bus_kafka_conf_set(conf, "partition.assignment.strategy", "cooperative-sticky");
    bus_kafka_conf_set_int(conf, "session.timeout.ms", b->owner_ms);
    bus_kafka_conf_set_int(conf, "heartbeat.interval.ms",
                           CLAMP(b->owner_ms / 4, (int64_t)100, (int64_t)1000));
    bus_kafka_conf_set_int(conf, "max.poll.interval.ms", MAX(b->owner_ms, (int64_t)600000));
    bus_kafka_conf_set(conf, "auto.offset.reset", "earliest");
    bus_kafka_conf_set(conf, "enable.auto.offset.store", "false");
    bus_kafka_conf_set_int(conf, "auto.commit.interval.ms", COMMIT_EVERY_MS);
    bus_kafka_conf_set_int(conf, "queued.min.messages", PREFETCH_PARCELS);
    bus_kafka_conf_set_int(conf, "queued.max.messages.kbytes", PREFETCH_KBYTES);
    bus_kafka_conf_set_int(conf, "fetch.wait.max.ms", 100);
    rd_kafka_t *rk = kafka.new(RD_KAFKA_CONSUMER, conf, problem, sizeof(problem));
    if (!rk) {
        log_error(NULL, "bus: kafka: group %s: %s", g->name, problem);
        kafka.conf_destroy(conf);
        return NULL;
    }
    kafka.poll_set_consumer(rk);
    return rk;
}

static struct kafka_group *find_group(struct bus_impl *b, const char *name)
{
    LIST_FOREACH(&b->groups, node)
    {
        struct kafka_group *g = LIST_ENTRY(node, struct kafka_group, node);
        if (strcmp(g->name, name) == 0)
            return g;
    }
    return NULL;
}

static void group_free(struct kafka_group *g)
{
    LIST_FOREACH(&g->members, node)
    free(LIST_ENTRY(node, struct member, node));
    LIST_FOREACH(&g->parts, node)
    part_free(LIST_ENTRY(node, struct part, node));
    list_remove(&g->node);
    free(g->name);
    free(g);
}

static struct kafka_group *make_group(struct bus_impl *b, const char *name)
{
    struct kafka_group *g = mem_new(struct kafka_group);
    g->bus = b;
    g->name = mem_strdup(name);
    list_init(&g->members);
    list_init(&g->parts);
    g->rk = make_consumer(g);
    if (!g->rk) {
        group_free(g);
        return NULL;
    }
    pthread_mutex_lock(&b->lock);
    list_add_tail(&b->groups, &g->node);
    pthread_mutex_unlock(&b->lock);
    thread_must_start(&g->thread, "bus-group", main_of, g);
    return g;
}

static void subscribe(struct kafka_group *g)
{
    rd_kafka_topic_partition_list_t *list = kafka.topic_partition_list_new(8);
    LIST_FOREACH(&g->members, node)
    kafka.topic_partition_list_add(list, LIST_ENTRY(node, struct member, node)->topic->name,
                                   RD_KAFKA_PARTITION_UA);
    g->changed_ms = clock_mono_ms();
    rd_kafka_resp_err_t err = kafka.subscribe(g->rk, list);
    if (err)
        log_error(NULL, "bus: kafka: group %s: %s", g->name, kafka.err2str(err));
    kafka.topic_partition_list_destroy(list);
}

static struct member *find_member(struct kafka_group *g, const struct kafka_topic *topic)
{
    LIST_FOREACH(&g->members, node)
    if (LIST_ENTRY(node, struct member, node)->topic == topic)
        return LIST_ENTRY(node, struct member, node);
    return NULL;
}

void bus_kafka_group_join(struct bus_impl *b, struct kafka_topic *topic, const char *name)
{
    struct kafka_group *g = find_group(b, name);
    if (!g)
        g = make_group(b, name);
    if (!g || find_member(g, topic))
        return;
    struct member *m = mem_new(struct member);
    m->topic = topic;
    pthread_mutex_lock(&b->lock);
    list_add_tail(&g->members, &m->node);
    pthread_mutex_unlock(&b->lock);
    subscribe(g);
}

void bus_kafka_group_leave(struct bus_impl *b, struct kafka_topic *topic, const char *name)
{
    struct kafka_group *g = find_group(b, name);
    struct member *m = g ? find_member(g, topic) : NULL;
    if (!m)
        return;
    pthread_mutex_lock(&b->lock);
    list_remove(&m->node);
    pthread_mutex_unlock(&b->lock);
    free(m);
    if (list_is_empty(&g->members))
        bus_kafka_group_stop(&g);
    else
        subscribe(g);
}

void bus_kafka_group_stop(struct kafka_group **group)
{
    struct kafka_group *g = *group;
    struct bus_impl *b = g->bus;
    *group = NULL;
    g->is_over = true;
    pthread_join(g->thread, NULL);
    pthread_mutex_lock(&b->lock);
    rd_kafka_t *rk = may_destroy(g) ? g->rk : NULL;
    group_free(g);
    pthread_mutex_unlock(&b->lock);
    if (rk)
        kafka.destroy(rk);
}
