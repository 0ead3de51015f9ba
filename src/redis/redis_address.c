/* redis_address: the text that names a server, taken apart and checked. What is between the marks
 * may be percent-encoded (RFC 3986); a password is never repeated in a complaint. */
#include <string.h>

#include "redis/redis_internal.h"

#define DATABASE_MAX 1023

static bool complain(struct strbuf *problem, const char *what)
{
    if (problem)
        strbuf_adds(problem, what);
    return false;
}

static bool decode(struct str text, struct arena *arena, const char **out)
{
    char *at = arena_alloc(arena, text.n + 1);
    *out = at;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        if (byte == '%') {
            if (!str_unhex(str_sub(text, i + 1, 2), &byte, 1))
                return false;
            i += 2;
        }
        if (byte == 0)
            return false;
        *at++ = (char)byte;
    }
    *at = '\0';
    return true;
}

bool redis_host_parse(struct str text, uint16_t port, struct redis_host *out)
{
    struct str name = text, number = STR_NULL;
    if (text.n && text.p[0] == '[') {
        ptrdiff_t end = str_find(text, ']');
        if (end < 0)
            return false;
        name = str_sub(text, 1, (size_t)end - 1);
        number = str_sub(text, (size_t)end + 1, text.n);
        if (number.n && number.p[0] != ':')
            return false;
        number = str_sub(number, 1, number.n);
    } else if (str_find(text, ':') >= 0) {
        number = text;
        (void)str_cut(&number, ':', &name);
    }
    int64_t value = port;
    if (number.n && (!str_to_i64(number, &value) || value < 1 || value > 65535))
        return false;
    if (name.n == 0 || name.n >= REDIS_HOST_SIZE || memchr(name.p, 0, name.n))
        return false;
    memset(out, 0, sizeof(*out));
    memcpy(out->name, name.p, name.n);
    out->port = (uint16_t)value;
    return true;
}

/* ---- the parts ---- */

static bool cut_scheme(struct str *rest, struct redis_address *a)
{
    static const struct {
        struct str prefix;
        enum redis_kind kind;
        bool is_tls;
    } schemes[] = {
        {{"redis://", 8}, REDIS_KIND_PLAIN, false},
        {{"rediss://", 9}, REDIS_KIND_PLAIN, true},
        {{"redis+sentinel://", 17}, REDIS_KIND_SENTINEL, false},
        {{"rediss+sentinel://", 18}, REDIS_KIND_SENTINEL, true},
        {{"redis+cluster://", 16}, REDIS_KIND_CLUSTER, false},
        {{"rediss+cluster://", 17}, REDIS_KIND_CLUSTER, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!str_starts(*rest, schemes[i].prefix))
            continue;
        a->kind = schemes[i].kind;
        a->is_tls = schemes[i].is_tls;
        *rest = str_sub(*rest, schemes[i].prefix.n, rest->n);
        return true;
    }
    return false;
}

static bool parse_identity(struct str text, struct redis_address *a)
{
    struct str user;
    bool has_password = str_cut(&text, ':', &user);
    return has_password && (user.n == 0 || decode(user, a->arena, &a->user)) &&
           decode(text, a->arena, &a->password);
}

static bool parse_hosts(struct str text, struct redis_address *a)
{
    uint16_t port = a->kind == REDIS_KIND_SENTINEL ? REDIS_SENTINEL_PORT : REDIS_PORT;
    bool is_more = true;
    while (is_more) {
        struct str host;
        is_more = str_cut(&text, ',', &host);
        if (a->host_count == REDIS_HOSTS_MAX ||
            !redis_host_parse(host, port, &a->hosts[a->host_count++]))
            return false;
    }
    return true;
}

/* "" or DATABASE; with sentinels MASTER[/DATABASE]. */
static bool parse_path(struct str path, struct redis_address *a)
{
    int64_t database = 0;
    if (a->kind == REDIS_KIND_SENTINEL) {
        struct str master;
        (void)str_cut(&path, '/', &master);
        if (master.n == 0 || !decode(master, a->arena, &a->master))
            return false;
    }
    if (path.n && (!str_to_i64(path, &database) || database < 0 || database > DATABASE_MAX))
        return false;
    a->database = (int)database;
    return a->kind != REDIS_KIND_CLUSTER || database == 0;
}

static bool parse_query(struct str query, struct redis_address *a)
{
    const struct {
        struct str name;
        const char **value;
    } known[] = {
        {STR("ca"), &a->ca},
        {STR("cert"), &a->cert},
        {STR("key"), &a->key},
        {STR("sentinel_user"), &a->sentinel_user},
        {STR("sentinel_password"), &a->sentinel_password},
    };
    while (query.n) {
        struct str value, name;
        (void)str_cut(&query, '&', &value);
        if (!str_cut(&value, '=', &name))
            return false;
        size_t i = 0;
        while (i < ARRAY_LEN(known) && !str_eq(known[i].name, name))
            i++;
        if (i == ARRAY_LEN(known) || !decode(value, a->arena, known[i].value))
            return false;
    }
    return !a->cert == !a->key;
}

bool redis_address_parse(struct str url, struct arena *arena, struct redis_address *a,
                         struct strbuf *problem)
{
    struct str head, query = url, path, hosts = STR_NULL;
    *a = (struct redis_address){.arena = arena};
    bool has_query = str_cut(&query, '?', &head);
    if (!cut_scheme(&head, a))
        return complain(problem, "expected redis://, rediss://, redis+sentinel:// or "
                                 "redis+cluster://");
    path = head;
    (void)str_cut(&path, '/', &hosts);
    ptrdiff_t at = -1;
    for (size_t i = 0; i < hosts.n; i++)
        at = hosts.p[i] == '@' ? (ptrdiff_t)i : at;
    if (at >= 0 && !parse_identity(str_sub(hosts, 0, (size_t)at), a))
        return complain(problem, "expected user:password@ or :password@, percent-encoded");
    if (!parse_hosts(str_sub(hosts, (size_t)(at + 1), hosts.n), a))
        return complain(problem,
                        "expected hosts as host:port or [ip6]:port, by commas, at most 16");
    if (!parse_path(path, a))
        return complain(problem, a->kind == REDIS_KIND_SENTINEL
                                     ? "expected /name-of-the-master or /name/database"
                                     : "expected /database, a number (0 in a cluster)");
    if (has_query && !parse_query(query, a))
        return complain(problem, "expected after ?: ca, cert and key, sentinel_user, "
                                 "sentinel_password");
    return true;
}

bool redis_is_address(struct str url, struct strbuf *problem)
{
    struct arena *arena = arena_create();
    struct redis_address *a = arena_new(arena, struct redis_address);
    bool is_one = redis_address_parse(url, arena, a, problem);
    arena_destroy(&arena);
    return is_one;
}
