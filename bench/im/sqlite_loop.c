/*
 * sqlite_loop: what SQLite alone can do: rows of a message's size and indexes, so many to a
 * transaction, WAL with synchronous=FULL, one statement a row. No server that keeps messages in
 * SQLite is faster by much.
 *
 *   sqlite_loop PATH SECONDS BYTES BATCH     prints one line of JSON
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/mem.h"

/* As message_messages, its constraints included. */
static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE messages (lsn INTEGER PRIMARY KEY, conversation_num BIGINT NOT NULL,"
    " seq BIGINT NOT NULL, rev BIGINT NOT NULL, id TEXT NOT NULL, sender_id TEXT NOT NULL,"
    " client_msg_id TEXT NOT NULL, kind INTEGER NOT NULL, content BLOB NOT NULL,"
    " digest BLOB NOT NULL, content_digest BLOB NOT NULL, chain BLOB NOT NULL,"
    " reply_to_seq BIGINT NOT NULL, thread_seq BIGINT NOT NULL, forwarded BLOB NOT NULL,"
    " created_at_ms BIGINT NOT NULL, edited_at_ms BIGINT NOT NULL,"
    " recalled_at_ms BIGINT NOT NULL, recalled_by TEXT NOT NULL, has_extras INTEGER NOT NULL,"
    " is_pinned INTEGER NOT NULL, UNIQUE (conversation_num, seq),"
    " UNIQUE (conversation_num, sender_id, client_msg_id))";
static const char insert[] =
    "INSERT INTO messages VALUES (?,?,?,?,?,?,?,0,?,?,?,?,0,0,x'',?,0,0,'',0,0)";

static void check(sqlite3 *db, int rc, const char *what)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE)
        return;
    fprintf(stderr, "sqlite_loop: %s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static void insert_row(sqlite3 *db, sqlite3_stmt *st, int64_t n, int bytes)
{
    static char text[16384], id[32], sender[32], key[32], digest[16];
    memset(text, 'x', (size_t)bytes);
    snprintf(id, sizeof(id), "%026lld", (long long)n);
    snprintf(sender, sizeof(sender), "%026lld", (long long)(n % 1000));
    snprintf(key, sizeof(key), "%020lld", (long long)n);
    memcpy(digest, &n, sizeof(n));
    sqlite3_bind_int64(st, 1, n);
    sqlite3_bind_int64(st, 2, n % 1000);
    sqlite3_bind_int64(st, 3, n / 1000);
    sqlite3_bind_int64(st, 4, n / 1000);
    sqlite3_bind_text(st, 5, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 6, sender, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 7, key, -1, SQLITE_STATIC);
    sqlite3_bind_blob(st, 8, text, bytes, SQLITE_STATIC);
    for (int i = 9; i <= 11; i++)
        sqlite3_bind_blob(st, i, digest, sizeof(digest), SQLITE_STATIC);
    sqlite3_bind_int64(st, 12, clock_wall_ms());
    check(db, sqlite3_step(st), "insert");
    sqlite3_reset(st);
}

int main(int argc, char **argv)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    if (argc != 5) {
        fprintf(stderr, "usage: sqlite_loop PATH SECONDS BYTES BATCH\n");
        return 2;
    }
    int bytes = MIN(atoi(argv[3]), 16384), batch = atoi(argv[4]);
    check(NULL, sqlite3_open(argv[1], &db), "open");
    check(db, sqlite3_exec(db, schema, NULL, NULL, NULL), "schema");
    check(db, sqlite3_prepare_v2(db, insert, -1, &st, NULL), "prepare");
    int64_t start_us = clock_mono_us(), until_us = start_us + atoi(argv[2]) * INT64_C(1000000);
    int64_t n = 0, cpu_ns;
    struct timespec before, after;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    while (clock_mono_us() < until_us) {
        check(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), "begin");
        for (int i = 0; i < batch; i++)
            insert_row(db, st, ++n, bytes);
        check(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), "commit");
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    cpu_ns = (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + after.tv_nsec - before.tv_nsec;
    printf("{\"rows\":%lld,\"seconds\":%.6f,\"cpu_ns\":%lld}\n", (long long)n,
           (double)(clock_mono_us() - start_us) / 1e6, (long long)cpu_ns);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return 0;
}
