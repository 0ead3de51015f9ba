/* bus_kafka_url: the address of a Kafka cluster, as bus_kafka_internal.h says it. */
#include "bus/bus_kafka_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/str.h"

#define PARTITIONS 8
#define PARTITIONS_MAX 1000

/* %XX; NULL: a bad one, or a NUL. */
static char *decoded(struct str text)
{
    struct strbuf out = {0};
    strbuf_adds(&out, "");
    for (size_t i = 0; i < text.n; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        if (byte == '%') {
            if (!str_unhex(str_sub(text, i + 1, 2), &byte, 1) || !byte) {
                strbuf_deinit(&out);
                return NULL;
            }
            i += 2;
        }
        strbuf_addc(&out, (char)byte);
    }
    return out.p;
}

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

static bool take_option(struct str name, struct str value, struct kafka_url *out)
{
    uint64_t number;
    if (str_eq(name, STR("partitions"))) {
        if (!str_to_u64(value, &number) || number < 1 || number > PARTITIONS_MAX)
            return false;
        out->partitions = (int)number;
        return true;
    }
    char **to = str_eq(name, STR("sasl")) ? &out->mechanism
                : str_eq(name, STR("ca")) ? &out->ca
                                          : NULL;
    if (!to || *to)
        return false;
    *to = decoded(value);
    return *to != NULL;
}

static bool take_options(struct str rest, struct kafka_url *out)
{
    bool has_more = rest.n > 0, is_good = true;
    while (has_more && is_good) {
        struct str one, name;
        has_more = str_cut(&rest, '&', &one);
        is_good = str_cut(&one, '=', &name) && take_option(name, one, out);
    }
    return is_good;
}

static bool take_user(struct str text, struct kafka_url *out)
{
    struct str user;
    if (!str_cut(&text, ':', &user) || !user.n)
        return false;
    out->user = decoded(user);
    out->password = decoded(text);
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
    return take_options(rest, out);
}

void bus_kafka_url_deinit(struct kafka_url *url)
{
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    free(url->brokers);
    free(url->user);
    free(url->password);
    free(url->mechanism);
    free(url->ca);
    *url = (struct kafka_url){0};
}
