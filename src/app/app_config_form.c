/* app_config_form: what the texts of options must look like, and how that is said to who wrote
 * others. */
#include "app/app_config_form.h"
#include "app/app_stores.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_config.h"
#include "net/guard.h"
#include "redis/redis.h"

/* "https://example.org:8443", without a path. */
static bool is_site(struct str text)
{
    struct str host = str_starts(text, STR("https://"))  ? str_sub(text, 8, text.n)
                      : str_starts(text, STR("http://")) ? str_sub(text, 7, text.n)
                                                         : STR("");
    for (size_t i = 0; i < host.n; i++)
        if (strchr("/?#@\\ \t\r\n", host.p[i]))
            return false;
    return host.n > 0;
}

static bool is_url(struct str text)
{
    struct str path = str_starts(text, STR("https://"))  ? str_sub(text, 8, text.n)
                      : str_starts(text, STR("http://")) ? str_sub(text, 7, text.n)
                                                         : STR_NULL;
    for (size_t i = 0; i < path.n; i++)
        if ((uint8_t)path.p[i] <= ' ' || (uint8_t)path.p[i] >= 127)
            return false;
    return path.n > 0 && path.p[0] != '/';
}

static bool is_origin(struct str text)
{
    return str_eq(text, STR("*")) || is_site(text);
}

static bool is_range(struct str text)
{
    struct guard_range range;
    return guard_range_parse(text, &range);
}

static bool is_ip(struct str text)
{
    struct net_address address;
    return net_address_parse(text, &address) && address.port == 0 && str_find(text, '[') < 0;
}

static bool is_stun(struct str text)
{
    return str_starts(text, STR("stun:")) && text.n > 5;
}

static bool is_store(struct str text)
{
    return str_starts(text, STR("postgres://")) || str_starts(text, STR("postgresql://")) ||
           str_starts(text, STR("mysql://")) || str_starts(text, STR("mariadb://"));
}

static bool is_shard_store(struct str text)
{
    struct app_shard_store one;
    return app_shard_store_parse(text, NULL, &one);
}

static bool is_broker(struct str text)
{
    return str_find(text, ':') > 0;
}

static bool is_redis(struct str text)
{
    return redis_is_address(text, NULL);
}

static bool is_prefix_of_keys(struct str text)
{
    return text.n <= 64;
}

static bool is_topic(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!isalnum((unsigned char)text.p[i]) && !strchr("._-", text.p[i]))
            return false;
    return text.n <= 40;
}

static bool is_key(struct str text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._/-";
    for (size_t i = 0; i < text.n; i++)
        if (!text.p[i] || !strchr(allowed, text.p[i]))
            return false;
    return text.n > 1 && text.n < 200 && text.p[0] != '/' && text.p[text.n - 1] == '/';
}

static bool is_long_enough(struct str text)
{
    return text.n >= APP_SECRET_MIN_CHARS && text.n <= APP_SECRET_MAX_CHARS;
}

bool app_ratio_ppm(struct str text, unsigned *ppm)
{
    char copy[16], *end;
    if (!text.n || text.n >= sizeof(copy) || !isdigit((unsigned char)text.p[0]))
        return false;
    snprintf(copy, sizeof(copy), "%.*s", STR_FMT(text));
    double ratio = strtod(copy, &end);
    *ppm = (unsigned)(CLAMP(ratio, 0.0, 1.0) * 1000000 + 0.5);
    return *end == '\0' && ratio <= 1;
}

static bool is_ratio(struct str text)
{
    unsigned ppm;
    return app_ratio_ppm(text, &ppm);
}

/* "/parlance", "/beehive" */
static bool is_key_prefix(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 127)
            return false;
    return text.n > 1 && text.n <= 100 && text.p[0] == '/' && text.p[text.n - 1] != '/';
}

static bool is_host(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (strchr(" \t\r\n/[]@?#", text.p[i]))
            return false;
    return text.n > 0 && text.n < 256;
}

static bool is_remote(struct str text)
{
    struct app_remote remote;
    return app_remote_parse(text, &remote);
}

const struct config_form app_service_form = {
    "all, or of user, auth, media, meeting, signaling, file, message, presence, task, gateway",
    app_is_service};
const struct config_form app_remote_form = {
    "a service and where it is, as user=10.0.0.5:50051 or user=etcd://parlance-user", is_remote};
const struct config_form app_endpoint_form = {"where etcd is, as http://10.0.0.7:2379",
                                              app_is_endpoint};
const struct config_form app_prefix_form = {"a path as /parlance", is_key_prefix};
const struct config_form app_host_form = {"a host name or an IP address", is_host};
const struct config_form app_site_form = {
    "the beginning of an address, as https://meet.example.org", is_site};
const struct config_form app_url_form = {"an address as https://push.example.org/parlance", is_url};
const struct config_form app_origin_form = {"a web site as https://example.org, or *", is_origin};
const struct config_form app_range_form = {
    "an address or a range of them, as 127.0.0.1 or 10.0.0.0/8", is_range};
const struct config_form app_ip_form = {"an IP address", is_ip};
const struct config_form app_stun_form = {"a server as stun:host:port", is_stun};
const struct config_form app_key_form = {
    "letters, digits, '.', '_', '-' and '/', with '/' at the end", is_key};
const struct config_form app_store_form = {
    "postgres:// or mysql://user:password@host:port/database", is_store};
const struct config_form app_shard_store_form = {
    "4-7=postgres://user:password@host:port/database, or mysql://", is_shard_store};
const struct config_form app_broker_form = {
    "redis://, rediss://, kafka://, kafkas://, amqp:// or amqps:// and its address", is_broker};
const struct config_form app_redis_form = {
    "redis://, rediss://, redis+sentinel:// or redis+cluster:// and its address", is_redis};
const struct config_form app_key_prefix_form = {"at most 64 bytes", is_prefix_of_keys};
const struct config_form app_ratio_form = {"a number from 0 to 1", is_ratio};
const struct config_form app_topic_form = {"letters, digits, dots, dashes, underscores", is_topic};
const struct config_form app_secret_form = {"32 to 4096 characters", is_long_enough};
