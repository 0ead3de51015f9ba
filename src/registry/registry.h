/*
 * registry: which instances of which service are alive, and where; and small records that processes
 * share beside them. A process announces what it runs and watches what it calls. What others say
 * comes by the driver: "static" knows what the configuration fixes and this process's own, "etcd"
 * asks an etcd cluster, under a lease that ends with the process.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/str.h"

struct registry;

#define REGISTRY_VALUE_MAX_BYTES 8192 /* of metadata, and of a record */

struct registry_instance {
    const char *service;  /* "User": as its contract calls it; or "parlance-user", see aliases */
    const char *id;       /* of the instance, unique in its service */
    const char *address;  /* host name or IP; "": in this process */
    uint16_t port;        /* of its RPC; 0: in this process */
    const char *metadata; /* what it says of itself: one JSON object; NULL: {} */
};

/* Who asks for `name` finds the instances of `target`, too: contracts that share a port. Of one id
 * that is both only the former is listed: a service here, which others know by its port. */
struct registry_alias {
    const char *name;   /* "Group" */
    const char *target; /* "parlance-message" */
};

struct registry_options {
    const char *driver;                    /* NULL: "static" */
    const struct registry_instance *fixed; /* alive from the start and for ever; copied */
    size_t fixed_count;
    const struct registry_alias *aliases; /* copied */
    size_t alias_count;
    /* Of "etcd". All copied. */
    const char *const *endpoints; /* "http://10.0.0.7:2379", "https://etcd.example:2379" */
    size_t endpoint_count;
    const char *prefix; /* of all keys; NULL: "/parlance" */
    const char *username, *password;
    const char *tls_ca, *tls_cert, *tls_key; /* PEM files; for https */
    const char *const *spaces;               /* of records that are followed from the start */
    size_t space_count;
    int64_t lease_ms;    /* so long after its end a process is known; 0: 10,000; at least 2,000 */
    int64_t patience_ms; /* open waits so long for what is alive now; 0: 3,000 */
};

/* INVALID_ARGUMENT (logged): no such driver, or a fixed instance that is none. A registry on the
 * network that does not answer is no error: it is asked again and again. */
MUST_USE enum err registry_open(struct registry **out, const struct registry_options *opt);
/* What this process announced is withdrawn; watchers hear nothing any more. Accepts NULL. */
void registry_close(struct registry **registry);

/* ---- instances ---- */

/* From any thread. INVALID_ARGUMENT: names of 1 to 64 letters, digits, '.', '_', '-' are expected;
 * ALREADY_EXISTS: that id is alive. Others hear of it soon, or when the registry is back. */
MUST_USE enum err registry_announce(struct registry *registry,
                                    const struct registry_instance *instance);
/* New metadata of what was announced here, under this name or one that it is an alias of ("Media"
 * is enough for what others know as "parlance-media"). Cheap: of many within a short time the last
 * one leaves. NOT_FOUND: it was not announced here; INVALID_ARGUMENT: no object, or too long. */
enum err registry_update(struct registry *registry, const char *service, const char *id,
                         const char *metadata);
/* NOT_FOUND: it was not announced here. */
enum err registry_withdraw(struct registry *registry, const char *service, const char *id);
/* All that was announced and put here goes, and nothing new is taken: before draining, so that
 * nobody new comes. Waits, a bounded time, until the registry has it. Not on a loop. */
void registry_leave(struct registry *registry);

/* All instances of a service that are known now, in the arena, by id. Returns how many. */
size_t registry_find(struct registry *registry, const char *service, struct arena *arena,
                     struct registry_instance **out);

/*
 * `changed` gets the whole list: once before registry_watch returns, then after each change, one
 * call at a time, on the thread that brought the change; the list is valid during the call, which
 * must be short and must not call the registry. Two watches differ in fn or arg.
 */
typedef void registry_changed_fn(void *arg, const struct registry_instance *list, size_t count);
void registry_watch(struct registry *registry, const char *service, registry_changed_fn *changed,
                    void *arg);
/* When it returns, `changed` is not running and will not run. */
void registry_unwatch(struct registry *registry, registry_changed_fn *changed, void *arg);

/* ---- records ---- */

/*
 * A record is a text under a space ("meetings") and a name, seen by every process. Put: it is this
 * process's, and goes with it (its lease); whoever puts the same name later has it. Every process
 * has a copy of the spaces that it follows, which may be a moment old, or older while the registry
 * cannot be reached: a hint, never the decision of who owns a thing.
 */
/* INVALID_ARGUMENT: the names as above (a record's may be 128 long), a value of more than
 * REGISTRY_VALUE_MAX_BYTES or no UTF-8. */
MUST_USE enum err registry_record_put(struct registry *registry, const char *space,
                                      const char *name, const char *value);
/* NOT_FOUND: it was not put here. */
enum err registry_record_drop(struct registry *registry, const char *space, const char *name);
/* A copy, or NULL. */
char *registry_record_get(struct registry *registry, const char *space, const char *name,
                          struct arena *arena);
/* A record that lasts, whoever comes or goes (NULL: it is deleted). Waits for the registry's
 * answer. Not on a loop. UNAVAILABLE: it did not answer, what came of it is unknown. */
MUST_USE enum err registry_record_write(struct registry *registry, const char *space,
                                        const char *name, const char *value);

/* As with instances: each record there is, before registry_record_watch returns; then each change.
 * value NULL: it is gone. */
typedef void registry_record_fn(void *arg, const char *name, const char *value);
void registry_record_watch(struct registry *registry, const char *space, registry_record_fn *fn,
                           void *arg);
void registry_record_unwatch(struct registry *registry, registry_record_fn *fn, void *arg);
