/*
 * Who is in which conversation, of those who are here, and which sockets look at it. Both sides of
 * each list know their place in the other, so that leaving costs the same in a channel of 200,000
 * as among three.
 */
#include "services/gateway/gateway_hub.h"

struct topic *topic_find(struct gateway *gw, const char *id)
{
    return map_get(gw->topics, str_from(id));
}

void *array_grown(void *array, size_t count, size_t size)
{
    size_t step = 4;
    while (step * 8 <= count)
        step *= 2;
    return count % step == 0 ? mem_realloc_array(array, count + step, size) : array;
}

/* ---- numbers: half as long as pointers ---- */

struct topic *topic_of(const struct gateway *gw, uint32_t number)
{
    return gw->numbered[number];
}

static void number_take(struct gateway *gw, struct topic *t)
{
    if (gw->unused_count) {
        t->number = gw->unused[--gw->unused_count];
    } else {
        gw->numbered = array_grown(gw->numbered, gw->numbered_count, sizeof(gw->numbered[0]));
        t->number = gw->numbered_count++;
    }
    gw->numbered[t->number] = t;
}

static void number_give(struct gateway *gw, const struct topic *t)
{
    gw->numbered[t->number] = NULL;
    gw->unused = array_grown(gw->unused, gw->unused_count, sizeof(gw->unused[0]));
    gw->unused[gw->unused_count++] = t->number;
}

/* By the shorter of the two lists. */
struct reader *topic_reader(const struct topic *t, const struct user *u)
{
    if (t->reader_count < u->topic_count) {
        for (size_t i = 0; i < t->reader_count; i++) {
            if (t->readers[i].user == u)
                return &t->readers[i];
        }
        return NULL;
    }
    for (size_t i = 0; i < u->topic_count; i++) {
        if (u->topics[i].topic == t->number)
            return &t->readers[u->topics[i].place];
    }
    return NULL;
}

/* ---- looking ---- */

static struct look *look_find(struct member *m, const struct topic *t)
{
    for (size_t i = 0; i < m->look_count; i++) {
        if (m->open[i].topic == t)
            return &m->open[i];
    }
    return NULL;
}

bool topic_is_open(const struct member *m, const struct topic *t)
{
    return look_find((struct member *)m, t) != NULL;
}

static void look_away(struct look *look)
{
    struct topic *t = look->topic;
    struct looker *hole = &t->lookers[look->place];
    *hole = t->lookers[--t->looker_count];
    hole->member->open[hole->slot].place = look->place;
    look->topic = NULL;
}

static struct look *look_free(struct member *m)
{
    struct look *oldest = m->open;
    for (size_t i = 0; i < m->look_count; i++) {
        if (!m->open[i].topic)
            return &m->open[i];
        if (m->open[i].age < oldest->age)
            oldest = &m->open[i];
    }
    if (m->look_count == OPEN_MAX) {
        look_away(oldest);
        return oldest;
    }
    m->open = array_grown(m->open, m->look_count, sizeof(m->open[0]));
    m->open[m->look_count] = (struct look){0};
    return &m->open[m->look_count++];
}

static void look_at(struct member *m, struct topic *t)
{
    struct look *look = look_find(m, t);
    if (!look) {
        look = look_free(m);
        t->lookers = array_grown(t->lookers, t->looker_count, sizeof(t->lookers[0]));
        t->lookers[t->looker_count] = (struct looker){m, (uint32_t)(look - m->open)};
        look->topic = t;
        look->place = (uint32_t)t->looker_count++;
    }
    look->age = ++m->open_count;
}

static void early_drop(struct member *m, size_t at)
{
    memmove(m->early->ids[at], m->early->ids[at + 1],
            (--m->early->count - at) * sizeof(m->early->ids[0]));
    if (m->early->count == 0) {
        free(m->early);
        m->early = NULL;
    }
}

static void early_remove(struct member *m, const char *id)
{
    for (size_t i = 0; m->early && i < m->early->count; i++) {
        if (strcmp(m->early->ids[i], id) == 0) {
            early_drop(m, i);
            return;
        }
    }
}

static void early_add(struct member *m, const char *id)
{
    early_remove(m, id);
    if (m->early && m->early->count == OPEN_MAX)
        early_drop(m, 0);
    if (!m->early)
        m->early = mem_zalloc(sizeof(*m->early));
    char *place = m->early->ids[m->early->count++];
    memset(place, 0, ID_SIZE);
    memcpy(place, id, strnlen(id, ID_SIZE - 1));
}

void topic_open(struct member *m, const char *id)
{
    struct topic *t = topic_find(m->user->gw, id);
    if (t && topic_reader(t, m->user))
        look_at(m, t);
    else /* the list is on its way, or the event that lets them in */
        early_add(m, id);
}

void topic_close(struct member *m, const char *id)
{
    struct topic *t = topic_find(m->user->gw, id);
    struct look *look = t ? look_find(m, t) : NULL;
    if (look)
        look_away(look);
    early_remove(m, id);
}

void topic_close_all(struct member *m)
{
    for (size_t i = 0; i < m->look_count; i++) {
        if (m->open[i].topic)
            look_away(&m->open[i]);
    }
    free(m->open);
    m->open = NULL;
    m->look_count = 0;
    free(m->early);
    m->early = NULL;
}

void topic_close_for_now(struct member *m)
{
    for (size_t i = 0; i < m->look_count; i++) {
        struct topic *t = m->open[i].topic;
        if (!t)
            continue;
        look_away(&m->open[i]);
        early_add(m, t->id);
    }
}

/* What was opened before the person was known to be in it. */
static void look_early(struct user *u, struct topic *t)
{
    LIST_FOREACH(&u->members, node)
    {
        struct member *m = LIST_ENTRY(node, struct member, in_user);
        for (size_t i = 0; m->early && i < m->early->count; i++) {
            if (strcmp(m->early->ids[i], t->id) != 0)
                continue;
            early_drop(m, i);
            look_at(m, t);
            break;
        }
    }
}

/* ---- being in it ---- */

static struct topic *topic_get(struct gateway *gw, const char *id)
{
    struct topic *t = topic_find(gw, id);
    if (t)
        return t;
    t = mem_zalloc(sizeof(*t));
    memcpy(t->id, id, strnlen(id, sizeof(t->id) - 1));
    map_set(gw->topics, str_from(id), t);
    number_take(gw, t);
    interest_add(gw, t->id);
    return t;
}

void topic_add(struct gateway *gw, struct user *u, const char *id, int64_t visible_from_seq)
{
    struct topic *t = topic_get(gw, id);
    struct reader *reader = topic_reader(t, u);
    if (reader) {
        reader->visible_from_seq = (uint64_t)visible_from_seq;
        return;
    }
    t->readers = array_grown(t->readers, t->reader_count, sizeof(t->readers[0]));
    u->topics = array_grown(u->topics, u->topic_count, sizeof(u->topics[0]));
    t->readers[t->reader_count] = (struct reader){
        .user = u, .visible_from_seq = (uint64_t)visible_from_seq, .place = u->topic_count};
    u->topics[u->topic_count++] =
        (struct membership){.topic = t->number, .place = (uint32_t)t->reader_count++};
    look_early(u, t);
}

/* The last ones of both lists move into the holes; the last one gone frees the topic. */
static void leave(struct user *u, uint32_t at)
{
    struct topic *t = topic_of(u->gw, u->topics[at].topic);
    uint32_t place = u->topics[at].place;
    LIST_FOREACH(&u->members, node)
    {
        struct look *look = look_find(LIST_ENTRY(node, struct member, in_user), t);
        if (look)
            look_away(look);
    }
    t->readers[place] = t->readers[--t->reader_count];
    t->readers[place].user->topics[t->readers[place].place].place = place;
    u->topics[at] = u->topics[--u->topic_count];
    if (at < u->topic_count)
        topic_of(u->gw, u->topics[at].topic)->readers[u->topics[at].place].place = at;
    if (t->reader_count)
        return;
    heads_forget(t);
    map_remove(u->gw->topics, str_from(t->id));
    interest_remove(u->gw, t->id);
    number_give(u->gw, t);
    free(t->readers);
    free(t->lookers);
    free(t);
}

void topic_remove(struct gateway *gw, struct user *u, const char *id)
{
    struct topic *t = topic_find(gw, id);
    struct reader *reader = t ? topic_reader(t, u) : NULL;
    if (reader)
        leave(u, reader->place);
}

void topic_remove_all(struct user *u)
{
    while (u->topic_count)
        leave(u, (uint32_t)u->topic_count - 1);
    free(u->topics);
    u->topics = NULL;
}
