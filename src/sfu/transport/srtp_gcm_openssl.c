/*
 * srtp_gcm_openssl: AES-GCM by OpenSSL's EVP, the engine that is always there. The contexts are
 * kept with the key set; only the IV changes per packet, which spares the key schedule.
 */
#include "sfu/transport/srtp_internal.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "core/mem.h"

struct state {
    EVP_CIPHER_CTX *seal;
    EVP_CIPHER_CTX *open;
};

static void destroy(void *arg)
{
    struct state *s = arg;
    if (!s)
        return;
    EVP_CIPHER_CTX_free(s->seal); /* wipes the key */
    EVP_CIPHER_CTX_free(s->open);
    free(s);
}

static void *create(const uint8_t *key, size_t key_bytes)
{
    const EVP_CIPHER *cipher = key_bytes == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
    struct state *s = mem_new(struct state);
    s->seal = EVP_CIPHER_CTX_new();
    s->open = EVP_CIPHER_CTX_new();
    if (!s->seal || !s->open || EVP_EncryptInit_ex(s->seal, cipher, NULL, key, NULL) != 1 ||
        EVP_DecryptInit_ex(s->open, cipher, NULL, key, NULL) != 1) {
        destroy(s);
        return NULL;
    }
    return s;
}

static bool gcm_seal(void *arg, const struct srtp_gcm_job *job)
{
    EVP_CIPHER_CTX *ctx = ((struct state *)arg)->seal;
    int n = 0;
    return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, job->iv) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &n, job->aad, (int)job->aad_bytes) == 1 &&
           (job->n == 0 || EVP_EncryptUpdate(ctx, job->dst, &n, job->src, (int)job->n) == 1) &&
           EVP_EncryptFinal_ex(ctx, job->tag, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SRTP_GCM_TAG_BYTES, job->tag) == 1;
}

static bool gcm_open(void *arg, const struct srtp_gcm_job *job)
{
    EVP_CIPHER_CTX *ctx = ((struct state *)arg)->open;
    uint8_t nothing[16];
    int n = 0;
    return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, job->iv) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SRTP_GCM_TAG_BYTES, job->tag) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &n, job->aad, (int)job->aad_bytes) == 1 &&
           (job->n == 0 || EVP_DecryptUpdate(ctx, job->dst, &n, job->src, (int)job->n) == 1) &&
           EVP_DecryptFinal_ex(ctx, nothing, &n) == 1;
}

const struct srtp_gcm_engine srtp_gcm_openssl = {
    .create = create,
    .destroy = destroy,
    .seal = gcm_seal,
    .open = gcm_open,
};
