/*
 * file_lock: one writer an upload. A request with a long body comes in parts, each a call of its
 * own, so a lock outlives calls: it belongs to a holder (the body's name), who is believed to be
 * alive for a minute after each part. It lives in memory alone: what counts of an upload stands in
 * the store.
 */
#include "core/map.h"
#include "services/file/file_internal.h"

#define HOLD_MS (60 * 1000)
#define STALE_MAX 1000 /* beyond so many, those nobody will come back to are looked for */

struct file_locks {
    pthread_mutex_t mutex;
    struct map *by_id;
};

struct file_locks *file_locks_create(void)
{
    struct file_locks *locks = mem_new(struct file_locks);
    pthread_mutex_init(&locks->mutex, NULL);
    locks->by_id = map_create();
    return locks;
}

static void lock_free(struct file_lock *lock)
{
    file_hash_destroy(&lock->hash);
    free(lock);
}

void file_locks_destroy(struct file_locks **locksp)
{
    struct file_locks *locks = *locksp;
    size_t at = 0;
    struct str key;
    void *lock;
    *locksp = NULL;
    if (!locks)
        return;
    while (map_next(locks->by_id, &at, &key, &lock))
        lock_free(lock);
    map_destroy(&locks->by_id);
    pthread_mutex_destroy(&locks->mutex);
    free(locks);
}

static bool is_stale(const struct file_lock *lock)
{
    return !lock->is_busy && clock_mono_ms() - lock->used_ms > HOLD_MS;
}

static void drop(struct file_locks *locks, struct file_lock *lock)
{
    map_remove(locks->by_id, str_from(lock->id));
    lock_free(lock);
}

static void drop_stale(struct file_locks *locks)
{
    size_t at = 0;
    struct str key;
    void *lock;
    while (map_next(locks->by_id, &at, &key, &lock)) {
        if (is_stale(lock))
            drop(locks, lock);
    }
}

struct file_lock *file_lock_enter(struct file_locks *locks, const char *id, const char *holder)
{
    pthread_mutex_lock(&locks->mutex);
    struct file_lock *lock = map_get(locks->by_id, str_from(id));
    bool is_mine = lock && strcmp(lock->holder, holder) == 0;
    if (lock && !is_mine && is_stale(lock)) {
        drop(locks, lock);
        lock = NULL;
    }
    if (!lock) {
        if (map_count(locks->by_id) > STALE_MAX)
            drop_stale(locks);
        lock = mem_new(struct file_lock);
        snprintf(lock->id, sizeof(lock->id), "%s", id);
        snprintf(lock->holder, sizeof(lock->holder), "%s", holder);
        map_set(locks->by_id, str_from(lock->id), lock);
    } else if (!is_mine || lock->is_busy) {
        lock = NULL;
    }
    if (lock)
        lock->is_busy = true;
    pthread_mutex_unlock(&locks->mutex);
    return lock;
}

void file_lock_leave(struct file_locks *locks, struct file_lock *lock, enum file_lock_end end)
{
    pthread_mutex_lock(&locks->mutex);
    lock->is_busy = false;
    lock->used_ms = clock_mono_ms();
    if (end == FILE_LOCK_FREE || lock->is_cut)
        drop(locks, lock);
    pthread_mutex_unlock(&locks->mutex);
}

void file_lock_cut(struct file_locks *locks, const char *id, const char *holder)
{
    pthread_mutex_lock(&locks->mutex);
    struct file_lock *lock = map_get(locks->by_id, str_from(id));
    if (lock && strcmp(lock->holder, holder) == 0) {
        lock->is_cut = true;
        if (!lock->is_busy)
            drop(locks, lock);
    }
    pthread_mutex_unlock(&locks->mutex);
}

bool file_lock_find(struct file_locks *locks, const char *holder, char id[ID_SIZE])
{
    size_t at = 0;
    struct str key;
    void *value;
    bool is_found = false;
    pthread_mutex_lock(&locks->mutex);
    while (!is_found && map_next(locks->by_id, &at, &key, &value)) {
        struct file_lock *lock = value;
        is_found = strcmp(lock->holder, holder) == 0;
        if (is_found)
            memcpy(id, lock->id, ID_SIZE);
    }
    pthread_mutex_unlock(&locks->mutex);
    return is_found;
}
