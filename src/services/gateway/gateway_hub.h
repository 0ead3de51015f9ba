/*
 * The hub's own: users who are here, conversations that somebody here is in, and frames on their
 * way to many. All of it belongs to gw->loop.
 */
#pragma once

#include "services/gateway/gateway_internal.h"

#define OPEN_MAX 8
#define TYPED_MAX 2
#define WATCH_MAX 200

struct member;
struct waiter;

struct user {
    struct gateway *gw;
    char id[ID_SIZE];
    uint64_t serial; /* a list that was asked for another presence is not for this one */
    bool is_loaded;
    bool is_guest;      /* has no presence */
    int64_t load_after; /* of its list of conversations, which comes in pages */
    int64_t *load_lsns; /* by shard of the log, while it comes: what the list knows */
    size_t load_lsn_count;
    struct list members; /* its sockets */
    /* conversations it is in: with its places in them, most of the memory of who is here */
    struct membership {
        uint32_t topic; /* its number; topic_of */
        uint32_t place; /* among topic->readers */
    } * topics;
    size_t topic_count;
    /* where its typing was told last, and when, in tenths of a second */
    struct typed {
        const struct topic *topic; /* compared alone: it may be gone */
        uint32_t at_ds;
    } typed[TYPED_MAX];
    struct loop_timer load_timer;
    /* membership that changed while the list was on its way; until it is loaded */
    struct news {
        char conversation_id[ID_SIZE];
        int64_t lsn, visible_from_seq;
        unsigned shard;
        bool is_in;
    } * news;
    size_t news_count;
    struct list in_round;  /* gw->round: whose presence is kept fresh next */
    struct list in_stale;  /* gw->stale: what it is in is to be asked anew */
    bool is_partial;       /* some conversations lie where nobody can look now */
    bool is_reloading;     /* counts in gw->reloading_count */
    struct waiter *waiter; /* gateway_interest.c; NULL: it waits for nobody */
    unsigned round_count;
};

/* A conversation that somebody here is in. */
struct topic {
    char id[ID_SIZE];
    uint32_t number; /* among gw->numbered */
    struct reader {
        struct user *user;
        uint64_t
            visible_from_seq : 40; /* older messages are not theirs, whatever happens to them */
        uint64_t place : 24;       /* among user->topics */
    } * readers;
    size_t reader_count;
    /* sockets that look at it */
    struct looker {
        struct member *member;
        uint32_t slot; /* of member->open */
    } * lookers;
    size_t looker_count;
    uint32_t typing_since_ds; /* a second in which so many were told: */
    uint32_t typing_count;
    /* large ones: what moved since those were told who do not look */
    struct list in_moved; /* gw->moved */
    int64_t rev, last_seq;
    int64_t heard_rev; /* of the latest change of any kind; 0: none yet */
};

/* A socket, as the hub knows it. */
struct member {
    struct list in_user;
    struct user *user;
    uint64_t socket;
    struct net_ticket ticket;
    bool is_packed;
    char session_id[ID_SIZE];
    bool is_ready; /* was told so */
    struct look {
        struct topic *topic; /* NULL: none */
        uint32_t place;      /* among topic->lookers */
        uint32_t age;        /* the oldest makes room */
    } * open;
    uint32_t look_count; /* of them, at most OPEN_MAX */
    uint32_t open_count; /* that were ever opened */
    /* opened before it was known that the person is in them; NULL: none */
    struct early {
        char ids[OPEN_MAX][ID_SIZE];
        size_t count;
    } * early;
    /* gateway_devices.c */
    uint8_t kind; /* Presence__DeviceKind */
    bool is_idle;
    /* gateway_watch.c */
    struct watch *watches;
    size_t watch_count;
    struct list in_dirty; /* gw->dirty, gw->telling: something is to be told, or asked */
    bool is_asking;       /* about doubts */
};

enum watch_doubt {
    DOUBT_NONE,
    DOUBT_NEW,   /* the tie is to be asked again */
    DOUBT_ASKED, /* it is being asked; a doubt that comes meanwhile is a new one */
};

/* Somebody whom a socket watches. */
struct watch {
    struct watched *who;
    uint32_t place;     /* among who->watchers */
    uint32_t told_hash; /* of what it was told last */
    int64_t told_version;
    uint8_t tie; /* Presence__Tie; when is_known */
    bool is_known;
    bool is_dirty;  /* changed since */
    uint8_t doubt;  /* enum watch_doubt: nothing is told while there is any */
    bool is_wanted; /* while the list is replaced */
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

/* ---- gateway_load.c: people who are here, and their conversations ---- */
/* Comes into being, and asks for its conversations. */
struct user *hub_user_get(struct gateway *gw, const char *id, bool is_guest);
void hub_user_destroy(struct user *u);
/* Everything is told from now on. */
void hub_user_ready(struct member *m);
/* What is known of its conversations counts no more; until hub_user_load. */
void hub_user_forget(struct user *u);
/* Asks for its conversations. */
void hub_user_load(struct user *u);
/* By an event of the log: in, or out. Kept for later while the list is on its way. */
void hub_user_note(struct user *u, const struct news *news);

/* ---- gateway_told.c ---- */
/* Who owns a shard of the log. False: somebody else does since. */
bool hub_fence_note(struct gateway *gw, size_t shard, int64_t fence);

/* ---- gateway_interest.c: what is to be told to this gateway; of one alone nothing of it ---- */
void interest_start(struct gateway *gw);
void interest_stop(struct gateway *gw);
/* Somebody here, or a conversation of theirs, comes and goes: as often as each other. */
void interest_add(struct gateway *gw, const char *id);
void interest_remove(struct gateway *gw, const char *id);
/* `then` of the user when all who tell know what was added so far: at once, or later. One at a
 * time. */
void interest_wait(struct user *u, loop_fn *then);
void interest_cancel(struct user *u);
/* Something was told. False: it was before. */
bool interest_heard(struct gateway *gw, const Message__Downstream *m);
/* Somebody wants to know all of it. */
void interest_asked(struct gateway *gw);
/* There was no link, and now there is. */
void interest_gap(struct gateway *gw);

/* ---- gateway_topics.c: who is in which conversation, and looks at it ---- */
/* NULL: nobody here is in it. */
struct topic *topic_find(struct gateway *gw, const char *id);
/* The one with this number. */
struct topic *topic_of(const struct gateway *gw, uint32_t number);
/* NULL: not in it. Until the topic changes. */
struct reader *topic_reader(const struct topic *t, const struct user *u);
void topic_add(struct gateway *gw, struct user *u, const char *id, int64_t visible_from_seq);
void topic_remove(struct gateway *gw, struct user *u, const char *id);
/* Out of all of them. */
void topic_remove_all(struct user *u);
/* This socket looks at it; as soon as the person is known to be in it. */
void topic_open(struct member *m, const char *id);
void topic_close(struct member *m, const char *id);
void topic_close_all(struct member *m);
/* What this socket looks at it will look at again, once it is known to be in it. */
void topic_close_for_now(struct member *m);
bool topic_is_open(const struct member *m, const struct topic *t);
/* Arrays grow by an eighth to a quarter: counts alone say how much room there is. */
void *array_grown(void *array, size_t count, size_t size);

/* ---- gateway_fan.c: one frame to many ---- */
/* Receivers are gathered by encoding; each frame is made once, when the first one needs it. */
struct fan {
    struct net_ticket *tickets[2];
    size_t counts[2];
};
void fan_add(struct fan *fan, const struct member *m);
/* All of a person's sockets, but those that look at this topic (NULL: none does). */
void fan_add_user(struct fan *fan, const struct user *u, const struct topic *but_lookers);
/* Sends, and frees what was gathered. */
void fan_send(struct fan *fan, const Gateway__ServerFrame *frame, unsigned flags);

/* ---- gateway_gap.c: events may have been missed ---- */
/* Nothing is told to anybody until a gap follows (gateway_hub_gap): they may have been put out. */
void gateway_hub_doubt(struct gateway *gw);
/* The same for those in one conversation (which may be gone then); they are asked about at once. */
void gateway_hub_doubt_topic(struct gateway *gw, const struct topic *t);
/* One who was asked for in that time is known, or gone. */
void gap_user_done(struct user *u);

/* ---- gateway_heads.c: large conversations ---- */
/* Those who do not look at it hear soon that it has moved. */
void heads_note(struct gateway *gw, struct topic *t, const Message__Change *change);
void heads_forget(struct topic *t);

/* ---- gateway_revoked.c: sign-ins that were over before their socket was known here ---- */
void revoked_note(struct gateway *gw, const char *session_id);
bool revoked_has(const struct gateway *gw, const char *session_id);
void revoked_clear(struct gateway *gw);

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
/* What it was told may not have come. */
void watch_forget(struct member *m);
/* All that this socket watches is asked again. */
void watch_doubt(struct member *m);
/* How these two stand to one another has changed. */
void watch_doubt_pair(struct gateway *gw, const char *one_id, const char *other_id);
