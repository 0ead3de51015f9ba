/*
 * bus_kafka_lib: librdkafka, loaded when the first bus over Kafka is opened. Linked plainly it cost
 * every start 0.8 ms of CPU and 0.16 MB of private memory (measured on a program with our other
 * libraries), in processes that never speak to Kafka.
 *
 *   kafka.poll(rk, 100);   // rd_kafka_poll
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "core/err.h"

#define KAFKA_FUNCTIONS(XX)                    \
    XX(new)                                    \
    XX(destroy)                                \
    XX(poll)                                   \
    XX(flush)                                  \
    XX(purge)                                  \
    XX(producev)                               \
    XX(metadata)                               \
    XX(metadata_destroy)                       \
    XX(conf_new)                               \
    XX(conf_set)                               \
    XX(conf_destroy)                           \
    XX(conf_set_opaque)                        \
    XX(conf_set_log_cb)                        \
    XX(conf_set_error_cb)                      \
    XX(conf_set_dr_msg_cb)                     \
    XX(conf_set_rebalance_cb)                  \
    XX(conf_set_ssl_cert_verify_cb)            \
    XX(opaque)                                 \
    XX(err2str)                                \
    XX(error_destroy)                          \
    XX(fatal_error)                            \
    XX(consumer_poll)                          \
    XX(consumer_close)                         \
    XX(poll_set_consumer)                      \
    XX(message_destroy)                        \
    XX(topic_new)                              \
    XX(topic_destroy)                          \
    XX(topic_name)                             \
    XX(subscribe)                              \
    XX(error_string)                           \
    XX(incremental_assign)                     \
    XX(incremental_unassign)                   \
    XX(assignment_lost)                        \
    XX(rebalance_protocol)                     \
    XX(commit)                                 \
    XX(offsets_store)                          \
    XX(offsets_for_times)                      \
    XX(query_watermark_offsets)                \
    XX(get_watermark_offsets)                  \
    XX(topic_partition_list_new)               \
    XX(topic_partition_list_destroy)           \
    XX(topic_partition_list_add)               \
    XX(queue_new)                              \
    XX(queue_destroy)                          \
    XX(queue_poll)                             \
    XX(event_destroy)                          \
    XX(event_error)                            \
    XX(AdminOptions_new)                       \
    XX(AdminOptions_destroy)                   \
    XX(AdminOptions_set_request_timeout)       \
    XX(NewTopic_new)                           \
    XX(NewTopic_destroy)                       \
    XX(NewTopic_set_config)                    \
    XX(DeleteTopic_new)                        \
    XX(DeleteTopic_destroy)                    \
    XX(DeleteTopics)                           \
    XX(CreateTopics)                           \
    XX(CreateTopics_result_topics)             \
    XX(event_CreateTopics_result)              \
    XX(topic_result_error)                     \
    XX(topic_result_name)                      \
    XX(ListConsumerGroupOffsets_new)           \
    XX(ListConsumerGroupOffsets_destroy)       \
    XX(ListConsumerGroupOffsets)               \
    XX(event_ListConsumerGroupOffsets_result)  \
    XX(ListConsumerGroupOffsets_result_groups) \
    XX(AlterConsumerGroupOffsets_new)          \
    XX(AlterConsumerGroupOffsets_destroy)      \
    XX(AlterConsumerGroupOffsets)              \
    XX(group_result_error)                     \
    XX(group_result_partitions)

struct kafka_functions {
#define XX(name) __typeof__(rd_kafka_##name) *name;
    KAFKA_FUNCTIONS(XX)
#undef XX
};
extern struct kafka_functions kafka;

/* UNAVAILABLE (logged): this machine has no librdkafka, or too old a one. Any thread; once is
 * enough. */
MUST_USE enum err bus_kafka_load(void);
