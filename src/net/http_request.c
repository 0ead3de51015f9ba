/*
 * http_request: exchanges come from a small stock per shard, so that a busy connection allocates
 * nothing per request; a head is copied into its exchange once, and every text of the request stays
 * valid until the answer. Below: what handlers ask of a request.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/id.h"
#include "core/mem.h"
#include "net/http_internal.h"

#define SPARES_MAX 8
#define SPARE_HEAD_BYTES 4096

struct http_shard *http_shard_create(struct shard *shard)
{
    struct http_shard *http = mem_new(struct http_shard);
    uint8_t random[8];
    http->shard = shard;
    http->date_second = -1;
    http->fixed_headers_n = strlen(shard->server->http.fixed_headers);
    id_random(random, sizeof(random));
    str_hex(http->id_prefix, random, sizeof(random));
    return http;
}

static void exchange_free(struct http_exchange *ex)
{
    strbuf_deinit(&ex->head);
    strbuf_deinit(&ex->body);
    free(ex);
}

void http_shard_destroy(struct http_shard **http)
{
    struct http_shard *h = *http;
    while (h->spares) {
        struct http_exchange *ex = h->spares;
        h->spares = ex->next_spare;
        exchange_free(ex);
    }
    strbuf_deinit(&h->out);
    free(h);
    *http = NULL;
}

/* Ours: 64 random bits per shard and a counter. Unique, cheap, not a secret. */
static void make_id(struct http_shard *http, char out[65])
{
    static const char digits[] = "0123456789abcdef";
    memcpy(out, http->id_prefix, 16);
    char *at = out + 16;
    *at++ = '-';
    uint64_t id = ++http->last_id;
    int shift = 60;
    while (shift > 0 && !(id >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *at++ = digits[id >> shift & 15];
    *at = '\0';
}

struct http_exchange *http_exchange_create(struct conn *conn)
{
    struct http_shard *http = conn->shard->http;
    struct http_exchange *ex = http->spares;
    if (ex) {
        http->spares = ex->next_spare;
        http->spare_count--;
    } else {
        ex = mem_new(struct http_exchange);
    }
    ex->req = (struct http_request){
        .path = STR(""),
        .query = STR(""),
        .host = STR(""),
        .body = STR(""),
        .id = ex->id,
        .is_tls = conn->stream.ssl != NULL,
        .is_local = conn->address.family == AF_UNIX,
        .loop = conn->shard->loop,
        .body_max_bytes = conn->shard->server->http.body_max_bytes,
    };
    ex->conn = conn;
    ex->phase = HTTP_READING_BODY;
    ex->is_keeping_alive = false;
    ex->parsed.is_http10 = false;
    ex->remote[0] = '\0';
    make_id(http, ex->id);
    conn->exchange = ex;
    return ex;
}

bool http_exchange_parse(struct http_exchange *ex, const uint8_t *head, size_t n,
                         struct http_fault *fault)
{
    struct http_head *parsed = &ex->parsed;
    strbuf_add(&ex->head, head, n);
    bool is_good = http_head_parse(strbuf_str(&ex->head), parsed, fault);
    if (parsed->request_id.p) {
        memcpy(ex->id, parsed->request_id.p, parsed->request_id.n);
        ex->id[parsed->request_id.n] = '\0';
    }
    if (!is_good)
        return false;
    struct http_request *req = &ex->req;
    req->method = parsed->method;
    req->path = parsed->path;
    if (parsed->query.p)
        req->query = parsed->query;
    req->host = parsed->host;
    req->headers = parsed->headers;
    req->header_count = parsed->header_count;
    req->is_upgrade = parsed->is_upgrade;
    ex->is_keeping_alive = !parsed->wants_close && (!parsed->is_http10 || parsed->wants_keep_alive);
    return true;
}

void http_exchange_recycle(struct http_exchange *ex)
{
    struct conn *conn = ex->conn;
    struct http_shard *http = conn->shard->http;
    conn->exchange = NULL;
    conn->generation = 0;
    ex->conn = NULL;
    strbuf_deinit(&ex->body);
    if (http->spare_count == SPARES_MAX || ex->head.capacity > SPARE_HEAD_BYTES) {
        exchange_free(ex);
        return;
    }
    strbuf_clear(&ex->head);
    ex->next_spare = http->spares;
    http->spares = ex;
    http->spare_count++;
}

struct str http_request_header(const struct http_request *req, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < req->header_count; i++) {
        const struct http_header *h = &req->headers[i];
        if (h->name.n == n && strncasecmp(h->name.p, name, n) == 0)
            return h->value;
    }
    return STR_NULL;
}

const struct net_address *http_request_address(const struct http_request *req)
{
    return &http_exchange_of(req)->conn->address;
}

const char *http_request_remote(struct http_request *req)
{
    struct http_exchange *ex = http_exchange_of(req);
    if (!ex->remote[0])
        net_address_ip_text(&ex->conn->address, ex->remote);
    return ex->remote;
}

bool http_request_peer_uid(const struct http_request *req, uid_t *uid)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);
    if (!req->is_local ||
        getsockopt(http_exchange_of(req)->conn->stream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
        return false;
    *uid = peer.uid;
    return true;
}

struct net_ticket http_request_ticket(const struct http_request *req)
{
    return conn_ticket(http_exchange_of(req)->conn);
}

struct http_request *http_ticket_find(struct net_ticket ticket)
{
    struct conn *conn = shard_ticket_conn(ticket);
    return conn && conn->exchange && !conn->stream.is_closing ? &conn->exchange->req : NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool http_percent_decode(struct str raw, enum http_decode_kind kind, struct strbuf *out)
{
    size_t start = out->n;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%') {
            int high = raw.n - i > 2 ? hex_digit(raw.p[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(raw.p[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && kind == HTTP_DECODE_QUERY) {
            c = ' ';
        }
        strbuf_addc(out, c);
    }
    return str_is_utf8(str_sub(strbuf_str(out), start, SIZE_MAX));
}
