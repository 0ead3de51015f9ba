/*
 * auth_signature: HMAC, RSA and ECDSA by OpenSSL. For ECDSA a token carries r and s as 32 bytes
 * each (RFC 7518, 3.4) where OpenSSL speaks DER; the conversion is here.
 */
#include "services/auth/auth_signature.h"

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"

#define ES256_HALF 32

struct auth_signer {
    enum { HS256, RS256, ES256 } kind;
    EVP_PKEY *key; /* NULL: HS256 */
    char *secret;
    size_t secret_n;
};

static enum err take_key(struct auth_signer *s, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    /* An empty passphrase instead of a prompt on the terminal. */
    s->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
    BIO_free(bio);
    ERR_clear_error();
    char group[32] = "";
    if (!s->key) {
        log_error(NULL, "jwt.key_file: expected an unencrypted private key in PEM form");
        return ERR_INVALID_ARGUMENT;
    }
    if (EVP_PKEY_is_a(s->key, "RSA") && EVP_PKEY_get_bits(s->key) >= 2048 &&
        EVP_PKEY_get_size(s->key) <= AUTH_SIGNATURE_MAX) {
        s->kind = RS256;
        return ERR_OK;
    }
    if (EVP_PKEY_is_a(s->key, "EC") &&
        EVP_PKEY_get_group_name(s->key, group, sizeof(group), NULL) == 1 &&
        strcmp(group, "prime256v1") == 0) {
        s->kind = ES256;
        return ERR_OK;
    }
    log_error(NULL, "jwt.key_file: expected RSA of 2,048 to 8,192 bits or EC P-256");
    return ERR_INVALID_ARGUMENT;
}

enum err auth_signer_create(struct auth_signer **out, struct str secret, const char *key_pem)
{
    struct auth_signer *s = mem_zalloc(sizeof(*s));
    enum err err = ERR_OK;
    s->kind = HS256;
    s->secret = str_dup(secret);
    s->secret_n = secret.n;
    if (key_pem)
        err = take_key(s, key_pem);
    if (err)
        auth_signer_destroy(&s);
    *out = s;
    return err;
}

void auth_signer_destroy(struct auth_signer **signer)
{
    struct auth_signer *s = *signer;
    *signer = NULL;
    if (!s)
        return;
    EVP_PKEY_free(s->key);
    OPENSSL_cleanse(s->secret, s->secret_n);
    free(s->secret);
    free(s);
}

const char *auth_signer_algorithm(const struct auth_signer *s)
{
    return s->kind == HS256 ? "HS256" : s->kind == RS256 ? "RS256" : "ES256";
}

static void hmac(const struct auth_signer *s, const void *bytes, size_t n, uint8_t out[32])
{
    unsigned size = 32;
    HMAC(EVP_sha256(), s->secret, (int)s->secret_n, bytes, n, out, &size);
}

void auth_signer_key_id(const struct auth_signer *s, char out[17])
{
    uint8_t hash[32];
    if (s->kind == HS256) {
        hmac(s, "parlance key id", 15, hash);
    } else {
        uint8_t *der = NULL;
        int n = i2d_PUBKEY(s->key, &der);
        EVP_Digest(der, (size_t)MAX(n, 0), hash, NULL, EVP_sha256(), NULL);
        OPENSSL_free(der);
    }
    str_hex(out, hash, 8);
}

/* ---- ECDSA: DER <-> r || s ---- */

static bool der_to_raw(const uint8_t *der, size_t n, uint8_t raw[2 * ES256_HALF])
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool is_ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, ES256_HALF) == ES256_HALF &&
                 BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + ES256_HALF, ES256_HALF) == ES256_HALF;
    ECDSA_SIG_free(sig);
    return is_ok;
}

/* Returns the length, 0 on failure; der has room for AUTH_SIGNATURE_MAX. */
static size_t raw_to_der(const uint8_t raw[2 * ES256_HALF], uint8_t *der)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, ES256_HALF, NULL);
    BIGNUM *s = BN_bin2bn(raw + ES256_HALF, ES256_HALF, NULL);
    int n = 0;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
        n = i2d_ECDSA_SIG(sig, &der); /* at most 72 bytes */
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return (size_t)MAX(n, 0);
}

/* ---- signing and checking ---- */

static bool evp_sign(const struct auth_signer *s, struct str message, uint8_t *out, size_t *n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    *n = AUTH_SIGNATURE_MAX;
    bool is_ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->key) == 1 &&
                 EVP_DigestSign(ctx, out, n, (const uint8_t *)message.p, message.n) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return is_ok;
}

static bool evp_verify(const struct auth_signer *s, struct str message, const uint8_t *signature,
                       size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, s->key) == 1 &&
                 EVP_DigestVerify(ctx, signature, n, (const uint8_t *)message.p, message.n) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return is_ok;
}

bool auth_signer_sign(const struct auth_signer *s, struct str message,
                      uint8_t out[AUTH_SIGNATURE_MAX], size_t *n)
{
    if (s->kind == HS256) {
        hmac(s, message.p, message.n, out);
        *n = 32;
        return true;
    }
    if (!evp_sign(s, message, out, n))
        return false;
    uint8_t raw[2 * ES256_HALF];
    if (s->kind == RS256)
        return true;
    if (!der_to_raw(out, *n, raw))
        return false;
    *n = sizeof(raw);
    memcpy(out, raw, sizeof(raw));
    return true;
}

bool auth_signer_verify(const struct auth_signer *s, struct str message, const uint8_t *signature,
                        size_t n)
{
    uint8_t bytes[AUTH_SIGNATURE_MAX];
    if (s->kind == HS256) {
        hmac(s, message.p, message.n, bytes);
        return n == 32 && CRYPTO_memcmp(bytes, signature, 32) == 0;
    }
    if (s->kind == RS256)
        return evp_verify(s, message, signature, n);
    size_t der_n = n == 2 * ES256_HALF ? raw_to_der(signature, bytes) : 0;
    return der_n > 0 && evp_verify(s, message, bytes, der_n);
}
