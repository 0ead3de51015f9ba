/*
 * protocol_test: clients that keep to docs/messaging.md, the service and the gateway's hub, in
 * virtual time (virtual.h): thousands of schedules of cuts, reorderings, repeated sends, two
 * devices of one person, slow readers, people put out and let in again, a gateway that dies. What
 * each device was answered and told is held to what was committed: the same rules as in
 * tests/flow/history.mjs. A schedule that fails prints the SEED to run it again with.
 */
#include "virtual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"

#define PEOPLE 4
#define DEVICES 6
#define LINES_MAX 512
#define STEP_US 20000
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SCHEDULES 60
#else
#define SCHEDULES 300
#endif

struct line {
    char key[ID_SIZE], text[48];
    int device;
    bool is_acked, is_recalled; /* recalled: committed */
    int64_t seq, floor;         /* above what was acknowledged when it was first sent */
    unsigned readers;           /* who was in it when it was committed, by bits */
};

/* What a device has of a message. */
struct held {
    char id[ID_SIZE], text[48];
    bool is_there, is_recalled;
};

struct device {
    struct play *play;
    int number, person;
    bool is_slow, is_ready, is_asking, has_asked, is_away;
    uint64_t link;
    char cursor[4096], next_cursor[4096]; /* the next one counts when what it brought is here */
    int64_t rev, event_rev;               /* of the last event on this connection */
    int outbox[LINES_MAX], outbox_count;
    struct held held[LINES_MAX + 1];
    int holes, cuts;
};

struct play {
    struct world *w;
    struct virtual *v;
    struct identity people[PEOPLE];
    char id[ID_SIZE];
    struct device devices[DEVICES];
    struct line lines[LINES_MAX];
    int line_count;
    struct held truth[LINES_MAX + 1]; /* by seq: id alone */
    int64_t acked_seq;                /* highest */
    unsigned members;                 /* as committed */
    bool is_by_cursor;                /* nobody says what it has open */
};

static void connect_device(struct device *d);

/* ---- what a device is told ---- */

static void take_message(struct device *d, const Message__MessageInfo *m, int64_t rev)
{
    struct play *p = d->play;
    assert_true(m->seq > 0 && m->seq <= LINES_MAX);
    struct held *truth = &p->truth[m->seq], *held = &d->held[m->seq];
    if (!truth->id[0])
        memcpy(truth->id, m->id, ID_SIZE);
    assert_string_equal(truth->id, m->id); /* one order for all */
    for (int i = 0; i < p->line_count; i++) {
        const struct line *line = &p->lines[i];
        if (strcmp(line->key, m->client_msg_id) != 0)
            continue;
        assert_int_equal(line->seq, m->seq);
        assert_true(line->readers >> d->person & 1); /* only to members */
    }
    assert_false(held->is_recalled && !m->recalled_at_ms); /* recalled stays recalled */
    assert_false(m->recalled_at_ms && m->content && m->content->text[0]);
    *held = (struct held){.is_there = true, .is_recalled = m->recalled_at_ms > 0};
    memcpy(held->id, m->id, ID_SIZE);
    snprintf(held->text, sizeof(held->text), "%s", m->content ? m->content->text : "");
}

static void take_change(struct device *d, const Message__Change *change)
{
    if (change->rev <= d->rev)
        return;
    if (change->message)
        take_message(d, change->message, change->rev);
    d->rev = change->rev;
}

static void take_changes(struct device *d, const Message__ChangeList *list)
{
    for (size_t i = 0; i < list->n_changes; i++) {
        const Message__Change *change = list->changes[i];
        if (change->rev > d->rev)
            assert_true(change->prev_rev <= d->rev); /* no hole for who asks */
        take_change(d, change);
    }
    d->rev = MAX(d->rev, list->rev);
}

/* ---- requests: what arrives is done at once, the answer goes back ---- */

enum kind { SEND, CHANGES, SYNC, EDIT, RECALL, PUT_OUT, LET_IN };

struct request {
    struct device *d;
    enum kind kind;
    uint64_t link;
    int line;
    int64_t seq, rev;
    int person;
    char cursor[4096];
};

static void send_back(struct virtual *v, const struct request *r,
                      Gateway__ServerFrame__BodyCase kind, const void *reply)
{
    Gateway__ServerFrame frame = GATEWAY__SERVER_FRAME__INIT;
    Gateway__ErrorInfo error = GATEWAY__ERROR_INFO__INIT;
    frame._id_case = GATEWAY__SERVER_FRAME___ID_ID;
    frame.id = r->kind * LINES_MAX + r->line;
    frame.body_case = reply ? kind : GATEWAY__SERVER_FRAME__BODY_ERROR;
    frame.send_message = reply ? (Message__SendMessageReply *)reply : (void *)&error;
    virtual_answer(v, r->link, &frame);
}

static void serve_send(struct virtual *v, const struct request *r)
{
    struct play *p = r->d->play;
    struct line *line = &p->lines[r->line];
    const struct identity *who = &p->people[r->d->person];
    const Message__SendMessageReply *reply = say(p->w, who, p->id, line->text, line->key);
    if (reply) {
        assert_int_equal(reply->is_duplicate, line->seq > 0); /* known if and only if committed */
        assert_true(!line->seq || line->seq == reply->seq);
        if (!line->seq)
            line->readers = p->members;
        line->seq = reply->seq;
    } else {
        assert_true(answer.err == ERR_PERMISSION_DENIED || answer.err == ERR_NOT_FOUND);
        assert_false(line->seq > 0 || p->members >> r->d->person & 1);
    }
    send_back(v, r, GATEWAY__SERVER_FRAME__BODY_SEND_MESSAGE, reply);
}

static void serve_changes(struct virtual *v, const struct request *r)
{
    struct play *p = r->d->play;
    Message__GetChangesRequest in = MESSAGE__GET_CHANGES_REQUEST__INIT;
    in.id = p->id;
    in.after_rev = r->rev;
    in.limit = 1 + (int)virtual_chance(v, 20);
    send_back(v, r, GATEWAY__SERVER_FRAME__BODY_GET_CHANGES,
              ask(p->w, p->w->message, "GetChanges", &in, &p->people[r->d->person]));
}

static void serve_sync(struct virtual *v, const struct request *r)
{
    struct play *p = r->d->play;
    Message__SyncRequest in = MESSAGE__SYNC_REQUEST__INIT;
    Message__KnownRevision known = MESSAGE__KNOWN_REVISION__INIT, *open[] = {&known};
    known.conversation_id = p->id;
    known.rev = r->rev;
    in.cursor = (char *)r->cursor;
    in.open = open;
    in.n_open = p->is_by_cursor ? 0 : virtual_chance(v, 2);
    send_back(v, r, GATEWAY__SERVER_FRAME__BODY_SYNC,
              ask(p->w, p->w->message, "Sync", &in, &p->people[r->d->person]));
}

static void serve_edit(const struct request *r)
{
    struct play *p = r->d->play;
    Message__EditMessageRequest edit = MESSAGE__EDIT_MESSAGE_REQUEST__INIT;
    Message__RecallMessageRequest recall = MESSAGE__RECALL_MESSAGE_REQUEST__INIT;
    Message__Content content = MESSAGE__CONTENT__INIT;
    char text[48];
    snprintf(text, sizeof(text), "edit at %lld", (long long)virtual_now_us(p->v));
    edit.id = recall.id = p->id;
    edit.seq = recall.seq = r->seq;
    edit.content = &content;
    content.text = text;
    const struct identity *who = &p->people[r->d->person];
    if (r->kind == EDIT)
        (void)!ask(p->w, p->w->message, "EditMessage", &edit, who);
    else
        (void)!ask(p->w, p->w->message, "RecallMessage", &recall, who);
}

static void serve_move(const struct request *r)
{
    struct play *p = r->d->play;
    Group__RemoveMemberRequest out = GROUP__REMOVE_MEMBER_REQUEST__INIT;
    Group__AddMembersRequest in = GROUP__ADD_MEMBERS_REQUEST__INIT;
    char *ids[] = {p->people[r->person].user_id};
    out.id = in.id = p->id;
    out.user_id = ids[0];
    in.user_ids = ids;
    in.n_user_ids = 1;
    const char *method = r->kind == PUT_OUT ? "RemoveMember" : "AddMembers";
    const void *request = r->kind == PUT_OUT ? (const void *)&out : &in;
    if (!ask(p->w, p->w->group, method, request, &p->people[0]))
        return;
    p->members &= ~(1u << r->person);
    if (r->kind == LET_IN)
        p->members |= 1u << r->person;
}

static void serve(struct virtual *v, void *arg)
{
    struct request *r = arg;
    if (!v) {
        free(r);
        return;
    }
    switch (r->kind) {
    case SEND:
        serve_send(v, r);
        break;
    case CHANGES:
        serve_changes(v, r);
        break;
    case SYNC:
        serve_sync(v, r);
        break;
    case EDIT:
    case RECALL:
        serve_edit(r);
        break;
    case PUT_OUT:
    case LET_IN:
        serve_move(r);
        break;
    }
    free(r);
}

static void request(struct device *d, struct request r)
{
    struct request *copy = mem_new(struct request);
    r.d = d;
    r.link = d->link;
    *copy = r;
    virtual_send(d->play->v, d->link, serve, copy);
}

/* ---- the client ---- */

static void ask_changes(struct device *d)
{
    d->is_asking = true;
    d->has_asked = true;
    request(d, (struct request){.kind = CHANGES, .rev = d->rev});
}

static void send_line(struct device *d, int line)
{
    request(d, (struct request){.kind = SEND, .line = line});
}

static void take_event(struct device *d, const Message__Change *change)
{
    assert_true(change->rev > d->event_rev); /* in order, and once, on one connection */
    d->event_rev = change->rev;
    if (change->rev <= d->rev)
        return;
    if (change->prev_rev != d->rev) {
        d->holes++;
        if (!d->is_asking)
            ask_changes(d);
        return;
    }
    take_change(d, change);
}

static void drop_line(struct device *d, int line)
{
    int kept = 0;
    for (int i = 0; i < d->outbox_count; i++)
        if (d->outbox[i] != line)
            d->outbox[kept++] = d->outbox[i];
    d->outbox_count = kept;
}

static void take_acknowledged(struct device *d, const Gateway__ServerFrame *frame)
{
    struct play *p = d->play;
    int number = (int)frame->id % LINES_MAX;
    struct line *line = &p->lines[number];
    if (frame->body_case == GATEWAY__SERVER_FRAME__BODY_SEND_MESSAGE) {
        const Message__SendMessageReply *reply = frame->send_message;
        assert_int_equal(reply->seq, line->seq);
        assert_true(reply->seq > line->floor); /* after what had its answer before */
        line->is_acked = true;
        p->acked_seq = MAX(p->acked_seq, reply->seq);
    }
    drop_line(d, number);
}

static void take_sync(struct device *d, const Message__SyncReply *reply)
{
    bool has_moved = false;
    snprintf(d->next_cursor, sizeof(d->next_cursor), "%s", reply->cursor);
    for (size_t i = 0; i < reply->n_open_changes; i++)
        if (reply->open_changes[i]->rev) {
            take_changes(d, reply->open_changes[i]);
            has_moved |= reply->open_changes[i]->has_more;
        }
    for (size_t i = 0; i < reply->n_conversations; i++)
        has_moved |= strcmp(reply->conversations[i]->id, d->play->id) == 0 &&
                     reply->conversations[i]->rev > d->rev;
    if (has_moved && !d->is_asking)
        ask_changes(d);
    else if (!has_moved)
        memcpy(d->cursor, d->next_cursor, sizeof(d->cursor));
}

static void take_answer(struct device *d, const Gateway__ServerFrame *frame)
{
    switch (frame->body_case) {
    case GATEWAY__SERVER_FRAME__BODY_SYNC:
        take_sync(d, frame->sync);
        break;
    case GATEWAY__SERVER_FRAME__BODY_GET_CHANGES:
        d->is_asking = false;
        take_changes(d, frame->get_changes);
        if (frame->get_changes->has_more)
            ask_changes(d);
        else if (d->next_cursor[0])
            memcpy(d->cursor, d->next_cursor, sizeof(d->cursor));
        break;
    default: /* a send; or a refusal, of whatever was asked */
        if (frame->id / LINES_MAX == SEND)
            take_acknowledged(d, frame);
        else
            d->is_asking = false;
    }
}

static void sync_now(struct device *d)
{
    struct request sync = {.kind = SYNC, .rev = d->rev};
    snprintf(sync.cursor, sizeof(sync.cursor), "%s", d->cursor);
    request(d, sync);
}

/* Ready: what was missed, and what has no answer once more, in its order. */
static void begin(struct device *d)
{
    d->is_ready = true;
    sync_now(d);
    for (int i = 0; i < d->outbox_count; i++)
        send_line(d, d->outbox[i]);
}

static void come_back(struct virtual *v UNUSED, void *arg)
{
    connect_device(arg);
}

static void hear(void *client, uint64_t link, Gateway__ServerFrame *frame)
{
    struct device *d = client;
    if (!frame) {
        d->is_ready = d->is_asking = false;
        d->next_cursor[0] = '\0';
        d->cuts++;
        virtual_after(d->play->v, 1000 + virtual_chance(d->play->v, 50000), come_back, d);
        return;
    }
    assert_int_equal(link, d->link);
    if (frame->_id_case == GATEWAY__SERVER_FRAME___ID_ID)
        take_answer(d, frame);
    else if (frame->body_case == GATEWAY__SERVER_FRAME__BODY_READY)
        begin(d);
    else if (frame->body_case == GATEWAY__SERVER_FRAME__BODY_CHANGE)
        take_event(d, frame->change);
    gateway__server_frame__free_unpacked(frame, NULL);
}

static void connect_device(struct device *d)
{
    if (d->is_away || virtual_is_open(d->play->v, d->link))
        return;
    d->event_rev = 0;
    d->link = virtual_connect(d->play->v, &d->play->people[d->person], d, d->is_slow);
}

/* ---- schedules ---- */

static void say_something(struct device *d)
{
    struct play *p = d->play;
    if (p->line_count == LINES_MAX)
        return;
    struct line *line = &p->lines[p->line_count];
    *line = (struct line){.device = d->number, .floor = p->acked_seq};
    id_make(line->key);
    snprintf(line->text, sizeof(line->text), "line %d", p->line_count);
    d->outbox[d->outbox_count++] = p->line_count;
    if (d->is_ready)
        send_line(d, p->line_count);
    p->line_count++;
}

static void do_something(struct play *p)
{
    struct virtual *v = p->v;
    struct device *d = &p->devices[virtual_chance(v, DEVICES)];
    unsigned dice = virtual_chance(v, 100);
    int64_t seq = p->line_count ? p->lines[virtual_chance(v, (unsigned)p->line_count)].seq : 0;
    if (dice < 60)
        say_something(d);
    else if (dice < 68 && d->outbox_count && d->is_ready) /* too impatient to wait */
        send_line(d, d->outbox[virtual_chance(v, (unsigned)d->outbox_count)]);
    else if (dice < 80)
        virtual_cut(v, d->link);
    else if (dice < 88 && d->is_ready && seq)
        request(d, (struct request){.kind = dice < 85 ? EDIT : RECALL, .seq = seq});
    else if (dice < 96 && p->devices[0].is_ready)
        request(&p->devices[0], (struct request){.kind = virtual_chance(v, 2) ? PUT_OUT : LET_IN,
                                                 .person = PEOPLE - 1});
    else if (dice == 99)
        virtual_restart_gateway(v);
}

static void play_open(struct play *p, struct world *w, const struct identity *people, unsigned seed)
{
    static const int owners[DEVICES] = {0, 1, 1, 2, 2, 3}; /* two have two devices */
    memset(p, 0, sizeof(*p));
    p->w = w;
    memcpy(p->people, people, sizeof(p->people));
    p->v = virtual_open(w, &(struct virtual_options){.seed = seed, .hear = hear});
    Group__CreateGroupRequest make = GROUP__CREATE_GROUP_REQUEST__INIT;
    snprintf(p->id, sizeof(p->id), "%s",
             make_group(w, &people[0], make, MEMBERS(&people[1], &people[2], &people[3]))->id);
    p->members = (1u << PEOPLE) - 1;
    for (int i = 0; i < DEVICES; i++) {
        struct device *d = &p->devices[i];
        *d = (struct device){.play = p, .number = i, .person = owners[i], .is_slow = i == 4};
        connect_device(d);
    }
}

/* Everything acknowledged stands in the log, once; every device of a member has what the service
 * shows its owner. */
static void check_device(struct device *d, int64_t head)
{
    struct play *p = d->play;
    const Message__MessageHistory *h = history(p->w, &p->people[d->person], p->id);
    assert_non_null(h);
    assert_int_equal(d->outbox_count, 0);
    bool is_in = p->members >> d->person & 1;
    if (is_in) { /* what is left is about messages from before their time */
        assert_int_equal(changes(p->w, &p->people[d->person], p->id, d->rev)->n_changes, 0);
        d->rev = head;
    }
    for (size_t i = 0; i < h->n_messages; i++) {
        const Message__MessageInfo *m = h->messages[i];
        const struct held *held = &d->held[m->seq];
        assert_true(i == 0 || m->seq == h->messages[i - 1]->seq + 1);
        assert_true(held->is_there);
        assert_string_equal(held->id, m->id);
        if (!is_in) /* what happened to it since is not told any more */
            continue;
        assert_string_equal(held->text, m->content ? m->content->text : "");
        assert_int_equal(held->is_recalled, m->recalled_at_ms > 0);
    }
}

static void check(struct play *p)
{
    int64_t head = look(p->w, &p->people[0], p->id)->rev, highest = 0, count = 0;
    for (int i = 0; i < p->line_count; i++) {
        const struct line *line = &p->lines[i];
        assert_false(line->is_acked && !line->seq);
        count += line->seq > 0;
        highest = MAX(highest, line->seq);
    }
    assert_int_equal(highest, count); /* dense */
    for (int i = 0; i < DEVICES; i++)
        check_device(&p->devices[i], head);
}

/* Nobody is cut, and all have caught up: what is said now comes by itself. */
static void check_live(struct play *p)
{
    for (int i = 0; i < DEVICES; i++)
        p->devices[i].has_asked = false;
    for (int i = 0; i < 8; i++) {
        say_something(&p->devices[virtual_chance(p->v, 3)]);
        virtual_run(p->v, 100000);
    }
    virtual_run(p->v, 2000000);
    for (int i = 0; i < DEVICES; i++)
        assert_false(p->devices[i].has_asked);
}

/* One message while a device is away, which comes back by its cursor: the smallest thing to miss.
 */
static void check_cursor(struct play *p)
{
    struct device *d = &p->devices[2];
    p->is_by_cursor = true;
    sync_now(d);
    virtual_run(p->v, 1000000);
    d->is_away = true;
    virtual_cut(p->v, d->link);
    virtual_run(p->v, 1000000);
    say_something(&p->devices[0]);
    virtual_run(p->v, 1000000);
    d->is_away = false;
    connect_device(d);
    virtual_run(p->v, 2000000);
}

static void run_schedule(struct world *w, const struct identity *people, unsigned seed)
{
    static struct play p;
    play_open(&p, w, people, seed);
    for (int step = 0; step < 40; step++) {
        do_something(&p);
        virtual_run(p.v, virtual_chance(p.v, STEP_US));
    }
    virtual_run(p.v, 5000000);
    for (int i = 0; i < DEVICES; i++) /* some were cut for being slow, and came again */
        assert_true(p.devices[i].is_ready);
    check(&p);
    check_live(&p);
    check(&p);
    check_cursor(&p);
    check(&p);
    virtual_close(&p.v);
}

/* ---- the tests ---- */

static unsigned running; /* for the report of a failure */

static void test_schedules(void **state UNUSED)
{
    const char *given = getenv("SEED"), *many = getenv("SCHEDULES");
    int count = given ? 1 : many ? atoi(many) : SCHEDULES;
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)clock_mono_us();
    struct world *w = NULL;
    struct identity people[PEOPLE];
    for (int i = 0; i < count; i++) {
        if (i % 50 == 0) { /* calls are kept until their world closes */
            static const char *const names[PEOPLE] = {"ann", "bob", "cleo", "dan"};
            if (w)
                world_close(&w);
            w = world_open(&(struct world_options){0});
            for (int k = 0; k < PEOPLE; k++)
                people[k] = world_register(w, names[k]);
        }
        running = seed + (unsigned)i;
        run_schedule(w, people, running);
    }
    print_message("%d schedules, from SEED=%u\n", count, seed);
    running = 0;
    world_close(&w);
}

static int tell_seed(void **state UNUSED)
{
    if (running)
        print_message("SEED=%u fails\n", running);
    return 0;
}

/* The harness is awake: this program again, with a bug sown in (tests/seeded). */
static void test_each_seeded_bug_is_found(void **state UNUSED)
{
    static const char *const bugs[] = {
        "dedup_forgotten",    "recall_is_only_told", "cursor_off_by_one", "changes_off_by_one",
        "told_after_removal", "event_lost",          "events_swapped"};
    for (size_t i = 0; i < ARRAY_LEN(bugs); i++) {
        pid_t child = fork();
        if (child == 0) {
            (void)!freopen("/dev/null", "w", stdout);
            (void)!freopen("/dev/null", "w", stderr);
            setenv("SEEDED_BUG", bugs[i], 1);
            setenv("SCHEDULES", "100", 1);
            setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* a failed test leaves everything */
            execl("/proc/self/exe", "protocol_test", (char *)NULL);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) /* one test failed */
            fail_msg("%s was not found (%x)", bugs[i], (unsigned)status);
    }
}

int main(void)
{
    if (getenv("SEEDED_BUG")) {
        const struct CMUnitTest spoilt[] = {cmocka_unit_test(test_schedules)};
        return cmocka_run_group_tests(spoilt, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_seeded_bug_is_found),
        cmocka_unit_test_teardown(test_schedules, tell_seed),
    };
    return cmocka_run_group_tests_name("messaging, virtual time", tests, NULL, NULL);
}
