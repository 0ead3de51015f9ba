/* store_sqlite_internal: what the files of the SQLite driver share. */
#pragma once

#include <sqlite3.h>
#include <stdatomic.h>

#include "store/store_driver.h"

struct store_db {
    const struct store_options *opt; /* the store's; outlives this */
    char *path;                      /* of the database file */
    char *dir;                       /* where it lies, with lock, ballast and marker */
    bool is_temporary;               /* ":memory:": the directory goes at close */
    bool is_rescued;                 /* opened with a marker: it goes after a full checkpoint */
    int lock_fd;
    _Atomic bool is_broken; /* a write was lost: nothing is acknowledged any more */
    _Atomic bool is_full;   /* the reserve of disk space is touched */
    bool has_ballast;       /* writer thread */
    int64_t watched_us;     /* writer thread: when free space was looked at last */
};

struct store_conn {
    struct store_db *db;
    sqlite3 *sql;
    enum store_access access;
    bool is_internal; /* statements of the driver itself are being prepared or run */
    sqlite3_stmt *begin, *commit, *rollback, *savepoint, *release, *rollback_to;
    bool is_checkpointing;
    int wal_pages;     /* frames in the log after the last commit */
    int checkpoint_at; /* frames that make the next checkpoint due */
};

/* store_sqlite.c */
/* Judges a failed call on a connection: logs, breaks the store if a write was lost, gives ballast
 * away if the disk is full. `what` is the SQL or the action. */
enum err sqlite_fail(struct store_conn *conn, int rc, const char *what);

/* store_sqlite_stmt.c */
enum err sqlite_prepare(struct store_conn *conn, const char *sql, struct store_prepared **out);
void sqlite_discard(struct store_prepared **prepared);
enum err sqlite_bind(struct store_prepared *p, int index, const struct store_value *value);
enum err sqlite_step(struct store_prepared *p, bool *has_row);
int64_t sqlite_reset(struct store_prepared *p);
bool sqlite_is_null(struct store_prepared *p, int column);
int64_t sqlite_get_int(struct store_prepared *p, int column);
double sqlite_get_real(struct store_prepared *p, int column);
struct str sqlite_get_bytes(struct store_prepared *p, int column);

/* store_sqlite_backup.c */
enum err sqlite_backup(struct store_conn *conn, const char *path,
                       const struct store_progress *progress);

/* store_sqlite_disk.c */
/* Sets path and directory, makes the directory, takes the lock, rescues the log after a failed
 * fsync. */
enum err sqlite_disk_open(struct store_db *db);
void sqlite_disk_close(struct store_db *db);
/* After the rescued log was checkpointed. */
enum err sqlite_disk_clear_marker(struct store_db *db);
/* Looks at the free space, at most once a second. Writer thread. */
void sqlite_disk_watch(struct store_db *db);
/* A write found no space at all: the ballast is given away. Writer thread. */
void sqlite_disk_exhausted(struct store_db *db);
/* A write was lost: marker, then the end. Writer thread. */
void sqlite_disk_broke(struct store_db *db);
