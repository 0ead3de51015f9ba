/*
 * file_hold: files that somebody is about to refer to. Between the claim of a file and the event
 * that tells of the reference lies the commit of a message; whoever deletes the file in that moment
 * would leave a message without its file. A hold ends with the event, or with its time (the message
 * was refused). Held in memory: after a start the events left come before anybody can ask. From
 * before a file is marked as deleted until that is committed it is barred: no claim may see it as
 * it was.
 */
#include "services/file/file_internal.h"

#define HOLD_MS 60000

struct file_hold {
    char id[ID_SIZE];
    int count;
    bool is_barred;
    int64_t until_ms; /* monotonic */
};

void file_hold_start(struct file_service *svc)
{
    pthread_mutex_init(&svc->hold_lock, NULL);
    svc->holds = map_create();
}

/* With the lock. */
static void forget(struct file_service *svc, struct file_hold *h)
{
    map_remove(svc->holds, str_from(h->id));
    free(h);
}

static void forget_old(struct file_service *svc, int64_t now_ms)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(svc->holds, &at, &key, &value)) {
        struct file_hold *h = value;
        if (h->until_ms <= now_ms)
            forget(svc, h);
    }
}

void file_hold_end(struct file_service *svc)
{
    forget_old(svc, INT64_MAX);
    map_destroy(&svc->holds);
    pthread_mutex_destroy(&svc->hold_lock);
}

/* With the lock. */
static struct file_hold *find_or_add(struct file_service *svc, const char *id)
{
    struct file_hold *h = map_get(svc->holds, str_from(id));
    if (!h) {
        h = mem_zalloc(sizeof(*h));
        memcpy(h->id, id, strnlen(id, sizeof(h->id) - 1));
        map_set(svc->holds, str_from(h->id), h);
    }
    return h;
}

bool file_hold_take(struct file_service *svc, const char *id)
{
    pthread_mutex_lock(&svc->hold_lock);
    struct file_hold *h = find_or_add(svc, id);
    bool is_taken = !h->is_barred;
    if (is_taken) {
        h->count++;
        h->until_ms = clock_mono_ms() + HOLD_MS;
    }
    pthread_mutex_unlock(&svc->hold_lock);
    return is_taken;
}

bool file_hold_bar(struct file_service *svc, const char *id)
{
    pthread_mutex_lock(&svc->hold_lock);
    struct file_hold *h = find_or_add(svc, id);
    bool is_mine = !h->is_barred && h->until_ms <= clock_mono_ms();
    if (is_mine) {
        h->count = 0;
        h->is_barred = true;
        h->until_ms = INT64_MAX;
    }
    pthread_mutex_unlock(&svc->hold_lock);
    return is_mine;
}

void file_hold_unbar(struct file_service *svc, const char *id)
{
    pthread_mutex_lock(&svc->hold_lock);
    struct file_hold *h = map_get(svc->holds, str_from(id));
    if (h && h->is_barred)
        forget(svc, h);
    pthread_mutex_unlock(&svc->hold_lock);
}

void file_hold_drop(struct file_service *svc, const char *id)
{
    pthread_mutex_lock(&svc->hold_lock);
    struct file_hold *h = map_get(svc->holds, str_from(id));
    if (h && !h->is_barred && --h->count == 0)
        forget(svc, h);
    pthread_mutex_unlock(&svc->hold_lock);
}

bool file_hold_has(struct file_service *svc, const char *id)
{
    pthread_mutex_lock(&svc->hold_lock);
    const struct file_hold *h = map_get(svc->holds, str_from(id));
    bool is_held = h && !h->is_barred && h->until_ms > clock_mono_ms();
    pthread_mutex_unlock(&svc->hold_lock);
    return is_held;
}

void file_hold_sweep(struct file_service *svc)
{
    pthread_mutex_lock(&svc->hold_lock);
    forget_old(svc, clock_mono_ms());
    pthread_mutex_unlock(&svc->hold_lock);
}
