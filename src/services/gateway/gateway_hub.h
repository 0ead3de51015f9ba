/*
 * The hub's own: users who are here, conversations that somebody here is in, and frames on their
 * way to many. All of it belongs to gw->loop.
 */
#pragma once

#include "services/gateway/gateway_internal.h"

#define OPEN_MAX 8
#define WATCH_MAX 200

struct member;

struct user {
    struct gateway *gw;
    char id[ID_SIZE];
    uint64_t serial; /* a list that was asked for another presence is not for this one */
    bool is_loaded;
    int64_t load_after, load_lsn; /* of its list of conversations, which comes in pages */
    struct list members;          /* its sockets */
    struct topic **topics;        /* conversations it is in */
    size_t topic_count;
    struct loop_timer load_timer;
    /* membership that changed while the list was on its way; until it is loaded */
    struct news {
        char conversation_id[ID_SIZE];
        int64_t lsn, visible_from_seq;
        bool is_in;
    } * news;
    size_t news_count;
    struct list in_round; /* gw->round: whose presence is kept fresh next */
    unsigned round_count;
    bool is_guest; /* has no presence */
};

/* A conversation that somebody here is in. */
struct topic {
    char id[ID_SIZE];
    struct reader {
        struct user *user;
        int64_t visible_from_seq; /* older messages are not theirs, whatever happens to them */
    } * readers;
    size_t reader_count;
};

/* A socket, as the hub knows it. */
struct member {
    struct list in_user;
    struct user *user;
    uint64_t socket;
    struct net_ticket ticket;
    bool is_packed;
    char session_id[ID_SIZE];
    struct topic *open[OPEN_MAX];
    /* gateway_devices.c */
    uint8_t kind; /* Presence__DeviceKind */
    bool is_idle;
    /* gateway_watch.c */
    struct watch *watches;
    size_t watch_count;
    struct list in_dirty; /* gw->dirty, gw->telling: something is to be told, or asked */
    bool is_asking;       /* about doubts */
};

/* Somebody whom a socket watches. */
struct watch {
    struct watched *who;
    uint32_t place;     /* among who->watchers */
    uint32_t told_hash; /* of what it was told last */
    int64_t told_version;
    uint8_t tie; /* Presence__Tie; when is_known */
    bool is_known;
    bool is_dirty;    /* changed since */
    bool is_doubtful; /* the tie is to be asked again */
    bool is_wanted;   /* while the list is replaced */
};

/* A person whom somebody here watches. */
struct watched {
    char id[ID_SIZE];
    struct watcher {
        struct member *member;
        uint32_t place; /* among member->watches */
    } * watchers;
    size_t watcher_count;
    Presence__PresenceEvent *latest; /* NULL: nothing was heard yet */
};

/* ---- gateway_topics.c: who is in which conversation ---- */
/* NULL: nobody here is in it. */
struct topic *topic_find(struct gateway *gw, const char *id);
bool user_is_in(const struct user *u, const struct topic *t);
/* NULL: not in it. Until the topic changes. */
struct reader *topic_reader(const struct topic *t, const struct user *u);
void topic_add(struct gateway *gw, struct user *u, const char *id, int64_t visible_from_seq);
/* The last one gone frees it. */
void topic_drop_user(struct gateway *gw, struct topic *t, const struct user *u);
/* This socket looks at it no more. */
void topic_close(struct member *m, const struct topic *t);
void topic_remove(struct gateway *gw, struct user *u, const char *id);
/* Arrays grow by doubling at powers of two: counts alone say how much room there is. */
void *array_grown(void *array, size_t count, size_t size);

/* ---- gateway_fan.c: one frame to many ---- */
/* Receivers are gathered by encoding; each frame is made once, when the first one needs it. */
struct fan {
    struct net_ticket *tickets[2];
    size_t counts[2];
};
void fan_add(struct fan *fan, const struct member *m);
/* All of a person's sockets, or those that look at this topic. */
void fan_add_user(struct fan *fan, const struct user *u, const struct topic *open_only);
/* Sends, and frees what was gathered. */
void fan_send(struct fan *fan, const Gateway__ServerFrame *frame, unsigned flags);

/* ---- gateway_devices.c: to the presence service, who is here ---- */
/* Is it somebody who has a presence, it will be reported: came, or is idle, or went. */
void device_report(struct member *m, bool is_gone);
/* What waits goes now. */
void device_flush(struct gateway *gw);
/* Keeps those who are here fresh, some every second, everybody in two minutes. */
void device_start(struct gateway *gw);
void device_stop(struct gateway *gw);

/* ---- gateway_watch.c: presence for those who watch ---- */
/* Answers when it is known what there is to see. */
void watch_set(struct member *m, struct asking *asking);
void watch_clear(struct member *m);
/* All that this socket watches is asked again. */
void watch_doubt(struct member *m);
/* How these two stand to one another has changed. */
void watch_doubt_pair(struct gateway *gw, const char *one_id, const char *other_id);
