/* sfu: the engine as a whole: what its workers share, and the names of things. */
#include <stdlib.h>

#include "core/id.h"
#include "core/mem.h"
#include "sfu/worker.h"

#define MAX_PEERS_DEFAULT 16384
#define MAX_BUFS_DEFAULT 65536
#define RING_BYTES_DEFAULT (1024 * 1024)

static void fill_defaults(struct sfu_options *o)
{
    if (!o->worker_count)
        o->worker_count = 1;
    if (!o->max_peers)
        o->max_peers = MAX_PEERS_DEFAULT;
    if (!o->max_peers_per_worker)
        o->max_peers_per_worker = o->max_peers;
    if (!o->max_bufs_per_worker)
        o->max_bufs_per_worker = MAX_BUFS_DEFAULT;
    if (!o->ring_bytes)
        o->ring_bytes = RING_BYTES_DEFAULT;
    while (!o->seed)
        id_random(&o->seed, sizeof(o->seed));
    o->io = NULL;
}

static void deliver(void *arg, unsigned worker, struct mail *mail)
{
    sfu_mail_worker(arg, worker, mail);
}

enum err sfu_create(struct sfu **out, const struct sfu_options *opt)
{
    struct sfu *s = NULL;
    enum err err = ERR_INVALID_ARGUMENT;
    *out = NULL;
    if (opt->worker_count > SFU_MAX_WORKERS || !opt->io ||
        opt->max_peers >= (size_t)1 << DIRECTORY_SLOT_BITS)
        return err;
    s = mem_new(struct sfu);
    s->opt = *opt;
    fill_defaults(&s->opt);
    err = dtls_context_create(&s->dtls);
    if (err)
        goto fail;
    s->directory = directory_create(
        &(struct directory_options){.max_peers = s->opt.max_peers, .deliver = deliver, .arg = s});
    unsigned count = s->opt.worker_count;
    s->rings = mem_calloc((size_t)count * count, sizeof(s->rings[0]));
    s->workers = mem_calloc(count, sizeof(s->workers[0]));
    for (unsigned i = 0; i < count; i++)
        s->workers[i] = sfu_worker_create(s, i, &opt->io[i]);
    *out = s;
    return ERR_OK;
fail:
    sfu_destroy(&s);
    return err;
}

void sfu_destroy(struct sfu **sfu)
{
    struct sfu *s = *sfu;
    *sfu = NULL;
    if (!s)
        return;
    unsigned count = s->opt.worker_count;
    s->is_closing = true;
    for (unsigned i = 0; s->workers && i < count; i++)
        sfu_worker_destroy(&s->workers[i]);
    for (size_t i = 0; s->rings && i < (size_t)count * count; i++) {
        struct ring *r = atomic_load(&s->rings[i]);
        ring_destroy(&r);
    }
    directory_destroy(&s->directory);
    dtls_context_destroy(&s->dtls);
    free((void *)s->rings);
    free(s->workers);
    free(s);
}

struct sfu_worker *sfu_worker(struct sfu *sfu, unsigned index)
{
    return index < sfu->opt.worker_count ? sfu->workers[index] : NULL;
}

const struct fingerprint *sfu_fingerprint(const struct sfu *sfu)
{
    return dtls_context_fingerprint(sfu->dtls);
}

/* ---- names ---- */

const char *sfu_counter_name(enum sfu_counter counter)
{
    static const char *const NAMES[] = {
#define XX(name, lower, help) lower,
        SFU_COUNTER_MAP(XX)
#undef XX
    };
    return (unsigned)counter < ARRAY_LEN(NAMES) ? NAMES[counter] : "none";
}

const char *sfu_counter_help(enum sfu_counter counter)
{
    static const char *const HELP[] = {
#define XX(name, lower, help) help,
        SFU_COUNTER_MAP(XX)
#undef XX
    };
    return (unsigned)counter < ARRAY_LEN(HELP) ? HELP[counter] : "none";
}
