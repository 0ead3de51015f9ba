/*
 * store_mysql_script: migrations over MySQL and MariaDB, where a statement that makes or changes a
 * table commits by itself. So each step is written down before it is taken, and that is committed
 * with the first thing the step does. After a crash the migration goes on at the step it had begun:
 * there alone "it exists already" (or "it is gone already") means that the step was done. Steps
 * that only change rows share a transaction with what is written down about them.
 *
 * A migration that failed and comes again with another text is taken from its beginning; up to
 * where the other had come, what exists already is taken for its work.
 */
#include "store/store_mysql_internal.h"

#include <mysqld_error.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"

#define TABLE                                                                               \
    "CREATE TABLE IF NOT EXISTS store_migration_steps (name VARCHAR(255) PRIMARY KEY, step" \
    " BIGINT NOT NULL, checksum VARCHAR(64) NOT NULL) ENGINE=InnoDB"

struct script {
    struct store_conn *conn;
    const char *name;
    char checksum[2 * SHA256_DIGEST_LENGTH + 1];
    int64_t first;      /* the step to begin at */
    int64_t done_below; /* steps below may have been taken */
};

/* What is written down: all steps below it are taken; with `begun` perhaps this one, too. */
static int64_t place_of(int64_t step, bool is_begun)
{
    return step * 2 + is_begun;
}

static void take_checksum(const char *sql, char out[2 * SHA256_DIGEST_LENGTH + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)sql, strlen(sql), digest);
    str_hex(out, digest, sizeof(digest));
}

/* Where an earlier attempt has come. */
static enum err find_step(struct script *s)
{
    char sql[256], text[128];
    snprintf(sql, sizeof(sql),
             "SELECT CONCAT(step, ' ', checksum) FROM store_migration_steps WHERE name = '%s'",
             s->name);
    enum err err = store_mysql_link_ask(s->conn, sql, text, sizeof(text));
    char *gap = strchr(text, ' ');
    int64_t place = 0;
    s->first = s->done_below = 0;
    if (err || !gap)
        return err;
    (void)!str_to_i64((struct str){text, (size_t)(gap - text)}, &place);
    s->done_below = (place + 1) / 2;
    if (strcmp(gap + 1, s->checksum) == 0)
        s->first = place / 2;
    log_warn(NULL, "store: migration %s was left after step %lld; it goes on", s->name,
             (long long)s->done_below);
    return ERR_OK;
}

static enum err note_place(struct script *s, int64_t place)
{
    struct strbuf sql = {0};
    strbuf_printf(&sql,
                  "INSERT INTO store_migration_steps (name, step, checksum) VALUES ('%s', %lld, "
                  "'%s') ON DUPLICATE KEY UPDATE step = VALUES(step), checksum = VALUES(checksum)",
                  s->name, (long long)place, s->checksum);
    enum err err = store_mysql_link_run(s->conn, strbuf_str(&sql).p, true);
    strbuf_deinit(&sql);
    return err;
}

/* What a step says that was taken before. */
static bool is_done_already(unsigned code)
{
    return code == ER_TABLE_EXISTS_ERROR || code == ER_DUP_FIELDNAME || code == ER_DUP_KEYNAME ||
           code == ER_BAD_TABLE_ERROR || code == ER_CANT_DROP_FIELD_OR_KEY;
}

/* It commits by itself, and ends the transaction even if it fails. */
static enum err take_schema_step(struct script *s, const char *sql, int64_t step)
{
    enum err err = note_place(s, place_of(step, true));
    if (err)
        return err;
    err = store_mysql_link_run(s->conn, sql, true);
    bool was_done = err && step < s->done_below && is_done_already(mysql_errno(s->conn->my));
    if (was_done)
        log_warn(NULL, "store: step %lld of migration %s had been taken", (long long)step, s->name);
    else if (err && !s->conn->is_lost)
        (void)!note_place(s, place_of(step, false));
    store_mysql_begin_again(s->conn);
    return was_done ? ERR_OK : err;
}

static enum err take_step(struct script *s, struct str statement, int64_t step)
{
    struct strbuf sql = {0};
    struct store_dialect_info info;
    enum err err = store_dialect_rewrite(STORE_DIALECT_MYSQL, statement, &sql, &info);
    store_mysql_link_adapt(s->conn, &sql);
    if (!err && info.is_schema) {
        err = take_schema_step(s, strbuf_str(&sql).p, step);
    } else if (!err) {
        err = note_place(s, place_of(step + 1, false));
        if (!err)
            err = store_mysql_link_run(s->conn, strbuf_str(&sql).p, true);
    }
    strbuf_deinit(&sql);
    return err;
}

/* What is no statement at all is found before the first is run. */
static enum err check_all(const char *sql)
{
    struct str rest = str_from(sql), statement;
    struct store_dialect_info info;
    struct strbuf ignored = {0};
    enum err err = ERR_OK;
    while (!err && store_dialect_next(&rest, &statement))
        err = store_dialect_rewrite(STORE_DIALECT_MYSQL, statement, &ignored, &info);
    strbuf_deinit(&ignored);
    return err;
}

enum err store_mysql_script(struct store_conn *conn, const char *name, const char *sql)
{
    struct script s = {.conn = conn, .name = name};
    struct str rest = str_from(sql), statement;
    take_checksum(sql, s.checksum);
    enum err err = check_all(sql);
    if (!err)
        err = store_mysql_link_settle(conn);
    if (!err && conn->is_mariadb)
        err = store_mysql_link_run(conn, "SET SESSION max_statement_time = 0", false);
    if (!err)
        err = store_mysql_link_run(conn, TABLE, true);
    if (!err)
        store_mysql_begin_again(conn);
    if (!err)
        err = find_step(&s);
    for (int64_t step = 0; !err && store_dialect_next(&rest, &statement); step++)
        if (step >= s.first)
            err = take_step(&s, statement, step);
    struct strbuf end = {0};
    strbuf_printf(&end, "DELETE FROM store_migration_steps WHERE name = '%s'", name);
    if (!err)
        err = store_mysql_link_run(conn, strbuf_str(&end).p, false);
    if (conn->is_mariadb)
        store_mysql_link_tell(conn, "SET SESSION max_statement_time = 30");
    strbuf_deinit(&end);
    return err;
}
