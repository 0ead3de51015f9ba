/*
 * tls: server contexts. TLS 1.2 and 1.3, forward secrecy only, no renegotiation; idle sessions give
 * their buffers back (SSL_MODE_RELEASE_BUFFERS). Reloading makes a whole new SSL_CTX and swaps the
 * pointer under a lock that is held for a few instructions; sessions keep the context they were
 * made from by OpenSSL's own reference.
 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "net/tls_internal.h"

struct net_tls {
    pthread_mutex_t lock; /* for ctx alone */
    SSL_CTX *ctx;
    char *cert_path;
    char *key_path;
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
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, tls);
}

static enum err load(struct net_tls *tls, SSL_CTX **out, struct strbuf *problem)
{
    enum err err;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return ERR_RESOURCE_EXHAUSTED;
    ERR_clear_error();
    configure(ctx, tls);
    if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert_path) != 1) {
        err = describe(problem, tls->cert_path, "no usable certificate chain");
        goto fail;
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, tls->key_path, SSL_FILETYPE_PEM) != 1) {
        err = describe(problem, tls->key_path, "no usable private key for the certificate");
        goto fail;
    }
    if (X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(ctx))) < 0)
        log_warn(NULL, "the certificate in %s has expired", tls->cert_path);
    *out = ctx;
    return ERR_OK;
fail:
    SSL_CTX_free(ctx);
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

SSL *net_tls_accept(struct net_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *ctx = tls->ctx;
    SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&tls->lock);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}
