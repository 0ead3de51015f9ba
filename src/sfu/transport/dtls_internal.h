/* dtls_internal: what the certificate side (dtls_context.c) and the connection (dtls.c) share. */
#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "sfu/transport/dtls.h"

struct dtls_context {
    SSL_CTX *ssl;
    BIO_METHOD *bio; /* one datagram in, datagrams out; its data is a struct dtls */
    struct fingerprint fingerprint;
};

/* The BIO of connections, in dtls.c. NULL: OpenSSL has no memory. */
BIO_METHOD *dtls_bio_create(void);
/* The peer's certificate against what signaling said, during the handshake; in dtls.c. */
int dtls_on_certificate(X509_STORE_CTX *store, void *arg);
/* Does `f` name this certificate? */
MUST_USE bool dtls_certificate_matches(const X509 *certificate, const struct fingerprint *f);
