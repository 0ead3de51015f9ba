/*
 * tls_self_signed: the certificate of a first start, so that browsers may use camera and microphone
 * at once. ECDSA P-256; the names are subject alternative names, as browsers want them.
 */
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

#include "core/file.h"
#include "core/id.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/address.h"
#include "net/tls.h"

#define LIFE_DAYS 3650L

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool is_added = ext && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return is_added;
}

/* A comma would end a name and start another extension value. */
static bool is_plain_name(const char *host)
{
    return host[0] && host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789.-:*")] == '\0';
}

static char *alternative_names(const char *const *hosts, size_t count)
{
    struct strbuf names = {0};
    for (size_t i = 0; i < count; i++) {
        struct net_address ip;
        if (!is_plain_name(hosts[i]))
            continue;
        strbuf_printf(&names, "%s%s:%s", names.n ? "," : "",
                      net_address_parse(str_from(hosts[i]), &ip) && ip.port == 0 ? "IP" : "DNS",
                      hosts[i]);
    }
    if (!names.n)
        strbuf_adds(&names, "DNS:localhost");
    return names.p;
}

static X509 *make_certificate(EVP_PKEY *key, const char *const *hosts, size_t count)
{
    uint64_t serial;
    id_random(&serial, sizeof(serial));
    char *names = alternative_names(hosts, count);
    X509 *cert = X509_new();
    X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;
    bool is_made =
        cert && X509_set_version(cert, X509_VERSION_3) &&
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -86400) && /* clocks of others may lag */
        X509_gmtime_adj(X509_getm_notAfter(cert), LIFE_DAYS * 86400) &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                   (const unsigned char *)"Parlance (self-signed)", -1, -1, 0) &&
        X509_set_issuer_name(cert, subject) && X509_set_pubkey(cert, key) &&
        add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
        add_extension(cert, NID_ext_key_usage, "serverAuth") &&
        add_extension(cert, NID_subject_key_identifier, "hash") &&
        add_extension(cert, NID_subject_alt_name, names) && X509_sign(cert, key, EVP_sha256());
    free(names);
    if (!is_made) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static enum err write_bio(const char *path, BIO *bio, unsigned mode)
{
    char *bytes;
    long n = BIO_get_mem_data(bio, &bytes);
    return n > 0 ? file_write_atomic(path, bytes, (size_t)n, mode) : ERR_INTERNAL;
}

static enum err write_pair(const char *cert_path, X509 *cert, const char *key_path, EVP_PKEY *key)
{
    enum err err = ERR_INTERNAL;
    BIO *cert_bio = BIO_new(BIO_s_mem());
    BIO *key_bio = BIO_new(BIO_s_secmem());
    if (cert_bio && key_bio && PEM_write_bio_X509(cert_bio, cert) &&
        PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL))
        err = write_bio(key_path, key_bio, 0600);
    if (!err)
        err = write_bio(cert_path, cert_bio, 0600);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    return err;
}

enum err net_tls_self_signed(const char *dir, const char *const *hosts, size_t host_count)
{
    char cert_path[4096];
    char key_path[4096];
    if ((size_t)snprintf(cert_path, sizeof(cert_path), "%s/fullchain.pem", dir) >=
            sizeof(cert_path) ||
        (size_t)snprintf(key_path, sizeof(key_path), "%s/privkey.pem", dir) >= sizeof(key_path))
        return ERR_INVALID_ARGUMENT;
    if (access(cert_path, F_OK) == 0 && access(key_path, F_OK) == 0)
        return ERR_OK;
    enum err err = file_make_dirs(dir, 0700);
    if (err)
        return err;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? make_certificate(key, hosts, host_count) : NULL;
    err = cert ? write_pair(cert_path, cert, key_path, key) : ERR_INTERNAL;
    if (err)
        log_error(NULL, "cannot make a certificate in %s: %s", dir, err_text(err));
    else
        log_info(NULL, "made a self-signed certificate: %s", cert_path);
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}
