/* tls_internal: what server.c needs of a TLS context. */
#pragma once

#include <openssl/ssl.h>

#include "net/tls.h"

/* A session in accept state with the certificate of this moment; NULL when OpenSSL has no memory.
 * Any thread. */
SSL *net_tls_accept(struct net_tls *tls);
