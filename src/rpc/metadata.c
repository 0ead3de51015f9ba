/*
 * metadata: request id, trace, identity and client of a call as headers of gRPC. What people typed
 * (names, user agents) is percent-encoded; what does not look like its kind is left out.
 */
#include "rpc/metadata.h"

#include <stdio.h>

#include "grpc/h2_wire.h"
#include "rpc/rpc_internal.h"

static const char *const roles[] = {
    [ROLE_NONE] = "none", [ROLE_GUEST] = "guest", [ROLE_USER] = "user", [ROLE_ADMIN] = "admin"};

#define TEXT_MAX_BYTES 1024
/*
 * Between us the secret has a header of its own, because HTTP/2 libraries write `authorization` out
 * in full each time; this one is a number for as long as the connection's table holds it, which
 * what each call says anew (its id, its trace) pushes on. Compression gives away short or guessable
 * values only (RFC 7541, 7.1): this is long and random. Programs of others say `authorization:
 * Bearer`.
 */
#define SECRET_HEADER "parlance-secret"

/* ---- identity ---- */

static char *encoded(const char *text, struct arena *arena)
{
    struct strbuf out = {0};
    h2_percent_write(&out, str_sub(str_from(text), 0, TEXT_MAX_BYTES));
    char *copy = str_arena(arena, strbuf_str(&out));
    strbuf_deinit(&out);
    return copy;
}

char *rpc_identity_write(const struct identity *who, struct arena *arena)
{
    return arena_printf(arena, "%s;%s;%s;%s;%d;%lld;%s", roles[who->role], who->user_id,
                        who->session_id, who->meeting_id, who->is_bot,
                        (long long)who->expires_at_ms, encoded(who->name, arena));
}

static bool read_role(struct str text, enum identity_role *role)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        *role = (enum identity_role)i;
        if (str_eq(text, str_from(roles[i])))
            return true;
    }
    return false;
}

static bool read_id(struct str text, char *out, size_t size)
{
    if (text.n >= size || !str_is_utf8(text))
        return false;
    snprintf(out, size, "%.*s", STR_FMT(text));
    return true;
}

bool rpc_identity_read(struct str text, struct identity *who)
{
    struct str parts[6];
    *who = (struct identity){0};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!str_cut(&text, ';', &parts[i]))
            return false;
    h2_percent_parse(text, who->name, sizeof(who->name));
    who->is_bot = str_eq(parts[4], STR("1"));
    return read_role(parts[0], &who->role) &&
           read_id(parts[1], who->user_id, sizeof(who->user_id)) &&
           read_id(parts[2], who->session_id, sizeof(who->session_id)) &&
           read_id(parts[3], who->meeting_id, sizeof(who->meeting_id)) &&
           (who->is_bot || str_eq(parts[4], STR("0"))) && str_to_i64(parts[5], &who->expires_at_ms);
}

/* ---- calls ---- */

/* Printable and without spaces: may stand in a header as it is. */
static bool is_plain(const char *text)
{
    size_t n = 0;
    for (; text[n]; n++)
        if (text[n] <= ' ' || text[n] > '~' || n >= TEXT_MAX_BYTES)
            return false;
    return n > 0;
}

size_t rpc_metadata_write(const struct rpc_call *call, const char *secret, struct arena *arena,
                          struct h2_pair out[RPC_METADATA_MAX_PAIRS])
{
    size_t n = 0;
    if (secret)
        out[n++] = (struct h2_pair){SECRET_HEADER, secret};
    if (call->request_id && is_plain(call->request_id))
        out[n++] = (struct h2_pair){"x-request-id", call->request_id};
    const char *traceparent = rpc_span_traceparent(rpc_state((struct rpc_call *)(uintptr_t)call));
    if (traceparent && is_plain(traceparent))
        out[n++] = (struct h2_pair){"traceparent", traceparent};
    if (call->who)
        out[n++] = (struct h2_pair){"parlance-identity", rpc_identity_write(call->who, arena)};
    if (call->remote_addr)
        out[n++] = (struct h2_pair){"parlance-remote-addr", encoded(call->remote_addr, arena)};
    if (call->user_agent)
        out[n++] = (struct h2_pair){"parlance-user-agent", encoded(call->user_agent, arena)};
    return n;
}

static char *decoded(struct arena *arena, const char *text)
{
    char out[TEXT_MAX_BYTES];
    h2_percent_parse(str_from(text), out, sizeof(out));
    return arena_strdup(arena, out);
}

enum err rpc_metadata_read(const struct h2_stream *stream, struct rpc_call *call)
{
    const char *who = h2_stream_header(stream, "parlance-identity");
    call->request_id = arena_strdup(call->arena, h2_stream_header(stream, "x-request-id"));
    call->traceparent = arena_strdup(call->arena, h2_stream_header(stream, "traceparent"));
    const char *addr = h2_stream_header(stream, "parlance-remote-addr");
    const char *agent = h2_stream_header(stream, "parlance-user-agent");
    call->remote_addr = addr ? decoded(call->arena, addr) : NULL;
    call->user_agent = agent ? decoded(call->arena, agent) : NULL;
    call->timeout_ms = h2_stream_timeout_ms(stream);
    if (!who)
        return ERR_OK;
    struct identity *identity = arena_new(call->arena, struct identity);
    call->who = identity;
    return rpc_identity_read(str_from(who), identity) ? ERR_OK : ERR_INVALID_ARGUMENT;
}

bool rpc_metadata_has_secret(const struct h2_stream *stream, const char *secret)
{
    struct str shown = str_from(h2_stream_header(stream, SECRET_HEADER));
    if (!shown.n) {
        struct str bearer = str_from(h2_stream_header(stream, "authorization"));
        shown = str_starts(bearer, STR("Bearer ")) ? str_sub(bearer, 7, bearer.n) : shown;
    }
    return secret && secret[0] && str_eq_secret(shown, str_from(secret));
}
