/* verify: walks all logs of messages and says whether they are whole. restored: a database that its
 * engine's own tools have put back. */
#include <stdio.h>

#include "app/app.h"
#include "app/app_stores.h"
#include "cli/cli.h"
#include "core/arena.h"
#include "core/log.h"

/* What both do with the store of the configuration. */
typedef enum err work_fn(const struct app_stores *stores, struct strbuf *report, bool *is_whole);

static int run_on_store(const struct cli_command *command, int argc, char **argv, work_fn *work)
{
    const char *path = cli_take_value(&argc, argv, "config");
    if (!cli_has_words(command, argc, argv, 0))
        return 2;
    struct arena *arena = arena_create();
    struct app_config config = {0};
    struct strbuf problem = {0};
    struct strbuf report = {0};
    bool is_whole = false;
    struct app_stores stores = {0};
    log_set_level(LOG_WARN);
    enum err err = app_config_load(path, arena, &config, &problem);
    if (!err)
        err = app_stores_open(&stores, &config, arena, &problem);
    if (!err)
        err = work(&stores, &report, &is_whole);
    if (err)
        fprintf(stderr, "parlance %s: %s\n", command->name, problem.n ? problem.p : err_text(err));
    else
        fputs(strbuf_str(&report).p, is_whole ? stdout : stderr);
    strbuf_deinit(&report);
    app_stores_close(&stores);
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    return err || !is_whole ? 1 : 0;
}

static int run(int argc, char **argv)
{
    return run_on_store(&cli_verify, argc, argv, app_verify_all);
}

static enum err begin_anew(const struct app_stores *stores, struct strbuf *report, bool *is_whole)
{
    enum err err = app_restored(stores->main);
    for (size_t i = 0; i < stores->count && !err; i++)
        err = app_restored(stores->shard_stores[i]);
    *is_whole = !err;
    strbuf_adds(report, "cursors of clients that saw more than is here count no more\n");
    return err;
}

static int run_restored(int argc, char **argv)
{
    return run_on_store(&cli_restored, argc, argv, begin_anew);
}

const struct cli_command cli_verify = {
    .name = "verify",
    .summary = "Walks all conversations and says whether they are whole.",
    .usage = "parlance verify [--config FILE]",
    .about =
        "Every log from its first line: no message missing, doubled or altered, heads, counts\n"
        "and indexes as they should be. Exits 1 if anything is not; changes nothing.\n\n"
        "  --config FILE  the configuration; without it ./parlance.yaml if it is there\n\n"
        "The server must not be running.\n",
    .run = run,
};

const struct cli_command cli_restored = {
    .name = "restored",
    .summary = "Tells a database that its engine's tools have put it back.",
    .usage = "parlance restored [--config FILE]",
    .about =
        "After a restore by pg_restore, mariadb-backup or a snapshot, and before the first start:\n"
        "clients may have seen more than is there now, and begin anew. `parlance restore` (of\n"
        "SQLite's backups) does so by itself.\n\n"
        "  --config FILE  the configuration; without it ./parlance.yaml if it is there\n\n"
        "The server must not be running.\n",
    .run = run_restored,
};
