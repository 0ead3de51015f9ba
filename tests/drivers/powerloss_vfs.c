/* powerloss_vfs: see the header. */
#include "powerloss_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

#define SECTOR 512
#define SYNCED_MAX 64

/* What the disk holds of one file, and which sectors it does not know of. */
struct platter {
    struct platter *next;
    char *path;
    ino_t inode;
    char *bytes;
    size_t size;     /* durable */
    size_t capacity; /* of bytes and dirty, in bytes of file */
    bool *dirty;     /* per sector */
};

struct handle {
    sqlite3_file base;
    struct platter *platter; /* NULL: not tracked (temporary files) */
    sqlite3_file *real;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sqlite3_vfs *system_vfs;
static struct platter *platters;
static struct powerloss plan;
static int64_t ops, syncs;
static bool is_off;
static unsigned random_state;
static ino_t synced[SYNCED_MAX]; /* files that the store synced without SQLite */
static size_t synced_count;

static unsigned chance(unsigned n)
{
    return (unsigned)rand_r(&random_state) % n;
}

/* ---- platters; lock held ---- */

static void platter_reserve(struct platter *p, size_t size)
{
    if (size <= p->capacity)
        return;
    size_t capacity = MAX(size + SECTOR, p->capacity * 2) / SECTOR * SECTOR + SECTOR;
    p->bytes = mem_realloc(p->bytes, capacity);
    memset(p->bytes + p->capacity, 0, capacity - p->capacity);
    p->dirty = mem_realloc(p->dirty, capacity / SECTOR);
    memset(p->dirty + p->capacity / SECTOR, 0, capacity / SECTOR - p->capacity / SECTOR);
    p->capacity = capacity;
}

static size_t file_size(const char *path, ino_t *inode)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    *inode = exists ? st.st_ino : 0;
    return exists ? (size_t)st.st_size : 0;
}

static void read_file(const char *path, char *bytes, size_t size, size_t from)
{
    /* SQLite holds POSIX locks on the file by way of other descriptors: opening and closing one
     * here would drop them, so this must be called only while it is closed, or through a handle. */
    int fd = open(path, O_RDONLY);
    if (fd >= 0 && pread(fd, bytes, size, (off_t)from) < 0)
        abort();
    if (fd >= 0)
        close(fd);
}

static bool was_synced(ino_t inode)
{
    for (size_t i = 0; i < synced_count; i++)
        if (synced[i] == inode)
            return true;
    return false;
}

static struct platter *platter_find(const char *path)
{
    for (struct platter *p = platters; p; p = p->next)
        if (strcmp(p->path, path) == 0)
            return p;
    return NULL;
}

/* The file is about to be opened: what is there, unless we know better, is durable. */
static struct platter *platter_open(const char *path)
{
    ino_t inode;
    size_t size = file_size(path, &inode);
    struct platter *p = platter_find(path);
    bool is_replaced = p && p->inode && p->inode != inode;
    if (p && !is_replaced) {
        p->inode = inode;
        return p;
    }
    if (!p) {
        p = mem_new(struct platter);
        p->path = mem_strdup(path);
        p->next = platters;
        platters = p;
    }
    p->inode = inode;
    p->size = 0;
    memset(p->dirty ? p->dirty : (void *)p, 0, p->dirty ? p->capacity / SECTOR : 0);
    if (!is_replaced || was_synced(inode)) {
        platter_reserve(p, size);
        read_file(path, p->bytes, size, 0);
        p->size = size;
    }
    return p;
}

static void platter_remove(const char *path)
{
    for (struct platter **at = &platters; *at; at = &(*at)->next) {
        struct platter *p = *at;
        if (strcmp(p->path, path) != 0)
            continue;
        *at = p->next;
        free(p->path);
        free(p->bytes);
        free(p->dirty);
        free(p);
        return;
    }
}

/* One sector of the cache goes to the disk: all of it, or its first `n` bytes. */
static void sector_land(struct platter *p, const char *cache, size_t cache_size, size_t sector,
                        size_t n)
{
    size_t from = sector * SECTOR;
    size_t has = cache_size > from ? MIN(cache_size - from, SECTOR) : 0;
    memcpy(p->bytes + from, cache + from, MIN(n, has));
}

/* ---- the power ---- */

/* Counts an operation that changes the disk; true when the power is gone. */
static bool power_tick(void)
{
    ops++;
    if (plan.cut_after && ops >= plan.cut_after)
        is_off = true;
    return is_off;
}

static bool is_full(void)
{
    return plan.full_after && ops >= plan.full_after && ops < plan.full_after + plan.full_count;
}

static void platter_lose_power(struct platter *p)
{
    ino_t inode;
    size_t cache_size = file_size(p->path, &inode);
    if (!inode)
        return;
    platter_reserve(p, cache_size);
    char *cache = mem_alloc(cache_size + 1);
    read_file(p->path, cache, cache_size, 0);
    bool may_shrink = cache_size < p->size;
    size_t size = may_shrink ? (chance(2) ? cache_size : p->size) : p->size;
    for (size_t s = 0; s < p->capacity / SECTOR; s++) {
        if (!p->dirty[s])
            continue;
        unsigned fate = chance(3);
        if (fate == 0)
            continue; /* dropped */
        sector_land(p, cache, cache_size, s, fate == 1 ? SECTOR : chance(SECTOR));
        size_t end = MIN(cache_size, (s + 1) * SECTOR);
        if (!may_shrink && end > size && chance(2))
            size = end; /* the length grew with it */
    }
    free(cache);
    int fd = open(p->path, O_WRONLY);
    if (fd < 0 || pwrite(fd, p->bytes, size, 0) != (ssize_t)size || ftruncate(fd, (off_t)size) != 0)
        abort();
    close(fd);
}

void powerloss_restart(void)
{
    pthread_mutex_lock(&lock);
    while (platters) {
        char shm[512];
        const char *dash = strrchr(platters->path, '-');
        snprintf(shm, sizeof(shm), "%.*s-shm",
                 (int)(dash && strcmp(dash, "-wal") == 0 ? dash - platters->path
                                                         : (ptrdiff_t)strlen(platters->path)),
                 platters->path);
        unlink(shm);
        platter_lose_power(platters);
        platter_remove(platters->path);
    }
    is_off = false;
    synced_count = 0;
    plan = (struct powerloss){.seed = plan.seed};
    pthread_mutex_unlock(&lock);
}

void powerloss_forget(void)
{
    pthread_mutex_lock(&lock);
    while (platters)
        platter_remove(platters->path);
    is_off = false;
    synced_count = 0;
    pthread_mutex_unlock(&lock);
}

void powerloss_arm(const struct powerloss *next)
{
    pthread_mutex_lock(&lock);
    plan = *next;
    ops = syncs = 0;
    random_state = plan.seed;
    pthread_mutex_unlock(&lock);
}

int64_t powerloss_ops(void)
{
    pthread_mutex_lock(&lock);
    int64_t n = ops;
    pthread_mutex_unlock(&lock);
    return n;
}

bool powerloss_is_off(void)
{
    pthread_mutex_lock(&lock);
    bool is = is_off;
    pthread_mutex_unlock(&lock);
    return is;
}

/* ---- the store's own syncs ---- */

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
    struct stat st;
    pthread_mutex_lock(&lock);
    if (fstat(fd, &st) == 0 && synced_count < SYNCED_MAX)
        synced[synced_count++] = st.st_ino;
    pthread_mutex_unlock(&lock);
    return __real_fsync(fd);
}

/* ---- files ---- */

#define REAL(file) (((struct handle *)(file))->real)
#define FORWARD(file, method, ...) REAL(file)->pMethods->method(REAL(file), ##__VA_ARGS__)

static int file_close(sqlite3_file *f)
{
    int rc = FORWARD(f, xClose);
    free(REAL(f));
    return rc;
}

static int file_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 at)
{
    return FORWARD(f, xRead, bytes, n, at);
}

static int file_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    struct platter *p = ((struct handle *)f)->platter;
    int rc = SQLITE_IOERR_WRITE;
    pthread_mutex_lock(&lock);
    if (!power_tick() && is_full()) {
        rc = SQLITE_FULL;
    } else if (!is_off) {
        rc = FORWARD(f, xWrite, bytes, n, at);
        size_t end = (size_t)(at + n);
        if (p && rc == SQLITE_OK) {
            platter_reserve(p, end);
            memset(&p->dirty[(size_t)at / SECTOR], 1, (end - 1) / SECTOR - (size_t)at / SECTOR + 1);
        }
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int rc = SQLITE_IOERR_TRUNCATE;
    pthread_mutex_lock(&lock);
    if (!power_tick())
        rc = FORWARD(f, xTruncate, size);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* The dirty sectors land, all or (when the sync fails) some; none is dirty after it. */
static void platter_sync(struct platter *p, sqlite3_file *real, bool is_failing)
{
    sqlite3_int64 cache_size = 0;
    real->pMethods->xFileSize(real, &cache_size);
    platter_reserve(p, (size_t)cache_size);
    for (size_t s = 0; s < p->capacity / SECTOR; s++) {
        sqlite3_int64 from = (sqlite3_int64)(s * SECTOR);
        int n = (int)MIN(SECTOR, MAX(0, cache_size - from));
        bool lands = p->dirty[s] && n > 0 && !(is_failing && chance(2));
        p->dirty[s] = false;
        if (lands && real->pMethods->xRead(real, p->bytes + from, n, from) != SQLITE_OK)
            abort();
        if (lands && is_failing)
            p->size = MAX(p->size, (size_t)from + (size_t)n);
    }
    if (!is_failing)
        p->size = (size_t)cache_size;
}

static int file_sync(sqlite3_file *f, int flags)
{
    struct platter *p = ((struct handle *)f)->platter;
    int rc = SQLITE_IOERR_FSYNC;
    pthread_mutex_lock(&lock);
    if (!power_tick()) {
        bool is_failing = plan.fail_sync_in && ++syncs == plan.fail_sync_in;
        if (p && !plan.is_lying)
            platter_sync(p, REAL(f), is_failing);
        rc = is_failing ? SQLITE_IOERR_FSYNC : SQLITE_OK;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int file_file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return FORWARD(f, xFileSize, size);
}

static int file_lock(sqlite3_file *f, int level)
{
    return FORWARD(f, xLock, level);
}

static int file_unlock(sqlite3_file *f, int level)
{
    return FORWARD(f, xUnlock, level);
}

static int file_check_lock(sqlite3_file *f, int *result)
{
    return FORWARD(f, xCheckReservedLock, result);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    return FORWARD(f, xFileControl, op, arg);
}

static int file_sector_size(sqlite3_file *f)
{
    return FORWARD(f, xSectorSize);
}

static int file_characteristics(sqlite3_file *f)
{
    return FORWARD(f, xDeviceCharacteristics);
}

static int file_shm_map(sqlite3_file *f, int page, int n, int extend, void volatile **out)
{
    return FORWARD(f, xShmMap, page, n, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return FORWARD(f, xShmLock, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
    FORWARD(f, xShmBarrier);
}

static int file_shm_unmap(sqlite3_file *f, int must_delete)
{
    return FORWARD(f, xShmUnmap, must_delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- the VFS ---- */

/* The database is opened once per connection: only the first open finds it closed and may look at
 * the file; platter_open remembers. */
static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out_flags)
{
    struct handle *h = (struct handle *)f;
    memset(h, 0, sizeof(*h));
    pthread_mutex_lock(&lock);
    bool is_tracked =
        path && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL));
    int rc = SQLITE_CANTOPEN;
    if (!is_off) {
        h->platter = is_tracked ? platter_open(path) : NULL;
        h->real = mem_zalloc((size_t)system_vfs->szOsFile);
        rc = system_vfs->xOpen(system_vfs, path, h->real, flags, out_flags);
        if (h->platter && rc == SQLITE_OK)
            file_size(path, &h->platter->inode);
    }
    if (h->real && h->real->pMethods) {
        h->base.pMethods = &methods;
    } else {
        free(h->real);
        h->real = NULL;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int must_sync)
{
    pthread_mutex_lock(&lock);
    int rc = SQLITE_IOERR_DELETE;
    if (!power_tick()) {
        rc = system_vfs->xDelete(system_vfs, path, must_sync);
        if (rc == SQLITE_OK)
            platter_remove(path);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

void powerloss_register(void)
{
    static sqlite3_vfs vfs;
    system_vfs = sqlite3_vfs_find(NULL);
    vfs = *system_vfs; /* what is not ours is the system's; it ignores the VFS it is called with */
    vfs.zName = "powerloss";
    vfs.szOsFile = sizeof(struct handle);
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    vfs.pNext = NULL;
    sqlite3_vfs_register(&vfs, 0);
}
