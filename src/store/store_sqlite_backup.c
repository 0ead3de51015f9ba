/*
 * store_sqlite_backup: the database as it stands at one moment, page by page into a file of its
 * own. The connection reads one snapshot the whole time, so writers go on and the copy never has to
 * begin anew; meanwhile the log only grows. The copy is no use before it is whole: it is written
 * without a journal and synced once, at its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/log.h"
#include "store/store_sqlite_internal.h"

#define STEP_PAGES 256 /* a megabyte: progress is told in between */

static int copy(sqlite3 *from, sqlite3 *to, const struct store_progress *progress)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (!backup)
        return sqlite3_extended_errcode(to);
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK) {
        rc = sqlite3_backup_step(backup, STEP_PAGES);
        int64_t total = sqlite3_backup_pagecount(backup);
        int64_t done = total - sqlite3_backup_remaining(backup);
        if (rc == SQLITE_OK && progress && !progress->fn(progress->arg, done, total))
            rc = SQLITE_INTERRUPT;
    }
    int finished = sqlite3_backup_finish(backup);
    return rc == SQLITE_DONE ? finished : rc;
}

static enum err sync_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_from_errno(errno);
    enum err err = fsync(fd) == 0 ? ERR_OK : err_from_errno(errno);
    close(fd);
    return err;
}

enum err sqlite_backup(struct store_conn *conn, const char *path,
                       const struct store_progress *progress)
{
    sqlite3 *to = NULL;
    /* O_EXCL: what is there is never written over. */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    close(fd);
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;", NULL, NULL, NULL);
    conn->is_internal = true;
    if (rc == SQLITE_OK) /* takes the snapshot */
        rc = sqlite3_exec(conn->sql, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = copy(conn->sql, to, progress);
    conn->is_internal = false;
    if (rc != SQLITE_OK)
        log_error(NULL, "store: backup to %s: %s", path, sqlite3_errstr(rc));
    sqlite3_close_v2(to);
    if (rc == SQLITE_OK)
        return sync_file(path);
    unlink(path);
    return rc == SQLITE_INTERRUPT          ? ERR_CANCELLED
           : (rc & 0xff) == SQLITE_FULL    ? ERR_RESOURCE_EXHAUSTED
           : (rc & 0xff) == SQLITE_CORRUPT ? ERR_DATA_LOSS
                                           : ERR_UNAVAILABLE;
}
