/*
 * app_copy: from one engine to another. The tables are those that the services' migrations make,
 * and the index of words, which each engine keeps in its own way: what it was made of is copied,
 * and the target makes its own of it. At the end the target's logs are walked as `parlance verify`
 * does.
 */
#include "app/app_copy.h"

#include <string.h>

#include "app/app.h"
#include "services/message/message.h"
#include "store/store_copy.h"

static enum err refuse(struct strbuf *problem, enum err err, const char *what, const char *why)
{
    strbuf_printf(problem, "%s: %s", what, why);
    return err;
}

static enum err open_one(const char *what, const char *url, struct store **out,
                         struct strbuf *problem)
{
    static const struct {
        const char *begins, *driver;
        bool is_path;
    } schemes[] = {
        {"sqlite:", "sqlite", true},          {"postgres://", "postgres", false},
        {"postgresql://", "postgres", false}, {"mysql://", "mysql", false},
        {"mariadb://", "mysql", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!str_starts(str_from(url), str_from(schemes[i].begins)))
            continue;
        const char *at = schemes[i].is_path ? url + strlen(schemes[i].begins) : url;
        enum err err =
            store_open(out, &(struct store_options){.driver = schemes[i].driver, .url = at});
        return err ? refuse(problem, err, what, "cannot be opened, see the log") : ERR_OK;
    }
    return refuse(problem, ERR_INVALID_ARGUMENT, what,
                  "expected sqlite:PATH, postgres://... or mysql://...");
}

/* ---- what is copied ---- */

/* lsn, words, conversation, sender, kind: as every engine has them. */
static const struct store_column words_columns[] = {{"rowid", STORE_COLUMN_INT},
                                                    {"t", STORE_COLUMN_TEXT},
                                                    {"c", STORE_COLUMN_INT},
                                                    {"s", STORE_COLUMN_TEXT},
                                                    {"k", STORE_COLUMN_TEXT}};

static enum err on_words_copied(struct store_tx *tx, struct store_stmt *row)
{
    struct arena *arena = arena_create();
    enum err err = message_index_copied(tx, store_int(row, 0), store_text(row, 1, arena));
    arena_destroy(&arena);
    return err;
}

static enum err list_tables(struct arena *arena, struct store_copy_options *out)
{
    size_t migrations, count;
    struct store_table *tables;
    const struct store_migration *list = app_migrations(arena, &migrations);
    enum err err = store_schema_read(arena, list, migrations, &tables, &count);
    if (err)
        return err;
    struct store_copy_table *all = arena_array(arena, struct store_copy_table, count + 1);
    for (size_t i = 0; i < count; i++)
        all[i].table = tables[i];
    all[count] = (struct store_copy_table){
        .table = {.room = "message",
                  .name = "message_terms",
                  .columns = (struct store_column *)words_columns,
                  .column_count = ARRAY_LEN(words_columns),
                  .key_count = 1},
        .on_copied = on_words_copied,
    };
    out->tables = all;
    out->count = count + 1;
    return ERR_OK;
}

/* ---- both ends ---- */

static enum err check_source(struct store *from, struct arena *arena, struct strbuf *problem)
{
    size_t count, pending;
    bool is_empty;
    const struct store_migration *list = app_migrations(arena, &count);
    enum err err = store_copy_is_empty(from, &is_empty);
    if (!err && is_empty)
        return refuse(problem, ERR_NOT_FOUND, "--from", "there is nothing in it");
    if (!err)
        err = store_migrations_pending(from, list, count, &pending);
    if (err)
        return refuse(problem, err, "--from", err_text(err));
    if (pending)
        return refuse(problem, ERR_FAILED_PRECONDITION, "--from",
                      "the database is of an older version: `parlance migrate up` first");
    return ERR_OK;
}

static enum err make_target(struct store *to, struct arena *arena, struct strbuf *problem)
{
    size_t count;
    bool is_empty;
    const struct store_migration *list = app_migrations(arena, &count);
    enum err err = store_copy_is_empty(to, &is_empty);
    if (!err && !is_empty)
        return refuse(problem, ERR_ALREADY_EXISTS, "--to",
                      "there is something in it; expected a database without tables");
    if (!err)
        err = store_migrate(to, list, count);
    return err ? refuse(problem, err, "--to", err_text(err)) : ERR_OK;
}

static enum err verify(struct store *to, struct strbuf *report, struct strbuf *problem)
{
    bool is_whole;
    enum err err = app_verify(to, report, &is_whole);
    if (!err && !is_whole)
        err = ERR_DATA_LOSS;
    return err ? refuse(problem, err, "--to", "the copy is not whole (see above)") : ERR_OK;
}

enum err app_copy(const struct app_copy_options *opt, struct strbuf *report, struct strbuf *problem)
{
    struct arena *arena = arena_create();
    struct store *from = NULL, *to = NULL;
    struct store_copy_options copy = {.progress = opt->progress, .arg = opt->arg};
    enum err err = open_one("--from", opt->from, &from, problem);
    if (!err)
        err = check_source(from, arena, problem);
    if (!err)
        err = open_one("--to", opt->to, &to, problem);
    if (!err)
        err = make_target(to, arena, problem);
    if (!err)
        err = list_tables(arena, &copy);
    if (!err)
        err = store_copy(from, to, &copy, problem);
    if (!err)
        err = verify(to, report, problem);
    store_close(&to);
    store_close(&from);
    arena_destroy(&arena);
    return err;
}
