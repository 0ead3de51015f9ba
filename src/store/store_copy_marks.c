/* store_copy_marks: what no portable SQL says about generated keys and about tables as such. */
#include "store/store_copy_internal.h"

#include <string.h>

static bool is_of(const struct store_tx *tx, const char *driver)
{
    return strcmp(store_driver_of(tx), driver) == 0;
}

static enum err take_number(struct store_stmt *st, int64_t *value)
{
    *value = store_step(st) ? store_int(st, 0) : 0;
    return store_finish(st);
}

static const char *key_of(const struct store_table *t)
{
    return t->columns[t->key[0]].name;
}

enum err store_copy_mark_read(struct store_tx *tx, const struct store_table *t, int64_t *mark)
{
    struct strbuf sql = {0};
    if (is_of(tx, "sqlite"))
        return take_number(
            store_query(tx, "SELECT seq FROM sqlite_sequence WHERE name = ?", "s", t->name), mark);
    if (is_of(tx, "mysql")) {
        enum err err =
            take_number(store_query(tx,
                                    "SELECT auto_increment FROM information_schema.tables"
                                    " WHERE table_schema = DATABASE() AND table_name = ?",
                                    "s", t->name),
                        mark);
        *mark = MAX(*mark - 1, 0);
        return err;
    }
    /* The sequence of an identity is a relation of its own, named so. */
    strbuf_printf(&sql, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM %s_%s_seq",
                  t->name, key_of(t));
    enum err err = take_number(store_prepare(tx, strbuf_str(&sql).p), mark);
    strbuf_deinit(&sql);
    return err;
}

enum err store_copy_mark_write(struct store_tx *tx, const struct store_table *t, int64_t mark)
{
    struct strbuf sql = {0};
    enum err err = ERR_OK;
    if (!mark)
        return ERR_OK;
    if (is_of(tx, "sqlite")) { /* there is a row once there was one in the table */
        err = store_run(tx, "DELETE FROM sqlite_sequence WHERE name = ?", "s", t->name);
        return err ? err
                   : store_run(tx, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", "si",
                               t->name, mark);
    }
    if (is_of(tx, "mysql"))
        strbuf_printf(&sql, "ALTER TABLE %s AUTO_INCREMENT = %lld", t->name, (long long)mark + 1);
    else
        strbuf_printf(&sql, "SELECT setval('%s_%s_seq', %lld)", t->name, key_of(t),
                      (long long)mark);
    err = store_run(tx, strbuf_str(&sql).p, "");
    strbuf_deinit(&sql);
    return err;
}

static enum err count_tables(struct store_tx *tx, void *arg)
{
    const char *sql = is_of(tx, "sqlite")
                          ? "SELECT COUNT(*) FROM sqlite_master"
                          : (is_of(tx, "mysql") ? "SELECT COUNT(*) FROM information_schema.tables"
                                                  " WHERE table_schema = DATABASE()"
                                                : "SELECT COUNT(*) FROM information_schema.tables"
                                                  " WHERE table_schema = current_schema()");
    return take_number(store_prepare(tx, sql), arg);
}

enum err store_copy_is_empty(struct store *store, bool *is_empty)
{
    int64_t count = 0;
    enum err err = store_read(store, count_tables, &count);
    *is_empty = !count;
    return err;
}
