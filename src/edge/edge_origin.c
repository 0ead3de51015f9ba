/* Which pages may talk to us: our own, and those that the operator named. */
#include "edge/edge_internal.h"

static bool is_own(const struct edge *e, struct str origin, const struct http_request *req)
{
    struct str scheme = edge_client_of(e, req).is_tls ? STR("https://") : STR("http://");
    return str_starts(origin, scheme) &&
           str_eq_nocase(str_sub(origin, scheme.n, origin.n), req->host);
}

bool edge_origin_is_allowed(void *edge, struct str origin, const struct http_request *req)
{
    const struct edge *e = edge;
    if (e->is_any_origin_allowed || is_own(e, origin, req))
        return true;
    for (size_t i = 0; i < e->opt.allowed_origin_count; i++) {
        if (str_eq_nocase(str_from(e->origins[i]), origin))
            return true;
    }
    return false;
}
