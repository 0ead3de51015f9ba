/*
 * srtp_keys: profiles, and session keys out of master keys (RFC 3711 section 4.3: AES in counter
 * mode as the pseudo-random function, key derivation rate 0). RFC 7714 keeps the scheme; its salt
 * of 96 bits is filled up with zeros on the right.
 */
#include "sfu/transport/srtp_internal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

static const struct {
    enum srtp_profile profile;
    const char *name;
    size_t key_bytes;
    size_t salt_bytes;
} PROFILES[] = {
    {SRTP_PROFILE_GCM_128, "SRTP_AEAD_AES_128_GCM", 16, 12},
    {SRTP_PROFILE_GCM_256, "SRTP_AEAD_AES_256_GCM", 32, 12},
    {SRTP_PROFILE_SHA1_80, "SRTP_AES128_CM_SHA1_80", 16, 14},
};

const char *srtp_profile_name(enum srtp_profile p)
{
    for (size_t i = 0; i < ARRAY_LEN(PROFILES); i++)
        if (PROFILES[i].profile == p)
            return PROFILES[i].name;
    return "none";
}

size_t srtp_profile_key_bytes(enum srtp_profile p)
{
    for (size_t i = 0; i < ARRAY_LEN(PROFILES); i++)
        if (PROFILES[i].profile == p)
            return PROFILES[i].key_bytes;
    return 0;
}

size_t srtp_profile_salt_bytes(enum srtp_profile p)
{
    for (size_t i = 0; i < ARRAY_LEN(PROFILES); i++)
        if (PROFILES[i].profile == p)
            return PROFILES[i].salt_bytes;
    return 0;
}

/* Keystream of AES-CM from IV = (salt xor label at byte 7) with a 16-bit counter of zero behind. */
static bool derive_one(EVP_CIPHER_CTX *ctx, const uint8_t salt[14], unsigned label, uint8_t *out,
                       size_t n)
{
    uint8_t iv[16] = {0};
    static const uint8_t ZEROS[32];
    int written = 0;
    memcpy(iv, salt, 14);
    iv[7] ^= (uint8_t)label;
    return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, iv) == 1 &&
           EVP_EncryptUpdate(ctx, out, &written, ZEROS, (int)n) == 1 && (size_t)written == n;
}

bool srtp_derive(struct srtp_session_keys *out, enum srtp_profile profile,
                 const struct srtp_key *master, enum srtp_label base)
{
    size_t key_bytes = srtp_profile_key_bytes(profile);
    uint8_t salt[14] = {0};
    memcpy(salt, master->salt, srtp_profile_salt_bytes(profile));
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx &&
              EVP_EncryptInit_ex(ctx, key_bytes == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr(), NULL,
                                 master->key, NULL) == 1 &&
              derive_one(ctx, salt, base, out->cipher, key_bytes) &&
              derive_one(ctx, salt, base + 1, out->auth, sizeof(out->auth)) &&
              derive_one(ctx, salt, base + 2, out->salt, sizeof(out->salt));
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

enum err srtp_ciphers_init(struct srtp_cipher *rtp, struct srtp_cipher *rtcp,
                           const struct sfu_srtp_options *opt)
{
    size_t key_bytes = srtp_profile_key_bytes(opt->profile);
    if (!key_bytes)
        return ERR_INVALID_ARGUMENT;
    bool is_cm = opt->profile == SRTP_PROFILE_SHA1_80;
    if (opt->engine == SRTP_ENGINE_IPSEC_MB && (is_cm || !srtp_gcm_ipsec_mb()))
        return ERR_UNIMPLEMENTED;
    const struct srtp_suite *suite = is_cm ? &srtp_suite_cm : &srtp_suite_gcm;
    struct srtp_session_keys keys;
    rtp->suite = rtcp->suite = suite;
    bool ok = srtp_derive(&keys, opt->profile, opt->key, SRTP_LABEL_RTP) &&
              suite->init(rtp, &keys, key_bytes, opt->engine) &&
              srtp_derive(&keys, opt->profile, opt->key, SRTP_LABEL_RTCP) &&
              suite->init(rtcp, &keys, key_bytes, opt->engine);
    OPENSSL_cleanse(&keys, sizeof(keys));
    return ok ? ERR_OK : ERR_INTERNAL;
}

void srtp_cipher_deinit(struct srtp_cipher *c)
{
    if (c->suite)
        c->suite->deinit(c);
    OPENSSL_cleanse(c, sizeof(*c));
}

enum srtp_engine srtp_engine_best(enum srtp_profile p)
{
    return p != SRTP_PROFILE_SHA1_80 && srtp_gcm_ipsec_mb() ? SRTP_ENGINE_IPSEC_MB
                                                            : SRTP_ENGINE_OPENSSL;
}

const char *srtp_engine_name(enum srtp_engine engine)
{
    static const char *const NAMES[] = {"best", "openssl", "ipsec-mb"};
    return (unsigned)engine < ARRAY_LEN(NAMES) ? NAMES[engine] : "unknown";
}
