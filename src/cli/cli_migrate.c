/*
 * migrate: the state of the database, and bringing it up to date before a start (serve does so by
 * itself). `up --dry-run` prints the SQL that would run.
 */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/app_stores.h"
#include "cli/cli.h"
#include "core/arena.h"
#include "core/log.h"

struct state {
    struct arena *arena;
    struct app_config config;
    struct app_stores stores;
    struct store *store; /* the one at hand */
    const struct store_migration *list;
    size_t count;
};

/* Steps of one room that are not applied; rooms stand together in the list. */
static enum err pending_of(struct state *s, size_t from, size_t *room_count, size_t *pending)
{
    size_t end = from;
    while (end < s->count && strcmp(s->list[end].room, s->list[from].room) == 0)
        end++;
    *room_count = end - from;
    return store_migrations_pending(s->store, s->list + from, end - from, pending);
}

static enum err print_sql(struct state *s, size_t at)
{
    const struct store_migration *m = &s->list[at];
    struct strbuf sql = {0};
    enum err err = store_migration_write(s->store, s->list, at, &sql);
    printf("\n-- %s %d\n%s\n\n", m->room, m->version, strbuf_str(&sql).p);
    strbuf_deinit(&sql);
    return err;
}

static enum err print_status(struct state *s, bool is_sql_wanted)
{
    size_t room_count, pending;
    for (size_t at = 0; at < s->count; at += room_count) {
        enum err err = pending_of(s, at, &room_count, &pending);
        if (err)
            return err;
        printf("%-12s at %zu of %zu%s\n", s->list[at].room, room_count - pending, room_count,
               pending ? "" : ", up to date");
        for (size_t i = room_count - pending; is_sql_wanted && i < room_count && !err; i++)
            err = print_sql(s, at + i);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err bring_up(struct state *s)
{
    enum err err = store_migrate(s->store, s->list, s->count);
    return err ? err : print_status(s, false);
}

static int run(int argc, char **argv)
{
    const char *path = cli_take_value(&argc, argv, "config");
    bool is_dry = cli_take_flag(&argc, argv, "dry-run");
    if (!cli_has_words(&cli_migrate, argc, argv, 1))
        return 2;
    bool is_up = strcmp(argv[1], "up") == 0;
    if (!is_up && strcmp(argv[1], "status") != 0)
        return cli_usage_error(&cli_migrate, "expected status or up");
    struct state s = {.arena = arena_create()};
    struct strbuf problem = {0};
    log_set_level(LOG_WARN);
    enum err err = app_config_load(path, s.arena, &s.config, &problem);
    if (!err)
        err = app_stores_open(&s.stores, &s.config, s.arena, &problem);
    s.list = app_migrations(s.arena, &s.count);
    for (size_t i = 0; i <= s.stores.count && !err; i++) {
        s.store = i ? s.stores.shard_stores[i - 1] : s.stores.main;
        if (i)
            printf("\nshards %s:\n", s.stores.shard[i - 1].range);
        err = is_up && !is_dry ? bring_up(&s) : print_status(&s, is_up);
    }
    if (err)
        fprintf(stderr, "parlance migrate: %s\n", problem.n ? problem.p : err_text(err));
    app_stores_close(&s.stores);
    strbuf_deinit(&problem);
    arena_destroy(&s.arena);
    return err ? 1 : 0;
}

const struct cli_command cli_migrate = {
    .name = "migrate",
    .summary = "Shows or brings up to date the database.",
    .usage = "parlance migrate status|up [--dry-run] [--config FILE]",
    .about = "  status         how far each service's tables are\n"
             "  up             apply what is missing (serve does so by itself)\n"
             "  --dry-run      with up: print the SQL that would run, change nothing\n"
             "  --config FILE  the configuration; without it ./parlance.yaml if it is there\n\n"
             "The server must not be running.\n",
    .run = run,
};
