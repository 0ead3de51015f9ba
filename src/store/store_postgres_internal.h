/* store_postgres_internal: what the files of the PostgreSQL driver share. */
#pragma once

#include <libpq-fe.h>
#include <stdatomic.h>

#include "store/store_dialect.h"
#include "store/store_driver.h"

#define POSTGRES_WAITING_MAX 8
#define POSTGRES_WRITERS_MAX 128

struct store_db {
    const struct store_options *opt;
    char **keywords, **values; /* of the URL, with what it left open; NULL ends both */
    atomic_bool is_down;       /* the last attempt to connect failed */
    _Atomic int64_t retry_at_us;
    _Atomic int64_t reader_at_us; /* of readers while it is down: one tries at a time */
};

struct store_conn {
    struct store_db *db;
    enum store_access access;
    PGconn *pg;
    unsigned generation; /* counts connections: what an earlier one had prepared is gone */
    bool is_lost;        /* answers nothing any more; the next exchange connects again */
    bool in_transaction;
    bool is_begin_waiting; /* the transaction is still ours alone: the server has not heard of it */
    /* Statements without results that go out with the next one: a round trip less for each. */
    const char *waiting[POSTGRES_WAITING_MAX];
    unsigned waiting_count;
    unsigned unread;  /* exchanges whose answers nobody waits for */
    unsigned next_id; /* names of prepared statements */
    bool is_schema_known, has_deferrable;
    char lock_sql[128]; /* takes the lock of the shard's writers */
    char follow_sql[128];
};

struct postgres_command {
    const char *sql;
    const char *name;  /* of the prepared statement; NULL: run sql as it is */
    bool must_prepare; /* the connection does not have it: set again after a reconnection */
    bool is_prepared;  /* out: it has it now */
    bool is_endless;   /* may take as long as it takes */
    int count;
    const Oid *types;
    const char *const *values; /* all in binary */
    const int *lengths;
    const int *formats;
};

/* store_postgres_link.c */
MUST_USE enum err postgres_link_open(struct store_conn *conn);
/* Sends what waits and the command (NULL: none) and reads the answers: that of the command, or else
 * of the last that waited; PQclear it. A connection that turns out to be dead is made anew, when
 * nothing of the transaction had been done on it. */
MUST_USE enum err postgres_exchange(struct store_conn *conn, struct postgres_command *command,
                                    PGresult **out);
void postgres_wait(struct store_conn *conn, const char *sql);
/* Sends it; whatever the answer is. */
void postgres_tell(struct store_conn *conn, const char *sql);
enum err postgres_fail(struct store_conn *conn, const PGresult *result, const char *what);

/* store_postgres_stmt.c */
enum err postgres_prepare(struct store_conn *conn, const char *sql, struct store_prepared **out);
void postgres_discard(struct store_prepared **prepared);
enum err postgres_bind(struct store_prepared *prepared, int index, const struct store_value *value);
enum err postgres_step(struct store_prepared *prepared, bool *has_row);
int64_t postgres_reset(struct store_prepared *prepared);
bool postgres_is_null(struct store_prepared *prepared, int column);
int64_t postgres_get_int(struct store_prepared *prepared, int column);
double postgres_get_real(struct store_prepared *prepared, int column);
struct str postgres_get_bytes(struct store_prepared *prepared, int column);
