/*
 * What the driver for Kafka does when librdkafka does not take what it is told, over librdkafka's
 * own pretence of a cluster. Its functions stand in a table; the test puts one of its own there.
 */
#include <librdkafka/rdkafka.h> /* before its pretence */

#include <dlfcn.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/bus_kafka_lib.h"
#include "core/clock.h"
#include "core/log.h"
#include "test.h"

#define PATIENCE_MS 30000
#define REFUSALS 3
#define PRODUCE 0 /* among the requests of Kafka */
#define OFFSET_FETCH 9

/* Not among those that the driver needs. */
static struct {
    __typeof__(rd_kafka_mock_cluster_new) *cluster_new;
    __typeof__(rd_kafka_mock_cluster_destroy) *cluster_destroy;
    __typeof__(rd_kafka_mock_cluster_bootstraps) *bootstraps;
    __typeof__(rd_kafka_mock_topic_create) *topic_create;
    __typeof__(rd_kafka_mock_push_request_errors) *push_errors;
    __typeof__(rd_kafka_error_new) *error_new;
} mock;

static bool load_mock(void)
{
    void *library = dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return false;
    mock.cluster_new = dlsym(library, "rd_kafka_mock_cluster_new");
    mock.cluster_destroy = dlsym(library, "rd_kafka_mock_cluster_destroy");
    mock.bootstraps = dlsym(library, "rd_kafka_mock_cluster_bootstraps");
    mock.topic_create = dlsym(library, "rd_kafka_mock_topic_create");
    mock.push_errors = dlsym(library, "rd_kafka_mock_push_request_errors");
    mock.error_new = dlsym(library, "rd_kafka_error_new");
    return mock.cluster_new && mock.cluster_destroy && mock.bootstraps && mock.topic_create &&
           mock.push_errors && mock.error_new;
}

/* ---- a table that refuses ---- */

static __typeof__(rd_kafka_incremental_assign) *real_assign;
static atomic_int refusals, assigned;

static rd_kafka_error_t *assign_at_last(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
    if (atomic_fetch_add(&refusals, 1) < REFUSALS)
        return mock.error_new(RD_KAFKA_RESP_ERR__STATE, "not now");
    atomic_fetch_add(&assigned, list->cnt);
    return real_assign(rk, list);
}

/* The pretence makes no topics, and does not say so either: nobody need wait for that. */
static __typeof__(rd_kafka_CreateTopics) *real_create;
static __typeof__(rd_kafka_queue_poll) *real_poll;
static _Thread_local bool is_vain;
static atomic_int answers;

static void create_in_vain(rd_kafka_t *rk, rd_kafka_NewTopic_t **topics, size_t count,
                           const rd_kafka_AdminOptions_t *options, rd_kafka_queue_t *queue)
{
    is_vain = true;
    real_create(rk, topics, count, options, queue);
}

static rd_kafka_event_t *poll_unless_vain(rd_kafka_queue_t *queue, int timeout_ms)
{
    rd_kafka_event_t *event = is_vain ? NULL : real_poll(queue, timeout_ms);
    is_vain = false;
    if (event)
        atomic_fetch_add(&answers, 1);
    return event;
}

static __typeof__(rd_kafka_new) *real_new;
static atomic_int producers;

static rd_kafka_t *new_counted(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *problem, size_t n)
{
    atomic_fetch_add(&producers, type == RD_KAFKA_PRODUCER);
    return real_new(type, conf, problem, n);
}

static atomic_int heard;

static void on_event(void *arg UNUSED, const struct bus_event *e UNUSED)
{
    atomic_fetch_add(&heard, 1);
}

static struct bus *open_bus(const char *brokers, const char *process)
{
    char url[200];
    struct bus *bus;
    snprintf(url, sizeof(url), "kafka://%s", brokers);
    struct bus_options opt = {.driver = "kafka", .url = url, .process = process};
    return bus_open(&bus, &opt) == ERR_OK ? bus : NULL;
}

/* Says it until it is heard: what was said before the other joined is not. */
static void say_until_heard(struct bus *bus)
{
    for (int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
         !atomic_load(&heard) && clock_mono_ms() < until_ms; usleep(20000))
        bus_publish(bus, &(struct bus_event){
                             .channel = "c", .type = "t", .key = "k", .payload = STR("hello")});
}

/* ---- a cluster ---- */

struct world {
    rd_kafka_t *owner;
    rd_kafka_mock_cluster_t *cluster;
};

static int setup(void **state)
{
    static struct world w;
    char problem[200];
    if (bus_kafka_load() != ERR_OK || !load_mock())
        return 0;
    w.owner = kafka.new(RD_KAFKA_PRODUCER, NULL, problem, sizeof(problem));
    w.cluster = mock.cluster_new(w.owner, 1);
    mock.topic_create(w.cluster, "meeting.c", 2, 1);
    mock.topic_create(w.cluster, "meeting.c.live", 1, 1);
    real_assign = kafka.incremental_assign;
    real_create = kafka.CreateTopics;
    real_poll = kafka.queue_poll;
    real_new = kafka.new;
    kafka.new = new_counted;
    kafka.CreateTopics = create_in_vain;
    kafka.queue_poll = poll_unless_vain;
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (!w)
        return 0;
    mock.cluster_destroy(w->cluster);
    kafka.destroy(w->owner);
    kafka.incremental_assign = real_assign;
    kafka.new = real_new;
    kafka.CreateTopics = real_create;
    kafka.queue_poll = real_poll;
    return 0;
}

static void test_what_is_not_taken_is_tried_again(void **state)
{
    struct world *w = *state;
    if (!w)
        skip();
    kafka.incremental_assign = assign_at_last;
    struct bus *a = open_bus(mock.bootstraps(w->cluster), "a");
    struct bus *b = open_bus(mock.bootstraps(w->cluster), "b");
    if (a && b) {
        bus_subscribe(b, "c", "test", on_event, NULL);
        bus_start(a);
        bus_start(b);
        say_until_heard(a);
    }
    bus_close(&a);
    bus_close(&b);
    assert_true(atomic_load(&heard) > 0);
    assert_true(atomic_load(&refusals) > REFUSALS);
    assert_int_equal(atomic_load(&assigned), 3); /* each partition of both topics, once */
}

/* Who keeps the places of a group is new, or has moved: librdkafka ended the program. */
static void test_a_group_without_a_coordinator_ends_nobody(void **state)
{
    struct world *w = *state;
    if (!w)
        skip();
    mock.push_errors(w->cluster, OFFSET_FETCH, 2, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
                     RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    atomic_store(&answers, 0);
    struct bus *a = open_bus(mock.bootstraps(w->cluster), "a");
    if (a) {
        bus_expect_group(a, "c", "g");
        bus_expect_group(a, "c", "h");
        bus_expect_group(a, "c", "i"); /* this one gets its beginning */
        bus_start(a);
        for (int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
             atomic_load(&answers) < 4 && clock_mono_ms() < until_ms;)
            usleep(5000);
    }
    bus_close(&a);
    assert_true(atomic_load(&answers) >= 4); /* two refusals, a place, a beginning */
}

/* A broker that was killed knows less than it has confirmed: librdkafka's producer is broken for
 * good. What it was to send goes out by another one. */
static void test_a_producer_that_is_broken_is_replaced(void **state)
{
    struct world *w = *state;
    if (!w)
        skip();
    atomic_store(&heard, 0);
    struct bus *a = open_bus(mock.bootstraps(w->cluster), "a");
    struct bus *b = open_bus(mock.bootstraps(w->cluster), "b");
    int before = 0, had = atomic_load(&producers);
    if (a && b) {
        bus_subscribe(b, "c", "test", on_event, NULL);
        bus_start(a);
        bus_start(b);
        say_until_heard(a);
        before = atomic_exchange(&heard, 0);
        mock.push_errors(w->cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
        bus_publish(a, &(struct bus_event){
                           .channel = "c", .type = "t", .key = "k", .payload = STR("in vain")});
        for (int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
             atomic_load(&producers) == had && clock_mono_ms() < until_ms;)
            usleep(5000);
        atomic_store(&heard, 0);
        say_until_heard(a);
    }
    bus_close(&a);
    bus_close(&b);
    assert_true(before > 0);
    assert_int_equal(atomic_load(&producers), had + 1);
    assert_true(atomic_load(&heard) > 0);
}

int main(void)
{
    log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_OFF);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_what_is_not_taken_is_tried_again),
        T(test_a_group_without_a_coordinator_ends_nobody),
        T(test_a_producer_that_is_broken_is_replaced),
    };
    return cmocka_run_group_tests_name("bus kafka_hear", tests, NULL, NULL);
}
