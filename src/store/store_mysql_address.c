/*
 * store_mysql_address: the address of a MySQL or MariaDB server, which its library does not read by
 * itself. User, password and names may be percent-encoded. What is not known is refused: a
 * misspelled ssl-ca must not mean a connection that anybody may read.
 */
#include "store/store_mysql_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"

#define PORT_NORMAL 3306

static int hex_of(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* NULL: a % that is none, or a NUL. */
static char *decode(struct str raw)
{
    char *out = mem_alloc(raw.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%') {
            bool is_whole = raw.n - i > 2;
            int high = is_whole ? hex_of(raw.p[i + 1]) : -1;
            int low = is_whole ? hex_of(raw.p[i + 2]) : -1;
            c = high < 0 || low < 0 ? 0 : (char)(high * 16 + low);
            i += 2;
        }
        if (!c) {
            free(out);
            return NULL;
        }
        out[n++] = c;
    }
    out[n] = 0;
    return out;
}

/* Takes what stands before the character, or all; false: the character is not there. */
static bool cut(struct str *rest, char at, struct str *piece)
{
    const char *p = rest->n ? memchr(rest->p, at, rest->n) : NULL;
    size_t n = p ? (size_t)(p - rest->p) : rest->n;
    *piece = (struct str){rest->p, n};
    *rest = p ? str_sub(*rest, n + 1, rest->n) : STR("");
    return p != NULL;
}

static bool take(char **out, struct str raw)
{
    free(*out);
    *out = decode(raw);
    return *out && **out;
}

static bool read_host(struct mysql_address *a, struct str text)
{
    int64_t port = PORT_NORMAL;
    struct str name = text;
    if (a->host_count == MYSQL_HOSTS_MAX)
        return false;
    if (text.n && text.p[0] == '[') { /* [::1]:3306 */
        text = str_sub(text, 1, text.n);
        if (!cut(&text, ']', &name) || (text.n && text.p[0] != ':'))
            return false;
        text = str_sub(text, 1, text.n);
    } else {
        cut(&text, ':', &name);
    }
    if (text.n && (!str_to_i64(text, &port) || port < 1 || port > 65535))
        return false;
    struct mysql_host *host = &a->hosts[a->host_count];
    if (!take(&host->name, name))
        return false;
    host->port = (unsigned)port;
    a->host_count++;
    return true;
}

static bool read_mode(struct mysql_address *a, struct str mode)
{
    bool is_off = str_eq(mode, STR("disabled")), is_full = str_eq(mode, STR("verify-full"));
    a->has_tls = !is_off;
    a->is_verified = is_full;
    return is_off || is_full || str_eq(mode, STR("required"));
}

static bool read_parameter(struct mysql_address *a, struct str name, struct str value,
                           struct str *mode)
{
    if (str_eq(name, STR("ssl-mode"))) {
        *mode = value;
        return true;
    }
    return str_eq(name, STR("ssl-ca"))     ? take(&a->ssl_ca, value)
           : str_eq(name, STR("ssl-cert")) ? take(&a->ssl_cert, value)
           : str_eq(name, STR("ssl-key"))  ? take(&a->ssl_key, value)
           : str_eq(name, STR("socket"))   ? take(&a->socket, value)
                                           : false;
}

static bool read_parameters(struct mysql_address *a, struct str text)
{
    struct str piece, name, mode = STR("");
    while (text.n) {
        cut(&text, '&', &piece);
        if (!cut(&piece, '=', &name) || !read_parameter(a, name, piece, &mode))
            return false;
    }
    a->has_tls = a->is_verified = a->ssl_ca != NULL;
    return !mode.n || read_mode(a, mode);
}

static bool read_address(struct mysql_address *a, struct str text)
{
    static const char *const schemes[] = {"mysql://", "mariadb://"};
    struct str piece, who, name;
    size_t scheme = 0;
    for (size_t i = 0; i < ARRAY_LEN(schemes) && !scheme; i++)
        scheme = str_starts(text, str_from(schemes[i])) ? strlen(schemes[i]) : 0;
    text = str_sub(text, scheme, text.n);
    if (!scheme || !cut(&text, '@', &who) || !cut(&text, '/', &piece))
        return false;
    cut(&who, ':', &name);
    a->password = decode(who);
    if (!take(&a->user, name) || !a->password)
        return false;
    for (struct str host; piece.n;) {
        cut(&piece, ',', &host);
        if (!read_host(a, host))
            return false;
    }
    cut(&text, '?', &name);
    return take(&a->database, name) && read_parameters(a, text) && (a->host_count || a->socket);
}

enum err store_mysql_address_read(struct mysql_address *address, const char *url)
{
    *address = (struct mysql_address){0};
    if (read_address(address, str_from(url ? url : "")))
        return ERR_OK;
    /* The address is not shown: there is a password in it. */
    log_error(NULL, "store: the address of MySQL cannot be read: expected mysql://user:password@"
                    "host:port/database, perhaps with ?ssl-ca=FILE, ssl-cert, ssl-key, ssl-mode "
                    "(disabled, required, verify-full), socket; in a password %%, /, ?, #, @ and : "
                    "are written as %%25, %%2F and so on");
    store_mysql_address_deinit(address);
    return ERR_INVALID_ARGUMENT;
}

void store_mysql_address_deinit(struct mysql_address *a)
{
    for (unsigned i = 0; i < MYSQL_HOSTS_MAX; i++)
        free(a->hosts[i].name);
    if (a->password)
        explicit_bzero(a->password, strlen(a->password));
    free(a->user);
    free(a->password);
    free(a->database);
    free(a->ssl_ca);
    free(a->ssl_cert);
    free(a->ssl_key);
    free(a->socket);
    *a = (struct mysql_address){0};
}
