/*
 * dtls_context: the certificate of this process and the settings of every DTLS connection. The key
 * lives as long as the process and is never written anywhere; browsers learn the certificate's hash
 * through signaling and trust nothing else about it.
 */
#include "sfu/transport/dtls_internal.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/id.h"
#include "core/mem.h"

#define VALID_SECONDS (10L * 365 * 86400)
#define CERTIFICATE_LIST_MAX 16384 /* bytes of a peer's chain; browsers send some 300 */

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    uint32_t serial = id_random_u32() >> 1;
    X509_NAME *name = certificate ? X509_get_subject_name(certificate) : NULL;
    if (name && X509_set_version(certificate, 2) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)serial) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -86400) &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_SECONDS) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"WebRTC", -1,
                                   -1, 0) == 1 &&
        X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
        X509_sign(certificate, key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static bool hash_certificate(const X509 *certificate, enum fingerprint_hash hash,
                             struct fingerprint *out)
{
    const EVP_MD *md = hash == FINGERPRINT_SHA256   ? EVP_sha256()
                       : hash == FINGERPRINT_SHA384 ? EVP_sha384()
                       : hash == FINGERPRINT_SHA512 ? EVP_sha512()
                                                    : NULL;
    unsigned n = 0;
    *out = (struct fingerprint){.hash = hash};
    if (!md || X509_digest(certificate, md, out->bytes, &n) != 1)
        return false;
    out->n = (uint8_t)n;
    return true;
}

bool dtls_certificate_matches(const X509 *certificate, const struct fingerprint *f)
{
    struct fingerprint actual;
    return certificate && hash_certificate(certificate, f->hash, &actual) && actual.n == f->n &&
           CRYPTO_memcmp(actual.bytes, f->bytes, actual.n) == 0;
}

/* The peer chooses among what we offer as client; as server we do. */
static bool configure(SSL_CTX *ssl, X509 *certificate, EVP_PKEY *key)
{
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_QUERY_MTU |
                                 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ssl, CERTIFICATE_LIST_MAX);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ssl, dtls_on_certificate, NULL);
    SSL_CTX_set_max_send_fragment(ssl, DTLS_MTU_BYTES); /* its buffer, too, is as large */
    return SSL_CTX_set_min_proto_version(ssl, DTLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set1_groups_list(ssl, "X25519:P-256:P-384") == 1 &&
           SSL_CTX_use_certificate(ssl, certificate) == 1 && SSL_CTX_use_PrivateKey(ssl, key) == 1;
}

enum err dtls_context_create(struct dtls_context **out)
{
    struct dtls_context *ctx = mem_new(struct dtls_context);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? make_certificate(key) : NULL;
    ctx->ssl = SSL_CTX_new(DTLS_method());
    ctx->bio = dtls_bio_create();
    bool ok = certificate && ctx->ssl && ctx->bio && configure(ctx->ssl, certificate, key) &&
              hash_certificate(certificate, FINGERPRINT_SHA256, &ctx->fingerprint);
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (!ok)
        dtls_context_destroy(&ctx);
    *out = ctx;
    return ok ? ERR_OK : ERR_INTERNAL;
}

void dtls_context_destroy(struct dtls_context **ctx)
{
    if (!*ctx)
        return;
    SSL_CTX_free((*ctx)->ssl);
    BIO_meth_free((*ctx)->bio);
    free(*ctx);
    *ctx = NULL;
}

const struct fingerprint *dtls_context_fingerprint(const struct dtls_context *ctx)
{
    return &ctx->fingerprint;
}
