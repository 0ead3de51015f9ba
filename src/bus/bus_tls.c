/*
 * bus_tls: see the header. The files are tried when a bus is opened, so that a wrong name ends the
 * start and not the first link.
 */
#include "bus/bus_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

/* ---- the address ---- */

char *bus_decoded(struct str text)
{
    struct strbuf out = {0};
    strbuf_adds(&out, "");
    for (size_t i = 0; i < text.n; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        if (byte == '%') {
            if (!str_unhex(str_sub(text, i + 1, 2), &byte, 1) || !byte) {
                strbuf_deinit(&out);
                return NULL;
            }
            i += 2;
        }
        strbuf_addc(&out, (char)byte);
    }
    return out.p;
}

bool bus_options_read(struct str query, bus_option_fn *take, void *arg)
{
    bool has_more = query.n > 0, is_good = true;
    while (has_more && is_good) {
        struct str one, name;
        has_more = str_cut(&query, '&', &one);
        is_good = str_cut(&one, '=', &name) && take(arg, name, one);
    }
    return is_good;
}

bool bus_tls_take(struct bus_tls *tls, struct str name, struct str value)
{
    char **to = str_eq(name, STR("ca"))     ? &tls->ca
                : str_eq(name, STR("cert")) ? &tls->cert
                : str_eq(name, STR("key"))  ? &tls->key
                                            : NULL;
    if (!to || *to || !value.n)
        return false;
    *to = bus_decoded(value);
    return *to != NULL;
}

bool bus_tls_is_whole(const struct bus_tls *tls, bool is_tls)
{
    return !tls->cert == !tls->key && (is_tls || (!tls->ca && !tls->cert));
}

void bus_tls_deinit(struct bus_tls *tls)
{
    free(tls->ca);
    free(tls->cert);
    free(tls->key);
    *tls = (struct bus_tls){0};
}

/* ---- the files ---- */

static bool complain(struct strbuf *problem, const char *path, const char *what)
{
    char reason[160];
    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
    strbuf_printf(problem, "%s: %s (%s)", path, what, reason);
    ERR_clear_error();
    return false;
}

/* Nobody is asked at the terminal for what opens a key. */
static int on_passphrase(char *out UNUSED, int size UNUSED, int is_writing UNUSED, void *arg UNUSED)
{
    return -1;
}

bool bus_tls_load(const struct bus_tls *tls, SSL_CTX *ctx, struct strbuf *problem)
{
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(ctx, on_passphrase);
    if (tls->ca ? SSL_CTX_load_verify_file(ctx, tls->ca) != 1
                : SSL_CTX_set_default_verify_paths(ctx) != 1)
        return complain(problem, tls->ca ? tls->ca : "the system's authorities",
                        "no usable certificate of an authority");
    if (!tls->cert)
        return true;
    if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1)
        return complain(problem, tls->cert, "no usable certificate chain");
    if (SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) != 1)
        return complain(problem, tls->key, "no usable private key for the certificate");
    return true;
}

bool bus_tls_check(const struct bus_tls *tls, struct strbuf *problem)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    bool is_good = ctx ? bus_tls_load(tls, ctx, problem) : complain(problem, "TLS", "no memory");
    SSL_CTX_free(ctx);
    return is_good;
}
