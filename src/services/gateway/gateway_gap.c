/*
 * After a gap: the link to the bus was lost, and what others told meanwhile may never come. So
 * whatever the hub follows by events is read anew: whose sign-in is over, what everybody is in,
 * what is shown of those who are watched. From the gap until a person's conversations are known
 * again nothing of them is told (somebody may have been put out of one), and then each socket hears
 * that it missed something: its client syncs. Some at a time, or the services would have a flood of
 * it.
 */
#include "core/log.h"
#include "services/gateway/gateway_hub.h"

#define RELOADING_MAX 64
#define CHECKED_MAX 500 /* sign-ins in one question */
#define CHECK_AGAIN_MS 1000

static struct metric metric_gaps =
    METRIC_COUNTER("parlance_gateway_gaps_total", "Times that events may have been missed.");

/* ---- conversations ---- */

static void load_some(struct gateway *gw)
{
    while (gw->reloading_count < RELOADING_MAX && !list_is_empty(&gw->stale)) {
        struct user *u = LIST_ENTRY(gw->stale.next, struct user, in_stale);
        list_remove(&u->in_stale);
        u->is_reloading = true;
        gw->reloading_count++;
        hub_user_load(u);
    }
}

void gap_user_done(struct user *u)
{
    list_remove(&u->in_stale);
    if (!u->is_reloading)
        return;
    u->is_reloading = false;
    u->gw->reloading_count--;
    load_some(u->gw);
}

/* Until it is loaded again nothing is told to it. */
static void make_stale(struct user *u)
{
    hub_user_forget(u);
    u->gw->reloading_count -= u->is_reloading;
    u->is_reloading = false;
    if (!list_is_linked(&u->in_stale))
        list_add_tail(&u->gw->stale, &u->in_stale);
}

void gateway_hub_doubt(struct gateway *gw)
{
    size_t at = 0;
    struct str key;
    void *value;
    gw->has_loaded = false;
    while (map_next(gw->users, &at, &key, &value))
        make_stale(value);
}

void gateway_hub_doubt_topic(struct gateway *gw, const struct topic *t)
{
    size_t count = t->reader_count;
    struct user **users = mem_calloc(count, sizeof(users[0])); /* the topic goes with the last */
    for (size_t i = 0; i < count; i++)
        users[i] = t->readers[i].user;
    log_info(NULL, "a change of a conversation did not come: who is in it is asked (%zu people)",
             count);
    for (size_t i = 0; i < count; i++)
        make_stale(users[i]);
    free(users);
    load_some(gw);
}

/* ---- sign-ins ---- */

struct checking {
    struct gateway *gw;
    uint64_t gap; /* a younger one asks about everybody again */
    struct rpc_call *call;
    size_t count;
    struct session_news news[CHECKED_MAX]; /* roles are the answer */
    struct loop_timer timer;               /* it was not answered */
    bool is_answered;
};

static void check(struct checking *c);

static void end_check(struct checking *c)
{
    for (size_t i = 0; i < c->count && c->is_answered; i++)
        gateway_hub_session(c->gw, &c->news[i]);
    c->gw->call_count--;
    free(c);
}

static void on_again(void *arg)
{
    struct checking *c = arg;
    if (map64_count(c->gw->members) && c->gap == c->gw->gap_count)
        check(c);
    else /* the end of the gateway, too */
        end_check(c);
}

static void on_checked_here(void *arg)
{
    struct checking *c = arg;
    rpc_call_unref(&c->call);
    if (c->is_answered)
        end_check(c);
    else
        loop_timer_start(c->gw->loop, &c->timer, CHECK_AGAIN_MS, on_again, c);
}

static void on_checked(const ProtobufCMessage *reply, struct rpc_call *call)
{
    struct checking *c = call->user;
    const Auth__CheckSessionsReply *roles = (const Auth__CheckSessionsReply *)reply;
    c->is_answered = roles && roles->n_roles == c->count;
    for (size_t i = 0; i < c->count && c->is_answered; i++)
        c->news[i].role = (enum identity_role)roles->roles[i];
    loop_post(c->gw->loop, on_checked_here, c);
}

static void check(struct checking *c)
{
    Auth__CheckSessionsRequest request = AUTH__CHECK_SESSIONS_REQUEST__INIT;
    ProtobufCService *auth = c->gw->deps.auth;
    char *ids[CHECKED_MAX];
    for (size_t i = 0; i < c->count; i++)
        ids[i] = c->news[i].session_id;
    request.ids = ids;
    request.n_ids = c->count;
    c->call = rpc_call_create(NULL);
    c->call->is_idempotent = true;
    c->call->user = c;
    rpc_async(auth, (unsigned)rpc_method_find(auth->descriptor, "CheckSessions"), &request.base,
              c->call, on_checked, 0);
}

static void check_all(struct gateway *gw)
{
    struct checking *c = NULL;
    size_t at = 0;
    uint64_t socket;
    void *value;
    while (map64_next(gw->members, &at, &socket, &value)) {
        const struct member *m = value;
        if (!c) {
            c = mem_new(struct checking);
            c->gw = gw;
            c->gap = gw->gap_count;
            gw->call_count++;
        }
        struct session_news *news = &c->news[c->count++];
        memcpy(news->session_id, m->session_id, sizeof(news->session_id));
        memcpy(news->user_id, m->user->id, sizeof(news->user_id));
        if (c->count == CHECKED_MAX) {
            check(c);
            c = NULL;
        }
    }
    if (c)
        check(c);
}

/* ---- all of it ---- */

void gateway_hub_gap(struct gateway *gw)
{
    size_t at = 0;
    uint64_t socket;
    void *value;
    log_info(NULL, "events may have been missed: %zu sockets are told to look",
             map64_count(gw->members));
    gw->gap_count++;
    metric_add(&metric_gaps, 1);
    gateway_hub_doubt(gw);
    while (map64_next(gw->members, &at, &socket, &value))
        watch_forget(value);
    check_all(gw);
    load_some(gw);
}
