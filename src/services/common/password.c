/*
 * password: Argon2id through libsodium behind a gate of a few places. The gate is a counter and a
 * condition: a hash of 64 MiB times every thread of every share would be the cheapest way to take
 * the server down. The dummy hash is made once at the configured cost from a random password.
 */
#include "services/common/password.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/id.h"
#include "core/mem.h"
#include "core/loop.h"

struct password_hasher {
    unsigned long long ops;
    size_t memory_bytes;
    unsigned concurrency_max;
    unsigned waiting_max;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    unsigned running;
    unsigned waiting;
    char dummy[PASSWORD_HASH_SIZE];
};

_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES, "a hash must fit");

static enum err hash_now(struct password_hasher *h, struct str password, char *out)
{
    if (crypto_pwhash_str_alg(out, password.p, password.n, h->ops, h->memory_bytes,
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        return ERR_UNAVAILABLE; /* no memory for it right now */
    return ERR_OK;
}

enum err password_create(struct password_hasher **out, const struct password_options *opt)
{
    *out = NULL;
    if (sodium_init() < 0)
        return ERR_INTERNAL;
    struct password_hasher *h = mem_zalloc(sizeof(*h));
    h->ops = opt->ops ? (unsigned long long)opt->ops : crypto_pwhash_OPSLIMIT_INTERACTIVE;
    h->memory_bytes =
        opt->memory_bytes ? (size_t)opt->memory_bytes : crypto_pwhash_MEMLIMIT_INTERACTIVE;
    h->concurrency_max = opt->concurrency_max ? opt->concurrency_max : 2;
    h->waiting_max = opt->waiting_max ? opt->waiting_max : 64;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->freed, NULL);
    char nobody[ID_SIZE];
    id_token(nobody, sizeof(nobody) - 1);
    enum err err = hash_now(h, str_from(nobody), h->dummy);
    if (err)
        password_destroy(&h);
    *out = h;
    return err;
}

void password_destroy(struct password_hasher **hasher)
{
    struct password_hasher *h = *hasher;
    *hasher = NULL;
    if (!h)
        return;
    pthread_cond_destroy(&h->freed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static enum err enter(struct password_hasher *h)
{
    enum err err = ERR_OK;
    pthread_mutex_lock(&h->lock);
    if (h->running >= h->concurrency_max) {
        if (h->waiting >= h->waiting_max) {
            err = ERR_UNAVAILABLE;
        } else {
            h->waiting++;
            while (h->running >= h->concurrency_max)
                pthread_cond_wait(&h->freed, &h->lock);
            h->waiting--;
        }
    }
    if (!err)
        h->running++;
    pthread_mutex_unlock(&h->lock);
    return err;
}

static void leave(struct password_hasher *h)
{
    pthread_mutex_lock(&h->lock);
    h->running--;
    pthread_cond_signal(&h->freed);
    pthread_mutex_unlock(&h->lock);
}

enum err password_hash(struct password_hasher *h, struct str password, char out[PASSWORD_HASH_SIZE])
{
    assert(!loop_current()); /* a loop must never wait this long */
    enum err err = enter(h);
    if (err)
        return err;
    err = hash_now(h, password, out);
    leave(h);
    return err;
}

enum err password_verify(struct password_hasher *h, const char *hash, struct str password,
                         bool *is_match, bool *is_outdated)
{
    assert(!loop_current()); /* a loop must never wait this long */
    *is_match = *is_outdated = false;
    bool is_known = hash && hash[0];
    enum err err = enter(h);
    if (err)
        return err;
    bool is_equal =
        crypto_pwhash_str_verify(is_known ? hash : h->dummy, password.p, password.n) == 0;
    leave(h);
    *is_match = is_known && is_equal;
    if (*is_match)
        *is_outdated = crypto_pwhash_str_needs_rehash(hash, h->ops, h->memory_bytes) != 0;
    return ERR_OK;
}
