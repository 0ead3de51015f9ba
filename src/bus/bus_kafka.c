/*
 * bus_kafka: events and due tasks over Kafka. One idempotent producer that waits for all replicas;
 * a durable parcel is answered by its delivery report. librdkafka keeps the connections; the thread
 * "bus-kafka" asks for the cluster's metadata when nothing else shows that it is there, and so
 * knows a broker that is frozen from one that is idle.
 */
#include "bus/bus_kafka_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define POLL_MS 20
#define ASK_AFTER_US 1000000 /* of silence */
#define ASK_MS 2500
#define FLUSH_MS 2000
#define QUEUE_MAX 20000
#define DEAD "dead"

/* ---- what clients are told ---- */

bool bus_kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char problem[200] = "";
    if (kafka.conf_set(conf, name, value, problem, sizeof(problem)) == RD_KAFKA_CONF_OK)
        return true;
    log_error(NULL, "bus: kafka: %s", problem);
    return false;
}

void bus_kafka_conf_set_int(rd_kafka_conf_t *conf, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)value);
    bus_kafka_conf_set(conf, name, text);
}

static void on_log(const rd_kafka_t *rk UNUSED, int level, const char *facility, const char *text)
{
    log_debug(NULL, "bus: kafka %d %s: %s", level, facility, text);
}

static void say_why(struct bus_impl *b, const char *why)
{
    pthread_mutex_lock(&b->lock);
    snprintf(b->why, sizeof(b->why), "%s", why);
    pthread_mutex_unlock(&b->lock);
}

static void on_error(rd_kafka_t *rk, int err, const char *why, void *opaque)
{
    struct bus_impl *b = opaque;
    say_why(b, why);
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || err == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        b->is_lost = true;
    if (err == RD_KAFKA_RESP_ERR__FATAL)
        log_error(NULL, "bus: kafka: %s", why);
}

static bool set_security(const struct bus_impl *b, rd_kafka_conf_t *conf)
{
    const struct kafka_url *url = &b->url;
    const char *protocol = url->user ? (url->is_tls ? "sasl_ssl" : "sasl_plaintext")
                                     : (url->is_tls ? "ssl" : "plaintext");
    bool is_good = bus_kafka_conf_set(conf, "security.protocol", protocol);
    if (url->user)
        is_good =
            is_good && bus_kafka_conf_set(conf, "sasl.username", url->user) &&
            bus_kafka_conf_set(conf, "sasl.password", url->password) &&
            bus_kafka_conf_set(conf, "sasl.mechanism", url->mechanism ? url->mechanism : "PLAIN");
    if (url->is_tls && url->ca)
        is_good = is_good && bus_kafka_conf_set(conf, "ssl.ca.location", url->ca);
    return is_good;
}

rd_kafka_conf_t *bus_kafka_conf(struct bus_impl *b)
{
    rd_kafka_conf_t *conf = kafka.conf_new();
    char id[200];
    snprintf(id, sizeof(id), "parlance-%s", b->process);
    kafka.conf_set_log_cb(conf, on_log);
    kafka.conf_set_error_cb(conf, on_error);
    kafka.conf_set_opaque(conf, b);
    bool is_good = bus_kafka_conf_set(conf, "bootstrap.servers", b->url.brokers) &&
                   bus_kafka_conf_set(conf, "client.id", id) && set_security(b, conf);
    bus_kafka_conf_set_int(conf, "socket.timeout.ms", 6000);
    bus_kafka_conf_set(conf, "socket.keepalive.enable", "true");
    bus_kafka_conf_set(conf, "socket.nagle.disable", "true");
    bus_kafka_conf_set_int(conf, "reconnect.backoff.ms", 50);
    bus_kafka_conf_set_int(conf, "reconnect.backoff.max.ms", 2000);
    bus_kafka_conf_set_int(conf, "topic.metadata.refresh.interval.ms", 60000);
    bus_kafka_conf_set(conf, "allow.auto.create.topics", "false");
    if (!is_good) {
        kafka.conf_destroy(conf);
        conf = NULL;
    }
    return conf;
}

/* ---- sending ---- */

static void on_delivered(rd_kafka_t *rk UNUSED, const rd_kafka_message_t *m, void *opaque)
{
    struct bus_impl *b = opaque;
    int64_t token = (int64_t)(intptr_t)m->_private;
    if (!m->err)
        atomic_store(&b->answered_us, clock_mono_us());
    if (token)
        bus_link_sent(b->link, token, m->err ? ERR_UNAVAILABLE : ERR_OK);
}

static enum err produce(struct bus_impl *b, const char *topic, const char *key, struct str bytes,
                        int64_t token)
{
    rd_kafka_resp_err_t err = kafka.producev(
        b->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY((void *)(uintptr_t)key, strlen(key)),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)bytes.p, bytes.n),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE((void *)(intptr_t)token),
        RD_KAFKA_V_END);
    return err ? ERR_UNAVAILABLE : ERR_OK;
}

static enum err kafka_send(struct bus_impl *b, const struct bus_parcel *parcel)
{
    pthread_mutex_lock(&b->lock);
    struct kafka_topic *topic = bus_kafka_topic(b, parcel->channel);
    if (topic && !topic->is_made) {
        topic->is_needed = true; /* it waits in the producer meanwhile */
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    if (!topic || b->is_lost)
        return ERR_UNAVAILABLE;
    const char *name = parcel->token ? topic->name : topic->live;
    return name[0] ? produce(b, name, parcel->key, parcel->bytes, parcel->token) : ERR_UNAVAILABLE;
}

void bus_kafka_bury(struct bus_impl *b, const struct kafka_topic *topic, struct str bytes,
                    const char *why)
{
    pthread_mutex_lock(&b->lock);
    struct kafka_topic *dead = bus_kafka_topic(b, DEAD);
    if (dead)
        dead->is_needed = !dead->is_made;
    pthread_mutex_unlock(&b->lock);
    if (dead && produce(b, dead->name, topic->name, bytes, 0))
        log_warn(NULL, "bus: a dead letter of %s is lost", topic->name);
    bus_link_count_dead(b->link, topic->channel, why);
}

/* ---- joining ---- */

static struct kafka_topic *topic_of(struct bus_impl *b, const char *channel)
{
    pthread_mutex_lock(&b->lock);
    struct kafka_topic *topic = bus_kafka_topic(b, channel);
    pthread_mutex_unlock(&b->lock);
    if (!topic)
        log_error(NULL, "bus: the name of channel %s is too long for Kafka", channel);
    else if (bus_kafka_make_topic(b, topic)) {
        log_warn(NULL, "bus: kafka has no topic %s yet", topic->name);
        pthread_mutex_lock(&b->lock);
        topic->is_needed = true;
        pthread_mutex_unlock(&b->lock);
    }
    return topic;
}

static void kafka_expect(struct bus_impl *b, const char *channel, const char *group)
{
    struct kafka_topic *topic = b->is_stopping ? NULL : topic_of(b, channel);
    if (topic && bus_kafka_begin_group(b, topic, group))
        log_debug(NULL, "bus: group %s of %s has no beginning yet", group, channel);
}

static void kafka_join(struct bus_impl *b, const char *channel, const char *group)
{
    if (bus_channel_process(channel)) /* while we were away it may have been cleaned up */
        bus_kafka_forget_made(b, channel);
    struct kafka_topic *topic = b->is_stopping ? NULL : topic_of(b, channel);
    if (!topic)
        return;
    if (group) {
        bus_kafka_begin_group(b, topic, group);
        bus_kafka_group_join(b, topic, group);
        return;
    }
    pthread_mutex_lock(&b->lock);
    topic->is_heard = true;
    pthread_mutex_unlock(&b->lock);
    bus_kafka_hear_changed(b);
}

static void kafka_leave(struct bus_impl *b, const char *channel, const char *group)
{
    pthread_mutex_lock(&b->lock);
    struct kafka_topic *topic = bus_kafka_topic(b, channel);
    if (topic && !group)
        topic->is_heard = false;
    pthread_mutex_unlock(&b->lock);
    if (topic && group)
        bus_kafka_group_leave(b, topic, group);
    else if (topic)
        bus_kafka_hear_changed(b);
}

/* ---- whether it is there ---- */

/* The brokers of the cluster: an answer by which we know that it lives. */
static bool ask(struct bus_impl *b)
{
    const struct rd_kafka_metadata *all;
    rd_kafka_resp_err_t err = kafka.metadata(b->producer, 0, NULL, &all, ASK_MS);
    if (err) {
        say_why(b, kafka.err2str(err));
        return false;
    }
    kafka.metadata_destroy(all);
    b->is_lost = false;
    atomic_store(&b->answered_us, clock_mono_us());
    return true;
}

static void make_needed(struct bus_impl *b)
{
    struct kafka_topic *needed = NULL;
    pthread_mutex_lock(&b->lock);
    LIST_FOREACH(&b->topics, node)
    {
        struct kafka_topic *t = LIST_ENTRY(node, struct kafka_topic, node);
        if (t->is_needed && !needed) {
            needed = t;
            t->is_needed = false;
        }
    }
    pthread_mutex_unlock(&b->lock);
    if (needed && bus_kafka_make_topic(b, needed) && !b->is_lost) {
        pthread_mutex_lock(&b->lock);
        needed->is_needed = true;
        pthread_mutex_unlock(&b->lock);
    }
}

/* Until it is lost. */
static void serve(struct bus_impl *b)
{
    bool is_there = true;
    bus_link_up(b->link);
    while (is_there && !b->is_stopping) {
        kafka.poll(b->producer, POLL_MS);
        make_needed(b);
        bool is_silent = clock_mono_us() - atomic_load(&b->answered_us) > ASK_AFTER_US;
        is_there = !b->is_lost && (!is_silent || ask(b));
    }
}

static void *main_of(void *arg)
{
    struct bus_impl *b = arg;
    char why[sizeof(b->why)];
    while (!b->is_stopping) {
        if (ask(b))
            serve(b);
        if (b->is_stopping)
            break;
        b->is_lost = true;
        /* What waits would come a second time: the outbox sends it again. */
        kafka.purge(b->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
        pthread_mutex_lock(&b->lock);
        snprintf(why, sizeof(why), "%s", b->why[0] ? b->why : "no answer");
        pthread_mutex_unlock(&b->lock);
        bus_link_down(b->link, why);
        kafka.poll(b->producer, (int)bus_link_backoff_ms(b->link));
    }
    return NULL;
}

/* ---- life ---- */

static enum err make_producer(struct bus_impl *b)
{
    char problem[300] = "";
    rd_kafka_conf_t *conf = bus_kafka_conf(b);
    if (!conf)
        return ERR_INVALID_ARGUMENT;
    kafka.conf_set_dr_msg_cb(conf, on_delivered);
    bus_kafka_conf_set(conf, "enable.idempotence", "true");
    bus_kafka_conf_set(conf, "acks", "all");
    bus_kafka_conf_set(conf, "partitioner", "murmur2_random"); /* as Java's */
    bus_kafka_conf_set_int(conf, "linger.ms", 1);
    bus_kafka_conf_set_int(conf, "message.timeout.ms", 15000);
    bus_kafka_conf_set_int(conf, "queue.buffering.max.messages", QUEUE_MAX);
    bus_kafka_conf_set_int(conf, "queue.buffering.max.kbytes", 65536);
    b->producer = kafka.new(RD_KAFKA_PRODUCER, conf, problem, sizeof(problem));
    if (b->producer)
        return ERR_OK;
    log_error(NULL, "bus: kafka: %s", problem);
    kafka.conf_destroy(conf);
    return ERR_INVALID_ARGUMENT;
}

static void kafka_close(struct bus_impl **bp)
{
    struct bus_impl *b = *bp;
    *bp = NULL;
    if (b->producer)
        kafka.destroy(b->producer);
    LIST_FOREACH(&b->topics, node)
    {
        struct kafka_topic *t = LIST_ENTRY(node, struct kafka_topic, node);
        free(t->channel);
        free(t);
    }
    bus_kafka_url_deinit(&b->url);
    map64_destroy(&b->receipts);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
    free(b->process);
    free(b);
}

static enum err kafka_open(struct bus_link *link, const struct bus_link_options *opt,
                           struct bus_impl **out)
{
    struct bus_impl *b = mem_new(struct bus_impl);
    *out = NULL;
    b->link = link;
    b->process = mem_strdup(opt->process);
    b->owner_ms = opt->owner_ms;
    b->receipts = map64_create();
    list_init(&b->topics);
    list_init(&b->groups);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    enum err err = ERR_INVALID_ARGUMENT;
    if (bus_kafka_url_parse(opt->url, &b->url)) {
        err = bus_kafka_load();
        if (!err)
            err = make_producer(b);
    } else
        log_error(NULL, "bus: expected kafka://HOST:PORT[,HOST:PORT...] as the address of Kafka");
    if (err)
        kafka_close(&b);
    *out = b;
    return err;
}

static void kafka_start(struct bus_impl *b)
{
    b->is_started = true;
    bus_kafka_hear_start(b);
    thread_must_start(&b->main, "bus-kafka", main_of, b);
}

static void kafka_stop(struct bus_impl *b)
{
    if (!b->is_started)
        return;
    b->is_stopping = true;
    pthread_join(b->main, NULL);
    bus_kafka_hear_stop(b);
    if (!b->is_lost)
        bus_kafka_delete_own(b);
    while (!list_is_empty(&b->groups)) {
        struct kafka_group *g = LIST_ENTRY(b->groups.next, struct kafka_group, node);
        bus_kafka_group_stop(&g);
    }
    kafka.flush(b->producer, b->is_lost ? 0 : FLUSH_MS);
}

const struct bus_driver bus_kafka = {
    .name = "kafka",
    .open = kafka_open,
    .start = kafka_start,
    .stop = kafka_stop,
    .close = kafka_close,
    .expect = kafka_expect,
    .join = kafka_join,
    .leave = kafka_leave,
    .send = kafka_send,
    .settle = bus_kafka_settle,
};
