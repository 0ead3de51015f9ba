/* file_hash: digests of what comes in pieces. Small, so that OpenSSL has one door here. */
#include <openssl/evp.h>

#include "services/file/file_internal.h"

struct file_hash {
    EVP_MD_CTX *ctx;
};

struct file_hash *file_hash_create(const char *algorithm)
{
    const EVP_MD *md = strcmp(algorithm, "sha256") == 0 ? EVP_sha256()
                       : strcmp(algorithm, "sha1") == 0 ? EVP_sha1()
                                                        : NULL;
    if (!md)
        return NULL;
    struct file_hash *hash = mem_new(struct file_hash);
    hash->ctx = EVP_MD_CTX_new();
    if (!hash->ctx || EVP_DigestInit_ex(hash->ctx, md, NULL) != 1)
        abort(); /* out of memory */
    return hash;
}

void file_hash_destroy(struct file_hash **hash)
{
    if (*hash)
        EVP_MD_CTX_free((*hash)->ctx);
    free(*hash);
    *hash = NULL;
}

void file_hash_add(struct file_hash *hash, const void *bytes, size_t n)
{
    if (EVP_DigestUpdate(hash->ctx, bytes, n) != 1)
        abort();
}

size_t file_hash_end(struct file_hash *hash, uint8_t out[FILE_SHA256_BYTES])
{
    unsigned n = 0;
    uint8_t digest[EVP_MAX_MD_SIZE];
    if (EVP_DigestFinal_ex(hash->ctx, digest, &n) != 1 || n > FILE_SHA256_BYTES)
        abort();
    memcpy(out, digest, n);
    return n;
}
