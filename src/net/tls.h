/*
 * tls: certificates, for servers and for those who call them. A context may be reloaded at any time
 * from any thread: new connections get the new certificate, running ones keep theirs.
 */
#pragma once

#include <openssl/types.h>

#include "core/err.h"
#include "core/str.h"

struct net_tls;

struct net_tls_options {
    const char *cert_path; /* PEM, leaf first (fullchain.pem) */
    const char *key_path;
    const char *const *alpn; /* NULL: "http/1.1" */
    /* PEM: who signs the certificates of peers. A server then serves nobody without one. A client
     * must have it (its own certificate may be NULL). NULL: no peer is asked. */
    const char *ca_path;
    bool is_client;
};

/* On failure `problem` (may be NULL) says which file and why. */
MUST_USE enum err net_tls_create(struct net_tls **out, const struct net_tls_options *opt,
                                 struct strbuf *problem);
/* Servers that use it must be destroyed first. */
void net_tls_destroy(struct net_tls **tls);
/* Reads the files again. On failure the former certificate stays in use. Any thread. */
MUST_USE enum err net_tls_reload(struct net_tls *tls, struct strbuf *problem);
/*
 * Makes DIR/fullchain.pem and DIR/privkey.pem (0600, ECDSA P-256, ten years) for these host names
 * and addresses unless both exist. The key is written first, so a crash between the two is mended
 * by the next start.
 */
MUST_USE enum err net_tls_self_signed(const char *dir, const char *const *hosts, size_t host_count);
/* A session in accept state with the certificate of this moment; NULL when OpenSSL has no memory.
 * Any thread. */
SSL *net_tls_accept(struct net_tls *tls);
/* The same to call `host`, a name or an address, which its certificate must name. */
SSL *net_tls_connect(struct net_tls *tls, const char *host);
/* Whether the handshake agreed on this protocol (ALPN). */
bool net_tls_speaks(const SSL *ssl, const char *protocol);
/* Whether the peer showed a certificate that the authority signed. */
bool net_tls_is_proven(const SSL *ssl);
/* What an operator is told of a server's certificate that was refused with this X509_V_ERR_... */
void net_tls_explain(long x509_error, char *out, size_t size);
