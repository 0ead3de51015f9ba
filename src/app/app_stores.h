/*
 * app_stores: the databases of a deployment. The first is store.url's (or the data directory's);
 * messages.shard_stores names others, in which some shards of the log lie.
 */
#pragma once

#include "app/app_config.h"
#include "core/arena.h"
#include "services/message/message_base.h"
#include "store/store.h"

#define APP_SHARD_STORES_MAX (MESSAGE_BASES_MAX - 1)

/* "4-7=postgres://...", "2+4-7=...": which shards, and where. */
struct app_shard_store {
    uint64_t shards;
    const char *range; /* as it was written */
    const char *driver, *url;
};

/* False: it is none of these. Texts are the arena's. */
bool app_shard_store_parse(struct str text, struct arena *arena, struct app_shard_store *out);
/* What is wrong with them all together; NULL: nothing. */
const char *app_shard_stores_problem(const struct app_config *config);

struct app_stores {
    struct store *main;
    struct app_shard_store shard[APP_SHARD_STORES_MAX];
    struct store *shard_stores[APP_SHARD_STORES_MAX];
    size_t count; /* of the last two */
};
/* Opens all, for commands. */
MUST_USE enum err app_stores_open(struct app_stores *out, const struct app_config *config,
                                  struct arena *arena, struct strbuf *problem);
void app_stores_close(struct app_stores *stores);
/* The same but for the first, which is open. */
MUST_USE enum err app_shard_stores_open(struct app_stores *out, const struct app_config *config,
                                        struct arena *arena, struct strbuf *problem);

/* ---- of the running server: those, up to date, and what brings their events to the bus ---- */
struct app;
MUST_USE enum err app_bases_open(struct app *app, struct strbuf *problem);
void app_bases_start(struct app *app);
void app_bases_stop(struct app *app);
void app_bases_close(struct app *app);
/* Whether all of them take writes. */
bool app_bases_are_ready(void *app);
