/*
 * srtp_gcm_ipsec_mb: AES-GCM by Intel's multi-buffer library: one call per packet over a key
 * schedule made in advance, the code chosen for the CPU at run time (SSE, AVX2, VAES). Two to four
 * times faster than EVP. The direct calls used here only read the manager, so all workers share
 * one.
 */
#include "sfu/transport/srtp_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

struct state {
    struct gcm_key_data schedule;
    aes_gcm_enc_dec_t seal;
    aes_gcm_enc_dec_t open;
};

static IMB_MGR *manager; /* NULL: not for this CPU */

static void init_manager(void)
{
    IMB_MGR *mgr = alloc_mb_mgr(0);
    if (!mgr)
        return;
    init_mb_mgr_auto(mgr, NULL);
    const uint64_t needed = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ; /* else it only emulates */
    if (imb_get_errno(mgr) == 0 && (mgr->features & needed) == needed)
        manager = mgr;
    else
        free_mb_mgr(mgr);
}

static void destroy(void *arg)
{
    if (arg)
        OPENSSL_cleanse(arg, sizeof(struct state));
    free(arg);
}

static void *create(const uint8_t *key, size_t key_bytes)
{
    size_t size = (sizeof(struct state) + 63) / 64 * 64;
    struct state *s = aligned_alloc(64, size);
    if (!s) {
        fputs("out of memory\n", stderr);
        abort();
    }
    if (key_bytes == 32) {
        manager->gcm256_pre(key, &s->schedule);
        s->seal = manager->gcm256_enc;
        s->open = manager->gcm256_dec;
    } else {
        manager->gcm128_pre(key, &s->schedule);
        s->seal = manager->gcm128_enc;
        s->open = manager->gcm128_dec;
    }
    return s;
}

HOT static bool gcm_seal(void *arg, const struct srtp_gcm_job *job)
{
    struct state *s = arg;
    struct gcm_context_data scratch __attribute__((uninitialized));
    s->seal(&s->schedule, &scratch, job->dst, job->src, job->n, job->iv, job->aad, job->aad_bytes,
            job->tag, SRTP_GCM_TAG_BYTES);
    return true;
}

HOT static bool gcm_open(void *arg, const struct srtp_gcm_job *job)
{
    struct state *s = arg;
    struct gcm_context_data scratch __attribute__((uninitialized));
    uint8_t tag[SRTP_GCM_TAG_BYTES];
    s->open(&s->schedule, &scratch, job->dst, job->src, job->n, job->iv, job->aad, job->aad_bytes,
            tag, sizeof(tag));
    return CRYPTO_memcmp(tag, job->tag, sizeof(tag)) == 0;
}

static const struct srtp_gcm_engine GCM_IPSEC_MB = {
    .create = create,
    .destroy = destroy,
    .seal = gcm_seal,
    .open = gcm_open,
};

const struct srtp_gcm_engine *srtp_gcm_ipsec_mb(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_manager);
    return manager ? &GCM_IPSEC_MB : NULL;
}
