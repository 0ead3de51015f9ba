/*
 * What this gateway wants to be told: by the places (services/common/places.h) of the people who
 * are here and of what they are in, said to all who tell. Whoever depends on a place (a person's
 * conversations are asked for, a socket is told that it is ready) waits until the senders know it,
 * so that nothing falls in between.
 *
 * Each sender numbers what it tells us. A hole, or a sender who told others before it knew of us,
 * is a gap as after a lost link (gateway_gap.c). Places that nobody needs any more stay for a
 * while: they cost a few events that are told in vain, and come back often.
 */
#include "core/log.h"
#include "services/common/places.h"
#include "services/gateway/gateway_hub.h"

#define GATEWAYS "im_gateways"
#define FLUSH_MS 1
#define BEAT_MS 1000
#define BEAT_FIRST_MS 50 /* until there is a link */
#define SILENT_MS 5000   /* a sender that says nothing is not waited for */
#define WAIT_MS 1500     /* nor is one that knows us, and not our places, for longer */
#define CLEAN_MS 30000   /* how often places of nobody are given up */
#define CLEAN_PLACES 256 /* if there are so many */
#define ADDED_MAX 2000   /* at once; beyond, all are said */
#define GAP_EVERY_MS 2000
#define GAPS_AT_ONCE 3 /* as when several senders are met; then one every GAP_EVERY_MS */
#define TELL_ALL_EVERY_MS 100

static struct metric metric_senders =
    METRIC_GAUGE("parlance_gateway_senders", "Processes of others that tell here what is said.");

struct sender {
    struct list node;
    char *name;
    bool is_new;     /* nothing came yet */
    int64_t series;  /* of its numbers */
    int64_t number;  /* of the last that came; -1: any may be next */
    int64_t version; /* of our places that it knows */
    int64_t heard_ms;
    int64_t passed; /* the version that somebody did not wait for; 0: none */
};

struct waiter {
    struct list node;
    struct user *user;
    int64_t version, until_ms;
    loop_fn *then;
};

struct interest {
    struct gateway *gw;
    uint32_t counts[PLACES_COUNT]; /* who needs it */
    uint8_t said[PLACES_BYTES];
    int64_t version; /* of what was said */
    int64_t passed;  /* the latest that somebody went on with */
    uint32_t *added; /* not said yet */
    size_t added_count, unneeded_count;
    int64_t cleaned_ms, told_all_ms;
    int64_t gaps_ms; /* the moment up to which gaps are used up, one every GAP_EVERY_MS */
    bool was_linked;
    struct list senders, waiters;
    struct loop_timer flush_timer, beat_timer, gap_timer;
};

/* ---- saying ---- */

static void say(struct interest *in, Message__GatewayPlaces *m)
{
    m->gateway = (char *)bus_process(in->gw->deps.bus);
    m->version = in->version;
    size_t n = message__gateway_places__get_packed_size(m);
    uint8_t *bytes = mem_alloc(n + 1);
    message__gateway_places__pack(m, bytes);
    bytes[n] = 0;
    bus_publish(in->gw->deps.bus, &(struct bus_event){.channel = GATEWAYS,
                                                      .type = "places",
                                                      .key = m->gateway,
                                                      .payload = {(const char *)bytes, n},
                                                      .id = ""});
    free(bytes);
}

static void drop_added(struct interest *in)
{
    free(in->added);
    in->added = NULL;
    in->added_count = 0;
}

static void say_all(struct interest *in)
{
    Message__GatewayPlaces m = MESSAGE__GATEWAY_PLACES__INIT;
    loop_timer_stop(&in->flush_timer);
    in->version += in->added_count > 0;
    drop_added(in);
    in->told_all_ms = clock_mono_ms();
    m.places = (ProtobufCBinaryData){PLACES_BYTES, in->said};
    say(in, &m);
}

static void on_flush(void *arg)
{
    struct interest *in = arg;
    Message__GatewayPlaces m = MESSAGE__GATEWAY_PLACES__INIT;
    if (in->added_count > ADDED_MAX) {
        say_all(in);
        return;
    }
    in->version++;
    m.added = in->added;
    m.n_added = in->added_count;
    say(in, &m);
    drop_added(in);
}

/* What nobody has needed for long goes; that is another version, and is said whole. */
static void clean(struct interest *in)
{
    int64_t now_ms = clock_mono_ms();
    if (in->unneeded_count < CLEAN_PLACES || now_ms - in->cleaned_ms < CLEAN_MS ||
        !list_is_empty(&in->waiters) || in->added_count)
        return;
    in->cleaned_ms = now_ms;
    in->unneeded_count = 0;
    memset(in->said, 0, sizeof(in->said));
    for (uint32_t place = 0; place < PLACES_COUNT; place++)
        if (in->counts[place])
            place_set(in->said, place);
    in->version++;
    say_all(in);
}

/* ---- what is needed ---- */

void interest_add(struct gateway *gw, const char *id)
{
    struct interest *in = gw->interest;
    if (!in)
        return;
    uint32_t place = place_of_id(id);
    bool is_new = !place_is_set(in->said, place);
    in->unneeded_count -= !is_new && in->counts[place] == 0;
    in->counts[place]++;
    if (!is_new)
        return;
    place_set(in->said, place);
    in->added = array_grown(in->added, in->added_count, sizeof(in->added[0]));
    in->added[in->added_count++] = place;
    if (!loop_timer_is_armed(&in->flush_timer))
        loop_timer_start(gw->loop, &in->flush_timer, FLUSH_MS, on_flush, in);
}

void interest_remove(struct gateway *gw, const char *id)
{
    struct interest *in = gw->interest;
    if (in && --in->counts[place_of_id(id)] == 0)
        in->unneeded_count++;
}

/* ---- waiting until it is known ---- */

static bool is_silent(const struct sender *s)
{
    return clock_mono_ms() - s->heard_ms > SILENT_MS;
}

/* Without a link there is nobody to wait for, and when it is back all is read anew. */
static bool is_known(struct interest *in, int64_t version)
{
    if (!in->was_linked)
        return true;
    LIST_FOREACH(&in->senders, node)
    {
        const struct sender *s = LIST_ENTRY(node, struct sender, node);
        if (s->version < version && !is_silent(s))
            return false;
    }
    return true;
}

/* Goes on without those who do not know it; when one of them is heard of again, it may have told
 * others what was for us. */
static void pass(struct interest *in, int64_t version)
{
    in->passed = MAX(in->passed, version);
    LIST_FOREACH(&in->senders, node)
    {
        struct sender *s = LIST_ENTRY(node, struct sender, node);
        if (s->version < version)
            s->passed = version;
    }
}

static void waiter_free(struct waiter *w)
{
    w->user->waiter = NULL;
    list_remove(&w->node);
    free(w);
}

void interest_cancel(struct user *u)
{
    if (u->waiter)
        waiter_free(u->waiter);
}

void interest_wait(struct user *u, loop_fn *then)
{
    struct interest *in = u->gw->interest;
    interest_cancel(u);
    int64_t version = in ? in->version + (in->added_count > 0) : 0;
    if (!in || is_known(in, version)) {
        if (in)
            pass(in, version);
        then(u);
        return;
    }
    struct waiter *w = mem_new(struct waiter);
    *w = (struct waiter){
        .user = u, .version = version, .until_ms = clock_mono_ms() + WAIT_MS, .then = then};
    u->waiter = w;
    list_add_tail(&in->waiters, &w->node);
}

/* Who came first waits for the least, and not for longer than the others. */
static struct waiter *find_ready(struct interest *in)
{
    if (list_is_empty(&in->waiters))
        return NULL;
    struct waiter *w = LIST_ENTRY(in->waiters.next, struct waiter, node);
    return clock_mono_ms() >= w->until_ms || is_known(in, w->version) ? w : NULL;
}

static void go_on(struct interest *in)
{
    struct waiter *w;
    while ((w = find_ready(in))) {
        struct user *u = w->user;
        loop_fn *then = w->then;
        pass(in, w->version);
        waiter_free(w);
        then(u); /* may wait again, or end others' waiting */
    }
}

/* ---- senders ---- */

static void on_gap_timer(void *arg)
{
    struct interest *in = arg;
    in->gaps_ms = MAX(in->gaps_ms, clock_mono_ms()) + GAP_EVERY_MS;
    if (map64_count(in->gw->members))
        gateway_hub_gap(in->gw);
}

/* All is read anew, but not again and again, however much is lost; until then nothing is told to
 * whom it may not be for any more. */
static void find_gap(struct interest *in)
{
    int64_t from_ms = in->gaps_ms - (GAPS_AT_ONCE - 1) * GAP_EVERY_MS;
    int64_t wait_ms = MAX(from_ms - clock_mono_ms(), 0) + 1;
    bool is_waiting = loop_timer_is_armed(&in->gap_timer);
    if (!is_waiting || in->gw->has_loaded) /* while it waits somebody may have come */
        gateway_hub_doubt(in->gw);
    if (!is_waiting)
        loop_timer_start(in->gw->loop, &in->gap_timer, wait_ms, on_gap_timer, in);
}

static struct sender *find_sender(struct interest *in, const char *name)
{
    LIST_FOREACH(&in->senders, node)
    {
        struct sender *s = LIST_ENTRY(node, struct sender, node);
        if (strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

static void sender_free(struct sender *s)
{
    list_remove(&s->node);
    free(s->name);
    free(s);
}

static struct sender *get_sender(struct interest *in, const char *name)
{
    struct sender *s = find_sender(in, name);
    if (s)
        return s;
    s = mem_new(struct sender);
    s->name = mem_strdup(name);
    s->heard_ms = clock_mono_ms();
    s->is_new = true;
    list_add_tail(&in->senders, &s->node);
    return s;
}

static void count_senders(const struct interest *in)
{
    unsigned count = 0;
    LIST_FOREACH(&in->senders, node)
    count += !is_silent(LIST_ENTRY(node, struct sender, node));
    metric_set(&metric_senders, count);
}

/* Whether what came before this is all here. */
static bool is_whole(const struct sender *s, const Message__Downstream *m)
{
    if (s->is_new)
        return m->number == 1 && !m->is_late;
    return m->series == s->series && (s->number < 0 || m->number == s->number + 1);
}

bool interest_heard(struct gateway *gw, const Message__Downstream *m)
{
    struct interest *in = gw->interest;
    if (!in)
        return false;
    struct sender *s = get_sender(in, m->sender);
    if (!s->is_new && m->series == s->series && m->number <= s->number)
        return false; /* once more */
    if (s->is_new && m->known_version >= 0 && m->known_version < in->passed)
        s->passed = in->passed; /* nobody could wait for it */
    bool is_back = is_silent(s) || (s->passed && m->known_version >= s->passed);
    if (!is_whole(s, m) || is_back)
        find_gap(in);
    s->heard_ms = clock_mono_ms();
    if (s->is_new)
        count_senders(in);
    s->is_new = false;
    s->series = m->series;
    s->number = m->number;
    s->passed = is_back ? 0 : s->passed;
    s->version = m->known_version;
    if (m->known_version < 0 && s->heard_ms - in->told_all_ms > TELL_ALL_EVERY_MS)
        say_all(in);
    if (m->is_leaving)
        sender_free(s);
    go_on(in);
    return true;
}

void interest_asked(struct gateway *gw)
{
    if (gw->interest)
        say_all(gw->interest);
}

void interest_gap(struct gateway *gw)
{
    struct interest *in = gw->interest;
    if (!in)
        return;
    LIST_FOREACH(&in->senders, node)
    {
        struct sender *s = LIST_ENTRY(node, struct sender, node);
        s->number = -1;
        s->heard_ms = clock_mono_ms();
        s->passed = 0;
    }
    say_all(in);
}

/* ---- by the clock ---- */

/* Who went without a goodbye may have told us last what never came, and no number shows it. */
static void forget_silent(struct interest *in)
{
    LIST_FOREACH(&in->senders, node)
    {
        struct sender *s = LIST_ENTRY(node, struct sender, node);
        if (clock_mono_ms() - s->heard_ms <= 12 * SILENT_MS)
            continue;
        sender_free(s);
        if (in->was_linked) /* else all is read anew when there is a link */
            find_gap(in);
    }
}

static void on_beat(void *arg)
{
    struct interest *in = arg;
    Message__GatewayPlaces m = MESSAGE__GATEWAY_PLACES__INIT;
    bool is_linked = bus_is_heard(in->gw->deps.bus);
    if (is_linked && !in->was_linked)
        say_all(in);
    else if (is_linked && !in->added_count)
        say(in, &m);
    in->was_linked = is_linked;
    forget_silent(in);
    count_senders(in);
    clean(in);
    go_on(in);
    loop_timer_start(in->gw->loop, &in->beat_timer, is_linked ? BEAT_MS : BEAT_FIRST_MS, on_beat,
                     in);
}

void interest_start(struct gateway *gw)
{
    if (!bus_is_apart(gw->deps.bus))
        return;
    struct interest *in = gw->interest = mem_new(struct interest);
    in->gw = gw;
    list_init(&in->senders);
    list_init(&in->waiters);
    on_beat(in);
}

void interest_stop(struct gateway *gw)
{
    struct interest *in = gw->interest;
    Message__GatewayPlaces m = MESSAGE__GATEWAY_PLACES__INIT;
    if (!in)
        return;
    m.is_leaving = true;
    say(in, &m);
    loop_timer_stop(&in->flush_timer);
    loop_timer_stop(&in->beat_timer);
    loop_timer_stop(&in->gap_timer);
    LIST_FOREACH(&in->senders, node)
    sender_free(LIST_ENTRY(node, struct sender, node));
    LIST_FOREACH(&in->waiters, node)
    waiter_free(LIST_ENTRY(node, struct waiter, node));
    drop_added(in);
    free(in);
    gw->interest = NULL;
}
