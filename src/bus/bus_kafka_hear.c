/*
 * bus_kafka_hear: what this process hears as itself: all partitions of the channels that it
 * subscribes to, without a group, from where they ended when it joined. After a lost link it goes
 * on where it was. One thread assigns and reads, so that nothing is read twice in between.
 */
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "bus/bus_kafka_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define POLL_MS 50
#define RETRY_MS 300
#define LOOK_EVERY_MS 30000 /* whether topics have more partitions */
#define CHANGE_MS (BUS_KAFKA_CALL_MS + 3000)

/* A partition that is read. */
struct heard {
    struct list node;
    struct kafka_topic *topic;
    const char *name; /* of the topic: its durable one, or the other */
    int32_t number;
    int64_t next;
    bool is_assigned; /* librdkafka has taken it */
};

struct kafka_hearing {
    struct bus_impl *bus;
    rd_kafka_t *rk;
    pthread_t thread;
    struct list parts;       /* the thread's own, as the next */
    bool has_failed_to_tell; /* and the log says so */
    /* Under the bus's lock. */
    uint64_t wanted, done; /* changes asked for, and made */
};

/* ---- what is read ---- */

static bool has_name(const struct kafka_hearing *h, const char *name)
{
    LIST_FOREACH(&h->parts, node)
    if (LIST_ENTRY(node, struct heard, node)->name == name)
        return true;
    return false;
}

static void add_part(struct kafka_hearing *h, struct kafka_topic *topic, const char *name,
                     int32_t number, int64_t from)
{
    struct heard *part = mem_new(struct heard);
    *part = (struct heard){.topic = topic, .name = name, .number = number, .next = from};
    list_add_tail(&h->parts, &part->node);
}

/* From the end on, as it is now. */
static bool add_name(struct kafka_hearing *h, struct kafka_topic *topic, const char *name)
{
    int count = bus_kafka_partitions(h->bus, name);
    int64_t low, end;
    for (int i = 0; i < count; i++) {
        if (kafka.query_watermark_offsets(h->bus->producer, name, i, &low, &end, BUS_KAFKA_CALL_MS))
            return false;
        add_part(h, topic, name, i, end);
    }
    return count > 0;
}

/* Only what changed is told. Assigning all anew (rd_kafka_assign) takes away what is read first,
 * and librdkafka 2.0 dies of that when a topic among it was unknown to a broker for a moment. */
static bool end_telling(struct kafka_hearing *h, rd_kafka_error_t *error,
                        rd_kafka_topic_partition_list_t *list)
{
    if (error && !h->has_failed_to_tell)
        log_error(NULL, "bus: kafka: what is heard cannot be changed, and is tried again: %s",
                  kafka.error_string(error));
    h->has_failed_to_tell = error != NULL;
    if (error)
        kafka.error_destroy(error);
    kafka.topic_partition_list_destroy(list);
    return !h->has_failed_to_tell;
}

/* False: librdkafka still has them; to be tried again, or they could never be taken anew. */
static bool drop_name(struct kafka_hearing *h, const char *name)
{
    rd_kafka_topic_partition_list_t *list = kafka.topic_partition_list_new(16);
    LIST_FOREACH(&h->parts, node)
    {
        struct heard *part = LIST_ENTRY(node, struct heard, node);
        if (part->name == name && part->is_assigned)
            kafka.topic_partition_list_add(list, part->name, part->number);
    }
    if (!end_telling(h, list->cnt ? kafka.incremental_unassign(h->rk, list) : NULL, list))
        return false;
    LIST_FOREACH(&h->parts, node)
    {
        struct heard *part = LIST_ENTRY(node, struct heard, node);
        if (part->name != name)
            continue;
        list_remove(&part->node);
        free(part);
    }
    return true;
}

/* False: librdkafka has not taken them; to be tried again. */
static bool assign_new(struct kafka_hearing *h)
{
    rd_kafka_topic_partition_list_t *list = kafka.topic_partition_list_new(16);
    LIST_FOREACH(&h->parts, node)
    {
        struct heard *part = LIST_ENTRY(node, struct heard, node);
        if (!part->is_assigned)
            kafka.topic_partition_list_add(list, part->name, part->number)->offset = part->next;
    }
    if (!end_telling(h, list->cnt ? kafka.incremental_assign(h->rk, list) : NULL, list))
        return false;
    LIST_FOREACH(&h->parts, node)
    LIST_ENTRY(node, struct heard, node)->is_assigned = true;
    return true;
}

/* Somebody gave a topic more partitions: all that is in them came since. False: no answer. */
static bool find_parts(struct kafka_hearing *h, struct kafka_topic *topic, const char *name)
{
    int32_t known = 0;
    LIST_FOREACH(&h->parts, node)
    known += LIST_ENTRY(node, struct heard, node)->name == name;
    int count = bus_kafka_partitions(h->bus, name);
    for (int32_t i = known; known && i < count; i++)
        add_part(h, topic, name, i, RD_KAFKA_OFFSET_BEGINNING);
    return count > 0;
}

/* The i-th topic of the list, and whether it is heard. */
static struct kafka_topic *topic_at(struct bus_impl *b, size_t i, bool *is_heard)
{
    struct kafka_topic *found = NULL;
    pthread_mutex_lock(&b->lock);
    LIST_FOREACH(&b->topics, node)
    if (i-- == 0) {
        found = LIST_ENTRY(node, struct kafka_topic, node);
        *is_heard = found->is_heard;
        break;
    }
    pthread_mutex_unlock(&b->lock);
    return found;
}

/* False: not all of it; to be tried again. */
static bool follow_changes(struct kafka_hearing *h)
{
    bool is_heard = false, is_all = true;
    struct kafka_topic *topic;
    for (size_t i = 0; (topic = topic_at(h->bus, i, &is_heard)); i++) {
        const char *names[2];
        size_t count = bus_kafka_topic_names(topic, names);
        for (size_t k = 0; k < count; k++) {
            if (is_heard == has_name(h, names[k]))
                continue;
            bool is_added = is_heard && add_name(h, topic, names[k]);
            bool is_gone = !is_added && drop_name(h, names[k]);
            is_all = is_all && (is_heard ? is_added : is_gone);
        }
    }
    return assign_new(h) && is_all;
}

/* False: some were found and not taken. */
static bool look_for_parts(struct kafka_hearing *h)
{
    bool is_heard = false, has_answer = true;
    struct kafka_topic *topic;
    for (size_t i = 0; has_answer && (topic = topic_at(h->bus, i, &is_heard)); i++) {
        const char *names[2];
        size_t count = is_heard ? bus_kafka_topic_names(topic, names) : 0;
        for (size_t k = 0; k < count && has_answer && !h->bus->is_stopping; k++)
            has_answer = find_parts(h, topic, names[k]);
    }
    return assign_new(h);
}

/* ---- reading ---- */

static void take(struct kafka_hearing *h, const rd_kafka_message_t *m)
{
    const char *name = kafka.topic_name(m->rkt);
    LIST_FOREACH(&h->parts, node)
    {
        struct heard *part = LIST_ENTRY(node, struct heard, node);
        if (part->number != m->partition || strcmp(part->name, name) != 0)
            continue;
        part->next = m->offset + 1;
        if (bus_link_receive(h->bus->link, part->topic->channel, NULL,
                             (struct str){m->payload, m->len}, 0) == ERR_INVALID_ARGUMENT)
            log_debug(NULL, "bus: what is in %s is no parcel", name);
        return;
    }
}

static uint64_t wanted_now(struct kafka_hearing *h)
{
    pthread_mutex_lock(&h->bus->lock);
    uint64_t wanted = h->wanted;
    pthread_mutex_unlock(&h->bus->lock);
    return wanted;
}

static void *main_of(void *arg)
{
    struct kafka_hearing *h = arg;
    uint64_t done = 0;
    int64_t retry_ms = 0, look_ms = clock_mono_ms() + LOOK_EVERY_MS;
    while (!h->bus->is_stopping) {
        uint64_t wanted = wanted_now(h);
        bool is_due = wanted != done && clock_mono_ms() >= retry_ms;
        if (is_due && !follow_changes(h)) {
            retry_ms = clock_mono_ms() + RETRY_MS;
        } else if (is_due) {
            done = wanted;
            pthread_mutex_lock(&h->bus->lock);
            h->done = done;
            pthread_cond_broadcast(&h->bus->changed);
            pthread_mutex_unlock(&h->bus->lock);
        }
        if (clock_mono_ms() >= look_ms) {
            bool is_done = h->bus->is_lost || look_for_parts(h);
            look_ms = clock_mono_ms() + (is_done ? LOOK_EVERY_MS : RETRY_MS);
        }
        rd_kafka_message_t *m = kafka.consumer_poll(h->rk, POLL_MS);
        if (m && !m->err)
            take(h, m);
        else if (m)
            log_debug(NULL, "bus: kafka: %s", kafka.err2str(m->err));
        if (m)
            kafka.message_destroy(m);
    }
    return NULL;
}

void bus_kafka_hear_changed(struct bus_impl *b)
{
    struct kafka_hearing *h = b->hearing;
    if (!h)
        return;
    pthread_mutex_lock(&b->lock);
    uint64_t mine = ++h->wanted;
    for (int64_t left_ms = CHANGE_MS; h->done < mine && left_ms > 0 && !b->is_stopping;
         left_ms -= 50)
        thread_wait(&b->changed, &b->lock, 50);
    pthread_mutex_unlock(&b->lock);
}

/* ---- life ---- */

void bus_kafka_hear_start(struct bus_impl *b)
{
    char problem[300] = "";
    rd_kafka_conf_t *conf = bus_kafka_conf(b);
    if (!conf)
        return;
    kafka.conf_set_error_cb(conf, NULL);
    bus_kafka_conf_set(conf, "group.id", b->process); /* of no group: nothing is committed */
    bus_kafka_conf_set(conf, "enable.auto.commit", "false");
    bus_kafka_conf_set(conf, "auto.offset.reset", "latest");
    bus_kafka_conf_set_int(conf, "fetch.wait.max.ms", 100);
    bus_kafka_conf_set_int(conf, "queued.min.messages", 1000);
    bus_kafka_conf_set_int(conf, "queued.max.messages.kbytes", 16384);
    rd_kafka_t *rk = kafka.new(RD_KAFKA_CONSUMER, conf, problem, sizeof(problem));
    if (!rk) {
        log_error(NULL, "bus: kafka: %s", problem);
        kafka.conf_destroy(conf);
        return;
    }
    kafka.poll_set_consumer(rk);
    struct kafka_hearing *h = mem_new(struct kafka_hearing);
    h->bus = b;
    h->rk = rk;
    list_init(&h->parts);
    b->hearing = h;
    thread_must_start(&h->thread, "bus-hear", main_of, h);
}

void bus_kafka_hear_stop(struct bus_impl *b)
{
    struct kafka_hearing *h = b->hearing;
    if (!h)
        return;
    pthread_join(h->thread, NULL);
    pthread_mutex_lock(&b->lock);
    while (b->asking) /* by its consumer, for some seconds at most */
        thread_wait(&b->changed, &b->lock, 50);
    pthread_mutex_unlock(&b->lock);
    kafka.consumer_close(h->rk);
    kafka.destroy(h->rk); /* at once: librdkafka does not survive that its topics are deleted */
    while (!list_is_empty(&h->parts)) {
        struct heard *part = LIST_ENTRY(h->parts.next, struct heard, node);
        list_remove(&part->node);
        free(part);
    }
    b->hearing = NULL;
    free(h);
}

rd_kafka_t *bus_kafka_hear_borrow(struct bus_impl *b)
{
    pthread_mutex_lock(&b->lock);
    rd_kafka_t *rk = b->hearing && !b->is_stopping ? b->hearing->rk : NULL;
    b->asking += rk != NULL;
    pthread_mutex_unlock(&b->lock);
    return rk;
}

void bus_kafka_hear_return(struct bus_impl *b)
{
    pthread_mutex_lock(&b->lock);
    b->asking--;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}
