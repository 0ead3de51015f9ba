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
#include "net/tls.h"

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

/* What says more is not covered by what says less; the last of its kind stays. A rough one covers
 * nothing, for librdkafka says a reason once and then that nobody is there. */
static void say_why(struct bus_impl *b, enum kafka_why kind, const char *why, const char *advice)
{
    pthread_mutex_lock(&b->lock);
    if (kind >= b->why_kind && (kind > KAFKA_WHY_ROUGH || !b->why[0])) {
        b->why_kind = kind;
        snprintf(b->why, sizeof(b->why), "%.400s%s%s", why, advice ? ": " : "",
                 advice ? advice : "");
    }
    pthread_mutex_unlock(&b->lock);
}

static void forget_why(struct bus_impl *b)
{
    pthread_mutex_lock(&b->lock);
    b->why_kind = KAFKA_WHY_NONE;
    b->why[0] = '\0';
    pthread_mutex_unlock(&b->lock);
}

/* What is to be done, in the words of our address; NULL: it mends itself, or who knows. */
static const char *advice_for(const struct bus_impl *b, int err, const char *why)
{
    if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return "look at user, password and sasl= of the address";
    if (!b->url.is_tls && strstr(why, "security.protocol"))
        return "kafkas:// is over TLS, kafka:// is not";
    /* Without a certificate of ours it ends after the handshake, before the first answer. */
    if (err == RD_KAFKA_RESP_ERR__SSL || strstr(why, "SSL routines") ||
        (b->url.is_tls && strstr(why, "APIVERSION_QUERY")))
        return "look at ca=, cert= and key= of the address";
    return NULL;
}

static void on_error(rd_kafka_t *rk, int err, const char *why, void *opaque)
{
    struct bus_impl *b = opaque;
    const char *advice = advice_for(b, err, why);
    enum kafka_why kind = err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ? KAFKA_WHY_ROUGH
                          : advice                                   ? KAFKA_WHY_ADVICE
                                                                     : KAFKA_WHY_BROKER;
    /* Behind it are times and counts, which make another reason of each. */
    char text[BUS_KAFKA_WHY_MAX];
    const char *tail = strstr(why, " (after ");
    snprintf(text, sizeof(text), "%.*s", tail ? (int)(tail - why) : (int)strlen(why), why);
    say_why(b, kind, text, advice);
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || err == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        b->is_lost = true;
}

/* A broker that was killed may know less than it has confirmed: then the numbers by which
 * librdkafka keeps order do not fit any more, and it refuses everything from there on. */
static void on_producer_error(rd_kafka_t *rk, int err, const char *why, void *opaque)
{
    struct bus_impl *b = opaque;
    on_error(rk, err, why, opaque);
    if (err != RD_KAFKA_RESP_ERR__FATAL)
        return;
    log_warn(NULL, "bus: kafka: begins anew: %s", why);
    b->is_broken = true;
    b->is_lost = true;
}

/* Refuses what librdkafka would refuse, and notes why: its own words do not tell a wrong name from
 * an unknown authority. On one of its threads. */
static int on_certificate(rd_kafka_t *rk UNUSED, const char *broker, int32_t id UNUSED,
                          int *x509_error, int depth UNUSED, const char *bytes UNUSED,
                          size_t n UNUSED, char *problem, size_t problem_size, void *opaque)
{
    char why[BUS_KAFKA_WHY_MAX];
    if (!*x509_error)
        return 1;
    net_tls_explain(*x509_error, problem, problem_size);
    int length = snprintf(why, sizeof(why), "%.200s: ", broker);
    net_tls_explain(*x509_error, why + length, sizeof(why) - (size_t)length);
    say_why(opaque, KAFKA_WHY_CERTIFICATE, why, NULL);
    return 0;
}

static bool set_security(const struct bus_impl *b, rd_kafka_conf_t *conf)
{
    const struct kafka_url *url = &b->url;
    const struct {
        const char *name, *value;
    } settings[] = {
        {"security.protocol", url->user ? (url->is_tls ? "sasl_ssl" : "sasl_plaintext")
                                        : (url->is_tls ? "ssl" : "plaintext")},
        {"sasl.username", url->user},
        {"sasl.password", url->password},
        {"sasl.mechanism", !url->user        ? NULL
                           : !url->mechanism ? "PLAIN"
                                             : url->mechanism},
        {"ssl.ca.location", url->tls.ca},
        {"ssl.certificate.location", url->tls.cert},
        {"ssl.key.location", url->tls.key},
        {"ssl.endpoint.identification.algorithm", url->is_tls ? "https" : NULL},
    };
    bool is_good = true;
    for (size_t i = 0; i < ARRAY_LEN(settings) && is_good; i++)
        is_good =
            !settings[i].value || bus_kafka_conf_set(conf, settings[i].name, settings[i].value);
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

/* ---- the producer ---- */

static void on_delivered(rd_kafka_t *rk UNUSED, const rd_kafka_message_t *m, void *opaque)
{
    struct bus_impl *b = opaque;
    int64_t token = (int64_t)(intptr_t)m->_private;
    if (!m->err)
        atomic_store(&b->answered_us, clock_mono_us());
    if (token)
        bus_link_sent(b->link, token, m->err ? ERR_UNAVAILABLE : ERR_OK);
}

static rd_kafka_t *make_producer(struct bus_impl *b)
{
    char problem[300] = "";
    rd_kafka_conf_t *conf = bus_kafka_conf(b);
    if (!conf)
        return NULL;
    kafka.conf_set_error_cb(conf, on_producer_error);
    kafka.conf_set_dr_msg_cb(conf, on_delivered);
    if (b->url.is_tls)
        kafka.conf_set_ssl_cert_verify_cb(conf, on_certificate);
    bus_kafka_conf_set(conf, "enable.idempotence", "true");
    bus_kafka_conf_set(conf, "acks", "all");
    bus_kafka_conf_set(conf, "partitioner", "murmur2_random"); /* as Java's */
    bus_kafka_conf_set_int(conf, "linger.ms", 1);
    bus_kafka_conf_set_int(conf, "message.timeout.ms", 15000);
    bus_kafka_conf_set_int(conf, "queue.buffering.max.messages", QUEUE_MAX);
    bus_kafka_conf_set_int(conf, "queue.buffering.max.kbytes", 65536);
    rd_kafka_t *producer = kafka.new(RD_KAFKA_PRODUCER, conf, problem, sizeof(problem));
    if (producer)
        return producer;
    log_error(NULL, "bus: kafka: %s", problem);
    kafka.conf_destroy(conf);
    return NULL;
}

rd_kafka_t *bus_kafka_producer_borrow(struct bus_impl *b)
{
    pthread_rwlock_rdlock(&b->producer_gate);
    return b->producer;
}

void bus_kafka_producer_return(struct bus_impl *b)
{
    pthread_rwlock_unlock(&b->producer_gate);
}

/* ---- sending ---- */

static enum err produce(struct bus_impl *b, const char *topic, const char *key, struct str bytes,
                        int64_t token)
{
    rd_kafka_resp_err_t err =
        kafka.producev(bus_kafka_producer_borrow(b), RD_KAFKA_V_TOPIC(topic),
                       RD_KAFKA_V_KEY((void *)(uintptr_t)key, strlen(key)),
                       RD_KAFKA_V_VALUE((void *)(uintptr_t)bytes.p, bytes.n),
                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                       RD_KAFKA_V_OPAQUE((void *)(intptr_t)token), RD_KAFKA_V_END);
    bus_kafka_producer_return(b);
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
        kafka.poll(b->producer, 0); /* on_error knows more */
        say_why(b, KAFKA_WHY_ROUGH, kafka.err2str(err), NULL);
        return false;
    }
    kafka.metadata_destroy(all);
    forget_why(b);
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
        is_there = !b->is_lost && !b->is_broken && (!is_silent || ask(b));
    }
}

/* What the broken one still held nobody counts on: without a link it was told to be sent again. */
static void replace_producer(struct bus_impl *b)
{
    rd_kafka_t *broken = b->producer, *fresh = make_producer(b);
    if (!fresh)
        return; /* tried again */
    b->is_broken = false;
    pthread_rwlock_wrlock(&b->producer_gate);
    b->producer = fresh;
    pthread_rwlock_unlock(&b->producer_gate);
    kafka.destroy(broken);
}

static void *main_of(void *arg)
{
    struct bus_impl *b = arg;
    char why[sizeof(b->why)];
    while (!b->is_stopping) {
        if (b->is_broken)
            replace_producer(b);
        if (!b->is_broken && ask(b))
            serve(b);
        if (b->is_stopping)
            break;
        b->is_lost = true;
        /* What waits would come a second time: the outbox sends it again. */
        kafka.purge(b->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
        pthread_mutex_lock(&b->lock);
        snprintf(why, sizeof(why), "%s", b->why[0] ? b->why : "no answer");
        b->why_kind = KAFKA_WHY_NONE; /* the next may be another */
        pthread_mutex_unlock(&b->lock);
        bus_link_down(b->link, why);
        kafka.poll(b->producer, (int)bus_link_backoff_ms(b->link));
    }
    return NULL;
}

/* ---- life ---- */

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
    pthread_rwlock_destroy(&b->producer_gate);
    pthread_cond_destroy(&b->changed);
    free(b->process);
    free(b);
}

static bool is_tls_sound(const struct kafka_url *url)
{
    struct strbuf problem = {0};
    bool is_sound = !url->is_tls || bus_tls_check(&url->tls, &problem);
    if (!is_sound)
        log_error(NULL, "bus: kafka: %s", problem.p);
    strbuf_deinit(&problem);
    return is_sound;
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
    pthread_rwlock_init(&b->producer_gate, NULL);
    pthread_cond_init(&b->changed, NULL);
    enum err err = ERR_INVALID_ARGUMENT;
    if (!bus_kafka_url_parse(opt->url, &b->url))
        log_error(NULL, "bus: expected kafka://HOST:PORT[,HOST:PORT...] as the address of Kafka, "
                        "kafkas:// with ca=, cert= and key= over TLS");
    else if (is_tls_sound(&b->url))
        err = bus_kafka_load();
    if (!err && !(b->producer = make_producer(b)))
        err = ERR_INVALID_ARGUMENT;
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
