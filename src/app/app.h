/*
 * app: the running server. app_create brings everything up in order (data directory, store,
 * services, edge, sockets); app_stop lets it down again without breaking what is in work. What
 * stands between is in topology.c.
 */
#pragma once

#include "app/app_config.h"
#include "edge/edge.h"
#include "store/store.h"

struct app;

/* What the person who started it wants to know. Texts are the app's. */
struct app_report {
    uint16_t http_port;       /* the first one; 0: none */
    uint16_t https_port;      /* 0: no TLS */
    uint16_t management_port; /* 0: none */
    uint16_t media_port;      /* 0: no media */
    const char *data_dir;
    const char *const *notes; /* what was made on this start */
    size_t note_count;
};

/* The config must outlive the app. On failure `problem` says in a sentence what to do. */
MUST_USE enum err app_create(struct app **out, const struct app_config *config, const char *version,
                             struct strbuf *problem);
const struct app_report *app_report(const struct app *app);
/* Reads the certificate again; the outcome is logged. */
void app_reload(struct app *app);
/* Stops accepting, sends sockets away, waits for requests in work within the configured time. */
void app_drain(struct app *app);
/* Accepts NULL. */
void app_destroy(struct app **app);

/* Everything that can be known without starting: for openapi, migrate and user. */
extern const struct edge_route_table *const app_route_tables[];
extern const size_t app_route_table_count;
extern const struct edge_socket *const app_sockets[];
extern const size_t app_socket_count;

/* Where pictures and files lie. */
const char *app_blob_dir(const struct app_config *config, struct arena *arena);
/* Pictures and files, as the configuration says. */
struct blob_store;
MUST_USE enum err app_blob_open(struct blob_store **out, const struct app_config *config,
                                struct arena *arena);
/* The store of the data directory, for commands. FAILED_PRECONDITION: a server is using it. */
MUST_USE enum err app_store_open(struct store **out, const struct app_config *config,
                                 struct strbuf *problem);
/* All services' migrations, one room after the other. In the arena. */
const struct store_migration *app_migrations(struct arena *arena, size_t *count);

/* Walks what services keep and can hold against itself: a line for each problem, and a last one
 * that sums up. */
MUST_USE enum err app_verify(struct store *store, struct strbuf *report, bool *is_whole);
/* The same of all databases. */
struct app_stores;
MUST_USE enum err app_verify_all(const struct app_stores *stores, struct strbuf *report,
                                 bool *is_whole);
/* The database is an older one of itself: what clients have seen of it counts no more. */
MUST_USE enum err app_restored(struct store *store);

/* Raises the limit of open descriptors as far as it goes; a warning when that is not far. */
void app_raise_descriptor_limit(void);
