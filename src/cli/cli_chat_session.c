/*
 * Who is signed in: the tokens, in a file that only its owner may read, or from the environment.
 * Signing in, renewing and signing out are plain HTTP (docs/api.md).
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli_chat.h"
#include "core/file.h"
#include "core/mem.h"

#define ANSWER_MAX_BYTES 65536

static size_t take_answer(char *bytes, size_t size, size_t n, void *arg)
{
    struct strbuf *answer = arg;
    if (answer->n + n > ANSWER_MAX_BYTES)
        return 0;
    strbuf_add(answer, bytes, n);
    return n;
}

static enum err err_of_status(long status)
{
    return status == 0                     ? ERR_UNAVAILABLE
           : status == 401                 ? ERR_UNAUTHENTICATED
           : status == 429 || status > 499 ? ERR_UNAVAILABLE
           : status >= 300                 ? ERR_INVALID_ARGUMENT
                                           : ERR_OK;
}

/* POST of an object, with a token or NULL; the answer's object, or what was wrong is said. */
static enum err post(const struct chat_session *s, const char *path, const char *token,
                     json_t *body, json_t **out)
{
    struct strbuf url = {0}, answer = {0}, bearer = {0};
    char *text = json_dumps(body, JSON_COMPACT);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *curl = curl_easy_init();
    long status = 0;
    strbuf_printf(&url, "%s%s", s->server, path);
    if (token) {
        strbuf_printf(&bearer, "Authorization: Bearer %s", token);
        headers = curl_slist_append(headers, bearer.p);
    }
    curl_easy_setopt(curl, CURLOPT_URL, url.p);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 20000L);
    if (s->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, s->ca_file);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    json_t *object = code ? NULL : json_loadb(strbuf_str(&answer).p, answer.n, 0, NULL);
    enum err err = code || !object ? ERR_UNAVAILABLE : err_of_status(status);
    if (code)
        chat_say("%s: %s", s->server, curl_easy_strerror(code));
    else if (err)
        chat_say("%s", object ? chat_text(json_object_get(object, "error"), "message")
                              : "the server's answer makes no sense");
    if (!err)
        *out = json_incref(object);
    json_decref(object);
    json_decref(body);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    strbuf_deinit(&url);
    strbuf_deinit(&answer);
    strbuf_deinit(&bearer);
    free(text);
    return err;
}

/* ---- the file ---- */

static void set(char **member, const char *value)
{
    free(*member);
    *member = value && *value ? mem_strdup(value) : NULL;
}

static enum err save(const struct chat_session *s)
{
    if (!s->path)
        return ERR_OK;
    json_t *kept = json_pack("{s:s, s:s, s:s, s:s, s:s*}", "server", s->server, "user_id",
                             s->user_id, "access_token", s->access_token, "refresh_token",
                             s->refresh_token, "ca_file", s->ca_file);
    char *text = json_dumps(kept, JSON_INDENT(2));
    enum err err = text ? file_write_atomic(s->path, text, strlen(text), 0600) : ERR_INTERNAL;
    if (err)
        chat_say("cannot write %s", s->path);
    json_decref(kept);
    free(text);
    return err;
}

static char *default_path(void)
{
    struct strbuf path = {0};
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
    if (config && *config)
        strbuf_printf(&path, "%s/parlance", config);
    else
        strbuf_printf(&path, "%s/.config/parlance", home ? home : ".");
    (void)!file_make_dirs(path.p, 0700);
    strbuf_adds(&path, "/chat.json");
    return path.p;
}

static enum err load_file(struct chat_session *s)
{
    struct stat st;
    char *text = NULL;
    size_t n;
    if (stat(s->path, &st) != 0)
        return ERR_NOT_FOUND;
    if (st.st_mode & 077) {
        chat_say("others can read %s: chmod 600 it", s->path);
        return ERR_PERMISSION_DENIED;
    }
    enum err err = file_read(s->path, ANSWER_MAX_BYTES, &text, &n);
    json_t *kept = err ? NULL : json_loadb(text, n, 0, NULL);
    free(text);
    if (!kept) {
        chat_say("%s is not a sign-in", s->path);
        return ERR_INVALID_ARGUMENT;
    }
    set(&s->server, chat_text(kept, "server"));
    set(&s->user_id, chat_text(kept, "user_id"));
    set(&s->access_token, chat_text(kept, "access_token"));
    set(&s->refresh_token, chat_text(kept, "refresh_token"));
    if (!s->ca_file)
        set(&s->ca_file, chat_text(kept, "ca_file"));
    json_decref(kept);
    return ERR_OK;
}

enum err chat_session_load(struct chat_session *out, const char *path, const char *ca_file)
{
    *out = (struct chat_session){0};
    set(&out->ca_file, ca_file);
    const char *token = getenv("PARLANCE_CHAT_TOKEN"), *server = getenv("PARLANCE_CHAT_SERVER");
    if (token && *token && server && *server) {
        set(&out->access_token, token);
        set(&out->server, server);
        return ERR_OK;
    }
    out->path = path ? mem_strdup(path) : default_path();
    return load_file(out);
}

void chat_session_deinit(struct chat_session *s)
{
    free(s->path);
    free(s->server);
    free(s->ca_file);
    free(s->user_id);
    free(s->access_token);
    free(s->refresh_token);
    *s = (struct chat_session){0};
}

/* ---- signing in, renewing, signing out ---- */

static enum err take_tokens(struct chat_session *s, json_t *reply)
{
    set(&s->access_token, chat_text(reply, "access_token"));
    set(&s->refresh_token, chat_text(reply, "refresh_token"));
    set(&s->user_id, chat_text(json_object_get(reply, "user"), "id"));
    json_decref(reply);
    if (!s->access_token || !s->refresh_token || !s->user_id) {
        chat_say("the server's answer makes no sense");
        return ERR_INTERNAL;
    }
    return save(s);
}

enum err chat_session_sign_in(struct chat_session *s, const char *login, const char *password)
{
    json_t *reply;
    enum err err = post(s, "/api/v1/auth/login", NULL,
                        json_pack("{s:s, s:s, s:s}", "login", login, "password", password, "device",
                                  "parlance chat"),
                        &reply);
    return err ? err : take_tokens(s, reply);
}

static bool is_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* What the file says now, if it is newer than ours. If somebody else has signed in there, it is not
 * ours to write any more. */
static bool take_renewed(struct chat_session *s)
{
    struct chat_session kept = {.path = s->path};
    bool is_there = load_file(&kept) == ERR_OK && kept.access_token && kept.refresh_token;
    bool is_ours = is_same(kept.server, s->server) && is_same(kept.user_id, s->user_id);
    bool is_newer = is_there && is_ours && !is_same(kept.refresh_token, s->refresh_token);
    if (is_newer) {
        set(&s->access_token, kept.access_token);
        set(&s->refresh_token, kept.refresh_token);
    }
    if (!is_there || is_ours)
        kept.path = NULL;
    else
        s->path = NULL;
    chat_session_deinit(&kept);
    return is_newer;
}

enum err chat_session_renew(struct chat_session *s)
{
    json_t *reply;
    if (!s->refresh_token) {
        chat_say("the token is not good any more");
        return ERR_UNAUTHENTICATED;
    }
    if (s->path && take_renewed(s))
        return ERR_OK;
    enum err err = post(s, "/api/v1/auth/refresh", NULL,
                        json_pack("{s:s}", "refresh_token", s->refresh_token), &reply);
    return err ? err : take_tokens(s, reply);
}

enum err chat_session_sign_out(struct chat_session *s)
{
    json_t *reply = NULL;
    /* By the refresh token: the other has mostly ended by itself, and the sign-in has not. */
    json_t *body = json_pack("{s:s*}", "token", s->refresh_token);
    const char *bearer = s->refresh_token ? NULL : s->access_token;
    enum err err = post(s, "/api/v1/auth/logout", bearer, body, &reply);
    json_decref(reply);
    if (chat_is_passing(err)) { /* with the file goes the only means to end it */
        chat_say("the sign-in goes on at the server; try again");
        return err;
    }
    if (s->path && unlink(s->path) != 0 && errno != ENOENT)
        chat_say("cannot remove %s", s->path);
    return err == ERR_UNAUTHENTICATED ? ERR_OK : err; /* it had ended before */
}
