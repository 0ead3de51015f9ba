/*
 * What auth said of a token, remembered for at most a second so that a busy client costs one
 * validation a second. A revocation anywhere forgets everything at once. Direct-mapped: a collision
 * only costs a validation.
 */
#include <string.h>

#include "core/map.h"
#include "edge/edge_internal.h"

#define SLOTS 4096
#define REMEMBER_US 1000000

struct slot {
    char *token;
    size_t n;
    struct identity who;
    struct edge_rights rights;
    int64_t until_us;
};

struct edge_tokens {
    pthread_mutex_t lock; /* held for a compare and a copy */
    atomic_uint epoch;
    struct slot slots[SLOTS];
};

struct edge_tokens *edge_tokens_create(void)
{
    struct edge_tokens *t = mem_zalloc(sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void edge_tokens_destroy(struct edge_tokens **tokens)
{
    struct edge_tokens *t = *tokens;
    *tokens = NULL;
    if (!t)
        return;
    edge_tokens_forget(t);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct slot *slot_of(struct edge_tokens *t, struct str token)
{
    return &t->slots[map_hash(token.p, token.n) % SLOTS];
}

bool edge_tokens_find(struct edge_tokens *t, struct str token, struct identity *who,
                      struct edge_rights *rights)
{
    struct slot *s = slot_of(t, token);
    pthread_mutex_lock(&t->lock);
    bool is_there = s->token && s->until_us > clock_mono_us() &&
                    str_eq_secret((struct str){s->token, s->n}, token);
    if (is_there) {
        *who = s->who;
        *rights = s->rights;
    }
    pthread_mutex_unlock(&t->lock);
    return is_there;
}

unsigned edge_tokens_epoch(const struct edge_tokens *t)
{
    return atomic_load(&t->epoch);
}

void edge_tokens_add(struct edge_tokens *t, struct str token, const struct identity *who,
                     const struct edge_rights *rights, unsigned epoch)
{
    int64_t left_us =
        who->expires_at_ms ? (who->expires_at_ms - clock_wall_ms()) * 1000 : (int64_t)REMEMBER_US;
    if (left_us <= 0)
        return;
    struct slot *s = slot_of(t, token);
    pthread_mutex_lock(&t->lock);
    if (atomic_load(&t->epoch) == epoch) {
        free(s->token);
        s->token = str_dup(token);
        s->n = token.n;
        s->who = *who;
        s->rights = *rights;
        s->until_us = clock_mono_us() + MIN(left_us, (int64_t)REMEMBER_US);
    }
    pthread_mutex_unlock(&t->lock);
}

void edge_tokens_forget(struct edge_tokens *t)
{
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->epoch, 1);
    for (size_t i = 0; i < SLOTS; i++) {
        free(t->slots[i].token);
        t->slots[i] = (struct slot){0};
    }
    pthread_mutex_unlock(&t->lock);
}
