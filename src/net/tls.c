/*
 * tls: contexts. TLS 1.2 and 1.3, forward secrecy only, no renegotiation; idle sessions give
 * their buffers back (SSL_MODE_RELEASE_BUFFERS). Reloading makes a whole new SSL_CTX and swaps the
 * pointer under a lock that is held for a few instructions; sessions keep the context they were
 * made from by OpenSSL's own reference.
 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"

struct net_tls {
    pthread_mutex_t lock; /* for ctx alone */
    SSL_CTX *ctx;
    char *cert_path;
    char *key_path;
    char *ca_path; /* NULL: peers are not asked */
    bool is_client;
    struct strbuf alpn; /* wire form: length, name, length, name ... */
};

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *offered, unsigned offered_n, void *arg)
{
    const struct net_tls *tls = arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_n, (const unsigned char *)tls->alpn.p,
                              (unsigned)tls->alpn.n, offered, offered_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301, 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum err describe(struct strbuf *problem, const char *path, const char *what)
{
    char reason[160];
    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
    if (problem)
        strbuf_printf(problem, "%s: %s (%s)", path, what, reason);
    ERR_clear_error();
    return ERR_INVALID_ARGUMENT;
}

static void configure(SSL_CTX *ctx, struct net_tls *tls)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only: no state here */
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_read_ahead(ctx, 1); /* header and body of a record in one system call */
    if (!tls->is_client)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, tls);
    else
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)tls->alpn.p, (unsigned)tls->alpn.n);
}

/* Whom peers must be signed by. Client certificates are asked for by the authority's name. */
static enum err load_authority(struct net_tls *tls, SSL_CTX *ctx, struct strbuf *problem)
{
    if (!tls->ca_path)
        return ERR_OK;
    if (SSL_CTX_load_verify_file(ctx, tls->ca_path) != 1)
        return describe(problem, tls->ca_path, "no usable certificate of an authority");
    if (!tls->is_client)
        SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(tls->ca_path));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return ERR_OK;
}

static enum err load_own(struct net_tls *tls, SSL_CTX *ctx, struct strbuf *problem)
{
    if (!tls->cert_path && tls->is_client)
        return ERR_OK;
    if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert_path) != 1)
        return describe(problem, tls->cert_path, "no usable certificate chain");
    if (SSL_CTX_use_PrivateKey_file(ctx, tls->key_path, SSL_FILETYPE_PEM) != 1)
        return describe(problem, tls->key_path, "no usable private key for the certificate");
    if (X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(ctx))) < 0)
        log_warn(NULL, "the certificate in %s has expired", tls->cert_path);
    return ERR_OK;
}

static enum err load(struct net_tls *tls, SSL_CTX **out, struct strbuf *problem)
{
    SSL_CTX *ctx = SSL_CTX_new(tls->is_client ? TLS_client_method() : TLS_server_method());
    if (!ctx)
        return ERR_RESOURCE_EXHAUSTED;
    ERR_clear_error();
    configure(ctx, tls);
    enum err err = load_own(tls, ctx, problem);
    if (!err)
        err = load_authority(tls, ctx, problem);
    if (err)
        SSL_CTX_free(ctx);
    else
        *out = ctx;
    return err;
}

enum err net_tls_create(struct net_tls **out, const struct net_tls_options *opt,
                        struct strbuf *problem)
{
    static const char *const http_only[] = {"http/1.1", NULL};
    struct net_tls *tls = mem_new(struct net_tls);
    pthread_mutex_init(&tls->lock, NULL);
    tls->cert_path = mem_strdup(opt->cert_path);
    tls->key_path = mem_strdup(opt->key_path);
    tls->ca_path = mem_strdup(opt->ca_path);
    tls->is_client = opt->is_client;
    for (const char *const *name = opt->alpn ? opt->alpn : http_only; *name; name++) {
        strbuf_addc(&tls->alpn, (char)strlen(*name));
        strbuf_adds(&tls->alpn, *name);
    }
    enum err err = load(tls, &tls->ctx, problem);
    if (err)
        net_tls_destroy(&tls);
    *out = tls;
    return err;
}

void net_tls_destroy(struct net_tls **tls)
{
    if (!*tls)
        return;
    SSL_CTX_free((*tls)->ctx);
    pthread_mutex_destroy(&(*tls)->lock);
    strbuf_deinit(&(*tls)->alpn);
    free((*tls)->cert_path);
    free((*tls)->key_path);
    free((*tls)->ca_path);
    free(*tls);
    *tls = NULL;
}

enum err net_tls_reload(struct net_tls *tls, struct strbuf *problem)
{
    SSL_CTX *fresh;
    enum err err = load(tls, &fresh, problem);
    if (err)
        return err;
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->ctx;
    tls->ctx = fresh;
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(old);
    return ERR_OK;
}

static SSL *session(struct net_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *ctx = tls->ctx;
    SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&tls->lock);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    return ssl;
}

SSL *net_tls_accept(struct net_tls *tls)
{
    SSL *ssl = session(tls);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}

SSL *net_tls_connect(struct net_tls *tls, const char *host)
{
    SSL *ssl = session(tls);
    if (!ssl)
        return NULL;
    SSL_set_connect_state(ssl);
    /* Addresses have no place in SNI, and are compared with the certificate's addresses. */
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 ||
        (SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1))
        return ssl;
    SSL_free(ssl);
    return NULL;
}

bool net_tls_speaks(const SSL *ssl, const char *protocol)
{
    const unsigned char *name;
    unsigned n;
    SSL_get0_alpn_selected(ssl, &name, &n);
    return n == strlen(protocol) && memcmp(name, protocol, n) == 0;
}

bool net_tls_is_proven(const SSL *ssl)
{
    return SSL_get0_peer_certificate(ssl) && SSL_get_verify_result(ssl) == X509_V_OK &&
           (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER);
}

static const char *advice_for(long x509_error)
{
    switch (x509_error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "call it by a name that its certificate bears";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "renew it, or set the clock";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "name who signed it by ca=FILE in the address";
    default:
        return "it needs another one";
    }
}

void net_tls_explain(long x509_error, char *out, size_t size)
{
    snprintf(out, size, "its certificate is refused (%s): %s",
             X509_verify_cert_error_string(x509_error), advice_for(x509_error));
}
