/*
 * bus_tls: what the drivers share whose libraries speak TLS themselves (Kafka, RabbitMQ): the
 * options of an address, and the files that TLS wants.
 */
#pragma once

#include <openssl/types.h>

#include "core/base.h"
#include "core/str.h"

/* PEM files: who signs the broker's certificate (NULL: the system's authorities), and ours. */
struct bus_tls {
    char *ca, *cert, *key;
};
/* Takes the option ca, cert or key, percent-encoded; false: it is none, or was there. */
MUST_USE bool bus_tls_take(struct bus_tls *tls, struct str name, struct str value);
/* Cert and key come together, and nothing at all without TLS. */
MUST_USE bool bus_tls_is_whole(const struct bus_tls *tls, bool is_tls);
/* Whether the files can be used; `problem` says which cannot, and why. */
MUST_USE bool bus_tls_check(const struct bus_tls *tls, struct strbuf *problem);
/* The same, into a context. */
MUST_USE bool bus_tls_load(const struct bus_tls *tls, SSL_CTX *ctx, struct strbuf *problem);
void bus_tls_deinit(struct bus_tls *tls);

/* "name=value&name=value"; false: `take` refused one, or one has no '='. */
typedef bool bus_option_fn(void *arg, struct str name, struct str value);
MUST_USE bool bus_options_read(struct str query, bus_option_fn *take, void *arg);
/* %XX; NULL: a bad one, or a NUL. Freed by the caller. */
char *bus_decoded(struct str text);
