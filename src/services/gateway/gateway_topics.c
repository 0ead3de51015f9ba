/* Who is in which conversation, of those who are here. */
#include "services/gateway/gateway_hub.h"

struct topic *topic_find(struct gateway *gw, const char *id)
{
    return map_get(gw->topics, str_from(id));
}

bool user_is_in(const struct user *u, const struct topic *t)
{
    for (size_t i = 0; i < u->topic_count; i++) {
        if (u->topics[i] == t)
            return true;
    }
    return false;
}

/* Arrays grow by doubling at powers of two: counts alone say how much room there is. */
void *array_grown(void *array, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0;
    return is_full ? mem_realloc_array(array, count ? count * 2 : 1, size) : array;
}

struct reader *topic_reader(const struct topic *t, const struct user *u)
{
    for (size_t i = 0; i < t->reader_count; i++) {
        if (t->readers[i].user == u)
            return &t->readers[i];
    }
    return NULL;
}

void topic_add(struct gateway *gw, struct user *u, const char *id, int64_t visible_from_seq)
{
    struct topic *t = topic_find(gw, id);
    if (t && user_is_in(u, t)) {
        topic_reader(t, u)->visible_from_seq = visible_from_seq;
        return;
    }
    if (!t) {
        t = mem_zalloc(sizeof(*t));
        memcpy(t->id, id, strnlen(id, sizeof(t->id) - 1));
        map_set(gw->topics, str_from(id), t);
    }
    t->readers = array_grown(t->readers, t->reader_count, sizeof(t->readers[0]));
    t->readers[t->reader_count++] = (struct reader){u, visible_from_seq};
    u->topics = array_grown(u->topics, u->topic_count, sizeof(u->topics[0]));
    u->topics[u->topic_count++] = t;
}

void topic_drop_user(struct gateway *gw, struct topic *t, const struct user *u)
{
    struct reader *reader = topic_reader(t, u);
    if (reader)
        *reader = t->readers[--t->reader_count];
    if (t->reader_count)
        return;
    map_remove(gw->topics, str_from(t->id));
    free(t->readers);
    free(t);
}

void topic_close(struct member *m, const struct topic *t)
{
    for (size_t i = 0; i < OPEN_MAX; i++) {
        if (m->open[i] == t)
            m->open[i] = NULL;
    }
}

void topic_remove(struct gateway *gw, struct user *u, const char *id)
{
    struct topic *t = topic_find(gw, id);
    for (size_t i = 0; t && i < u->topic_count; i++) {
        if (u->topics[i] != t)
            continue;
        u->topics[i] = u->topics[--u->topic_count];
        LIST_FOREACH(&u->members, node)
        {
            topic_close(LIST_ENTRY(node, struct member, in_user), t);
        }
        topic_drop_user(gw, t, u);
        return;
    }
}
