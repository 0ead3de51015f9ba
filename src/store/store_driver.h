/*
 * store_driver: what a database must offer to carry the store. The room above it (queues, group
 * commit, statement cache, migrations) is the same for all; a driver is connections, transactions
 * and statements. SQL arrives with `?` placeholders and the column types of store.h; a driver whose
 * database says otherwise rewrites it in prepare and script.
 *
 * A connection is used by one thread at a time (not always the same). Errors are logged where they
 * happen, in the driver, unless they are answers (a constraint).
 */
#pragma once

#include "store/store.h"
#include "store/store_dialect.h"

struct store_db;       /* the driver's: one database */
struct store_conn;     /* the driver's: one connection */
struct store_prepared; /* the driver's: one prepared statement */

enum store_access { STORE_ACCESS_READ, STORE_ACCESS_WRITE };

enum store_value_type {
    STORE_VALUE_NULL,
    STORE_VALUE_INT,
    STORE_VALUE_REAL,
    STORE_VALUE_TEXT,
    STORE_VALUE_BLOB
};

struct store_value {
    enum store_value_type type;
    int64_t integer;
    double real;
    struct str bytes; /* text and blob; copied by bind, unless: */
    bool is_lasting;  /* they stay until the statement is reset */
};

struct store_driver {
    const char *name;
    enum store_dialect dialect; /* what migrations are written in for it */
    bool is_exclusive;          /* no other process can have the database open */

    enum err (*open)(const struct store_options *opt, struct store_db **out);
    /* After every connection was disconnected. Accepts NULL, sets it to NULL. */
    void (*close)(struct store_db **db);
    /* How many writers there can be, each a thread with one connection; shards are spread over
     * them. They are started when they are first written to. */
    unsigned (*writer_count)(const struct store_db *db);
    /* Any thread: ERR_OK, or why a write is refused now. */
    enum err (*admit)(const struct store_db *db, bool is_essential);

    enum err (*connect)(struct store_db *db, enum store_access access, struct store_conn **out);
    /* Of a writer's connection, once, before its first transaction: whose writes it orders. Those
     * of one shard follow one another, whichever process makes them. NULL: there is one writer. */
    void (*assign)(struct store_conn *conn, uint32_t shard);
    /* See store_follow; NULL: there is one writer. */
    enum err (*follow)(struct store_conn *conn, uint32_t shard);
    /* Statements were discarded before. The writers' connections go last. */
    void (*disconnect)(struct store_conn **conn);

    enum err (*begin)(struct store_conn *conn);
    enum err (*commit)(struct store_conn *conn); /* durable when it returns ERR_OK */
    void (*rollback)(struct store_conn *conn);   /* safe when the transaction is gone already */
    /* A failing statement may have taken the whole transaction with it. */
    bool (*in_transaction)(const struct store_conn *conn);
    enum err (*savepoint)(struct store_conn *conn);
    enum err (*release)(struct store_conn *conn);
    enum err (*rollback_to)(struct store_conn *conn); /* and releases it */
    /* Inside a transaction, what would make its commit fail though every statement passed. */
    enum err (*check)(struct store_conn *conn);
    /* The statements of a migration, of this name. All or nothing, where an engine can (`name` is
     * for one that cannot, and goes on where it was left). */
    enum err (*script)(struct store_conn *conn, const char *name, const char *sql);
    /* Housekeeping on a writer's connection, outside transactions; about once a second, and after
     * commits. is_idle: nobody waits. May be NULL. */
    void (*maintain)(struct store_conn *conn, bool is_idle);

    enum err (*prepare)(struct store_conn *conn, const char *sql, struct store_prepared **out);
    void (*discard)(struct store_prepared **prepared);
    enum err (*bind)(struct store_prepared *prepared, int index, const struct store_value *value);
    enum err (*step)(struct store_prepared *prepared, bool *has_row);
    /* Ready for the next use: no row, no parameters. Yields the rows it changed. */
    int64_t (*reset)(struct store_prepared *prepared);
    bool (*is_null)(struct store_prepared *prepared, int column);
    int64_t (*get_int)(struct store_prepared *prepared, int column);
    double (*get_real)(struct store_prepared *prepared, int column);
    struct str (*get_bytes)(struct store_prepared *prepared, int column); /* text or blob */

    /* Inside a transaction of a reading connection: see store_backup. NULL: the database has tools
     * of its own. */
    enum err (*backup)(struct store_conn *conn, const char *path,
                       const struct store_progress *progress);
};

extern const struct store_driver store_sqlite;
extern const struct store_driver store_postgres;
extern const struct store_driver store_mysql;
