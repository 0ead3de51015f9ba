/*
 * task_deliver: webhooks are told. The task names what; body, address and secret are asked of the
 * message service at the moment of delivery. A delivery is signed over its time and body, so its
 * receiver knows that it is ours and not an old one. What cannot be reached is tried again with the
 * bus's back-off, and ends as a dead task that operators may revive. Who answers slowly is given
 * pauses like who fails. Bodies never reach the log.
 */
#include <openssl/hmac.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/log.h"
#include "services/task/task_internal.h"

#include "user.pb-c.h"
#include "webhook.pb-c.h"

#define TIMEOUT_MS 10000
#define BUSY_WAIT_MS 250
#define ANSWER_MAX (64 * 1024) /* of what a receiver says; nobody reads it */

/* ---- one POST ---- */

static void sign(const struct task_post *post, int64_t now_ms, char out[120])
{
    uint8_t mac[32];
    char hex[65], time[24];
    unsigned n = sizeof(mac);
    struct strbuf text = {0};
    snprintf(time, sizeof(time), "%lld", (long long)now_ms);
    strbuf_printf(&text, "%s.", time);
    strbuf_add(&text, post->body.p, post->body.n);
    HMAC(EVP_sha256(), post->secret, (int)strlen(post->secret), (const uint8_t *)text.p, text.n,
         mac, &n);
    strbuf_deinit(&text);
    str_hex(hex, mac, sizeof(mac));
    snprintf(out, 120, "t=%s,v1=%s", time, hex);
}

/* What came of a request; the fetcher's thread fills it in. */
struct outcome {
    sem_t done;
    enum err err;
    int status;
    char problem[200];
};

static void on_done(void *arg, enum err err, const struct fetch_response *response)
{
    struct outcome *o = arg;
    o->err = err;
    o->status = response->status;
    snprintf(o->problem, sizeof(o->problem), "%s",
             response->problem[0] ? response->problem : err_text(err));
    sem_post(&o->done);
}

static void ask(struct task_service *svc, bool is_own, const struct fetch_request *request,
                struct outcome *o)
{
    pthread_rwlock_rdlock(&svc->gate);
    struct fetch *fetch = is_own ? svc->push_fetch : svc->fetch;
    if (fetch)
        fetch_start(fetch, request, on_done, o);
    else
        on_done(o, ERR_CANCELLED, &(struct fetch_response){.problem = ""});
    pthread_rwlock_unlock(&svc->gate);
    while (sem_wait(&o->done) != 0)
        ;
}

enum err task_post(struct task_service *svc, const struct task_post *post, struct task_went *went)
{
    int64_t start_ms = clock_mono_ms();
    char signature[120];
    struct outcome o = {0};
    sign(post, clock_wall_ms(), signature);
    const struct fetch_header headers[] = {{"Content-Type", "application/json"},
                                           {"X-Parlance-Event", post->event},
                                           {"X-Parlance-Delivery", post->delivery},
                                           {"X-Parlance-Signature", signature}};
    sem_init(&o.done, 0, 0);
    ask(svc, post->is_own,
        &(struct fetch_request){.method = "POST",
                                .url = post->url,
                                .headers = headers,
                                .header_count = ARRAY_LEN(headers),
                                .body = post->body,
                                .timeout_ms = TIMEOUT_MS,
                                .max_bytes = ANSWER_MAX},
        &o);
    sem_destroy(&o.done);
    bool is_taken = !o.err && o.status >= 200 && o.status < 300;
    int64_t took_ms = clock_mono_ms() - start_ms;
    *went = (struct task_went){.is_gone = !o.err && o.status == 410};
    if (o.err)
        snprintf(went->problem, sizeof(went->problem), "%s", o.problem);
    else if (!is_taken)
        snprintf(went->problem, sizeof(went->problem), "its server answered with status %d",
                 o.status);
    else if (took_ms > SLOW_MS)
        snprintf(went->problem, sizeof(went->problem), "its server took %lld ms to answer",
                 (long long)took_ms);
    return is_taken ? ERR_OK : o.err ? o.err : ERR_UNAVAILABLE;
}

/* ---- a webhook's delivery ---- */

struct delivery {
    struct task_service *svc;
    struct rpc_call *call;
    char id[ID_SIZE], conversation_id[ID_SIZE];
    int64_t rev;
};

static bool take(const struct bus_task *task, struct delivery *d)
{
    struct str rest = task->payload, id, conversation;
    return str_cut(&rest, ' ', &id) && str_cut(&rest, ' ', &conversation) && id_read(d->id, id) &&
           id_read(d->conversation_id, conversation) && str_to_i64(rest, &d->rev);
}

static enum err report(struct delivery *d, const struct task_went *went, bool *is_disabled)
{
    struct rpc_call *call = rpc_call_create(NULL);
    Webhook__ReportDeliveryRequest request = WEBHOOK__REPORT_DELIVERY_REQUEST__INIT;
    request.id = d->id;
    request.problem = (char *)went->problem;
    request.is_gone = went->is_gone;
    const Webhook__ReportDeliveryReply *reply =
        rpc_sync(d->svc->deps.webhook, "ReportDelivery", &request.base, call);
    *is_disabled = reply && reply->is_disabled;
    enum err err = call->err;
    rpc_call_unref(&call);
    return err;
}

/* "type" of the body, which the message service begins with {"webhook_id":"...","type":"...". */
static const char *event_of(const char *body, char out[32])
{
    const char *at = strstr(body, "\"type\":\"");
    size_t n = at ? strcspn(at + 8, "\"") : 0;
    snprintf(out, 32, "%.*s", (int)MIN(n, (size_t)31), at ? at + 8 : "");
    return out;
}

static enum err deliver(struct delivery *d, const Webhook__Delivery *what)
{
    char event[32], name[80];
    struct task_went went;
    bool is_disabled = false;
    snprintf(name, sizeof(name), "%s-%s-%lld", d->id, d->conversation_id, (long long)d->rev);
    enum err err = task_post(d->svc,
                             &(struct task_post){.url = what->url,
                                                 .secret = what->secret,
                                                 .event = event_of(what->body, event),
                                                 .delivery = name,
                                                 .body = str_from(what->body)},
                             &went);
    if (err == ERR_CANCELLED || (!went.problem[0] && !what->is_failing))
        return err; /* stopping is nobody's fault */
    enum err report_err = report(d, &went, &is_disabled);
    if (report_err)
        log_warn(NULL, "webhook %s: how its delivery went is not noted: %s", d->id,
                 err_name(report_err));
    if (err)
        log_info(NULL, "webhook %s: a delivery failed: %s", d->id, went.problem);
    return is_disabled || went.is_gone ? ERR_OK : err; /* nobody waits for it any more */
}

/* Not before its pause is over, and not when too many of its kind are at it. */
static enum err deliver_in_turn(struct delivery *d, const struct bus_task *task,
                                const Webhook__Delivery *what)
{
    bool is_doubtful = what->is_failing;
    if (what->wait_ms > 0 || (is_doubtful && !task_enter_doubtful(d->svc))) {
        bus_put_off(task, MAX(what->wait_ms, BUSY_WAIT_MS));
        return ERR_UNAVAILABLE;
    }
    enum err err = deliver(d, what);
    if (is_doubtful)
        task_leave_doubtful(d->svc);
    return err;
}

/* A bot that has ended hears nothing any more, nor does anybody whose account is disabled. */
static enum err check_account(struct delivery *d, const char *user_id, bool *is_void)
{
    struct rpc_call *call = rpc_call_create(NULL);
    User__GetUserRequest request = USER__GET_USER_REQUEST__INIT;
    request.id = (char *)user_id;
    const User__Profile *p = rpc_sync(d->svc->deps.user, "GetUser", &request.base, call);
    enum err err = call->err == ERR_NOT_FOUND ? ERR_OK : call->err;
    *is_void = !err && (!p || p->is_disabled);
    if (p && !*is_void && p->owner_id[0])
        err = check_account(d, p->owner_id, is_void);
    rpc_call_unref(&call);
    return err;
}

enum err task_on_webhook(void *svc, const struct bus_task *task, int attempt UNUSED)
{
    struct delivery d = {.svc = svc};
    if (!take(task, &d)) {
        log_error(NULL, "a task of queue webhooks cannot be read");
        return ERR_OK;
    }
    d.call = rpc_call_create(NULL);
    Webhook__GetDeliveryRequest request = WEBHOOK__GET_DELIVERY_REQUEST__INIT;
    request.id = d.id;
    request.conversation_id = d.conversation_id;
    request.rev = d.rev;
    const Webhook__Delivery *what =
        rpc_sync(d.svc->deps.webhook, "GetDelivery", &request.base, d.call);
    enum err err = what ? ERR_OK : d.call->err;
    bool is_void = !what || what->is_void;
    if (!is_void)
        err = check_account(&d, what->account_id, &is_void);
    if (!is_void && !err)
        err = deliver_in_turn(&d, task, what);
    rpc_call_unref(&d.call);
    return err;
}
