/*
 * ws_handshake: the opening handshake (RFC 6455, section 4.2; RFC 7692, section 7.1). Pages of
 * other origins are refused here, as browsers let any page open a socket to anywhere and send the
 * user's cookies along.
 */
#include <openssl/evp.h>
#include <strings.h>

#include "net/ws_internal.h"

static enum err refuse(struct http_fault *fault, enum err err, int status, const char *code,
                       const char *message)
{
    *fault = (struct http_fault){status, code, message};
    return err;
}

/* 16 bytes in base64. */
static bool is_key(struct str key)
{
    if (key.n != 24 || key.p[22] != '=' || key.p[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '+' || c == '/'))
            return false;
    }
    return true;
}

static bool is_same_origin(struct str origin, const struct http_request *req)
{
    struct str host = origin;
    if (str_starts(host, STR("https://")))
        host = str_sub(host, 8, SIZE_MAX);
    else if (str_starts(host, STR("http://")))
        host = str_sub(host, 7, SIZE_MAX);
    else
        return false;
    return str_eq_nocase(host, req->host);
}

static bool may_connect(const struct http_request *req, const struct ws_options *opt)
{
    struct str origin = http_request_header(req, "Origin");
    if (!origin.p)
        return true; /* not a browser */
    return opt->is_origin_allowed ? opt->is_origin_allowed(opt->origin_arg, origin, req)
                                  : is_same_origin(origin, req);
}

/* Calls for each comma-separated item of each header of that name, until fn says true. */
typedef bool item_fn(void *arg, struct str item);

static bool find_item(const struct http_request *req, const char *name, item_fn *fn, void *arg)
{
    for (size_t i = 0; i < req->header_count; i++) {
        if (!str_eq_nocase(req->headers[i].name, str_from(name)))
            continue;
        struct str rest = req->headers[i].value;
        struct str item;
        bool is_more = true;
        while (is_more) {
            is_more = str_cut(&rest, ',', &item);
            if (fn(arg, str_trim(item)))
                return true;
        }
    }
    return false;
}

static bool is_item(void *arg, struct str item)
{
    return str_eq(item, str_from(arg));
}

static bool parse_window_bits(struct str value, uint64_t *bits)
{
    return value.n > 0 && value.n <= 2 && value.p[0] != '0' && str_to_u64(value, bits) &&
           *bits >= 8 && *bits <= 15;
}

/* A server_max_window_bits of 8 is declined, as zlib cannot keep to it: then the client's next
 * offer counts, or the socket works uncompressed. */
static bool parameter_accept(struct str parameter, unsigned *seen, struct ws_agreement *out)
{
    enum { SERVER_NO = 1, CLIENT_NO = 2, SERVER_BITS = 4, CLIENT_BITS = 8 };
    struct str name;
    struct str value = parameter;
    bool has_value = str_cut(&value, '=', &name);
    name = str_trim(name);
    value = str_trim(value);
    if (has_value && value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
        value = str_sub(value, 1, value.n - 2);
    unsigned bit = str_eq(name, STR("server_no_context_takeover"))   ? SERVER_NO
                   : str_eq(name, STR("client_no_context_takeover")) ? CLIENT_NO
                   : str_eq(name, STR("server_max_window_bits"))     ? SERVER_BITS
                   : str_eq(name, STR("client_max_window_bits"))     ? CLIENT_BITS
                                                                     : 0;
    if (!bit || (*seen & bit))
        return false;
    *seen |= bit;
    uint64_t bits = 0;
    switch (bit) {
    case SERVER_BITS:
        if (!has_value || !parse_window_bits(value, &bits) || bits < WS_WINDOW_BITS_MIN)
            return false;
        out->is_window_bits_asked = true;
        out->window_bits = (uint8_t)bits;
        return true;
    case CLIENT_BITS: /* a hint what it could do; we inflate any window */
        return !has_value || parse_window_bits(value, &bits);
    default:
        return !has_value;
    }
}

static bool offer_accept(void *arg, struct str offer)
{
    struct ws_agreement *out = arg;
    struct str part;
    unsigned seen = 0;
    bool is_more = str_cut(&offer, ';', &part);
    out->is_window_bits_asked = false;
    out->window_bits = WS_WINDOW_BITS_MAX;
    if (!str_eq(str_trim(part), STR("permessage-deflate")))
        return false;
    while (is_more) {
        is_more = str_cut(&offer, ';', &part);
        if (!parameter_accept(str_trim(part), &seen, out))
            return false;
    }
    return true;
}

static bool find_offer(const struct http_request *req, struct ws_agreement *out)
{
    bool is_found = find_item(req, "Sec-WebSocket-Extensions", offer_accept, out);
    if (!is_found)
        out->window_bits = 0;
    return is_found;
}

bool ws_deflate_negotiate(struct str offers, struct ws_agreement *out)
{
    const struct http_header header = {STR("Sec-WebSocket-Extensions"), offers};
    const struct http_request req = {.headers = &header, .header_count = 1};
    return find_offer(&req, out);
}

static void make_accept(struct str key, char out[32])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char both[24 + sizeof(guid) - 1];
    unsigned char digest[20];
    memcpy(both, key.p, 24);
    memcpy(both + 24, guid, sizeof(guid) - 1);
    EVP_Digest(both, sizeof(both), digest, NULL, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

enum err ws_handshake_check(const struct http_request *req, const struct ws_options *opt,
                            struct ws_agreement *out, struct http_fault *fault)
{
    *out = (struct ws_agreement){0};
    struct str key = http_request_header(req, "Sec-WebSocket-Key");
    struct str version = http_request_header(req, "Sec-WebSocket-Version");
    if (!req->is_upgrade)
        return refuse(fault, ERR_FAILED_PRECONDITION, 426, "upgrade_required",
                      "this is a WebSocket");
    if (req->method != HTTP_METHOD_GET || req->body.n > 0)
        return refuse(fault, ERR_INVALID_ARGUMENT, 400, "bad_request",
                      "a WebSocket starts with GET and no body");
    if (!str_eq(version, STR("13")))
        return refuse(fault, ERR_FAILED_PRECONDITION, 426, "upgrade_required",
                      "the only WebSocket version known here is 13");
    if (!is_key(key))
        return refuse(fault, ERR_INVALID_ARGUMENT, 400, "bad_request",
                      "malformed Sec-WebSocket-Key");
    if (!may_connect(req, opt))
        return refuse(fault, ERR_PERMISSION_DENIED, 403, "origin_not_allowed",
                      "pages of this origin may not connect");
    for (const char *const *name = opt->subprotocols; name && *name; name++) {
        if (find_item(req, "Sec-WebSocket-Protocol", is_item, (void *)*name)) {
            out->subprotocol = *name;
            break;
        }
    }
    if (!(opt->flags & WS_ACCEPT_NO_DEFLATE))
        (void)find_offer(req, out);
    make_accept(key, out->accept);
    return ERR_OK;
}

void ws_handshake_write(struct strbuf *out, const struct ws_agreement *agreement,
                        const char *request_id)
{
    strbuf_printf(out,
                  "HTTP/1.1 101 Switching Protocols\r\n"
                  "Upgrade: websocket\r\n"
                  "Connection: Upgrade\r\n"
                  "Sec-WebSocket-Accept: %s\r\n"
                  "X-Request-Id: %s\r\n",
                  agreement->accept, request_id);
    if (agreement->subprotocol)
        strbuf_printf(out, "Sec-WebSocket-Protocol: %s\r\n", agreement->subprotocol);
    if (agreement->window_bits)
        strbuf_adds(out, "Sec-WebSocket-Extensions: permessage-deflate; "
                         "server_no_context_takeover; client_no_context_takeover");
    if (agreement->window_bits && agreement->is_window_bits_asked)
        strbuf_printf(out, "; server_max_window_bits=%u", agreement->window_bits);
    if (agreement->window_bits)
        strbuf_adds(out, "\r\n");
    strbuf_adds(out, "\r\n");
}
