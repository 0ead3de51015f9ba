/* bus_kafka_url: the address of a Kafka cluster, as bus_kafka_internal.h says it. */
#include "bus/bus_kafka_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/str.h"

#define PARTITIONS 8
#define PARTITIONS_MAX 1000

static bool is_broker(struct str text)
{
    uint64_t port;
    const char *colon = text.p && text.n ? memrchr(text.p, ':', text.n) : NULL;
    size_t host_n = colon ? (size_t)(colon - text.p) : 0;
    for (size_t i = 0; i < host_n; i++)
        if ((uint8_t)text.p[i] <= ' ' || strchr("/?#@\\", text.p[i]))
            return false;
    return host_n > 0 && str_to_u64(str_sub(text, host_n + 1, text.n), &port) && port > 0 &&
           port < 65536;
}

static bool are_brokers(struct str text)
{
    struct str one;
    bool has_more = true, are = true;
    while (has_more) {
        has_more = str_cut(&text, ',', &one);
        are = are && is_broker(one);
    }
    return are;
}

static bool take_option(void *arg, struct str name, struct str value)
{
    struct kafka_url *out = arg;
    uint64_t number;
    if (str_eq(name, STR("partitions"))) {
        if (!str_to_u64(value, &number) || number < 1 || number > PARTITIONS_MAX)
            return false;
        out->partitions = (int)number;
        return true;
    }
    if (!str_eq(name, STR("sasl")))
        return bus_tls_take(&out->tls, name, value);
    if (out->mechanism)
        return false;
    out->mechanism = bus_decoded(value);
    return out->mechanism != NULL;
}

static bool take_user(struct str text, struct kafka_url *out)
{
    struct str user;
    if (!str_cut(&text, ':', &user) || !user.n)
        return false;
    out->user = bus_decoded(user);
    out->password = bus_decoded(text);
    return out->user && out->password;
}

bool bus_kafka_url_parse(const char *text, struct kafka_url *out)
{
    struct str all = str_from(text), place;
    *out = (struct kafka_url){.partitions = PARTITIONS};
    out->is_tls = str_starts(all, STR("kafkas://"));
    if (!out->is_tls && !str_starts(all, STR("kafka://")))
        return false;
    struct str rest = str_sub(all, out->is_tls ? 9 : 8, all.n);
    str_cut(&rest, '?', &place);
    const char *at = place.p && place.n ? memrchr(place.p, '@', place.n) : NULL;
    if (at) {
        size_t n = (size_t)(at - place.p);
        if (!take_user(str_sub(place, 0, n), out))
            return false;
        place = str_sub(place, n + 1, place.n);
    }
    if (place.n && place.p[place.n - 1] == '/')
        place.n--;
    if (!are_brokers(place))
        return false;
    out->brokers = str_dup(place);
    return bus_options_read(rest, take_option, out) && bus_tls_is_whole(&out->tls, out->is_tls);
}

void bus_kafka_url_deinit(struct kafka_url *url)
{
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    free(url->brokers);
    free(url->user);
    free(url->password);
    free(url->mechanism);
    bus_tls_deinit(&url->tls);
    *url = (struct kafka_url){0};
}
