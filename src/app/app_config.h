/* app_config: every option of parlance, as one struct filled from one table. */
#pragma once

#include "core/config.h"

#define APP_SECRET_MIN_CHARS 32
#define APP_SECRET_MAX_CHARS 4096

enum app_log_format { APP_LOG_AUTO, APP_LOG_JSON, APP_LOG_TEXT };
/* "sqlite", "postgres", "mysql": as store.h knows them. */
extern const char *const app_store_drivers[];
extern const char *const app_cache_drivers[]; /* "memory", "redis" */
/* "memory", "redis", "kafka", "rabbitmq": as bus.h knows them. */
extern const char *const app_bus_drivers[];
/* "static", "etcd": as registry.h knows them. */
extern const char *const app_registry_drivers[];
extern const char *const app_blob_drivers[];
enum app_adding { APP_ADDING_EVERYBODY, APP_ADDING_CONTACTS };

enum app_registration {
    APP_REGISTRATION_OPEN,
    APP_REGISTRATION_INVITATION,
    APP_REGISTRATION_CLOSED
};

struct app_config {
    const char *data_dir;
    int store_driver; /* index into app_store_drivers */
    const char *store_url;
    struct config_list store_replicas;
    int blob_driver; /* index into app_blob_drivers */
    const char *blob_endpoint, *blob_bucket, *blob_prefix, *blob_region;
    const char *blob_access_key, *blob_secret_key, *blob_tls_ca;
    bool blob_path_style;
    const char *blob_dir;         /* "": blobs/ in the data directory */
    int event_bus, message_queue; /* indices into app_bus_drivers */
    const char *event_bus_url, *message_queue_url;
    const char *bus_prefix;
    const char *public_url;
    int log_level; /* enum log_level */
    int log_format;
    const char *loki_url;
    const char *otlp_url;
    const char *trace_ratio; /* app_ratio_ppm reads it */
    bool is_trace_trusted;
    const char *instance;

    const char *http_host;
    int64_t http_port;
    int64_t https_port;
    struct {
        int64_t user, auth, media, meeting, signaling, file, message, presence, task;
    } http_ports;
    const char *management_host; /* "": none */
    int64_t management_port;
    int64_t http_loops;
    bool has_tls;
    const char *tls_cert;
    const char *tls_key;
    struct config_list allowed_origins;
    bool are_metrics_public;
    bool is_rate_limited;
    struct config_list trusted_proxies;
    int64_t drain_ms;

    const char *jwt_secret;
    const char *jwt_key_file;
    int64_t jwt_expire_hours;
    int64_t jwt_refresh_expire_hours;
    int registration;
    int64_t password_ops;
    int64_t password_memory_bytes;

    int64_t meeting_capacity;
    int64_t meeting_empty_grace_s;
    int64_t signaling_resume_s;
    int64_t recall_minutes;
    int64_t keep_max_s, retention_every_s;
    int64_t invitation_days;
    int64_t shards;
    struct config_list shard_stores; /* app_stores.h */
    int adding;                      /* enum app_adding */
    bool has_upstream;

    int64_t file_max_bytes;
    int64_t file_quota_bytes;
    int64_t file_upload_hours;
    int64_t file_orphan_hours;
    const char *push_url;
    const char *push_secret;
    bool has_push_text;
    int64_t webhook_failing_hours;
    struct config_list webhook_ranges;
    int64_t bots_max;
    bool may_bots_create;

    const char *media_host;
    int64_t media_port;
    int64_t media_workers;
    struct config_list media_announced;
    struct config_list media_stun;

    struct config_list services; /* that run here; "all" */
    struct config_list remotes;  /* "user=host:port" */
    bool has_grpc;
    const char *grpc_host;
    const char *grpc_secret;
    const char *grpc_tls_cert, *grpc_tls_key, *grpc_tls_ca;
    struct {
        int64_t user, auth, media, meeting, signaling, file, message, presence, task;
    } grpc_ports;

    int registry_type; /* index into app_registry_drivers */
    struct config_list registry_endpoints;
    const char *registry_prefix;
    const char *registry_username, *registry_password;
    const char *registry_tls_ca, *registry_tls_cert, *registry_tls_key;
    int64_t registry_lease_s;
    const char *registry_advertise;

    int cache; /* index into app_cache_drivers */
    const char *cache_url, *cache_prefix;
    int64_t cache_bytes;
    int64_t service_threads;
    bool is_packing_calls;
};

extern const struct config_table app_config_table;

/* "0.1": 100,000. False: it is no number from 0 to 1. */
bool app_ratio_ppm(struct str text, unsigned *ppm);

/* "user=host:port", "auth=[::1]:50050", "auth=etcd://parlance-auth" */
struct app_remote {
    struct str service, host;
    uint16_t port;
    struct str registered; /* the name in the registry; then there is no host */
};
/* app_split.c; false: it is none. */
bool app_remote_parse(struct str text, struct app_remote *out);
/* A service of services.run, or "all". */
bool app_is_service(struct str name);
/* app_registry.c: "http://10.0.0.7:2379" */
bool app_is_endpoint(struct str text);
/* What is wrong with registry.*, or NULL. */
const char *app_registry_problem(const struct app_config *c);
/* What is wrong with services.* and grpc.* together, or NULL. */
const char *app_split_problem(const struct app_config *c);

/*
 * The file (NULL: ./parlance.yaml if it is there, else defaults alone), then the environment. All
 * texts live in the arena. On failure `problem` says where and what was expected.
 */
MUST_USE enum err app_config_load(const char *path, struct arena *arena, struct app_config *out,
                                  struct strbuf *problem);
/* The same with the services of the command line ("user,auth"; NULL: the configuration's). */
MUST_USE enum err app_config_load_for(const char *path, const char *services, struct arena *arena,
                                      struct app_config *out, struct strbuf *problem);
/* Names in the environment that look like options and are none, for whoever mistyped one. */
void app_config_unknown(config_unknown_fn *fn, void *arg);
