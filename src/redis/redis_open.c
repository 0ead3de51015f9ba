/*
 * redis_open: which host to call. An address may name several: any that answers (plain), sentinels
 * who know the master, nodes of a cluster who know who has a slot. Asked anew for each connection,
 * so a failover is followed by connecting once more.
 */
#include <stdio.h>
#include <string.h>

#include "redis/redis_internal.h"

static enum err say(char *problem, const char *fmt, const char *what)
{
    if (!problem[0])
        snprintf(problem, REDIS_PROBLEM_SIZE, "%s%.100s", fmt, what);
    return ERR_UNAVAILABLE;
}

/* A master that was replaced answers too, until somebody tells it. */
static enum err check_master(struct redis_link *link, const struct redis_wait *wait, char *problem)
{
    struct arena *arena = arena_create();
    const struct redis_reply *reply;
    struct str role = STR("ROLE");
    enum err err = redis_link_call(link, &role, 1, arena, wait, &reply);
    if (!err && !str_eq(redis_reply_text(redis_reply_item(reply, 0)), STR("master")))
        err = say(problem, "whom the sentinels call the master is none", "");
    arena_destroy(&arena);
    return err;
}

static enum err ask_sentinel(const struct redis_address *a, const struct redis_host *sentinel,
                             const struct redis_wait *wait, struct redis_host *out, char *problem)
{
    struct redis_link *link;
    const struct redis_reply *reply;
    struct str argv[] = {STR("SENTINEL"), STR("GET-MASTER-ADDR-BY-NAME"), str_from(a->master)};
    enum err err = redis_link_connect(&link, a, sentinel, true, wait, problem);
    if (err)
        return err;
    struct arena *arena = arena_create();
    err = redis_link_call(link, argv, ARRAY_LEN(argv), arena, wait, &reply);
    int64_t port;
    struct str name = redis_reply_text(redis_reply_item(reply, 0));
    if (!err && (name.n == 0 || name.n >= REDIS_HOST_SIZE ||
                 !str_to_i64(redis_reply_text(redis_reply_item(reply, 1)), &port) || port < 1 ||
                 port > 65535)) {
        err = say(problem, "the sentinels know no master ", a->master);
    } else if (!err) {
        memset(out, 0, sizeof(*out));
        memcpy(out->name, name.p, name.n);
        out->port = (uint16_t)port;
    }
    arena_destroy(&arena);
    redis_link_close(&link);
    return err;
}

static enum err open_master(struct redis_link **out, const struct redis_address *a,
                            const struct redis_wait *wait, char *problem)
{
    enum err err = ERR_UNAVAILABLE;
    for (size_t i = 0; i < a->host_count && err && err != ERR_CANCELLED; i++) {
        struct redis_host master;
        problem[0] = '\0';
        err = ask_sentinel(a, &a->hosts[i], wait, &master, problem);
        if (!err)
            err = redis_link_connect(out, a, &master, false, wait, problem);
        if (!err && (err = check_master(*out, wait, problem)))
            redis_link_close(out);
    }
    return err;
}

static enum err open_any(struct redis_link **out, const struct redis_address *a,
                         const struct redis_wait *wait, char *problem)
{
    enum err err = ERR_UNAVAILABLE;
    for (size_t i = 0; i < a->host_count && err && err != ERR_CANCELLED; i++)
        err = redis_link_connect(out, a, &a->hosts[i], false, wait, problem);
    return err;
}

static enum err open_holder(struct redis_link **out, const struct redis_address *a, const char *key,
                            const struct redis_wait *wait, char *problem)
{
    enum err err = open_any(out, a, wait, problem);
    struct redis_host holder;
    if (err || !key)
        return err;
    err = redis_cluster_find(*out, redis_slot(str_from(key)), wait, &holder);
    redis_link_close(out);
    if (err)
        return say(problem, "nobody in the cluster has the slot of ", key);
    return redis_link_connect(out, a, &holder, false, wait, problem);
}

enum err redis_link_locate(struct redis_link **out, const struct redis_address *a, const char *key,
                           const struct redis_wait *wait, char *problem)
{
    *out = NULL;
    return a->kind == REDIS_KIND_SENTINEL  ? open_master(out, a, wait, problem)
           : a->kind == REDIS_KIND_CLUSTER ? open_holder(out, a, key, wait, problem)
                                           : open_any(out, a, wait, problem);
}

enum err redis_link_open(struct redis_link **out, const struct redis_address *a, const char *key,
                         const struct redis_wait *wait, struct strbuf *problem)
{
    char text[REDIS_PROBLEM_SIZE] = "";
    enum err err = redis_link_locate(out, a, key, wait, text);
    if (err && problem)
        strbuf_adds(problem, text[0] ? text : err_text(err));
    return err;
}
