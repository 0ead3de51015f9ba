/* bus_rabbit_conn: to the broker and away from it: addresses, TCP or TLS, signing in, channels. */
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "bus/bus_internal.h"
#include "bus/bus_rabbit_internal.h"
#include "core/map.h"
#include "core/mem.h"
#include "net/tls.h"

#define CONNECT_S 5
#define HEARTBEAT_S 4 /* a broker that is silent for twice that is gone */
#define FRAME_MAX_BYTES 131072
#define CHANNELS_MAX 8

/* ---- the address ---- */

/* Also as RabbitMQ's own clients call them. */
static bool take_option(void *arg, struct str name, struct str value)
{
    struct str ours = str_eq(name, STR("cacertfile")) ? STR("ca")
                      : str_eq(name, STR("certfile")) ? STR("cert")
                      : str_eq(name, STR("keyfile"))  ? STR("key")
                                                      : name;
    return bus_tls_take(arg, ours, value);
}

/* "amqps://user:password@one:5671,two/vhost?ca=/etc/ca.pem": one of the hosts. */
bool rabbit_pick(const char *url, unsigned turn, struct rabbit_address *out)
{
    *out = (struct rabbit_address){.is_tls = strncmp(url, "amqps://", 8) == 0};
    if (!out->is_tls && strncmp(url, "amqp://", 7) != 0)
        return false;
    const char *begin = url + (out->is_tls ? 8 : 7);
    struct str query = str_from(begin), rest, path = STR_NULL;
    (void)str_cut(&query, '?', &rest);
    const char *at = memrchr(begin, '@', rest.n);
    struct str hosts = at ? str_sub(rest, (size_t)(at - begin) + 1, rest.n) : rest;
    const char *slash = memchr(hosts.p, '/', hosts.n);
    if (slash) {
        path = str_sub(hosts, (size_t)(slash - hosts.p), hosts.n);
        hosts = str_sub(hosts, 0, (size_t)(slash - hosts.p));
    }
    struct str host = hosts, left = hosts;
    unsigned count = 1;
    for (size_t i = 0; i < hosts.n; i++)
        count += hosts.p[i] == ',';
    for (unsigned i = 0; i <= turn % count; i++)
        (void)str_cut(&left, ',', &host);
    struct strbuf text = {0};
    strbuf_add(&text, url, (size_t)(hosts.p - url));
    strbuf_add(&text, host.p, host.n);
    if (path.n > 1) /* without one the vhost is "/" */
        strbuf_add(&text, path.p, path.n);
    out->plain = mem_strdup(text.p ? text.p : "");
    strbuf_deinit(&text);
    char *trial = mem_strdup(out->plain);
    struct amqp_connection_info info;
    bool is_sound = host.n > 0 && amqp_parse_url(trial, &info) == 0 &&
                    bus_options_read(query, take_option, &out->tls) &&
                    bus_tls_is_whole(&out->tls, out->is_tls);
    free(trial);
    return is_sound;
}

void rabbit_address_deinit(struct rabbit_address *address)
{
    free(address->plain);
    bus_tls_deinit(&address->tls);
    *address = (struct rabbit_address){0};
}

/* ---- failing ---- */

bool rabbit_fail(struct bus_impl *b, const char *what, int status)
{
    if (!b->why[0])
        snprintf(b->why, sizeof(b->why), "%s: %s", what, amqp_error_string2(status));
    return false;
}

static bool check_reply(struct bus_impl *b, const char *what, amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return true;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        return rabbit_fail(b, what, reply.library_error);
    struct str text = STR("refused");
    if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = reply.reply.decoded;
        text = (struct str){m->reply_text.bytes, m->reply_text.len};
    } else if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = reply.reply.decoded;
        text = (struct str){m->reply_text.bytes, m->reply_text.len};
    }
    if (!b->why[0])
        snprintf(b->why, sizeof(b->why), "%s: %.*s", what, (int)MIN(text.n, (size_t)300), text.p);
    return false;
}

bool rabbit_check(struct bus_impl *b, const char *what)
{
    return check_reply(b, what, amqp_get_rpc_reply(b->conn));
}

/* ---- up ---- */

/* Notes why the broker's certificate is refused. */
static int on_certificate(int is_good, X509_STORE_CTX *store)
{
    if (!is_good) {
        SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
        struct bus_impl *b = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
        net_tls_explain(X509_STORE_CTX_get_error(store), b->why, sizeof(b->why));
    }
    return is_good;
}

/* The library compares names alone, no addresses, and does not say what was wrong: its context is
 * told to do both. */
static amqp_socket_t *open_tls(struct bus_impl *b, const struct rabbit_address *address,
                               const char *host)
{
    amqp_socket_t *socket = amqp_ssl_socket_new(b->conn);
    SSL_CTX *ctx = socket ? amqp_ssl_socket_get_context(socket) : NULL;
    struct strbuf problem = {0};
    if (!ctx)
        return NULL;
    if (!bus_tls_load(&address->tls, ctx, &problem)) {
        snprintf(b->why, sizeof(b->why), "%s", problem.p);
        socket = NULL;
    }
    strbuf_deinit(&problem);
    if (!socket)
        return NULL;
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 0);
    amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    SSL_CTX_set_app_data(ctx, b);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_certificate);
    X509_VERIFY_PARAM *wanted = SSL_CTX_get0_param(ctx);
    bool is_named = X509_VERIFY_PARAM_set1_ip_asc(wanted, host) == 1 ||
                    X509_VERIFY_PARAM_set1_host(wanted, host, 0) == 1;
    return is_named ? socket : NULL;
}

/* What TLS says of it, when it was that. A broker that wants a certificate of ours closes after the
 * handshake, and what it says of that may be lost with the connection. */
static bool fail_connecting(struct bus_impl *b, const char *what, int status, bool is_shaken)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    if (!b->why[0] && (reason || is_shaken))
        snprintf(b->why, sizeof(b->why), "%s: %s%s%s: look at ca=, cert= and key= of the address",
                 what, amqp_error_string2(status), reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return rabbit_fail(b, what, status);
}

static bool sign_in(struct bus_impl *b, const struct amqp_connection_info *info)
{
    char name[96];
    snprintf(name, sizeof(name), "parlance %s", b->process);
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes("connection_name")};
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = amqp_cstring_bytes(name);
    amqp_table_t properties = {1, &entry};
    amqp_rpc_reply_t reply =
        amqp_login_with_properties(b->conn, info->vhost, CHANNELS_MAX, FRAME_MAX_BYTES, HEARTBEAT_S,
                                   &properties, AMQP_SASL_METHOD_PLAIN, info->user, info->password);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
        return fail_connecting(b, "signing in", reply.library_error,
                               info->ssl && reply.library_error != AMQP_STATUS_TIMEOUT);
    if (check_reply(b, "signing in", reply))
        return true;
    size_t n = strlen(b->why);
    snprintf(b->why + n, sizeof(b->why) - n, ": look at user, password and /VHOST of the address");
    return false;
}

static bool open_link(struct bus_impl *b, struct amqp_connection_info *info,
                      const struct rabbit_address *address)
{
    struct timeval timeout = {.tv_sec = CONNECT_S};
    b->conn = amqp_new_connection();
    amqp_set_handshake_timeout(b->conn, &timeout);
    amqp_set_rpc_timeout(b->conn, &timeout);
    ERR_clear_error();
    amqp_socket_t *socket =
        info->ssl ? open_tls(b, address, info->host) : amqp_tcp_socket_new(b->conn);
    if (!socket)
        return rabbit_fail(b, "making a socket", AMQP_STATUS_NO_MEMORY);
    int status = amqp_socket_open_noblock(socket, info->host, info->port, &timeout);
    if (status != AMQP_STATUS_OK)
        return fail_connecting(b, "connecting", status, false);
    int on = 1, patience_ms = 10000;
    setsockopt(amqp_get_sockfd(b->conn), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(amqp_get_sockfd(b->conn), IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms,
               sizeof(patience_ms));
    return sign_in(b, info) && rabbit_declare_base(b);
}

/* Of several it was this one. */
static void name_host(struct bus_impl *b, const char *host)
{
    char why[RABBIT_TEXT_MAX];
    snprintf(why, sizeof(why), "%.100s: %.400s", host, b->why);
    memcpy(b->why, why, sizeof(why));
}

bool rabbit_connect(struct bus_impl *b)
{
    struct rabbit_address address;
    struct amqp_connection_info info = {0};
    b->generation = (b->generation + 1) & 0xffff;
    b->published = b->confirmed = 0;
    b->unconfirmed_bytes = 0;
    bool is_up = rabbit_pick(b->url, b->attempt++, &address) &&
                 amqp_parse_url(address.plain, &info) == AMQP_STATUS_OK &&
                 open_link(b, &info, &address);
    if (!is_up)
        name_host(b, info.host ? info.host : "?");
    rabbit_address_deinit(&address);
    return is_up;
}

/* ---- down ---- */

void rabbit_disconnect(struct bus_impl *b)
{
    LIST_FOREACH(&b->consumers, node)
    {
        struct rabbit_consumer *c = LIST_ENTRY(node, struct rabbit_consumer, node);
        list_remove(&c->node);
        free(c->channel);
        free(c->group);
        free(c);
    }
    map_destroy(&b->exchanges);
    b->exchanges = map_create();
    b->own_queue[0] = '\0';
    if (b->conn && !b->why[0]) /* we go in peace */
        (void)amqp_connection_close(b->conn, AMQP_REPLY_SUCCESS);
    if (b->conn)
        amqp_destroy_connection(b->conn);
    b->conn = NULL;
}
