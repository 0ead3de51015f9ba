/* store_mysql_internal: what the files of the MySQL driver share. */
#pragma once

#include <mysql.h>
#include <stdatomic.h>

#include "store/store_dialect.h"
#include "store/store_driver.h"

#define MYSQL_HOSTS_MAX 8
#define MYSQL_WRITERS_MAX 128
#define MYSQL_ROLLBACK "ROLLBACK;DO RELEASE_ALL_LOCKS()"

struct mysql_host {
    char *name;
    unsigned port;
};

/* What the address says: mysql://user:password@one:3306,two:3306/database?ssl-ca=/etc/ssl/ca.pem */
struct mysql_address {
    struct mysql_host hosts[MYSQL_HOSTS_MAX];
    unsigned host_count;
    char *user, *password, *database;
    char *ssl_ca, *ssl_cert, *ssl_key, *socket; /* NULL: none */
    bool has_tls, is_verified;
};

struct store_db {
    const struct store_options *opt;
    struct mysql_address address;
    atomic_bool is_down; /* the last attempt to connect failed */
    _Atomic int64_t retry_at_us;
    _Atomic int64_t reader_at_us; /* of readers while it is down: one tries at a time */
};

struct store_conn {
    struct store_db *db;
    enum store_access access;
    MYSQL *my;
    unsigned generation; /* counts connections: what an earlier one had prepared is gone */
    bool is_mariadb;
    bool is_lost; /* answers nothing any more; the next exchange connects again */
    bool in_transaction;
    bool is_begin_waiting; /* the transaction is still ours alone: the server has not heard of it */
    /* Statements without results that go out before the next one, divided by semicolons. */
    struct strbuf waiting;
    unsigned waiting_count;
    bool is_savepoint_wanted; /* one goes out before the job's first statement */
    bool has_unread;          /* answers that nobody waits for */
    int64_t used_at_us;
    char lock_sql[128]; /* takes the lock of the shard's writers */
};

/* ---- store_mysql_address.c ---- */
MUST_USE enum err store_mysql_address_read(struct mysql_address *address, const char *url);
void store_mysql_address_deinit(struct mysql_address *address);

/* ---- store_mysql_link.c ---- */
MUST_USE enum err store_mysql_link_open(struct store_conn *conn);
/* Whether errors of this kind are the connection's end, and what they mean to callers; logs it. */
enum err store_mysql_link_fail(struct store_conn *conn, unsigned code, const char *text,
                               const char *what);
/* Sends what waits (BEGIN, SAVEPOINT) and reads the answers; a connection that turns out to be dead
 * is made anew, when nothing of the transaction had been done on it. */
MUST_USE enum err store_mysql_link_settle(struct store_conn *conn);
/* Runs statements of text, after what waits. ERR_OK, too, when only those behind the first failed:
 * they are housekeeping. */
MUST_USE enum err store_mysql_link_run(struct store_conn *conn, const char *sql, bool is_endless);
void store_mysql_link_wait(struct store_conn *conn, const char *sql);
/* Sends it; whatever the answer is. */
void store_mysql_link_tell(struct store_conn *conn, const char *sql);
/* The same collation has another name at Oracle's. */
void store_mysql_link_adapt(const struct store_conn *conn, struct strbuf *sql);
/* One value of the server's, "" when there is none. */
MUST_USE enum err store_mysql_link_ask(struct store_conn *conn, const char *sql, char *out,
                                       size_t size);

/* ---- store_mysql.c ---- */
/* A statement that made or changed a table has ended the transaction: it goes on in another. */
void store_mysql_begin_again(struct store_conn *conn);

/* ---- store_mysql_script.c ---- */
MUST_USE enum err store_mysql_script(struct store_conn *conn, const char *name, const char *sql);

/* ---- store_mysql_stmt.c ---- */
enum err store_mysql_prepare_sql(struct store_conn *conn, const char *sql,
                                 struct store_prepared **out);
void store_mysql_discard(struct store_prepared **prepared);
enum err store_mysql_bind_value(struct store_prepared *prepared, int index,
                                const struct store_value *value);
enum err store_mysql_step(struct store_prepared *prepared, bool *has_row);
int64_t store_mysql_reset(struct store_prepared *prepared);
bool store_mysql_is_null(struct store_prepared *prepared, int column);
int64_t store_mysql_get_int(struct store_prepared *prepared, int column);
double store_mysql_get_real(struct store_prepared *prepared, int column);
struct str store_mysql_get_bytes(struct store_prepared *prepared, int column);
