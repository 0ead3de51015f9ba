/*
 * Cookies of browsers: the refresh token, HttpOnly and only for /api/v1/auth, and beside it the
 * CSRF token, readable by our own page, which sends it back as X-CSRF-Token. Whether they belong
 * together is auth's judgement.
 */
#include "edge/edge_internal.h"

#include "auth.pb-c.h"

#define REFRESH_COOKIE "parlance_refresh"
#define CSRF_COOKIE "parlance_csrf"

static struct str find_cookie(const struct http_request *req, const char *name)
{
    struct str rest = http_request_header(req, "Cookie");
    struct str pair;
    for (bool is_more = rest.n > 0; is_more;) {
        is_more = str_cut(&rest, ';', &pair);
        struct str key;
        pair = str_trim(pair);
        if (str_cut(&pair, '=', &key) && str_eq(key, str_from(name)))
            return pair;
    }
    return STR_NULL;
}

void edge_cookie_set(struct edge_headers *h, const ProtobufCMessage *login_reply, bool is_tls,
                     struct arena *arena)
{
    if (login_reply->descriptor != &auth__login_reply__descriptor)
        return;
    const Auth__LoginReply *r = (const Auth__LoginReply *)login_reply;
    const char *secure = is_tls ? "; Secure" : "";
    long long age_s = r->refresh_expires_in_s;
    edge_headers_add(
        h, "Set-Cookie",
        str_from(arena_printf(arena,
                              REFRESH_COOKIE "=%s; Path=/api/v1/auth; Max-Age=%lld; HttpOnly; "
                                             "SameSite=Strict%s",
                              r->refresh_token, age_s, secure)));
    edge_headers_add(
        h, "Set-Cookie",
        str_from(arena_printf(arena, CSRF_COOKIE "=%s; Path=/; Max-Age=%lld; SameSite=Strict%s",
                              r->csrf_token, age_s, secure)));
}

void edge_cookie_clear(struct edge_headers *h, bool is_tls UNUSED)
{
    edge_headers_add(
        h, "Set-Cookie",
        STR(REFRESH_COOKIE "=; Path=/api/v1/auth; Max-Age=0; HttpOnly; SameSite=Strict"));
    edge_headers_add(h, "Set-Cookie", STR(CSRF_COOKIE "=; Path=/; Max-Age=0; SameSite=Strict"));
}

static char **text_field(ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *f = rpc_field_find(message->descriptor, str_from(name));
    return f && f->type == PROTOBUF_C_TYPE_STRING ? (char **)((char *)message + f->offset) : NULL;
}

void edge_cookie_use(const struct http_request *req, ProtobufCMessage *message, struct arena *arena)
{
    char **token = text_field(message, "refresh_token");
    if (!token)
        token = text_field(message, "token");
    struct str cookie = find_cookie(req, REFRESH_COOKIE);
    if (!token || (*token && (*token)[0]) || !cookie.n)
        return;
    *token = str_arena(arena, cookie);
    struct strbuf problem = {0};
    struct str csrf = http_request_header(req, "X-CSRF-Token");
    /* Contracts without these fields only read (GetCsrfToken). */
    (void)rpc_field_set(message, STR("is_cookie"), STR("true"), arena, &problem);
    (void)rpc_field_set(message, STR("csrf_token"), csrf, arena, &problem);
    strbuf_deinit(&problem);
}
