/*
 * bus_redis_serve: the thread that reads for groups. Of the processes of a group one owns it (a key
 * with an end, which the keeping thread renews), so that parcels of one key are handled one after
 * the other. Who becomes the owner first claims what its predecessor was given and did not confirm,
 * then reads on. What is handled is confirmed (XACK), also after a lost connection.
 *
 * A parcel that was given several times and never confirmed may be what ended its readers: it is
 * given alone, and after DEAD_AFTER times it becomes a dead letter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_redis_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"

#define PAGE 64         /* entries asked for at once */
#define IN_HAND_MAX 512 /* given to handlers and not settled, a group */
#define SUSPECT_AFTER 3 /* times given */
#define DEAD_AFTER 10
#define DEAD_KEPT "10000" /* letters of a channel */
#define TRY_US 1000000ll  /* between attempts to become the owner */
#define IDLE_MS 500

/* ---- receipts ---- */

static bool is_in_hand(struct bus_impl *b, const struct redis_group *g, struct stream_id id)
{
    uint64_t number;
    void *value;
    size_t at = 0;
    bool is = false;
    pthread_mutex_lock(&b->lock);
    while (!is && map64_next(b->receipts, &at, &number, &value)) {
        const struct redis_receipt *r = value;
        is = r->group == g && r->id.ms == id.ms && r->id.seq == id.seq;
    }
    pthread_mutex_unlock(&b->lock);
    return is;
}

static uint64_t add_receipt(struct bus_impl *b, struct redis_group *g, struct stream_id id)
{
    struct redis_receipt *r = mem_new(struct redis_receipt);
    *r = (struct redis_receipt){.group = g, .id = id};
    pthread_mutex_lock(&b->lock);
    uint64_t number = ++b->last_receipt;
    map64_set(b->receipts, number, r);
    g->in_hand++;
    pthread_mutex_unlock(&b->lock);
    return number;
}

/* Lock held. */
static void drop_receipt(struct bus_impl *b, uint64_t number)
{
    struct redis_receipt *r = map64_remove(b->receipts, number);
    if (r && !r->is_settled)
        r->group->in_hand--;
    free(r);
}

void bus_redis_forget_group(struct bus_impl *b, struct redis_group *g)
{
    uint64_t number;
    void *value;
    size_t at = 0;
    pthread_mutex_lock(&b->lock);
    while (map64_next(b->receipts, &at, &number, &value)) {
        const struct redis_receipt *r = value;
        if (r->group == g && !r->is_settled)
            drop_receipt(b, number);
    }
    pthread_mutex_unlock(&b->lock);
}

/* ---- confirming ---- */

struct confirmation {
    struct bus_impl *bus;
    uint64_t number;
};

static void on_confirmed(void *arg, enum err err, const struct redis_reply *reply)
{
    struct confirmation *c = arg;
    struct bus_impl *b = c->bus;
    pthread_mutex_lock(&b->lock);
    if (!err) /* else it is confirmed again when the server is there */
        drop_receipt(b, c->number);
    b->confirming--;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    free(c);
}

static void confirm(struct bus_impl *b, const struct redis_group *g, struct stream_id id,
                    uint64_t number)
{
    char text[STREAM_ID_SIZE];
    struct str argv[] = {STR("XACK"), str_from(g->channel->key), str_from(g->name),
                         stream_id_text(id, text)};
    struct redis_command command = {.argv = argv, .argc = ARRAY_LEN(argv), .key_at = 1};
    struct confirmation *c = mem_new(struct confirmation);
    *c = (struct confirmation){.bus = b, .number = number};
    pthread_mutex_lock(&b->lock);
    b->confirming++;
    pthread_mutex_unlock(&b->lock);
    redis_post(b->client, &command, on_confirmed, c);
}

void bus_redis_settle(struct bus_impl *b, uint64_t number)
{
    pthread_mutex_lock(&b->lock);
    struct redis_receipt *r = map64_get(b->receipts, number);
    bool is_ours = r && !r->is_settled;
    struct redis_receipt own = is_ours ? *r : (struct redis_receipt){0};
    if (is_ours) {
        r->is_settled = true;
        r->group->in_hand--;
        if (r->group->in_hand == 0 || r->group->in_hand == IN_HAND_MAX / 2) {
            b->has_work = true; /* there is room again, or a suspect was handled */
            pthread_cond_broadcast(&b->changed);
        }
    }
    pthread_mutex_unlock(&b->lock);
    if (is_ours)
        confirm(b, own.group, own.id, number);
}

/* What was settled while the server was away. Only when nothing is on its way. */
static void confirm_again(struct bus_impl *b)
{
    struct confirmation *list = NULL;
    size_t count = 0, at = 0;
    uint64_t number;
    void *value;
    pthread_mutex_lock(&b->lock);
    size_t all = b->confirming ? 0 : map64_count(b->receipts);
    struct redis_receipt *receipts = mem_calloc(all + 1, sizeof(*receipts));
    list = mem_calloc(all + 1, sizeof(*list));
    while (count < all && map64_next(b->receipts, &at, &number, &value)) {
        receipts[count] = *(struct redis_receipt *)value;
        list[count].number = number;
        count += receipts[count].is_settled;
    }
    pthread_mutex_unlock(&b->lock);
    for (size_t i = 0; i < count; i++)
        confirm(b, receipts[i].group, receipts[i].id, list[i].number);
    free(receipts);
    free(list);
}

/* ---- giving ---- */

enum given { GIVEN, GIVEN_DEAD, GIVEN_NOT };

/* Out of the way: kept for people to look at, and confirmed. */
static enum err make_dead(struct bus_impl *b, const struct redis_group *g, struct stream_id id,
                          struct str parcel, const char *why)
{
    char key[BUS_REDIS_KEY_MAX + 8], text[STREAM_ID_SIZE];
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    struct str letter = stream_id_text(id, text);
    snprintf(key, sizeof(key), "%s.dead", g->channel->key);
    enum err err =
        BUS_REDIS_CALL(b, arena, &reply, STR("XADD"), str_from(key), STR("MAXLEN"), STR("~"),
                       STR(DEAD_KEPT), STR("*"), STR("e"), parcel, STR("id"), letter, STR("group"),
                       str_from(g->name), STR("why"), str_from(why));
    if (!err)
        err = BUS_REDIS_CALL(b, arena, &reply, STR("XACK"), str_from(g->channel->key),
                             str_from(g->name), letter);
    arena_destroy(&arena);
    if (!err)
        bus_link_count_dead(b->link, g->channel->name, why);
    return err;
}

static enum err give(struct bus_impl *b, struct redis_group *g, const struct redis_reply *entry)
{
    struct stream_id id;
    struct str parcel;
    if (!bus_redis_entry(entry, &id, &parcel))
        return ERR_OK;
    uint64_t number = add_receipt(b, g, id);
    enum err err = bus_link_receive(b->link, g->channel->name, g->name, parcel, number);
    if (!err)
        return ERR_OK;
    pthread_mutex_lock(&b->lock);
    drop_receipt(b, number);
    pthread_mutex_unlock(&b->lock);
    return err == ERR_INVALID_ARGUMENT ? make_dead(b, g, id, parcel, "it is no parcel") : err;
}

static bool is_owner(struct bus_impl *b, const struct redis_group *g)
{
    pthread_mutex_lock(&b->lock);
    bool is = g->is_joined && g->is_owner && clock_mono_us() < g->owned_until_us && b->is_linked;
    pthread_mutex_unlock(&b->lock);
    return is;
}

/* In order; what is left when we are not the owner any more is another's. */
static enum err give_all(struct bus_impl *b, struct redis_group *g,
                         const struct redis_reply *entries)
{
    enum err err = ERR_OK;
    const struct redis_reply *entry;
    for (size_t i = 0; !err && (entry = redis_reply_item(entries, i)); i++)
        err = is_owner(b, g) ? give(b, g, entry) : ERR_ABORTED;
    return err;
}

static size_t in_hand(struct bus_impl *b, const struct redis_group *g)
{
    pthread_mutex_lock(&b->lock);
    size_t count = g->in_hand;
    pthread_mutex_unlock(&b->lock);
    return count;
}

/* ---- what was given and not confirmed ---- */

struct pending {
    struct stream_id id;
    int64_t times; /* given */
};

static bool parse_pending(const struct redis_reply *row, struct pending *out)
{
    const struct redis_reply *times = redis_reply_item(row, 3);
    out->times = times ? times->number : 0;
    return stream_id_parse(redis_reply_text(redis_reply_item(row, 0)), &out->id);
}

/* Takes some over, in order, and gives them. */
static enum err claim(struct bus_impl *b, struct redis_group *g, const struct pending *list,
                      size_t count)
{
    struct str argv[5 + PAGE] = {STR("XCLAIM"), str_from(g->channel->key), str_from(g->name),
                                 str_from(b->self), STR("0")};
    char texts[PAGE][STREAM_ID_SIZE];
    for (size_t i = 0; i < count; i++)
        argv[5 + i] = stream_id_text(list[i].id, texts[i]);
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    enum err err = bus_redis_call(b, argv, 5 + count, arena, &reply);
    if (!err && reply->count < count)
        log_warn(NULL, "bus: %zu parcels of %s were trimmed before %s had handled them",
                 count - reply->count, g->channel->name, g->name);
    if (!err)
        err = give_all(b, g, reply);
    arena_destroy(&arena);
    return err;
}

static enum err bury(struct bus_impl *b, struct redis_group *g, struct stream_id id)
{
    char text[STREAM_ID_SIZE];
    const struct redis_reply *reply;
    struct stream_id ignored;
    struct str parcel = STR_NULL, at = stream_id_text(id, text);
    struct arena *arena = arena_create();
    enum err err =
        BUS_REDIS_CALL(b, arena, &reply, STR("XRANGE"), str_from(g->channel->key), at, at);
    if (!err)
        (void)bus_redis_entry(redis_reply_item(reply, 0), &ignored, &parcel);
    if (!err)
        err = make_dead(b, g, id, parcel, "its readers ended again and again");
    arena_destroy(&arena);
    return err;
}

/* The ones that are not in our hands; stops in front of a suspect, or with it alone. */
static enum err recover_page(struct bus_impl *b, struct redis_group *g,
                             const struct redis_reply *rows)
{
    struct pending list[PAGE], one;
    size_t count = 0;
    enum err err = ERR_OK;
    for (size_t i = 0; i < rows->count && count < PAGE; i++) {
        if (!parse_pending(&rows->items[i], &one))
            continue;
        bool is_ours = is_in_hand(b, g, one.id);
        if (!is_ours && one.times >= SUSPECT_AFTER && (count || in_hand(b, g)))
            break; /* later, alone */
        g->recovered = one.id;
        if (is_ours)
            continue;
        if (one.times >= DEAD_AFTER)
            return bury(b, g, one.id);
        list[count++] = one;
        if (one.times >= SUSPECT_AFTER)
            break;
    }
    if (count)
        err = claim(b, g, list, count);
    return err;
}

static enum err recover(struct bus_impl *b, struct redis_group *g)
{
    char text[STREAM_ID_SIZE + 1] = "(", page[8];
    (void)stream_id_text(g->recovered, text + 1);
    int n = snprintf(page, sizeof(page), "%d", PAGE);
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    enum err err =
        BUS_REDIS_CALL(b, arena, &reply, STR("XPENDING"), str_from(g->channel->key),
                       str_from(g->name), str_from(text), STR("+"), (struct str){page, (size_t)n});
    if (!err && reply->count == 0)
        g->state = GROUP_READING;
    else if (!err)
        err = recover_page(b, g, reply);
    arena_destroy(&arena);
    return err;
}

/* ---- what is new ---- */

/* *is_more: there may be more. */
static enum err read_page(struct bus_impl *b, struct redis_group *g, bool *is_more)
{
    char page[8];
    int n = snprintf(page, sizeof(page), "%d", PAGE);
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    enum err err =
        BUS_REDIS_CALL(b, arena, &reply, STR("XREADGROUP"), STR("GROUP"), str_from(g->name),
                       str_from(b->self), STR("COUNT"), (struct str){page, (size_t)n},
                       STR("STREAMS"), str_from(g->channel->key), STR(">"));
    const struct redis_reply *entries = redis_reply_item(redis_reply_item(reply, 0), 1);
    *is_more = !err && entries && entries->count == PAGE;
    if (!err && entries)
        err = give_all(b, g, entries);
    arena_destroy(&arena);
    return err;
}

enum err bus_redis_make_group(struct bus_impl *b, const char *key, const char *group,
                              const char *from)
{
    const struct redis_reply *reply;
    struct arena *arena = arena_create();
    enum err err = BUS_REDIS_CALL(b, arena, &reply, STR("XGROUP"), STR("CREATE"), str_from(key),
                                  str_from(group), str_from(from), STR("MKSTREAM"));
    arena_destroy(&arena);
    return err == ERR_ALREADY_EXISTS ? ERR_OK : err;
}

/* ---- one group ---- */

static bool become_owner(struct bus_impl *b, struct redis_group *g)
{
    int64_t now_us = clock_mono_us();
    if (now_us < g->try_at_us)
        return false;
    g->try_at_us = now_us + TRY_US;
    if (bus_redis_own(b, g) != ERR_OK)
        return false;
    g->state = GROUP_RECOVERING;
    g->recovered = (struct stream_id){0};
    return true;
}

static bool has_room(struct bus_impl *b, const struct redis_group *g)
{
    size_t count = in_hand(b, g);
    return count + PAGE <= IN_HAND_MAX;
}

/* True: there is more to do for it at once. */
static bool serve_group(struct bus_impl *b, struct redis_group *g)
{
    if (!is_owner(b, g) && !become_owner(b, g))
        return false;
    if (!has_room(b, g))
        return false;
    bool is_more = true;
    struct stream_id before = g->recovered;
    enum err err = g->state == GROUP_RECOVERING ? recover(b, g) : read_page(b, g, &is_more);
    if (err == ERR_CANCELLED) { /* the process stops: what is pending is its successor's */
        pthread_mutex_lock(&b->lock);
        b->is_quiet = true;
        pthread_mutex_unlock(&b->lock);
        return false;
    }
    if (err == ERR_NOT_FOUND) { /* the server has lost the stream: all that is there is new */
        log_warn(NULL, "bus: group %s of %s is not there any more, made anew", g->name,
                 g->channel->name);
        err = bus_redis_make_group(b, g->channel->key, g->name, "0");
        return err == ERR_OK;
    }
    if (err) { /* what an answer that was lost gave to us is pending */
        g->state = GROUP_RECOVERING;
        g->recovered = (struct stream_id){0};
        return false;
    }
    bool is_waiting = g->state == GROUP_RECOVERING && before.ms == g->recovered.ms &&
                      before.seq == g->recovered.seq; /* for a suspect's turn */
    return is_more && !is_waiting;
}

static bool serve_all(struct bus_impl *b)
{
    bool is_more = false;
    pthread_mutex_lock(&b->lock);
    for (struct list *node = b->groups.next; node != &b->groups && b->is_linked && !b->is_quiet;
         node = node->next) { /* groups stay until close */
        struct redis_group *g = LIST_ENTRY(node, struct redis_group, node);
        if (!g->is_joined)
            continue;
        pthread_mutex_unlock(&b->lock);
        is_more |= serve_group(b, g);
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return is_more;
}

void *bus_redis_serve_main(void *arg)
{
    struct bus_impl *b = arg;
    bool is_more = false;
    pthread_mutex_lock(&b->lock);
    while (!b->is_stopping) {
        if (!is_more && !b->has_work)
            thread_wait(&b->changed, &b->lock, IDLE_MS);
        b->has_work = false;
        pthread_mutex_unlock(&b->lock);
        confirm_again(b);
        is_more = serve_all(b);
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}
