/*
 * directory: slots. A ufrag is 5 hex digits of slot number and 14 of random tag (56 bits); both the
 * current and, during an ICE restart, the former tag lead to the slot. A peer's id is the slot's
 * number under a count of all peers ever, so an id is never used twice. Slots are reused in the
 * order of their release, late rather than soon.
 */
#include "sfu/directory.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/id.h"
#include "core/mem.h"

#define SLOT_DIGITS 5
#define TAG_DIGITS 14
#define TAG_MASK 0xffffffffffffffull
#define MAX_WAITING_MAIL 65536 /* for one peer that has not appeared; no sane caller gets there */

_Static_assert(SLOT_DIGITS + TAG_DIGITS + 1 == SFU_UFRAG_SIZE, "ufrag");

struct slot {
    _Atomic sfu_peer_id id;   /* 0: free */
    _Atomic uint64_t tags[2]; /* current, former; 0: none */
    _Atomic unsigned worker;  /* DIRECTORY_NOBODY: not claimed */
    bool is_leaving;          /* told to go: takes no more mail */
    uint32_t next_free;
    size_t waiting_count;
    struct mail *waiting; /* oldest first */
    struct mail **waiting_end;
    struct announcement *announcement; /* until the claim */
};

struct directory {
    struct directory_options opt;
    pthread_mutex_t mutex;
    uint64_t births;
    uint32_t free_first; /* slot numbers; 0: none (slot 0 is never used) */
    uint32_t free_last;
    uint32_t used_end; /* slots from here on were never used */
    struct slot *slots;
};

struct directory *directory_create(const struct directory_options *opt)
{
    struct directory *d = mem_new(struct directory);
    d->opt = *opt;
    d->opt.max_peers = MIN(opt->max_peers, ((size_t)1 << DIRECTORY_SLOT_BITS) - 1);
    d->slots = mem_calloc(d->opt.max_peers + 1, sizeof(struct slot));
    d->used_end = 1;
    pthread_mutex_init(&d->mutex, NULL);
    return d;
}

/* Frees what a slot holds. A mirror that waits for this peer learns that it will not come. */
static void empty_slot(struct directory *d, struct slot *s, bool is_telling)
{
    for (struct mail *m = s->waiting, *next; m; m = next) {
        next = m->next;
        if (is_telling && m->type == MAIL_MIRROR_OPEN) {
            unsigned to = m->from;
            m->type = MAIL_TRACK_GONE;
            d->opt.deliver(d->opt.arg, to, m);
        } else {
            mail_destroy(&m);
        }
    }
    s->waiting = NULL;
    s->waiting_end = &s->waiting;
    s->waiting_count = 0;
    if (s->announcement)
        explicit_bzero(s->announcement, sizeof(*s->announcement));
    free(s->announcement);
    s->announcement = NULL;
}

void directory_destroy(struct directory **directory)
{
    struct directory *d = *directory;
    *directory = NULL;
    if (!d)
        return;
    for (uint32_t i = 1; i < d->used_end; i++)
        empty_slot(d, &d->slots[i], false);
    pthread_mutex_destroy(&d->mutex);
    free(d->slots);
    free(d);
}

/* ---- names ---- */

static uint64_t make_credentials(uint32_t slot, struct sfu_credentials *out)
{
    uint64_t tag = 0;
    while (!tag) {
        id_random(&tag, sizeof(tag));
        tag &= TAG_MASK;
    }
    static const char HEX[] = "0123456789abcdef";
    for (int i = 0; i < SLOT_DIGITS; i++)
        out->ufrag[i] = HEX[slot >> (4 * (SLOT_DIGITS - 1 - i)) & 15];
    for (int i = 0; i < TAG_DIGITS; i++)
        out->ufrag[SLOT_DIGITS + i] = HEX[tag >> (4 * (TAG_DIGITS - 1 - i)) & 15];
    out->ufrag[SLOT_DIGITS + TAG_DIGITS] = 0;
    uint8_t secret[(SFU_PWD_SIZE - 1) / 2];
    id_random(secret, sizeof(secret));
    str_hex(out->pwd, secret, sizeof(secret));
    explicit_bzero(secret, sizeof(secret));
    return tag;
}

static bool read_hex(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

static struct slot *slot_of(const struct directory *d, uint64_t number)
{
    return number > 0 && number <= d->opt.max_peers ? &d->slots[number] : NULL;
}

bool directory_find(const struct directory *d, struct str ufrag, sfu_peer_id *id, unsigned *worker)
{
    uint64_t number = 0, tag = 0;
    if (ufrag.n != SLOT_DIGITS + TAG_DIGITS || !read_hex(str_sub(ufrag, 0, SLOT_DIGITS), &number) ||
        !read_hex(str_sub(ufrag, SLOT_DIGITS, TAG_DIGITS), &tag) || tag == 0)
        return false;
    struct slot *s = slot_of(d, number);
    if (!s || (atomic_load(&s->tags[0]) != tag && atomic_load(&s->tags[1]) != tag))
        return false;
    *worker = atomic_load(&s->worker);
    *id = atomic_load(&s->id);
    return *id != 0;
}

/* ---- under the mutex ---- */

static struct slot *lock_slot(struct directory *d, sfu_peer_id id)
{
    pthread_mutex_lock(&d->mutex);
    struct slot *s = slot_of(d, directory_slot(id));
    return s && id && s->id == id ? s : NULL;
}

static void unlock(struct directory *d)
{
    pthread_mutex_unlock(&d->mutex);
}

static uint32_t take_free(struct directory *d)
{
    if (d->used_end <= d->opt.max_peers) /* untouched ones first: reuse late */
        return d->used_end++;
    uint32_t number = d->free_first;
    if (number) {
        d->free_first = d->slots[number].next_free;
        if (!d->free_first)
            d->free_last = 0;
    }
    return number;
}

static void put_free(struct directory *d, struct slot *s)
{
    uint32_t number = (uint32_t)(s - d->slots);
    atomic_store(&s->tags[0], 0);
    atomic_store(&s->tags[1], 0);
    atomic_store(&s->id, 0);
    s->next_free = 0;
    if (d->free_last)
        d->slots[d->free_last].next_free = number;
    else
        d->free_first = number;
    d->free_last = number;
}

enum err directory_add(struct directory *d, const struct announcement *a, sfu_peer_id *id,
                       struct sfu_credentials *credentials)
{
    pthread_mutex_lock(&d->mutex);
    uint32_t number = take_free(d);
    if (number) {
        struct slot *s = &d->slots[number];
        uint64_t tag = make_credentials(number, credentials);
        *id = ++d->births << DIRECTORY_SLOT_BITS | number;
        s->announcement = mem_dup(a, sizeof(*a));
        s->announcement->credentials = *credentials;
        s->waiting_end = &s->waiting;
        s->is_leaving = false;
        atomic_store(&s->worker, DIRECTORY_NOBODY);
        atomic_store(&s->id, *id);
        atomic_store(&s->tags[0], tag);
    }
    unlock(d);
    return number ? ERR_OK : ERR_RESOURCE_EXHAUSTED;
}

static void post_locked(struct directory *d, struct slot *s, struct mail *mail)
{
    unsigned worker = atomic_load(&s->worker);
    if (worker != DIRECTORY_NOBODY) {
        d->opt.deliver(d->opt.arg, worker, mail);
        return;
    }
    mail->next = NULL;
    *s->waiting_end = mail;
    s->waiting_end = &mail->next;
    s->waiting_count++;
}

enum err directory_post(struct directory *d, struct mail **mail)
{
    enum err err = ERR_OK;
    struct slot *s = lock_slot(d, (*mail)->peer);
    if (!s || s->is_leaving)
        err = ERR_NOT_FOUND;
    else if (s->waiting_count >= MAX_WAITING_MAIL)
        err = ERR_RESOURCE_EXHAUSTED;
    else
        post_locked(d, s, *mail);
    unlock(d);
    if (err)
        mail_destroy(mail);
    *mail = NULL;
    return err;
}

enum err directory_restart(struct directory *d, sfu_peer_id id, struct sfu_credentials *credentials)
{
    struct slot *s = lock_slot(d, id);
    bool is_here = s && !s->is_leaving;
    if (is_here) {
        uint64_t tag = make_credentials((uint32_t)directory_slot(id), credentials);
        bool is_claimed = atomic_load(&s->worker) != DIRECTORY_NOBODY;
        atomic_store(&s->tags[1], is_claimed ? atomic_load(&s->tags[0]) : 0);
        atomic_store(&s->tags[0], tag);
        if (is_claimed) {
            struct mail *m = mail_create(MAIL_PEER_RESTART, id, 0);
            m->credentials = *credentials;
            post_locked(d, s, m);
        } else {
            s->announcement->credentials = *credentials;
        }
    }
    unlock(d);
    return is_here ? ERR_OK : ERR_NOT_FOUND;
}

enum err directory_remove(struct directory *d, sfu_peer_id id)
{
    struct slot *s = lock_slot(d, id);
    bool is_here = s && !s->is_leaving;
    if (is_here && atomic_load(&s->worker) != DIRECTORY_NOBODY) {
        s->is_leaving = true;
        post_locked(d, s, mail_create(MAIL_PEER_REMOVE, id, 0));
    } else if (is_here) {
        empty_slot(d, s, true);
        put_free(d, s);
    }
    unlock(d);
    return is_here ? ERR_OK : ERR_NOT_FOUND;
}

bool directory_password(struct directory *d, sfu_peer_id id, struct str ufrag,
                        char pwd[SFU_PWD_SIZE])
{
    struct slot *s = lock_slot(d, id);
    bool ok = s && s->announcement && str_eq(ufrag, str_from(s->announcement->credentials.ufrag));
    if (ok)
        memcpy(pwd, s->announcement->credentials.pwd, SFU_PWD_SIZE);
    unlock(d);
    return ok;
}

bool directory_claim(struct directory *d, sfu_peer_id id, unsigned worker, struct announcement *out)
{
    struct slot *s = lock_slot(d, id);
    bool ok = s && atomic_load(&s->worker) == DIRECTORY_NOBODY;
    if (ok) {
        *out = *s->announcement;
        atomic_store(&s->worker, worker);
        for (struct mail *m = s->waiting, *next; m; m = next) {
            next = m->next;
            d->opt.deliver(d->opt.arg, worker, m);
        }
        s->waiting = NULL;
        empty_slot(d, s, false);
    }
    unlock(d);
    return ok;
}

void directory_drop_former(struct directory *d, sfu_peer_id id)
{
    struct slot *s = lock_slot(d, id);
    if (s)
        atomic_store(&s->tags[1], 0);
    unlock(d);
}

void directory_release(struct directory *d, sfu_peer_id id)
{
    struct slot *s = lock_slot(d, id);
    if (s) {
        empty_slot(d, s, false);
        put_free(d, s);
    }
    unlock(d);
}
