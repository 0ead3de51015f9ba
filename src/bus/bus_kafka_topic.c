/*
 * bus_kafka_topic: topics of channels, made when they are not there, and where a group begins that
 * has never read: a little before now, so that nothing is lost between two processes that both find
 * it without a place. What it then hears twice it must bear anyway.
 */
#include "bus/bus_kafka_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define LIVE_SUFFIX ".live"
#define LIVE_KEEP_MS "60000"
#define LAST_CALL_MS 1500
#define BEGIN_BEFORE_MS 600000
#define NAME_MAX_BYTES 240      /* Kafka's 249 less the suffix */
#define USUAL_PREFIX "meeting." /* other deployments' topics bear theirs */

/* ---- the list ---- */

struct kafka_topic *bus_kafka_topic_named(struct bus_impl *b, const char *name)
{
    LIST_FOREACH(&b->topics, node)
    {
        struct kafka_topic *t = LIST_ENTRY(node, struct kafka_topic, node);
        if (strcmp(t->name, name) == 0 || strcmp(t->live, name) == 0)
            return t;
    }
    return NULL;
}

size_t bus_kafka_topic_names(const struct kafka_topic *t, const char *names[2])
{
    size_t count = 0;
    names[count++] = t->name;
    if (t->live[0] && strcmp(t->live, t->name) != 0)
        names[count++] = t->live;
    return count;
}

enum kind { KIND_BOTH, KIND_DURABLE, KIND_LIVE };

/* Messaging's have names of their own, without the usual prefix. */
static const struct known {
    const char *channel, *name;
    enum kind kind;
    bool has_more; /* behind it: whose it is */
} known_topics[] = {
    {BUS_UPSTREAM, "im-upstream-topic", KIND_DURABLE, false},
    {BUS_DOWNSTREAM, "im-downstream-topic-", KIND_LIVE, true},
    {"tasks.im", "im-task-topic", KIND_DURABLE, false},
    {"tasks.", NULL, KIND_DURABLE, true},
};

static const struct known *find_known(const char *channel)
{
    for (size_t i = 0; i < ARRAY_LEN(known_topics); i++) {
        const struct known *k = &known_topics[i];
        if (k->has_more ? strncmp(channel, k->channel, strlen(k->channel)) == 0
                        : strcmp(channel, k->channel) == 0)
            return k;
    }
    return NULL;
}

/* False: it does not fit. */
static bool name_topic(const struct bus_impl *b, const struct known *k, const char *channel,
                       char out[BUS_TOPIC_MAX])
{
    char prefix[BUS_TOPIC_MAX];
    if (!k || !k->name)
        return bus_link_topic(b->link, channel, NULL, out) && strlen(out) <= NAME_MAX_BYTES;
    if (!bus_link_topic(b->link, "", NULL, prefix))
        return false;
    int n = snprintf(out, BUS_TOPIC_MAX, "%s%s%s", strcmp(prefix, USUAL_PREFIX) == 0 ? "" : prefix,
                     k->name, k->has_more ? channel + strlen(k->channel) : "");
    return n > 0 && n <= NAME_MAX_BYTES;
}

struct kafka_topic *bus_kafka_topic(struct bus_impl *b, const char *channel)
{
    char name[BUS_TOPIC_MAX];
    const struct known *k = find_known(channel);
    enum kind kind = k ? k->kind : KIND_BOTH;
    if (!name_topic(b, k, channel, name))
        return NULL;
    struct kafka_topic *t = bus_kafka_topic_named(b, name);
    if (t)
        return t;
    t = mem_new(struct kafka_topic);
    t->channel = mem_strdup(channel);
    snprintf(t->name, sizeof(t->name), "%s", name);
    if (kind != KIND_DURABLE)
        snprintf(t->live, sizeof(t->live), "%s%s", name, kind == KIND_BOTH ? LIVE_SUFFIX : "");
    list_add_tail(&b->topics, &t->node);
    return t;
}

bool bus_kafka_group_id(const struct bus_impl *b, const char *group, char out[BUS_TOPIC_MAX])
{
    return bus_link_topic(b->link, group, NULL, out);
}

/* ---- questions ---- */

typedef void ask_fn(rd_kafka_t *rk, struct bus_impl *b, void *arg, rd_kafka_AdminOptions_t *options,
                    rd_kafka_queue_t *queue);

/* Asks by `ask` and waits. NULL: no answer, or an error (logged at debug). */
static rd_kafka_event_t *call_by(rd_kafka_t *rk, struct bus_impl *b, rd_kafka_admin_op_t op,
                                 ask_fn *ask, void *arg)
{
    char problem[200] = "";
    rd_kafka_queue_t *queue = kafka.queue_new(rk);
    rd_kafka_AdminOptions_t *options = kafka.AdminOptions_new(rk, op);
    int wait_ms = b->is_stopping ? LAST_CALL_MS : BUS_KAFKA_CALL_MS;
    kafka.AdminOptions_set_request_timeout(options, wait_ms, problem, sizeof(problem));
    ask(rk, b, arg, options, queue);
    rd_kafka_event_t *event = kafka.queue_poll(queue, wait_ms + 500);
    kafka.AdminOptions_destroy(options);
    kafka.queue_destroy(queue);
    if (event && kafka.event_error(event)) {
        log_debug(NULL, "bus: kafka: %s", kafka.err2str(kafka.event_error(event)));
        kafka.event_destroy(event);
        event = NULL;
    }
    return event;
}

static rd_kafka_event_t *call(struct bus_impl *b, rd_kafka_admin_op_t op, ask_fn *ask, void *arg)
{
    rd_kafka_event_t *event = call_by(bus_kafka_producer_borrow(b), b, op, ask, arg);
    bus_kafka_producer_return(b);
    return event;
}

/* Questions about groups are a consumer's: librdkafka 2.0 looks in whoever asked for the group
 * whose coordinator is to be found again, and a producer has none: it ended the program, whenever a
 * coordinator was new or had moved. */
static rd_kafka_event_t *call_about_group(struct bus_impl *b, rd_kafka_admin_op_t op, ask_fn *ask,
                                          void *arg)
{
    rd_kafka_t *rk = bus_kafka_hear_borrow(b);
    if (!rk)
        return NULL;
    rd_kafka_event_t *event = call_by(rk, b, op, ask, arg);
    bus_kafka_hear_return(b);
    return event;
}

static void ask_to_make(rd_kafka_t *rk, struct bus_impl *b, void *arg,
                        rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    const struct kafka_topic *t = arg;
    char problem[200] = "";
    const char *names[2];
    rd_kafka_NewTopic_t *topics[2];
    size_t count = bus_kafka_topic_names(t, names);
    for (size_t i = 0; i < count; i++) {
        bool is_live = strcmp(names[i], t->live) == 0;
        int partitions = is_live ? 1 : b->url.partitions;
        topics[i] = kafka.NewTopic_new(names[i], partitions, -1, problem, sizeof(problem));
        if (is_live)
            kafka.NewTopic_set_config(topics[i], "retention.ms", LIVE_KEEP_MS);
    }
    kafka.CreateTopics(rk, topics, count, options, queue);
    for (size_t i = 0; i < count; i++)
        kafka.NewTopic_destroy(topics[i]);
}

/* All `wanted` are there, new or not. */
static bool are_there(rd_kafka_event_t *event, size_t wanted)
{
    size_t count = 0;
    bool are = true;
    const rd_kafka_topic_result_t **results =
        kafka.CreateTopics_result_topics(kafka.event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t err = kafka.topic_result_error(results[i]);
        if (!err || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            continue;
        are = false;
        log_warn(NULL, "bus: kafka does not make the topic %s: %s",
                 kafka.topic_result_name(results[i]), kafka.err2str(err));
    }
    return are && count == wanted;
}

int bus_kafka_partitions(struct bus_impl *b, const char *name)
{
    const struct rd_kafka_metadata *all;
    int count = 0;
    rd_kafka_t *rk = bus_kafka_producer_borrow(b);
    rd_kafka_topic_t *topic = kafka.topic_new(rk, name, NULL);
    rd_kafka_resp_err_t err = kafka.metadata(rk, 0, topic, &all, BUS_KAFKA_CALL_MS);
    kafka.topic_destroy(topic);
    bus_kafka_producer_return(b);
    if (err)
        return 0;
    for (int i = 0; i < all->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *t = &all->topics[i];
        if (strcmp(t->topic, name) != 0 || t->err)
            continue;
        count = t->partition_cnt;
        for (int k = 0; k < t->partition_cnt; k++)
            if (t->partitions[k].err || t->partitions[k].leader < 0)
                count = 0; /* not yet */
    }
    kafka.metadata_destroy(all);
    return count;
}

/* A new topic has no leaders at first. */
static bool wait_partitions(struct bus_impl *b, const char *name)
{
    for (int64_t until_ms = clock_mono_ms() + BUS_KAFKA_CALL_MS;
         clock_mono_ms() < until_ms && !b->is_stopping;) {
        if (bus_kafka_partitions(b, name))
            return true;
        usleep(20000);
    }
    return false;
}

enum err bus_kafka_make_topic(struct bus_impl *b, struct kafka_topic *t)
{
    pthread_mutex_lock(&b->lock);
    bool is_made = t->is_made;
    pthread_mutex_unlock(&b->lock);
    if (is_made)
        return ERR_OK;
    const char *names[2];
    size_t count = bus_kafka_topic_names(t, names);
    rd_kafka_event_t *event = call(b, RD_KAFKA_ADMIN_OP_CREATETOPICS, ask_to_make, t);
    is_made = event && are_there(event, count);
    for (size_t i = 0; i < count && is_made; i++)
        is_made = wait_partitions(b, names[i]);
    if (event)
        kafka.event_destroy(event);
    pthread_mutex_lock(&b->lock);
    t->is_made = is_made;
    pthread_mutex_unlock(&b->lock);
    return is_made ? ERR_OK : ERR_UNAVAILABLE;
}

void bus_kafka_forget_made(struct bus_impl *b, const char *channel)
{
    pthread_mutex_lock(&b->lock);
    struct kafka_topic *t = bus_kafka_topic(b, channel);
    if (t)
        t->is_made = false;
    pthread_mutex_unlock(&b->lock);
}

static void ask_to_delete(rd_kafka_t *rk, struct bus_impl *b UNUSED, void *arg,
                          rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    const struct kafka_topic *t = arg;
    rd_kafka_DeleteTopic_t *one = kafka.DeleteTopic_new(t->name);
    kafka.DeleteTopics(rk, &one, 1, options, queue);
    kafka.DeleteTopic_destroy(one);
}

void bus_kafka_delete_own(struct bus_impl *b)
{
    LIST_FOREACH(&b->topics, node) /* every thread of ours has ended */
    {
        struct kafka_topic *t = LIST_ENTRY(node, struct kafka_topic, node);
        const char *process = bus_channel_process(t->channel);
        if (!process || strcmp(process, b->process) != 0 || !t->is_made)
            continue;
        rd_kafka_event_t *event = call(b, RD_KAFKA_ADMIN_OP_DELETETOPICS, ask_to_delete, t);
        if (event)
            kafka.event_destroy(event);
    }
}

/* ---- where a group begins ---- */

struct group_question {
    const char *group;
    rd_kafka_topic_partition_list_t *parts;
};

static void ask_offsets(rd_kafka_t *rk, struct bus_impl *b UNUSED, void *arg,
                        rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    const struct group_question *q = arg;
    rd_kafka_ListConsumerGroupOffsets_t *one =
        kafka.ListConsumerGroupOffsets_new(q->group, q->parts);
    kafka.ListConsumerGroupOffsets(rk, &one, 1, options, queue);
    kafka.ListConsumerGroupOffsets_destroy(one);
}

static void ask_to_begin(rd_kafka_t *rk, struct bus_impl *b UNUSED, void *arg,
                         rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    const struct group_question *q = arg;
    rd_kafka_AlterConsumerGroupOffsets_t *one =
        kafka.AlterConsumerGroupOffsets_new(q->group, q->parts);
    kafka.AlterConsumerGroupOffsets(rk, &one, 1, options, queue);
    kafka.AlterConsumerGroupOffsets_destroy(one);
}

/* Those without a place. */
static rd_kafka_topic_partition_list_t *without_place(rd_kafka_event_t *event)
{
    size_t count = 0;
    rd_kafka_topic_partition_list_t *none = kafka.topic_partition_list_new(8);
    const rd_kafka_group_result_t **groups = kafka.ListConsumerGroupOffsets_result_groups(
        kafka.event_ListConsumerGroupOffsets_result(event), &count);
    const rd_kafka_topic_partition_list_t *parts =
        count == 1 && !kafka.group_result_error(groups[0])
            ? kafka.group_result_partitions(groups[0])
            : NULL;
    for (int i = 0; parts && i < parts->cnt; i++)
        if (parts->elems[i].offset < 0)
            kafka.topic_partition_list_add(none, parts->elems[i].topic, parts->elems[i].partition);
    return none;
}

/* The end is asked for first: what comes while we ask is behind it. */
static bool find_beginning(struct bus_impl *b, rd_kafka_topic_partition_list_t *parts)
{
    int64_t low, *ends = mem_calloc((size_t)parts->cnt + 1, sizeof(*ends));
    bool is_found = true;
    rd_kafka_t *rk = bus_kafka_producer_borrow(b);
    for (int i = 0; i < parts->cnt && is_found; i++) {
        is_found =
            !kafka.query_watermark_offsets(rk, parts->elems[i].topic, parts->elems[i].partition,
                                           &low, &ends[i], BUS_KAFKA_CALL_MS);
        parts->elems[i].offset = clock_wall_ms() - BEGIN_BEFORE_MS;
    }
    is_found = is_found && !kafka.offsets_for_times(rk, parts, BUS_KAFKA_CALL_MS);
    bus_kafka_producer_return(b);
    for (int i = 0; i < parts->cnt && is_found; i++)
        if (parts->elems[i].offset < 0)
            parts->elems[i].offset = ends[i];
    free(ends);
    return is_found;
}

enum err bus_kafka_begin_group(struct bus_impl *b, const struct kafka_topic *t, const char *group)
{
    char id[BUS_TOPIC_MAX];
    int count = bus_kafka_partitions(b, t->name);
    if (!count || !bus_kafka_group_id(b, group, id))
        return ERR_UNAVAILABLE;
    struct group_question q = {id, kafka.topic_partition_list_new(count)};
    for (int i = 0; i < count; i++)
        kafka.topic_partition_list_add(q.parts, t->name, i);
    rd_kafka_event_t *event =
        call_about_group(b, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, ask_offsets, &q);
    kafka.topic_partition_list_destroy(q.parts);
    if (!event)
        return ERR_UNAVAILABLE;
    q.parts = without_place(event);
    kafka.event_destroy(event);
    enum err err = ERR_OK;
    if (q.parts->cnt) {
        event =
            find_beginning(b, q.parts)
                ? call_about_group(b, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, ask_to_begin, &q)
                : NULL;
        err = event ? ERR_OK : ERR_UNAVAILABLE;
        if (event)
            kafka.event_destroy(event);
    }
    kafka.topic_partition_list_destroy(q.parts);
    return err;
}
