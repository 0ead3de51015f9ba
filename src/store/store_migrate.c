/*
 * store_migrate: the schema's history. Each room numbers its own migrations from 1 without gaps;
 * what was applied stands in store_migrations with a checksum of its text, so a migration that was
 * edited after it ran is found instead of trusted. Each runs in a transaction of its own together
 * with its row: it is there wholly, or not at all and runs again next time.
 */
#include "store/store_internal.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "store/store_dialect.h"

#define CHECKSUM_SIZE (2 * SHA256_DIGEST_LENGTH + 1)

static void checksum(const char *sql, char out[CHECKSUM_SIZE])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)sql, strlen(sql), digest);
    str_hex(out, digest, sizeof(digest));
}

/* ---- what the list says ---- */

/* The version before item i in its room: 0 for the first. */
static int version_before(const struct store_migration *list, size_t i)
{
    for (size_t j = i; j-- > 0;)
        if (strcmp(list[j].room, list[i].room) == 0)
            return list[j].version;
    return 0;
}

static bool is_last_of_room(const struct store_migration *list, size_t count, size_t i)
{
    for (size_t j = i + 1; j < count; j++)
        if (strcmp(list[j].room, list[i].room) == 0)
            return false;
    return true;
}

static enum err list_check(const struct store_migration *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int expected = version_before(list, i) + 1;
        if (list[i].version == expected)
            continue;
        log_error(NULL, "store: migration %s %d stands where %d is expected", list[i].room,
                  list[i].version, expected);
        return ERR_INVALID_ARGUMENT;
    }
    return ERR_OK;
}

/* ---- what the database says ---- */

static enum err make_table(struct store_tx *tx, void *arg)
{
    return store_run(tx,
                     "CREATE TABLE IF NOT EXISTS store_migrations (room TEXT NOT NULL,"
                     " version INTEGER NOT NULL, checksum TEXT NOT NULL,"
                     " applied_ms INTEGER NOT NULL, PRIMARY KEY (room, version))",
                     "");
}

static enum err find_applied(struct store_tx *tx, const struct store_migration *m, bool *is_applied)
{
    char expected[CHECKSUM_SIZE];
    checksum(m->sql, expected);
    struct store_stmt *st =
        store_query(tx, "SELECT checksum FROM store_migrations WHERE room = ? AND version = ?",
                    "si", m->room, (int64_t)m->version);
    *is_applied = store_step(st);
    bool is_same = *is_applied && str_eq(store_str(st, 0), str_from(expected));
    enum err err = store_finish(st);
    if (!err && *is_applied && !is_same) {
        log_error(NULL, "store: migration %s %d was changed after it was applied", m->room,
                  m->version);
        err = ERR_FAILED_PRECONDITION;
    }
    return err;
}

/* An older program must not work on a newer schema, and a history with holes is nobody's. */
static enum err check_history(struct store_tx *tx, const struct store_migration *last)
{
    struct store_stmt *st = store_query(
        tx, "SELECT COUNT(*), COALESCE(MAX(version), 0) FROM store_migrations WHERE room = ?", "s",
        last->room);
    bool has_row = store_step(st);
    int64_t applied = has_row ? store_int(st, 0) : 0;
    int64_t highest = has_row ? store_int(st, 1) : 0;
    enum err err = store_finish(st);
    if (err)
        return err;
    if (highest > last->version) {
        log_error(NULL, "store: the database has migration %s %lld, this program knows %d",
                  last->room, (long long)highest, last->version);
        return ERR_FAILED_PRECONDITION;
    }
    if (applied != highest) {
        log_error(NULL, "store: migration %s %lld is applied, an earlier one is not", last->room,
                  (long long)highest);
        return ERR_FAILED_PRECONDITION;
    }
    return ERR_OK;
}

struct survey {
    const struct store_migration *list;
    size_t count;
    size_t pending;
};

static enum err survey_run(struct store_tx *tx, void *arg)
{
    struct survey *s = arg;
    for (size_t i = 0; i < s->count; i++) {
        bool is_applied;
        enum err err = find_applied(tx, &s->list[i], &is_applied);
        if (!err && is_last_of_room(s->list, s->count, i))
            err = check_history(tx, &s->list[i]);
        if (err)
            return err;
        s->pending += !is_applied;
    }
    return ERR_OK;
}

enum err store_migrations_pending(struct store *store, const struct store_migration *list,
                                  size_t count, size_t *pending)
{
    struct survey survey = {.list = list, .count = count};
    *pending = 0;
    enum err err = list_check(list, count);
    if (!err)
        err = store_write_essential_sync(store, 0, make_table, NULL);
    if (!err)
        err = store_read(store, survey_run, &survey);
    if (!err)
        *pending = survey.pending;
    return err;
}

/* ---- applying ---- */

struct application {
    const struct store_migration *list;
    size_t at;
};

static enum err apply(struct store_tx *tx, void *arg)
{
    const struct application *a = arg;
    const struct store_migration *m = &a->list[a->at];
    bool is_applied;
    enum err err = find_applied(tx, m, &is_applied);
    if (err || is_applied)
        return err;
    struct strbuf script = {0};
    char name[64];
    snprintf(name, sizeof(name), "%s %d", m->room, m->version);
    store_dialect_choose(tx->link->store->driver->dialect, a->list, a->at, &script);
    err = tx->link->store->driver->script(tx->link->conn, name, strbuf_str(&script).p);
    strbuf_deinit(&script);
    if (err) {
        log_error(NULL, "store: migration %s %d failed: %s", m->room, m->version, err_text(err));
        return err;
    }
    char sum[CHECKSUM_SIZE];
    checksum(m->sql, sum);
    return store_run(tx,
                     "INSERT INTO store_migrations (room, version, checksum, applied_ms)"
                     " VALUES (?, ?, ?, ?)",
                     "sisi", m->room, (int64_t)m->version, sum, clock_wall_ms());
}

enum err store_migrate(struct store *store, const struct store_migration *list, size_t count)
{
    size_t pending;
    enum err err = store_migrations_pending(store, list, count, &pending);
    struct application a = {.list = list};
    for (; !err && pending && a.at < count; a.at++)
        err = store_write_essential_sync(store, 0, apply, &a);
    if (!err && pending)
        log_info(NULL, "store: applied %zu migrations", pending);
    return err;
}

enum err store_migration_write(const struct store *store, const struct store_migration *list,
                               size_t at, struct strbuf *out)
{
    enum store_dialect dialect = store->driver->dialect;
    struct strbuf script = {0};
    struct store_dialect_info info;
    struct str rest, statement;
    enum err err = ERR_OK;
    store_dialect_choose(dialect, list, at, &script);
    rest = strbuf_str(&script);
    if (dialect == STORE_DIALECT_SQLITE)
        strbuf_add(out, rest.p, rest.n);
    else
        while (!err && store_dialect_next(&rest, &statement)) {
            err = store_dialect_rewrite(dialect, statement, out, &info);
            strbuf_adds(out, ";\n");
        }
    strbuf_deinit(&script);
    return err;
}
