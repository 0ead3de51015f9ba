/*
 * edge_signature: requests that a program signs with a key instead of sending a token. Here the
 * header is read and the request written down as it must have been signed; whether the signature is
 * good only auth can say, who knows the key. docs/api.md, "Signed requests", has it in words.
 *
 * The query's parts are put in order of their bytes, and nothing is decoded: what a client library
 * or a proxy may change is the order, what the server obeys is the bytes.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "edge/edge_internal.h"

#define QUERY_PARTS_MAX 256
#define NONCE_MAX 64

/* ---- the header ---- */

static bool is_hex64(struct str s)
{
    uint8_t bytes[32];
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 'A' && s.p[i] <= 'F')
            return false;
    return str_unhex(s, bytes, sizeof(bytes));
}

static bool is_time(struct str s, int64_t *out)
{
    bool is_plain = s.n > 0 && s.n <= 15 && s.p[0] != '-' && (s.p[0] != '0' || s.n == 1);
    return is_plain && str_to_i64(s, out);
}

enum field { KEY, TIME, NONCE, DIGEST, SIGNATURE, FIELD_COUNT };
static const struct str field_names[FIELD_COUNT] = {
    {"key", 3}, {"time", 4}, {"nonce", 5}, {"digest", 6}, {"signature", 9}};

/* FIELD_COUNT: none of them. */
static enum field field_of(struct str name)
{
    int i = 0;
    while (i < FIELD_COUNT && !str_eq(name, field_names[i]))
        i++;
    return (enum field)i;
}

bool edge_signature_parse(struct str value, struct edge_signature *out, const char **problem)
{
    struct str fields[FIELD_COUNT] = {0}, pair, name;
    *out = (struct edge_signature){0};
    *problem = "Authorization: expected key=, time=, nonce=, digest= and signature=, each once.";
    for (bool is_more = true; is_more;) {
        is_more = str_cut(&value, ',', &pair);
        pair = str_trim(pair);
        if (!str_cut(&pair, '=', &name))
            return false;
        enum field f = field_of(name);
        if (f == FIELD_COUNT || fields[f].p || !pair.n)
            return false;
        fields[f] = pair;
    }
    for (int i = 0; i < FIELD_COUNT; i++)
        if (!fields[i].p)
            return false;
    *problem = "Authorization: key= is no id of a key.";
    if (fields[KEY].n != ID_SIZE - 1)
        return false;
    *problem = "Authorization: time= is in milliseconds since 1970, a plain number.";
    if (!is_time(fields[TIME], &out->time_ms))
        return false;
    *problem = "Authorization: nonce= has at most 64 characters.";
    if (fields[NONCE].n > NONCE_MAX)
        return false;
    *problem = "Authorization: digest= and signature= are 64 hexadecimal digits in lower case.";
    if (!is_hex64(fields[DIGEST]) || !is_hex64(fields[SIGNATURE]))
        return false;
    *problem = NULL;
    out->key_id = fields[KEY];
    out->nonce = fields[NONCE];
    out->signature = fields[SIGNATURE];
    return str_unhex(fields[DIGEST], out->body_digest, sizeof(out->body_digest));
}

/* ---- what was signed ---- */

bool edge_signature_has_body(const struct edge_signature *s, struct str body)
{
    uint8_t digest[32];
    EVP_Digest(body.p ? body.p : "", body.n, digest, NULL, EVP_sha256(), NULL);
    return memcmp(digest, s->body_digest, sizeof(digest)) == 0;
}

static int compare_parts(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    int order = memcmp(x->p, y->p, MIN(x->n, y->n));
    return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

/* With more parts than any of our rows takes it stays as it came. */
static void add_query(struct str query, struct strbuf *out)
{
    struct str parts[QUERY_PARTS_MAX], rest = query;
    size_t count = 0;
    bool is_more = query.n > 0;
    for (; is_more && count < QUERY_PARTS_MAX; count++)
        is_more = str_cut(&rest, '&', &parts[count]);
    if (is_more) {
        strbuf_add(out, query.p, query.n);
        return;
    }
    qsort(parts, count, sizeof(parts[0]), compare_parts);
    for (size_t i = 0; i < count; i++) {
        strbuf_adds(out, i ? "&" : "");
        strbuf_add(out, parts[i].p, parts[i].n);
    }
}

void edge_signature_request(const struct edge_signature *s, const struct http_request *req,
                            struct strbuf *out)
{
    char digest[2 * sizeof(s->body_digest) + 1];
    str_hex(digest, s->body_digest, sizeof(s->body_digest));
    strbuf_printf(out, "%s\n%.*s\n", http_method_name(req->method), STR_FMT(req->path));
    add_query(req->query, out);
    strbuf_printf(out, "\n%s", digest);
}

/* ---- what a key is good for ---- */

/* A text that was cut could open more than the whole: "messages:read" begins with "messages". */
bool edge_scopes_take(char *out, size_t size, char *const *scopes, size_t count)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(scopes[i]), gap = i > 0;
        if (!length || strchr(scopes[i], ' ') || length + gap >= size - n) {
            snprintf(out, size, " "); /* empty would mean: no bounds */
            return false;
        }
        n += (size_t)snprintf(out + n, size - n, "%s%s", gap ? " " : "", scopes[i]);
    }
    return true;
}

bool edge_scopes_open(const char *scopes, const char *part, const char *verb)
{
    struct str rest = str_from(scopes), one, name;
    if (!rest.n)
        return true;
    for (bool is_more = true; is_more;) {
        is_more = str_cut(&rest, ' ', &one);
        bool has_verb = str_cut(&one, ':', &name);
        if (str_eq(name, str_from(part)) && (!has_verb || (verb && str_eq(one, str_from(verb)))))
            return true;
    }
    return false;
}
