/*
 * map: a dense array of entries in order of insertion, and beside it an open-addressing index of
 * 32-bit positions. Removing leaves a hole in the array and shifts the index back, so there are no
 * tombstones to probe over, iteration is a walk over the array, and removing the entry just
 * returned cannot disturb it. Holes are squeezed out when the array is next full, and what was
 * large once does not stay so: it shrinks then, and goes with the last entry.
 */
#include "core/map.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/id.h"
#include "core/mem.h"
#include "core/siphash_internal.h"

#define FIRST_CAPACITY 8u   /* entries; the index has twice as many slots */
#define KEPT_CAPACITY 1024u /* of an empty table: it is likely to be filled again */

struct entry {
    uint64_t hash;
    union {
        char *text; /* owned */
        uint64_t number;
    } key;
    size_t key_n; /* bytes of text */
    void *value;  /* NULL: a hole */
};

struct table {
    struct entry *entries;
    uint32_t *index;   /* position in entries + 1; 0 = empty slot */
    uint32_t capacity; /* of entries; power of two */
    uint32_t used;     /* entries filled, holes included */
    uint32_t live;
};

struct map {
    struct table t;
};

struct map64 {
    struct table t;
};

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void)
{
    id_random(hash_key, sizeof(hash_key));
}

uint64_t map_hash(const void *bytes, size_t n)
{
    pthread_once(&hash_key_once, make_hash_key);
    return siphash_1_3(hash_key, bytes, n);
}

static inline uint32_t index_mask(const struct table *t)
{
    return t->capacity * 2 - 1;
}

static void index_insert(struct table *t, uint64_t hash, uint32_t position)
{
    uint32_t mask = index_mask(t), slot = (uint32_t)hash & mask;
    while (t->index[slot])
        slot = (slot + 1) & mask;
    t->index[slot] = position + 1;
}

/* Empties `slot`, pulling later entries of the same run back over the gap. */
static void index_remove(struct table *t, uint32_t slot)
{
    uint32_t mask = index_mask(t), gap = slot;
    for (uint32_t i = (slot + 1) & mask; t->index[i]; i = (i + 1) & mask) {
        uint32_t home = (uint32_t)t->entries[t->index[i] - 1].hash & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            t->index[gap] = t->index[i];
            gap = i;
        }
    }
    t->index[gap] = 0;
}

/* Makes room for one more entry: grows, shrinks, or only squeezes out the holes. */
static void make_room(struct table *t)
{
    if (t->used < t->capacity)
        return;
    uint32_t capacity = t->capacity ? t->capacity : FIRST_CAPACITY;
    if (t->live > capacity / 2)
        capacity *= 2;
    while (capacity > KEPT_CAPACITY && t->live < capacity / 8)
        capacity /= 2;
    if (unlikely(capacity > UINT32_MAX / 4))
        abort(); /* a thousand million entries: someone forgot a bound */
    struct entry *entries = mem_calloc(capacity, sizeof(*entries));
    uint32_t live = 0;
    for (uint32_t i = 0; i < t->used; i++)
        if (t->entries[i].value)
            entries[live++] = t->entries[i];
    free(t->entries);
    free(t->index);
    *t = (struct table){entries, mem_calloc((size_t)capacity * 2, sizeof(uint32_t)), capacity, live,
                        live};
    for (uint32_t i = 0; i < live; i++)
        index_insert(t, entries[i].hash, i);
}

static bool text_matches(const struct entry *e, uint64_t hash, struct str key)
{
    return e->hash == hash && e->key_n == key.n &&
           (key.n == 0 || memcmp(e->key.text, key.p, key.n) == 0);
}

static bool number_matches(const struct entry *e, uint64_t hash, uint64_t key)
{
    return e->key.number == key;
}

/* The slot holding `key`, or -1. Written twice over by type, so that the comparison is inlined. */
#define DEFINE_FIND(name, key_type, matches)                                                  \
    static inline int64_t name(const struct table *t, uint64_t hash, key_type key)            \
    {                                                                                         \
        if (t->live == 0)                                                                     \
            return -1;                                                                        \
        uint32_t mask = index_mask(t);                                                        \
        for (uint32_t slot = (uint32_t)hash & mask; t->index[slot]; slot = (slot + 1) & mask) \
            if (matches(&t->entries[t->index[slot] - 1], hash, key))                          \
                return slot;                                                                  \
        return -1;                                                                            \
    }

DEFINE_FIND(find_text, struct str, text_matches)
DEFINE_FIND(find_number, uint64_t, number_matches)

static struct entry *entry_at(const struct table *t, int64_t slot)
{
    return &t->entries[t->index[slot] - 1];
}

static struct entry *add_entry(struct table *t, uint64_t hash, void *value)
{
    make_room(t);
    struct entry *e = &t->entries[t->used];
    e->hash = hash;
    e->value = value;
    index_insert(t, hash, t->used);
    t->used++;
    t->live++;
    return e;
}

/* Nothing left: begins anew, without holes. */
static void clear(struct table *t)
{
    t->used = 0;
    if (t->capacity <= KEPT_CAPACITY)
        return;
    free(t->entries);
    free(t->index);
    *t = (struct table){0};
}

static void *remove_at(struct table *t, int64_t slot)
{
    struct entry *e = entry_at(t, slot);
    void *value = e->value;
    index_remove(t, (uint32_t)slot);
    e->value = NULL;
    if (--t->live == 0)
        clear(t);
    return value;
}

static void *replace_at(struct table *t, int64_t slot, void *value)
{
    struct entry *e = entry_at(t, slot);
    void *former = e->value;
    e->value = value;
    return former;
}

static const struct entry *next_entry(const struct table *t, size_t *at)
{
    while (*at < t->used) {
        const struct entry *e = &t->entries[(*at)++];
        if (e->value)
            return e;
    }
    return NULL;
}

struct map *map_create(void)
{
    return mem_new(struct map);
}

void map_destroy(struct map **m)
{
    if (!*m)
        return;
    for (uint32_t i = 0; i < (*m)->t.used; i++)
        if ((*m)->t.entries[i].value)
            free((*m)->t.entries[i].key.text);
    free((*m)->t.entries);
    free((*m)->t.index);
    free(*m);
    *m = NULL;
}

void *map_get(const struct map *m, struct str key)
{
    int64_t slot = find_text(&m->t, map_hash(key.p, key.n), key);
    return slot < 0 ? NULL : entry_at(&m->t, slot)->value;
}

void *map_set(struct map *m, struct str key, void *value)
{
    if (unlikely(!value))
        abort(); /* a NULL value would look like a hole */
    uint64_t hash = map_hash(key.p, key.n);
    int64_t slot = find_text(&m->t, hash, key);
    if (slot >= 0)
        return replace_at(&m->t, slot, value);
    struct entry *e = add_entry(&m->t, hash, value);
    e->key.text = str_dup(key);
    e->key_n = key.n;
    return NULL;
}

void *map_remove(struct map *m, struct str key)
{
    int64_t slot = find_text(&m->t, map_hash(key.p, key.n), key);
    if (slot < 0)
        return NULL;
    free(entry_at(&m->t, slot)->key.text);
    return remove_at(&m->t, slot);
}

size_t map_count(const struct map *m)
{
    return m->t.live;
}

bool map_next(const struct map *m, size_t *at, struct str *key, void **value)
{
    const struct entry *e = next_entry(&m->t, at);
    if (!e)
        return false;
    if (key)
        *key = (struct str){e->key.text, e->key_n};
    if (value)
        *value = e->value;
    return true;
}

struct map64 *map64_create(void)
{
    return mem_new(struct map64);
}

void map64_destroy(struct map64 **m)
{
    if (!*m)
        return;
    free((*m)->t.entries);
    free((*m)->t.index);
    free(*m);
    *m = NULL;
}

void *map64_get(const struct map64 *m, uint64_t key)
{
    int64_t slot = find_number(&m->t, map_hash(&key, sizeof(key)), key);
    return slot < 0 ? NULL : entry_at(&m->t, slot)->value;
}

void *map64_set(struct map64 *m, uint64_t key, void *value)
{
    if (unlikely(!value))
        abort();
    uint64_t hash = map_hash(&key, sizeof(key));
    int64_t slot = find_number(&m->t, hash, key);
    if (slot >= 0)
        return replace_at(&m->t, slot, value);
    add_entry(&m->t, hash, value)->key.number = key;
    return NULL;
}

void *map64_remove(struct map64 *m, uint64_t key)
{
    int64_t slot = find_number(&m->t, map_hash(&key, sizeof(key)), key);
    return slot < 0 ? NULL : remove_at(&m->t, slot);
}

size_t map64_count(const struct map64 *m)
{
    return m->t.live;
}

bool map64_next(const struct map64 *m, size_t *at, uint64_t *key, void **value)
{
    const struct entry *e = next_entry(&m->t, at);
    if (!e)
        return false;
    if (key)
        *key = e->key.number;
    if (value)
        *value = e->value;
    return true;
}
