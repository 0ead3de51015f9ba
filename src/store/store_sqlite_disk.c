/*
 * store_sqlite_disk: what lies beside the database, and the disk's bad days.
 *
 *   lock          flock: a second process is refused. Never removed.
 *   ballast       space that is given away when the disk is full, so that essential writes and the
 *                 checkpoint still succeed while somebody makes room.
 *   fsync-failed  the marker: a write was lost. After a failed fsync the kernel calls the pages
 *                 clean: they read well from the cache and are gone after a power cut. A restart
 *                 that appended to such a log would build on a hole. So the process ends, and the
 *                 next start copies the log to a new file, syncs it, renames it over the old one,
 *                 and checkpoints; then the marker goes.
 *
 * Nothing here opens the database file or its log while SQLite has them open: closing such a
 * descriptor would drop SQLite's POSIX locks.
 */
#include "store/store_sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"

#define EXIT_IO_ERROR 74 /* EX_IOERR of sysexits.h */
#define WATCH_EVERY_US 1000000
#define COPY_BYTES (256u << 10)

static char *join(const char *dir, const char *name)
{
    struct strbuf b = {0};
    strbuf_printf(&b, "%s/%s", dir, name);
    return b.p;
}

static char *with_suffix(const char *path, const char *suffix)
{
    struct strbuf b = {0};
    strbuf_printf(&b, "%s%s", path, suffix);
    return b.p;
}

/* Says what failed, once, and converts. */
static enum err complain(const char *what, const char *path)
{
    int error_number = errno;
    log_error(NULL, "store: cannot %s %s: %s", what, path, strerror(error_number));
    return err_from_errno(error_number);
}

static enum err sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return complain("open", dir);
    enum err err = fsync(fd) == 0 ? ERR_OK : complain("sync", dir);
    close(fd);
    return err;
}

/* ---- the lock ---- */

static void log_lock_holder(int fd, const char *path)
{
    char holder[32] = "";
    ssize_t n = pread(fd, holder, sizeof(holder) - 1, 0);
    holder[n > 0 ? strspn(holder, "0123456789") : 0] = '\0';
    log_error(NULL, "store: %s is held by process %s: one process at a time may open the database",
              path, holder[0] ? holder : "(unknown)");
}

static enum err take_lock(struct store_db *db)
{
    char *path = join(db->dir, "lock");
    enum err err = ERR_OK;
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (db->lock_fd < 0) {
        err = complain("open", path);
    } else if (flock(db->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        err = errno == EWOULDBLOCK ? ERR_FAILED_PRECONDITION : complain("lock", path);
        if (err == ERR_FAILED_PRECONDITION)
            log_lock_holder(db->lock_fd, path);
    } else {
        char text[32];
        int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
        if (ftruncate(db->lock_fd, 0) != 0 || pwrite(db->lock_fd, text, (size_t)n, 0) != n)
            err = complain("write", path);
    }
    free(path);
    return err;
}

/* ---- the marker ---- */

/* Best effort: the page cache is enough, for it is the cache's survival that makes the marker
 * needed. */
static void leave_marker(struct store_db *db)
{
    static const char text[] =
        "A write to this disk was lost. The next start mends the database; check the disk.\n";
    char *path = join(db->dir, "fsync-failed");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        (void)!complain("leave the marker", path);
    } else {
        if (write(fd, text, sizeof(text) - 1) < 0 || fsync(fd) != 0)
            (void)!complain("sync", path);
        close(fd);
    }
    free(path);
}

void sqlite_disk_broke(struct store_db *db)
{
    if (atomic_exchange(&db->is_broken, true))
        return;
    log_error(NULL,
              "store: the disk lost a write to %s: no write is acknowledged any more, the "
              "process must end",
              db->path);
    leave_marker(db);
    if (db->opt->on_fatal)
        db->opt->on_fatal(db->opt->on_fatal_arg);
    else
        _exit(EXIT_IO_ERROR);
}

enum err sqlite_disk_clear_marker(struct store_db *db)
{
    char *path = join(db->dir, "fsync-failed");
    enum err err = unlink(path) == 0 ? sync_dir(db->dir) : complain("remove", path);
    free(path);
    if (!err) {
        db->is_rescued = false;
        log_warn(NULL, "store: the log was rewritten and moved into the database");
    }
    return err;
}

static enum err copy_bytes(int from, int to, const char *path)
{
    char *chunk = mem_alloc(COPY_BYTES);
    enum err err = ERR_OK;
    for (off_t at = 0; !err;) {
        ssize_t n = pread(from, chunk, COPY_BYTES, at);
        if (n == 0)
            break;
        if (n < 0)
            err = complain("read", path);
        else if (pwrite(to, chunk, (size_t)n, at) != n)
            err = complain("copy", path);
        at += n;
    }
    free(chunk);
    return err;
}

/* Copy, sync, rename: what the cache still shows becomes what the disk holds. */
static enum err rewrite_file(const char *path, const char *dir)
{
    int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0)
        return errno == ENOENT ? ERR_OK : complain("open", path);
    char *aside = with_suffix(path, ".rescue");
    int to = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum err err = to < 0 ? complain("create", aside) : copy_bytes(from, to, path);
    if (!err && fsync(to) != 0)
        err = complain("sync", aside);
    if (!err && rename(aside, path) != 0)
        err = complain("rename", aside);
    if (!err)
        err = sync_dir(dir);
    if (to >= 0)
        close(to);
    close(from);
    free(aside);
    return err;
}

static enum err rescue(struct store_db *db)
{
    char *marker = join(db->dir, "fsync-failed");
    char *wal = with_suffix(db->path, "-wal");
    char *shm = with_suffix(db->path, "-shm");
    enum err err = ERR_OK;
    if (access(marker, F_OK) == 0) {
        log_warn(NULL, "store: %s: the disk lost a write before; rewriting the log", marker);
        err = rewrite_file(wal, db->dir);
        if (!err && unlink(shm) != 0 && errno != ENOENT)
            err = complain("remove", shm);
        db->is_rescued = true;
    }
    free(shm);
    free(wal);
    free(marker);
    return err;
}

/* ---- space ---- */

static int64_t ballast_bytes(const struct store_db *db)
{
    return db->is_temporary || db->opt->ballast_bytes < 0 ? 0 : db->opt->ballast_bytes;
}

/* Real blocks, not a hole. Failing is no reason not to start. */
static void make_ballast(struct store_db *db)
{
    int64_t bytes = ballast_bytes(db);
    if (!bytes)
        return;
    char *path = join(db->dir, "ballast");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int failure = fd < 0 ? errno : posix_fallocate(fd, 0, bytes);
    if (failure && fd >= 0)
        (void)!ftruncate(fd, 0);
    if (fd >= 0)
        close(fd);
    db->has_ballast = failure == 0;
    if (failure)
        log_warn(NULL, "store: cannot reserve %lld bytes in %s: %s", (long long)bytes, path,
                 strerror(failure));
    free(path);
}

static void find_ballast(struct store_db *db)
{
    char *path = join(db->dir, "ballast");
    struct stat st;
    db->has_ballast = stat(path, &st) == 0 && st.st_size > 0;
    free(path);
}

static void drop_ballast(struct store_db *db)
{
    char *path = join(db->dir, "ballast");
    if (truncate(path, 0) == 0)
        log_warn(NULL, "store: gave up the ballast %s", path);
    db->has_ballast = false;
    free(path);
}

void sqlite_disk_exhausted(struct store_db *db)
{
    if (!atomic_exchange(&db->is_full, true))
        log_error(NULL, "store: no space left in %s: read-only", db->dir);
    if (db->has_ballast)
        drop_ballast(db);
}

/* Free space in percent; 100 where the file system does not say. */
static double free_percent(const struct store_db *db)
{
    struct statvfs fs;
    if (statvfs(db->dir, &fs) != 0 || fs.f_blocks == 0)
        return 100;
    return 100.0 * (double)fs.f_bavail / (double)fs.f_blocks;
}

void sqlite_disk_watch(struct store_db *db)
{
    int reserve = db->opt->reserve_percent;
    int64_t now_us = clock_mono_us();
    /* Without a reserve, too, somebody has to see that there is room again. */
    if (db->is_temporary || (reserve < 0 && !db->is_full) ||
        (db->watched_us && now_us - db->watched_us < WATCH_EVERY_US))
        return;
    db->watched_us = now_us;
    double percent = free_percent(db);
    if (!db->is_full && percent < reserve) {
        db->is_full = true;
        log_error(NULL, "store: %.1f %% of %s is free, less than %d %%: read-only", percent,
                  db->dir, reserve);
    } else if (db->is_full &&
               percent >= CLAMP(reserve + 1, 1, 100)) { /* not to and fro at the line */
        db->is_full = false;
        log_info(NULL, "store: %.1f %% of %s is free: writing again", percent, db->dir);
        if (!db->has_ballast)
            make_ballast(db);
    }
}

/* ---- opening and closing ---- */

static enum err make_temporary(struct store_db *db)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir;
    db->dir = join(base, "parlance-store-XXXXXX");
    if (!mkdtemp(db->dir))
        return complain("make", db->dir);
    db->is_temporary = true;
    db->path = join(db->dir, "store.db");
    return ERR_OK;
}

/* Created here so that nobody else can read it; SQLite gives log and index the same mode. */
static enum err make_database(struct store_db *db)
{
    int fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? ERR_OK : complain("create", db->path);
    close(fd);
    return sync_dir(db->dir);
}

enum err sqlite_disk_open(struct store_db *db)
{
    const char *url = db->opt->url;
    if (!url || !*url) {
        log_error(NULL, "store: no path of a database is given");
        return ERR_INVALID_ARGUMENT;
    }
    if (strcmp(url, ":memory:") == 0)
        return make_temporary(db);
    const char *slash = strrchr(url, '/');
    db->path = mem_strdup(url);
    db->dir = slash == url ? mem_strdup("/")
              : slash      ? str_dup((struct str){url, (size_t)(slash - url)})
                           : mem_strdup(".");
    enum err err = file_make_dirs(db->dir, 0700);
    if (err)
        log_error(NULL, "store: cannot make the directory %s: %s", db->dir, err_text(err));
    if (!err)
        err = take_lock(db);
    if (!err)
        err = rescue(db);
    if (!err)
        err = make_database(db);
    if (err)
        return err;
    sqlite_disk_watch(db);
    find_ballast(db);
    if (!db->is_full && !db->has_ballast)
        make_ballast(db);
    return ERR_OK;
}

void sqlite_disk_close(struct store_db *db)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; db->is_temporary && i < ARRAY_LEN(suffixes); i++) {
        char *path = with_suffix(db->path, suffixes[i]);
        unlink(path);
        free(path);
    }
    if (db->is_temporary)
        rmdir(db->dir);
    if (db->lock_fd >= 0)
        close(db->lock_fd); /* releases the lock */
}
