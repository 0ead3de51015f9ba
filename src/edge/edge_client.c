/*
 * edge_client: who is at the other end. Behind a reverse proxy that the operator named, the client
 * is whom the proxy saw: the last address of X-Forwarded-For that is not itself such a proxy. From
 * anybody else these headers are claims and count for nothing.
 */
#include "edge/edge_internal.h"

static bool is_proxy(const struct edge *e, const struct net_address *a)
{
    for (size_t i = 0; i < e->proxy_count; i++) {
        if (guard_range_has(&e->proxies[i], a))
            return true;
    }
    return false;
}

/* Walks X-Forwarded-For from its end, where our own proxies wrote. */
static bool forwarded_for(const struct edge *e, struct str list, struct net_address *out)
{
    bool is_found = false;
    while (list.n) {
        size_t from = list.n;
        while (from && list.p[from - 1] != ',')
            from--;
        struct str last = str_trim(str_sub(list, from, list.n - from));
        if (!net_address_parse(last, out))
            return is_found;
        is_found = true;
        if (!is_proxy(e, out))
            return true;
        list.n = from ? from - 1 : 0;
    }
    return is_found;
}

struct edge_client edge_client_of(const struct edge *e, const struct http_request *req)
{
    struct edge_client c = {.address = *http_request_address(req), .is_tls = req->is_tls};
    c.is_forwarded =
        http_request_header(req, "X-Forwarded-For").p || http_request_header(req, "Forwarded").p;
    if (!e->proxy_count || !(req->is_local || is_proxy(e, &c.address)))
        return c;
    struct net_address seen;
    if (forwarded_for(e, http_request_header(req, "X-Forwarded-For"), &seen)) {
        c.address = seen;
        c.is_forwarded = false;
    }
    struct str scheme = http_request_header(req, "X-Forwarded-Proto");
    if (scheme.n)
        c.is_tls = str_eq_nocase(scheme, STR("https"));
    return c;
}
