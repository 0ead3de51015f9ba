/* bus_internal: what the files of this room share and nobody else sees. */
#pragma once

#include <pthread.h>

#include "core/thread.h"
#include "bus/bus_driver.h"
#include "bus/bus_envelope.h"
#include "store/store.h"

#define BUS_PROCESS_MAX 64

struct bus_carry;
struct bus_local;
struct bus_owner;
struct bus_outbox;
struct bus_tasks;

struct bus {
    struct bus_local *local;
    struct bus_link *link;      /* NULL: events stay in this process */
    struct bus_carry *carry;    /* NULL: tasks stay in SQL, as the next */
    struct bus_link *task_link; /* NULL: tasks stay in SQL */
    char process[BUS_PROCESS_MAX];
    struct bus_options opt;  /* with defaults filled in */
    struct bus_owner *owner; /* NULL without a store, as the next two */
    struct bus_outbox *outbox;
    struct bus_tasks *tasks;
};

/* bus_local.c */
/* An event has been handled: every handler returned. Once, from any thread, never inside give. */
typedef void bus_ack_fn(void *arg, int64_t token);
enum bus_audience { BUS_TO_ALL, BUS_TO_PLAIN, BUS_TO_GROUP };
struct bus_handing {
    enum bus_audience audience;
    const char *group;
    bus_ack_fn *ack; /* NULL: at most once */
    void *arg;
    int64_t token;
    bool is_patient; /* waits for room instead of dropping; not from handlers */
};
struct bus_listener {
    const char *channel, *group, *name;
    bus_event_fn *fn;
    void *arg;
};
#define BUS_GAP_CHANNEL "bus.gap" /* never leaves the process */
struct bus_local *bus_local_create(const struct bus_options *opt);
int bus_local_subscribe(struct bus_local *local, const struct bus_listener *listener);
void bus_local_unsubscribe(struct bus_local *local, int id);
bool bus_local_has(struct bus_local *local, const char *channel, const char *group);
/* False: no room (or stopping); no ack will come. */
bool bus_local_give(struct bus_local *local, const struct bus_event *event,
                    const struct bus_handing *how);
/* Waits for the handlers that run; no other begins, no ack comes any more. */
void bus_local_stop(struct bus_local *local);
void bus_local_destroy(struct bus_local **local);

/* bus_link.c: the link to a broker. */
/* How metrics and traces call a channel: processes come and go. */
const char *bus_channel_label(const char *channel);
struct bus_link_hooks {
    const char *driver, *url;
    const char *carries; /* "events", "tasks" */
    /* Linked; is_back: after a loss. On the driver's thread, as the next. */
    void (*up)(struct bus *bus, bool is_back);
    /* The answer to bus_link_send. */
    void (*sent)(struct bus *bus, int64_t token, enum err err);
    /* See bus_link_receive; bus_link_settle follows for a group. */
    enum err (*hear)(struct bus *bus, const struct bus_envelope *e, const char *group,
                     uint64_t receipt);
};
enum err bus_link_open(struct bus_link **out, struct bus *bus, const struct bus_link_hooks *hooks);
/* From now on channels are joined. Accepts NULL, as most. */
void bus_link_start(struct bus_link *link);
/* Nothing that comes is taken any more; sending goes on. */
void bus_link_quiesce(struct bus_link *link);
/* After the handlers have ended: the driver calls nobody any more. */
void bus_link_stop(struct bus_link *link);
void bus_link_close(struct bus_link **link);
void bus_link_want(struct bus_link *link, const char *channel, const char *group);
/* Leaves what nobody here hears any more. */
void bus_link_prune(struct bus_link *link);
void bus_link_expect(struct bus_link *link, const char *channel, const char *group);
/* At most once; not NULL, as the next four. */
void bus_link_publish(struct bus_link *link, const struct bus_event *event);
/* As it stands: what somebody else might put there. */
enum err bus_link_send_bytes(struct bus_link *link, const struct bus_parcel *parcel);
/* Durably; ERR_UNAVAILABLE: not taken, no answer comes. */
enum err bus_link_send(struct bus_link *link, const struct bus_envelope *e, int64_t token);
void bus_link_settle(struct bus_link *link, uint64_t receipt);
bool bus_link_is_up(struct bus_link *link, int64_t *down_ms);
const char *bus_link_driver(const struct bus_link *link);

/* bus_owner.c: which process has what, and takes over from the dead. */
struct bus_owner *bus_owner_create(struct bus *bus);
/* Whether other processes use the same database. */
bool bus_owner_is_shared(const struct bus_owner *owner);
/* What rows of this process bear; "" where it is alone. */
const char *bus_owner_name(const struct bus_owner *owner);
/* False: it was silent for so long that its rows may be another's now. */
bool bus_owner_is_valid(const struct bus_owner *owner);
enum bus_beat {
    BUS_BEAT_NONE,
    BUS_BEAT_TAKEN,      /* events of the dead are ours now */
    BUS_BEAT_STRUCK_OFF, /* ours were taken by another */
};
/* Whether this process stands among the living: only then is a row that it claims left to it. */
enum err bus_owner_is_listed(struct store_tx *tx, const struct bus_owner *owner, bool *is_listed);
/* When it is time: says that we live, looks after the others. Blocks; one thread. */
enum bus_beat bus_owner_beat(struct bus_owner *owner);
int64_t bus_owner_wait_ms(const struct bus_owner *owner);
/* Signs off. */
void bus_owner_destroy(struct bus_owner **owner);

/* bus_outbox.c */
struct bus_outbox *bus_outbox_create(struct bus *bus);
void bus_outbox_start(struct bus_outbox *outbox);
/* Linked: what waits for the broker may go. Any thread, as the next. */
void bus_outbox_linked(struct bus_outbox *outbox);
/* The answer to a row that was sent. */
void bus_outbox_sent(struct bus_outbox *outbox, int64_t id, enum err err);
/* Ends the relay. Acks may still come until the driver is stopped. */
void bus_outbox_stop(struct bus_outbox *outbox);
/* Ends the relay and waits for what it handed over; an ack that comes later does not count. */
void bus_outbox_settle(struct bus_outbox *outbox);
/* Marks what was acknowledged. No write that publishes may be on its way. */
void bus_outbox_destroy(struct bus_outbox **outbox);

/* bus_tasks.c */
struct bus_tasks *bus_tasks_create(struct bus *bus);
void bus_tasks_start(struct bus_tasks *tasks);
bool bus_tasks_work_on(struct bus_tasks *tasks, const char *queue);
/* Something may be ready. Any thread. */
void bus_tasks_wake(struct bus_tasks *tasks);
/* Waits for the handlers that run; no other begins. */
void bus_tasks_stop(struct bus_tasks *tasks);
/* Waits for the results to be stored. No write that enqueues may be on its way. */
void bus_tasks_destroy(struct bus_tasks **tasks);

/* bus_task_store.c: the tasks' SQL. Times are wall milliseconds, for they outlive the process. */
enum bus_task_state {
    BUS_TASK_WAITING, /* until due_ms */
    BUS_TASK_READY,
    BUS_TASK_RUNNING, /* leased until due_ms */
    BUS_TASK_DONE,    /* kept for its key until due_ms */
    BUS_TASK_DEAD,
    BUS_TASK_BEHIND, /* another of its lane goes first */
};

#define BUS_TEXT_MAX 200 /* bytes of queue, type, key and lane */
#define BUS_PROCESS_ENDED "its process ended"

/* A task that was claimed. Freed with free. */
struct bus_claim {
    struct bus_claim *next;
    struct bus_claim *next_running; /* bus_tasks_lease.c: those whose lease is renewed */
    struct bus_tasks *tasks;
    struct bus_task task;
    bus_task_fn *fn;
    void *arg;
    int64_t id;
    int attempt; /* also the fence: a later claim has a higher one */
    enum err result;
    int64_t put_off_ms; /* 0: it was not */
    bool is_given_up;
    char bytes[]; /* what task points to */
};

/* Where a task is: only what is here is run, if tasks travel. */
enum bus_task_place { BUS_TASK_SENDER, BUS_TASK_HERE };
bool bus_task_is_sound(const struct bus_task *task);
enum err bus_task_insert(struct store_tx *tx, const struct bus_task *task, int64_t now_ms,
                         enum bus_task_place place);
/* A row of id, type, payload, idempotency_key, turn, attempts, attempts_max, lane. */
struct bus_claim *bus_claim_from_row(struct store_stmt *st, struct str queue);
/* What is due becomes ready; a lease that ran out gives its task back. */
enum err bus_task_wake_due(struct store_tx *tx, int64_t now_ms);
/* Up to `count` ready tasks of a queue, leased; they go to the front of *list. */
struct bus_claiming {
    const char *queue, *owner;
    int64_t lease_until_ms;
    unsigned count;
    enum bus_task_place place; /* at least */
};
enum err bus_task_claim(struct store_tx *tx, const struct bus_claiming *how,
                        struct bus_claim **list, unsigned *claimed);
/* Whether a task of the queue could be claimed. */
enum err bus_task_is_ready(struct store_tx *tx, const struct bus_claiming *how, bool *is_ready);
/* When the next task is due or lease ends: INT64_MAX for never. */
enum err bus_task_next_due(struct store_tx *tx, int64_t *due_ms);
enum err bus_task_renew(struct store_tx *tx, const struct bus_claim *claim, int64_t until_ms);
/* Stores the result: gone (or kept for its key), waiting for retry_ms, or dead. */
enum err bus_task_finish(struct store_tx *tx, const struct bus_claim *claim, int64_t retry_ms,
                         int64_t forget_ms);
enum err bus_task_forget(struct store_tx *tx, int64_t now_ms);
/* What waits for more than a year was put off under a clock that ran far ahead: it is due. */
enum err bus_task_bring_near(struct store_tx *tx, int64_t now_ms);
/* Takes every lease back: nobody else can hold one. */
enum err bus_task_release_all(struct store_tx *tx);

/* bus_carry_store.c */
enum err bus_tasks_has_departing(struct store *store, bool *has);
/* Leases up to `count` ready tasks that are to travel; in order. */
enum err bus_task_depart(struct store_tx *tx, const struct bus_claiming *how,
                         struct bus_claim **list);
enum err bus_task_departed(struct store_tx *tx, int64_t id, bool is_sent, int64_t forget_ms);
enum err bus_task_arrive(struct store_tx *tx, const struct bus_task *task, int64_t now_ms);

/* bus_carry.c: tasks over a broker. All but open accept NULL. */
enum err bus_carry_open(struct bus *bus);
void bus_carry_start(struct bus_carry *carry);
void bus_carry_wake(struct bus_carry *carry);
void bus_carry_want(struct bus_carry *carry, const char *queue);
void bus_carry_stop(struct bus_carry *carry);
void bus_carry_destroy(struct bus_carry **carry);

/* bus_lane.c */
enum err bus_lane_is_busy(struct store_tx *tx, const char *queue, const char *lane, bool *is_busy);
/* The oldest behind becomes the head, if there is none. */
enum err bus_lane_promote(struct store_tx *tx, const char *queue, const char *lane);
/* The same for all lanes of a queue, and for the lane of one task. */
enum err bus_lane_promote_all(struct store_tx *tx, const char *queue);
enum err bus_lane_promote_one(struct store_tx *tx, int64_t id);
/* At most lane_max wait behind; as many dead letters are kept. */
enum err bus_lane_bound(struct store_tx *tx, const struct bus_task *task);
/* Heads whose lease ran out with their last attempt are dead. */
enum err bus_lane_bury(struct store_tx *tx, int64_t now_ms);
