/*
 * url: what an operator may write as the address of an engine: MySQL, Kafka, RabbitMQ, etcd. What
 * is taken must be whole: names that are not empty, ports that are some.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_kafka_internal.h"
#include "core/log.h"
#include "registry/etcd_client.h"
#include "store/store_mysql_internal.h"
#include "url_rabbit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_mysql(const char *text)
{
    struct mysql_address address;
    if (store_mysql_address_read(&address, text) == ERR_OK) {
        assert(address.host_count <= MYSQL_HOSTS_MAX && (address.host_count || address.socket));
        assert(address.user[0] && address.database[0] && address.password);
        for (unsigned i = 0; i < address.host_count; i++)
            assert(address.hosts[i].name[0] && address.hosts[i].port - 1 < 65535);
    }
    store_mysql_address_deinit(&address);
}

static void check_kafka(const char *text)
{
    struct kafka_url url;
    if (bus_kafka_url_parse(text, &url))
        assert(url.brokers[0] && url.partitions > 0 && !url.user == !url.password);
    bus_kafka_url_deinit(&url);
}

static void check_etcd(const char *text)
{
    struct etcd_endpoint endpoint;
    if (!etcd_endpoint_parse(text, &endpoint))
        return;
    assert(endpoint.port && endpoint.host[0] && !strpbrk(endpoint.host, "/?#@ \t\r\n"));
    free(endpoint.host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_level(LOG_OFF);
    char *text = str_dup((struct str){(const char *)data, size});
    check_mysql(text);
    check_kafka(text);
    url_check_rabbit(text, (unsigned)size);
    check_etcd(text);
    free(text);
    return 0;
}
