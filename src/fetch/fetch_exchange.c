/*
 * fetch_exchange: a request as libcurl wants it, and its answer within bounds. All that makes it
 * safe stands in set_bounds: which schemes, which addresses, how long, how much; no redirects, no
 * proxies, no cookies, no credentials of the environment, no decompression.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/mem.h"
#include "fetch/fetch_internal.h"

#define URL_MAX_BYTES 8192
#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_MAX_BYTES (1 << 20)

/* ---- what libcurl calls ---- */

/* The address is the one that will be connected to: nothing is resolved after this. */
static curl_socket_t on_open(void *arg, curlsocktype purpose UNUSED, struct curl_sockaddr *address)
{
    struct fetch_exchange *x = arg;
    if (address->family != AF_UNIX && guard_check(x->guard, &address->addr) != ERR_OK) {
        x->is_forbidden = true;
        errno = EACCES;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct fetch_exchange *x = arg;
    size_t n = size * count;
    if (n > x->max_bytes - x->body.n) {
        x->is_too_big = true;
        return CURL_WRITEFUNC_ERROR;
    }
    strbuf_add(&x->body, bytes, n);
    return n;
}

static void add_header(struct fetch_exchange *x, struct str line)
{
    struct str name, value = str_trim(line);
    if (!str_cut(&value, ':', &name) || x->response.header_count == FETCH_HEADERS_MAX)
        return;
    x->headers[x->response.header_count++] = (struct fetch_header){
        str_arena(x->arena, str_trim(name)), str_arena(x->arena, str_trim(value))};
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct fetch_exchange *x = arg;
    size_t n = size * count;
    x->head_bytes += n;
    if (x->head_bytes > FETCH_HEAD_MAX_BYTES) {
        x->is_too_big = true;
        return 0;
    }
    if (str_starts((struct str){bytes, n}, STR("HTTP/")))
        x->response.header_count = 0; /* after a 100 Continue the real head follows */
    else
        add_header(x, (struct str){bytes, n});
    return n;
}

/* ---- the trace ---- */

/* The host alone: a path may be a secret between two servers. */
static const char *host_of(const char *text, struct arena *arena)
{
    CURLU *url = curl_url();
    char *host = NULL;
    if (url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK)
        curl_url_get(url, CURLUPART_HOST, &host, 0);
    const char *copy = arena_strdup(arena, host);
    curl_free(host);
    curl_url_cleanup(url);
    return copy;
}

/* A request on behalf of something recorded tells the other server what it belongs to. */
static void start_span(struct fetch_exchange *x, const struct fetch_request *r)
{
    const char *method = r->method ? r->method : r->body.n ? "POST" : "GET";
    char text[SPAN_TRACEPARENT_SIZE];
    span_start_child(&x->span, "fetch", SPAN_CLIENT);
    if (!x->span.is_sampled)
        return;
    span_add_text(&x->span, "http.request.method", arena_strdup(x->arena, method));
    span_add_text(&x->span, "server.address", host_of(r->url, x->arena));
    span_traceparent(&x->span, text);
    x->lines = curl_slist_append(x->lines, arena_printf(x->arena, "traceparent: %s", text));
}

/* ---- the request ---- */

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

/* Read by libcurl's own parser, the one that later connects, so the two cannot disagree. */
static const char *problem_of_url(const char *text)
{
    if (!text || strlen(text) > URL_MAX_BYTES)
        return "this is no URL";
    CURLU *url = curl_url();
    const char *problem = NULL;
    if (!url || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK)
        problem = "this is no URL";
    else if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
        problem = "only http and https are fetched";
    else if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        problem = "a URL must not hold a user or password";
    curl_url_cleanup(url);
    return problem;
}

/* A line break would be a header of the outsider's own. */
static bool is_line(const char *text)
{
    return text[strcspn(text, "\r\n")] == '\0';
}

static const char *problem_of(const struct fetch_request *r)
{
    const char *problem = problem_of_url(r->url);
    for (size_t i = 0; i < r->header_count && !problem; i++)
        if (!r->headers[i].name[0] || !is_line(r->headers[i].name) || !is_line(r->headers[i].value))
            problem = "a header must be one line";
    if (r->method && !is_line(r->method))
        problem = "this is no method";
    return problem;
}

static void add_line(struct fetch_exchange *x, const char *name, const char *value)
{
    /* "Name;" is how libcurl spells an empty header, "Name:" how one is left out. */
    const char *line = value[0] ? arena_printf(x->arena, "%s: %s", name, value)
                                : arena_printf(x->arena, "%s;", name);
    x->lines = curl_slist_append(x->lines, line);
}

static void set_bounds(struct fetch_exchange *x, const struct fetch_setup *setup,
                       const struct fetch_request *r)
{
    CURL *easy = x->easy;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* or a slow name would hold up all others */
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                     (long)(r->timeout_ms > 0 ? r->timeout_ms : DEFAULT_TIMEOUT_MS));
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (setup->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, setup->ca_file);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, x);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
    if (r->unix_path)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, r->unix_path);
}

static void set_content(struct fetch_exchange *x, const struct fetch_setup *setup,
                        const struct fetch_request *r)
{
    CURL *easy = x->easy;
    curl_easy_setopt(easy, CURLOPT_URL, r->url);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, setup->user_agent);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->curl_text);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
    if (r->body.n) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, r->body.p);
    }
    if (r->method && strcmp(r->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (r->method)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
    /* What libcurl would add by itself: forms, and a wait before bigger bodies. */
    x->lines = curl_slist_append(x->lines, "Expect:");
    x->lines = curl_slist_append(x->lines, "Content-Type:");
    start_span(x, r);
    for (size_t i = 0; i < r->header_count; i++)
        add_line(x, r->headers[i].name, r->headers[i].value);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, x->lines);
}

struct fetch_exchange *fetch_exchange_create(const struct fetch_setup *setup,
                                             const struct fetch_request *request)
{
    struct fetch_exchange *x = mem_zalloc(sizeof(*x));
    x->arena = arena_create();
    x->guard = setup->guard;
    x->max_bytes = request->max_bytes ? request->max_bytes : DEFAULT_MAX_BYTES;
    x->response.problem = problem_of(request);
    if (x->response.problem) {
        x->err = ERR_INVALID_ARGUMENT;
        return x;
    }
    x->easy = curl_easy_init();
    if (!x->easy) {
        x->response.problem = "out of memory";
        x->err = ERR_UNAVAILABLE;
        return x;
    }
    set_bounds(x, setup, request);
    set_content(x, setup, request);
    return x;
}

/* ---- the answer ---- */

static enum err err_of(const struct fetch_exchange *x, CURLcode code)
{
    if (x->err || code == CURLE_OK)
        return x->err;
    if (x->is_too_big)
        return ERR_RESOURCE_EXHAUSTED;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return ERR_DEADLINE_EXCEEDED;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return ERR_CANCELLED;
    return x->is_forbidden && code == CURLE_COULDNT_CONNECT ? ERR_PERMISSION_DENIED
                                                            : ERR_UNAVAILABLE;
}

static const char *problem_text(const struct fetch_exchange *x, enum err err, CURLcode code)
{
    if (x->response.problem)
        return x->response.problem;
    if (err == ERR_RESOURCE_EXHAUSTED)
        return "the answer is too big";
    if (err == ERR_PERMISSION_DENIED)
        return "this address may not be reached from here";
    return x->curl_text[0] ? x->curl_text : curl_easy_strerror(code);
}

enum err fetch_exchange_end(struct fetch_exchange **x_, CURLcode code)
{
    struct fetch_exchange *x = *x_;
    *x_ = NULL;
    enum err err = err_of(x, code);
    long status = 0;
    x->response.headers = x->headers;
    if (err) {
        x->response.problem = problem_text(x, err, code);
        x->response.header_count = 0;
    } else {
        curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
        x->response.status = (int)status;
        x->response.body = strbuf_str(&x->body);
        x->response.problem = "";
        span_add_number(&x->span, "http.response.status_code", status);
    }
    span_end(&x->span, err ? err : status >= 400 ? ERR_UNKNOWN : ERR_OK);
    x->done(x->arg, err, &x->response);
    curl_easy_cleanup(x->easy);
    curl_slist_free_all(x->lines);
    strbuf_deinit(&x->body);
    arena_destroy(&x->arena);
    free(x);
    return err;
}
