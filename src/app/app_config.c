/* The table of options. One row each: it makes the parser, the checks, the environment's names,
 * --help and the example file. */
#include "app/app_config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "net/guard.h"
#include "redis/redis.h"

#define CONFIG_FILE_MAX_BYTES (1 << 20)
#define C struct app_config

extern char **environ;

static const char *const log_levels[] = {"debug", "info", "warn", "error", "off", NULL};
static const char *const log_formats[] = {"auto", "json", "text", NULL};
const char *const app_store_drivers[] = {"sqlite", "postgres", "mysql", NULL};
const char *const app_cache_drivers[] = {"memory", "redis", NULL};
const char *const app_bus_drivers[] = {"memory", "redis", "kafka", "rabbitmq", NULL};
const char *const app_registry_drivers[] = {"static", "etcd", NULL};
const char *const app_blob_drivers[] = {"files", "s3", NULL};
static const char *const registrations[] = {"open", "invitation", "closed", NULL};
static const char *const addings[] = {"everybody", "contacts", NULL};

/* ---- what texts must look like ---- */

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

static const struct config_form service_form = {
    "all, or of user, auth, media, meeting, signaling, file, message, presence, task, gateway",
    app_is_service};
static const struct config_form remote_form = {
    "a service and where it is, as user=10.0.0.5:50051 or user=etcd://parlance-user", is_remote};
static const struct config_form endpoint_form = {"where etcd is, as http://10.0.0.7:2379",
                                                 app_is_endpoint};
static const struct config_form prefix_form = {"a path as /parlance", is_key_prefix};
static const struct config_form host_form = {"a host name or an IP address", is_host};
static const struct config_form site_form = {
    "the beginning of an address, as https://meet.example.org", is_site};
static const struct config_form url_form = {"an address as https://push.example.org/parlance",
                                            is_url};
static const struct config_form origin_form = {"a web site as https://example.org, or *",
                                               is_origin};
static const struct config_form range_form = {
    "an address or a range of them, as 127.0.0.1 or 10.0.0.0/8", is_range};
static const struct config_form ip_form = {"an IP address", is_ip};
static const struct config_form stun_form = {"a server as stun:host:port", is_stun};
static const struct config_form key_form = {
    "letters, digits, '.', '_', '-' and '/', with '/' at the end", is_key};
static const struct config_form store_form = {
    "postgres:// or mysql://user:password@host:port/database", is_store};
static const struct config_form broker_form = {
    "redis://, rediss://, kafka://, amqp:// or amqps:// and its address", is_broker};
static const struct config_form redis_form = {
    "redis://, rediss://, redis+sentinel:// or redis+cluster:// and its address", is_redis};
static const struct config_form key_prefix_form = {"at most 64 bytes", is_prefix_of_keys};
static const struct config_form ratio_form = {"a number from 0 to 1", is_ratio};
static const struct config_form topic_form = {"letters, digits, dots, dashes, underscores",
                                              is_topic};
static const struct config_form secret_form = {"32 to 4096 characters", is_long_enough};

/* ---- the table ---- */

static const struct config_row rows[] = {
    CONFIG_TEXT(C, data_dir, "data_dir", "./data", "Where everything that must survive lives."),
    CONFIG_ENUM(C, store_driver, "store.driver", "sqlite", app_store_drivers,
                "What keeps the tables: SQLite in the data directory, or a server."),
    CONFIG_SECRET(C, store_url, "store.url", NULL, &store_form,
                  "Where that server is; several hosts for one that fails over."),
    CONFIG_SECRET_LIST(C, store_replicas, "store.replicas", &store_form,
                       "Copies of it, kept by the engine, for reads that may be a moment old."),
    CONFIG_ENUM(C, blob_driver, "blob.driver", "files", app_blob_drivers,
                "What keeps pictures and files: a directory, or a bucket of an object store."),
    CONFIG_TEXT(C, blob_dir, "blob.dir", "",
                "Where pictures and files lie, when several processes share them; empty: in the "
                "data directory. With s3 only what is not whole yet."),
    CONFIG_FORM(C, blob_endpoint, "blob.endpoint", "", &site_form,
                "The object store, as https://s3.example.org or http://10.0.0.9:9000."),
    CONFIG_TEXT(C, blob_bucket, "blob.bucket", "", "The bucket; it must be there."),
    CONFIG_FORM(C, blob_prefix, "blob.prefix", "", &key_form,
                "How names begin there, when a bucket is shared, as parlance/."),
    CONFIG_TEXT(C, blob_region, "blob.region", "us-east-1", "Its region, as requests name it."),
    CONFIG_BOOL(C, blob_path_style, "blob.path_style", true,
                "The bucket is in the path (MinIO), not in the name of the host."),
    CONFIG_TEXT(C, blob_access_key, "blob.access_key", "", "Who we are there."),
    CONFIG_SECRET(C, blob_secret_key, "blob.secret_key", NULL, NULL, "And by what we prove it."),
    CONFIG_TEXT(C, blob_tls_ca, "blob.tls_ca", "",
                "Who signs its certificate (PEM); empty: the system's authorities."),
    CONFIG_ENUM(C, event_bus, "event_bus.type", "memory", app_bus_drivers,
                "What carries events between processes; memory: they stay in this one."),
    CONFIG_SECRET(C, event_bus_url, "event_bus.url", NULL, &broker_form, "Where that broker is."),
    CONFIG_FORM(C, bus_prefix, "event_bus.prefix", "meeting.", &topic_form,
                "How topics and queues begin there, when several deployments share one."),
    CONFIG_ENUM(C, message_queue, "message_queue.type", "memory", app_bus_drivers,
                "What carries tasks that are due; memory: the database alone."),
    CONFIG_SECRET(C, message_queue_url, "message_queue.url", NULL, &broker_form,
                  "Where that broker is. Empty: as event_bus.url, if it is of the same type."),
    CONFIG_FORM(C, public_url, "public_url", "", &site_form,
                "How people reach this server, for links. Empty: as they came."),
    CONFIG_ENUM(C, log_level, "log.level", "info", log_levels,
                "The least important line that is logged."),
    CONFIG_ENUM(C, log_format, "log.format", "auto", log_formats,
                "auto is text on a terminal, else JSON."),
    CONFIG_FORM(
        C, loki_url, "log.loki_url", "", &url_form,
        "A Loki that gets the log too, as http://10.0.0.7:3100; standard output always does."),
    CONFIG_FORM(C, otlp_url, "telemetry.otlp_url", "", &url_form,
                "Where traces go by OTLP over HTTP, as http://10.0.0.7:4318. Empty: nowhere."),
    CONFIG_FORM(C, trace_ratio, "telemetry.trace_ratio", "1", &ratio_form,
                "The part of requests that is traced; who calls with a traceparent decides."),
    CONFIG_TEXT(C, instance, "telemetry.instance", "",
                "Name of this process in traces and in Loki. Empty: the host's name."),

    CONFIG_TEXT(C, http_host, "http.host", "", "Address to listen on; empty: all, IPv4 and IPv6."),
    CONFIG_INT(C, http_port, "http.port", 8800, 0, 65535, "",
               "Port of the gateway for HTTP and WebSocket; 0: any free one."),
    CONFIG_INT(C, https_port, "http.tls_port", 8443, 0, 65535, "",
               "Port for the same over TLS; 0: any free one."),
    CONFIG_INT(
        C, http_ports.user, "http.ports.user", 8080, -1, 65535, "",
        "Ports of HTTP by service, in a process without gateway; 0: any free one, -1: none."),
    CONFIG_INT(C, http_ports.signaling, "http.ports.signaling", 8081, -1, 65535, "",
               "Of signaling, with /ws/signaling."),
    CONFIG_INT(C, http_ports.meeting, "http.ports.meeting", 8082, -1, 65535, "", "Of meeting."),
    CONFIG_INT(C, http_ports.media, "http.ports.media", 8083, -1, 65535, "", "Of media."),
    CONFIG_INT(C, http_ports.auth, "http.ports.auth", -1, -1, 65535, "", "Of auth."),
    CONFIG_INT(C, http_ports.file, "http.ports.file", -1, -1, 65535, "", "Of file."),
    CONFIG_INT(C, http_ports.message, "http.ports.message", -1, -1, 65535, "", "Of message."),
    CONFIG_INT(C, http_ports.presence, "http.ports.presence", -1, -1, 65535, "", "Of presence."),
    CONFIG_INT(C, http_ports.task, "http.ports.task", -1, -1, 65535, "", "Of task."),
    CONFIG_TEXT(C, management_host, "management.host", "",
                "Address for /health, /ready and /metrics alone; empty: none. With it /metrics "
                "leaves the other ports."),
    CONFIG_INT(C, management_port, "management.port", 8081, 0, 65535, "",
               "Its port; 0: any free one."),
    CONFIG_INT(C, http_loops, "http.loops", 0, 0, 64, "",
               "Threads that serve sockets; 0: one per core."),
    CONFIG_INT(C, drain_ms, "http.drain_ms", 10000, 0, 600000, "ms",
               "How long a stopping server waits for requests in work."),
    CONFIG_LIST(C, trusted_proxies, "http.trusted_proxies", "", NULL, &range_form,
                "Reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."),
    CONFIG_BOOL(C, is_rate_limited, "http.rate_limits", true,
                "Limit requests per person and address."),
    CONFIG_BOOL(C, has_tls, "tls.enabled", true,
                "Serve TLS too, with a certificate of our own if none is given."),
    CONFIG_TEXT(C, tls_cert, "tls.cert", "",
                "Certificate chain (fullchain.pem); read again on SIGHUP."),
    CONFIG_TEXT(C, tls_key, "tls.key", "", "Its private key (privkey.pem)."),
    CONFIG_LIST(C, allowed_origins, "cors.allowed_origins", "", "ALLOWED_ORIGINS", &origin_form,
                "Other web sites that may call the API; * is any, without credentials."),
    CONFIG_BOOL(C, are_metrics_public, "metrics.public", false,
                "Answer /metrics to everybody, not to private addresses alone."),

    CONFIG_SECRET(C, jwt_secret, "jwt.secret", "JWT_SECRET", &secret_form,
                  "Key of HS256 tokens. Empty: made and kept in the data directory."),
    CONFIG_TEXT(C, jwt_key_file, "jwt.key_file", "",
                "PEM key (RSA or EC P-256) for RS256 or ES256 instead."),
    CONFIG_INT(C, jwt_expire_hours, "jwt.expire_hours", 24, 1, 8760, "hours",
               "Life of an access token."),
    CONFIG_INT(C, jwt_refresh_expire_hours, "jwt.refresh_expire_hours", 168, 1, 87600, "hours",
               "Life of a refresh token."),
    CONFIG_ENUM(C, registration, "auth.registration", "open", registrations,
                "Who may make an account."),
    CONFIG_INT(C, password_ops, "auth.password_passes", 2, 1, 20, "", "Argon2id passes."),
    CONFIG_INT(C, password_memory_bytes, "auth.password_memory_bytes", 67108864, 8192, 1073741824,
               "bytes", "Argon2id memory for one password."),

    CONFIG_INT(C, meeting_capacity, "meeting.capacity", 500, 2, 10000, "",
               "People in a meeting, unless it says otherwise."),
    CONFIG_INT(C, meeting_empty_grace_s, "meeting.empty_grace_s", 300, 0, 86400, "s",
               "An unscheduled meeting ends so long after the last person left."),
    CONFIG_INT(C, signaling_resume_s, "signaling.resume_s", 30, 1, 600, "s",
               "A dropped connection may come back unnoticed within this time."),
    CONFIG_INT(C, recall_minutes, "messages.recall_minutes", 1440, 1, 5256000, "minutes",
               "How long a sender may edit or recall a message."),
    CONFIG_INT(C, keep_max_s, "messages.keep_max_s", 0, 0, 3153600000, "s",
               "No message is kept longer, whatever its conversation says; 0: no limit."),
    CONFIG_INT(C, retention_every_s, "messages.retention_every_s", 3600, 1, 86400, "s",
               "How often messages past their time are looked for and deleted."),
    CONFIG_ENUM(C, adding, "messages.adding", "everybody", addings,
                "Whom one adds to a group at once; others get an invitation."),
    CONFIG_INT(C, invitation_days, "messages.invitation_days", 14, 1, 365, "days",
               "How long an invitation to a group waits for its answer."),
    CONFIG_INT(C, shards, "messages.shards", 1, 1, 64, "",
               "In how many parts conversations lie, each written to by one message service at a "
               "time. Fixed once something was said."),

    CONFIG_LIST(C, webhook_ranges, "webhooks.allowed_addresses", "", NULL, &range_form,
                "Addresses of one's own network that webhooks may call; else public ones alone."),
    CONFIG_INT(C, webhook_failing_hours, "webhooks.disable_after_hours", 24, 1, 720, "hours",
               "A webhook whose server fails for so long is disabled."),
    CONFIG_FORM(C, push_url, "push.url", "", &url_form,
                "Your server that is told who should hear of a message and is not here."),
    CONFIG_SECRET(C, push_secret, "push.secret", "PUSH_SECRET", &secret_form,
                  "What it is told is signed with."),
    CONFIG_BOOL(C, has_push_text, "push.has_text", false,
                "Tell it how the message begins, too, not only whose it is."),
    CONFIG_INT(C, bots_max, "bots.per_owner", 20, 0, 1000, "", "Bots that one person may have."),
    CONFIG_BOOL(C, may_bots_create, "bots.may_create_meetings", false,
                "Let bots make meetings; else people do, and bots come when asked."),

    CONFIG_INT(C, file_max_bytes, "files.max_bytes", 104857600, 1024, 1099511627776, "bytes",
               "The largest file that people may send."),
    CONFIG_INT(C, file_quota_bytes, "files.quota_bytes", 5368709120, 1024, 1125899906842624,
               "bytes", "All files of one person together."),
    CONFIG_INT(C, file_upload_hours, "files.upload_hours", 24, 1, 8760, "hours",
               "An unfinished upload that gets nothing for so long is deleted."),
    CONFIG_INT(C, file_orphan_hours, "files.orphan_hours", 24, 1, 8760, "hours",
               "A file that no message refers to for so long is deleted."),

    CONFIG_TEXT(C, media_host, "media.host", "", "Address for media; empty: all, IPv4 and IPv6."),
    CONFIG_INT(C, media_port, "media.port", 8810, 0, 65535, "",
               "UDP port for all media; 0: any free one."),
    CONFIG_INT(C, media_workers, "media.workers", 0, 0, 32, "", "Packet threads; 0: one per core."),
    CONFIG_LIST(
        C, media_announced, "media.announced_addresses", "", NULL, &ip_form,
        "Addresses that clients are told (behind NAT: the public one). Empty: this machine's own."),
    CONFIG_LIST(C, media_stun, "media.stun_urls", "", NULL, &stun_form,
                "STUN servers for clients."),

    CONFIG_LIST(C, services, "services.run", "all", NULL, &service_form,
                "The services of this process; --services says the same."),
    CONFIG_LIST(C, remotes, "services.remote", "", NULL, &remote_form,
                "Where the others are, as user=10.0.0.5:50051; one may be in several places. With "
                "registry.type etcd those that are not named here are found by themselves."),
    CONFIG_ENUM(C, registry_type, "registry.type", "static", app_registry_drivers,
                "How processes find one another: by services.remote alone, or through etcd."),
    CONFIG_LIST(C, registry_endpoints, "registry.endpoints", "", NULL, &endpoint_form,
                "The members of the etcd cluster."),
    CONFIG_FORM(C, registry_prefix, "registry.prefix", "/parlance", &prefix_form,
                "What all keys in etcd begin with; another for each deployment."),
    CONFIG_TEXT(C, registry_username, "registry.username", "", "To sign in to etcd, if it asks."),
    CONFIG_SECRET(C, registry_password, "registry.password", NULL, NULL, "Its password."),
    CONFIG_TEXT(C, registry_tls_ca, "registry.tls_ca", "",
                "Who signs etcd's certificate; needed for https."),
    CONFIG_TEXT(C, registry_tls_cert, "registry.tls_cert", "",
                "Certificate of this process for etcd, if it asks for one."),
    CONFIG_TEXT(C, registry_tls_key, "registry.tls_key", "", "Its private key."),
    CONFIG_INT(C, registry_lease_s, "registry.lease_s", 10, 2, 600, "s",
               "So long after a process has died others still look for it."),
    CONFIG_FORM(C, registry_advertise, "registry.advertise", "", &host_form,
                "The host that others are told; empty: grpc.host, or the address by which etcd is "
                "reached."),
    CONFIG_BOOL(C, has_grpc, "grpc.enabled", false,
                "Serve gRPC to other processes, even if all services run here."),
    CONFIG_TEXT(C, grpc_host, "grpc.host", "", "Address for gRPC; empty: all, IPv4 and IPv6."),
    CONFIG_SECRET(
        C, grpc_secret, "grpc.secret", "CLUSTER_SECRET", &secret_form,
        "What processes of one cluster show one another. Over TLS, or a network you trust."),
    CONFIG_TEXT(C, grpc_tls_cert, "grpc.tls_cert", "",
                "Certificate of this process, for both ways; read again on SIGHUP."),
    CONFIG_TEXT(C, grpc_tls_key, "grpc.tls_key", "", "Its private key."),
    CONFIG_TEXT(C, grpc_tls_ca, "grpc.tls_ca", "",
                "Who signs the certificates of the cluster, and of nobody else."),
    CONFIG_INT(C, grpc_ports.auth, "grpc.ports.auth", 50050, 0, 65535, "",
               "Ports of gRPC, by service; 0: any free one."),
    CONFIG_INT(C, grpc_ports.user, "grpc.ports.user", 50051, 0, 65535, "", "Of user."),
    CONFIG_INT(C, grpc_ports.meeting, "grpc.ports.meeting", 50052, 0, 65535, "", "Of meeting."),
    CONFIG_INT(C, grpc_ports.presence, "grpc.ports.presence", 50053, 0, 65535, "", "Of presence."),
    CONFIG_INT(C, grpc_ports.message, "grpc.ports.message", 50054, 0, 65535, "", "Of message."),
    CONFIG_INT(C, grpc_ports.signaling, "grpc.ports.signaling", 50055, 0, 65535, "",
               "Of signaling."),
    CONFIG_INT(C, grpc_ports.media, "grpc.ports.media", 50056, 0, 65535, "", "Of media."),
    CONFIG_INT(C, grpc_ports.file, "grpc.ports.file", 50057, 0, 65535, "", "Of file."),
    CONFIG_INT(C, grpc_ports.task, "grpc.ports.task", 50058, 0, 65535, "", "Of task."),

    CONFIG_ENUM(C, cache, "cache.type", "memory", app_cache_drivers,
                "Where what may be forgotten is kept: each process its own, or all in one Redis."),
    CONFIG_SECRET(C, cache_url, "cache.url", NULL, &redis_form, "Where that Redis is."),
    CONFIG_FORM(C, cache_prefix, "cache.prefix", "parlance:cache:", &key_prefix_form,
                "How its keys begin there, when several deployments share one."),
    CONFIG_INT(C, cache_bytes, "cache.max_bytes", 67108864, 1048576, 68719476736, "bytes",
               "Memory of the embedded cache."),
    CONFIG_INT(C, service_threads, "services.threads", 4, 1, 256, "",
               "Worker threads of each service."),
    CONFIG_BOOL(C, is_packing_calls, "services.pack_calls", false,
                "Pack and unpack calls within the process too, as between processes: for tests."),
};

#undef C

const struct config_table app_config_table = {.rows = rows, .count = ARRAY_LEN(rows)};

/* What no row knows alone. */
static const char *problem_of(const struct app_config *c)
{
    bool is_embedded = c->store_driver == 0;
    if (is_embedded && c->store_url[0])
        return "store.url: expected store.driver, too";
    if (!is_embedded && !c->store_url[0])
        return "store.driver: expected store.url, too";
    if (!is_embedded && (c->store_driver == 1) != (c->store_url[0] == 'p'))
        return "store.url: expected an address of what store.driver says";
    if (is_embedded && c->store_replicas.count)
        return "store.replicas: expected store.driver, too";
    if (is_embedded && c->blob_dir[0])
        return "blob.dir: expected store.driver, too";
    if (c->blob_driver && !(c->blob_endpoint[0] && c->blob_bucket[0] && c->blob_access_key[0] &&
                            c->blob_secret_key[0]))
        return "blob.driver s3: expected blob.endpoint, blob.bucket, blob.access_key and "
               "blob.secret_key, too";
    if (c->blob_driver && strchr(c->blob_bucket, '/'))
        return "blob.bucket: expected a name without /";
    if ((c->cache != 0) != (c->cache_url[0] != 0))
        return "cache.type and cache.url: expected both or neither";
    if ((c->event_bus != 0) != (c->event_bus_url[0] != 0))
        return "event_bus.type and event_bus.url: expected both or neither";
    if (c->message_queue && !c->message_queue_url[0] && c->message_queue != c->event_bus)
        return "message_queue.type: expected message_queue.url, too";
    if (!c->message_queue && c->message_queue_url[0])
        return "message_queue.url: expected message_queue.type, too";
    if (!c->tls_cert[0] != !c->tls_key[0])
        return "tls.cert and tls.key: expected both or neither";
    if (c->has_tls && c->http_port && c->http_port == c->https_port)
        return "http.port and http.tls_port: expected two different ports";
    if (c->push_url[0] && !c->push_secret[0])
        return "push.url: expected push.secret, too";
    const char *wrong = app_registry_problem(c);
    return wrong ? wrong : app_split_problem(c);
}

/* The words of --services instead of services.run. */
static enum err choose_services(const char *words, struct arena *arena, struct app_config *out,
                                struct strbuf *problem)
{
    struct str rest = str_from(words), word;
    out->services = (struct config_list){arena_array(arena, const char *, rest.n + 1), 0};
    for (bool is_more = true; is_more;) {
        is_more = str_cut(&rest, ',', &word);
        word = str_trim(word);
        if (!word.n || !app_is_service(word)) {
            strbuf_printf(problem, "--services: expected %s, found \"%.*s\"", service_form.text,
                          STR_FMT(word));
            return ERR_INVALID_ARGUMENT;
        }
        out->services.items[out->services.count++] = str_arena(arena, word);
    }
    return ERR_OK;
}

enum err app_config_load_for(const char *path, const char *services, struct arena *arena,
                             struct app_config *out, struct strbuf *problem)
{
    char *text = NULL;
    size_t n = 0;
    bool is_default = !path;
    const char *name = path ? path : "parlance.yaml";
    if (!is_default || access(name, F_OK) == 0) {
        enum err err = file_read(name, CONFIG_FILE_MAX_BYTES, &text, &n);
        if (err) {
            strbuf_printf(problem, "%s: cannot be read: %s", name, err_text(err));
            return err;
        }
    }
    enum err err = config_parse(&app_config_table, (struct str){text ? text : "", n}, name, environ,
                                arena, out, problem);
    free(text);
    if (!err && services)
        err = choose_services(services, arena, out, problem);
    const char *wrong = err ? NULL : problem_of(out);
    if (!wrong)
        return err;
    strbuf_adds(problem, wrong);
    return ERR_INVALID_ARGUMENT;
}

enum err app_config_load(const char *path, struct arena *arena, struct app_config *out,
                         struct strbuf *problem)
{
    return app_config_load_for(path, NULL, arena, out, problem);
}

void app_config_unknown(config_unknown_fn *fn, void *arg)
{
    config_unknown_env(&app_config_table, environ, fn, arg);
}
