/* bus_rabbit_conn: to the broker and away from it: addresses, TCP or TLS, signing in, channels. */
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "bus/bus_internal.h"
#include "bus/bus_rabbit_internal.h"
#include "core/map.h"
#include "core/mem.h"

#define CONNECT_S 5
#define HEARTBEAT_S 4 /* a broker that is silent for twice that is gone */
#define FRAME_MAX_BYTES 131072
#define CHANNELS_MAX 8
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

/* ---- the address ---- */

/* "amqps://user:password@one:5671,two/vhost?cacertfile=/etc/ca.pem": one of the hosts. */
bool rabbit_pick(const char *url, unsigned turn, char **plain, char **ca_file)
{
    static const char ca_word[] = "?cacertfile=";
    *plain = *ca_file = NULL;
    bool is_tls = strncmp(url, "amqps://", 8) == 0;
    if (!is_tls && strncmp(url, "amqp://", 7) != 0)
        return false;
    const char *begin = url + (is_tls ? 8 : 7);
    const char *query = strchr(begin, '?');
    size_t end = query ? (size_t)(query - begin) : strlen(begin);
    struct str rest = {begin, end}, path = STR_NULL;
    const char *at = memrchr(begin, '@', end);
    struct str hosts = at ? str_sub(rest, (size_t)(at - begin) + 1, end) : rest;
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
    *plain = mem_strdup(text.p ? text.p : "");
    strbuf_deinit(&text);
    if (query && strncmp(query, ca_word, sizeof(ca_word) - 1) == 0)
        *ca_file = mem_strdup(query + sizeof(ca_word) - 1);
    char *trial = mem_strdup(*plain);
    struct amqp_connection_info info;
    bool is_sound = host.n > 0 && (!query || *ca_file) && amqp_parse_url(trial, &info) == 0;
    free(trial);
    return is_sound;
}

/* ---- failing ---- */

bool rabbit_fail(struct bus_impl *b, const char *what, int status)
{
    if (!b->why[0])
        snprintf(b->why, sizeof(b->why), "%s: %s", what, amqp_error_string2(status));
    return false;
}

bool rabbit_check(struct bus_impl *b, const char *what)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(b->conn);
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

/* ---- up ---- */

static amqp_socket_t *open_socket(struct bus_impl *b, bool is_tls, const char *ca_file)
{
    if (!is_tls)
        return amqp_tcp_socket_new(b->conn);
    amqp_socket_t *socket = amqp_ssl_socket_new(b->conn);
    int status = amqp_ssl_socket_set_cacert(socket, ca_file ? ca_file : SYSTEM_CA);
    if (status != AMQP_STATUS_OK) {
        (void)rabbit_fail(b, "the file of CA certificates", status);
        return NULL;
    }
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    return socket;
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
        return rabbit_fail(b, "signing in", reply.library_error);
    return reply.reply_type == AMQP_RESPONSE_NORMAL || rabbit_check(b, "signing in");
}

static bool open_link(struct bus_impl *b, struct amqp_connection_info *info, const char *ca_file)
{
    struct timeval timeout = {.tv_sec = CONNECT_S};
    b->conn = amqp_new_connection();
    amqp_set_handshake_timeout(b->conn, &timeout);
    amqp_set_rpc_timeout(b->conn, &timeout);
    amqp_socket_t *socket = open_socket(b, info->ssl, ca_file);
    if (!socket)
        return rabbit_fail(b, "making a socket", AMQP_STATUS_NO_MEMORY);
    int status = amqp_socket_open_noblock(socket, info->host, info->port, &timeout);
    if (status != AMQP_STATUS_OK)
        return rabbit_fail(b, "connecting", status);
    int on = 1, patience_ms = 10000;
    setsockopt(amqp_get_sockfd(b->conn), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(amqp_get_sockfd(b->conn), IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms,
               sizeof(patience_ms));
    return sign_in(b, info) && rabbit_declare_base(b);
}

bool rabbit_connect(struct bus_impl *b)
{
    char *plain, *ca_file;
    struct amqp_connection_info info;
    b->generation = (b->generation + 1) & 0xffff;
    b->published = b->confirmed = 0;
    b->unconfirmed_bytes = 0;
    bool is_up = rabbit_pick(b->url, b->attempt++, &plain, &ca_file) &&
                 amqp_parse_url(plain, &info) == AMQP_STATUS_OK && open_link(b, &info, ca_file);
    free(plain);
    free(ca_file);
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
