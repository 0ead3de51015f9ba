/* media: creation, wiring, end, and which addresses clients are told. See media_internal.h for the
 * map of the rest. */
#include "services/media/media.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include "services/media/media_internal.h"

#define HOST_PRIORITY 2130706431u /* RFC 8445, 5.1.2.1: type 126, local 65535, component 1 */
#define WORKERS_MAX 32

struct media_service {
    struct media_hub hub;
    struct media_rpc *rpc;
};

/* ---- candidates ---- */

static void add_candidate(struct media_hub *hub, const char *address, uint16_t port)
{
    if (hub->candidate_count == MEDIA_CANDIDATES_MAX)
        return;
    unsigned n = (unsigned)hub->candidate_count;
    snprintf(hub->candidates[hub->candidate_count++], sizeof(hub->candidates[0]),
             "%u 1 udp %u %s %u typ host", n + 1, HOST_PRIORITY - 256 * n, address, port);
}

static bool is_usable(const struct ifaddrs *i, bool is_loopback)
{
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || !(i->ifa_flags & IFF_LOOPBACK) != !is_loopback)
        return false;
    if (i->ifa_addr->sa_family == AF_INET)
        return true;
    if (i->ifa_addr->sa_family != AF_INET6 || is_loopback)
        return false;
    const struct in6_addr *a = &((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr;
    return !IN6_IS_ADDR_LINKLOCAL(a);
}

static void add_interfaces(struct media_hub *hub, uint16_t port, bool is_loopback)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) != 0)
        return;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        if (!is_usable(i, is_loopback))
            continue;
        const void *ip = i->ifa_addr->sa_family == AF_INET
                             ? (const void *)&((const struct sockaddr_in *)i->ifa_addr)->sin_addr
                             : (const void *)&((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr;
        if (inet_ntop(i->ifa_addr->sa_family, ip, text, sizeof(text)))
            add_candidate(hub, text, port);
    }
    freeifaddrs(list);
}

/* What the operator announces; else the address bound to; else this machine's own, loopback last.
 */
static void find_candidates(struct media_hub *hub, const struct media_options *opt, uint16_t port)
{
    for (size_t i = 0; i < opt->announced_count; i++)
        add_candidate(hub, opt->announced_addresses[i], port);
    if (hub->candidate_count)
        return;
    if (opt->host && opt->host[0]) {
        add_candidate(hub, opt->host, port);
        return;
    }
    add_interfaces(hub, port, false);
    add_interfaces(hub, port, true);
}

/* ---- life ---- */

static unsigned worker_count_of(const struct media_options *opt)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = opt->worker_count ? opt->worker_count : (unsigned)MAX(cores, 1);
    return MIN(count, (unsigned)WORKERS_MAX);
}

static enum err start_engine(struct media_hub *hub, const struct media_options *opt)
{
    unsigned count = worker_count_of(opt);
    hub->worker_count = count;
    struct media_udp_options udp = {.host = opt->host, .port = opt->port, .worker_count = count};
    enum err err = media_udp_open(&hub->udp, &udp);
    if (err)
        return err;
    struct sfu_worker_io io[WORKERS_MAX];
    media_udp_fill_io(hub->udp, io, media_events_on_sfu, hub);
    struct sfu_options options = {
        .worker_count = count,
        .io = io,
        .wall_offset_us = clock_wall_ms() * 1000 - clock_mono_us(),
    };
    err = sfu_create(&hub->sfu, &options);
    if (!err)
        err = media_udp_start(hub->udp, hub->sfu);
    return err;
}

static void on_seen_timer(void *arg)
{
    struct media_hub *hub = arg;
    if (map_count(hub->sessions) || hub->node_id[0])
        media_store_seen(hub);
    loop_timer_start(hub->loop, &hub->seen_timer, hub->seen_every_ms, on_seen_timer, hub);
}

static void start_on_loop(void *arg)
{
    media_stats_start(arg);
    on_seen_timer(arg);
    media_node_start(arg);
}

enum err media_create(struct media_service **out, const struct media_deps *deps)
{
    struct media_service *s = mem_zalloc(sizeof(*s));
    struct media_hub *hub = &s->hub;
    hub->store = deps->store;
    hub->bus = deps->bus;
    hub->session_max = deps->options.session_max ? deps->options.session_max : 5000;
    hub->seen_every_ms = deps->options.seen_every_ms ? deps->options.seen_every_ms : 30 * 1000;
    hub->linger_ms = deps->options.linger_ms ? deps->options.linger_ms : 5 * 1000;
    hub->stun_urls = deps->options.stun_urls;
    hub->stun_count = deps->options.stun_count;
    snprintf(hub->node_id, sizeof(hub->node_id), "%s",
             deps->apart.node_id ? deps->apart.node_id : "");
    hub->registry = deps->apart.registry;
    hub->others = deps->apart.peers;
    list_init(&hub->endings);
    hub->rooms = map_create();
    hub->sessions = map_create();
    hub->numbers = map64_create();
    hub->peers = map64_create();
    enum err err = media_store_close_open(hub);
    if (err)
        goto fail;
    if ((err = loop_create(&hub->loop, "media")))
        goto fail;
    if ((err = start_engine(hub, &deps->options)))
        goto fail;
    find_candidates(hub, &deps->options, media_udp_port(hub->udp));
    loop_call(hub->loop, start_on_loop, hub);
    media_metrics_start(hub);
    s->rpc = media_rpc_create(hub);
    media_listen_start(hub);
    *out = s;
    return ERR_OK;
fail:
    media_destroy(&s);
    return err;
}

static void clear_on_loop(void *arg)
{
    struct media_hub *hub = arg;
    loop_timer_stop(&hub->stats_timer);
    loop_timer_stop(&hub->seen_timer);
    media_node_stop(hub);
    media_listen_clear(hub);
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(hub->sessions, &at, &key, &value))
        media_session_close(value);
}

void media_destroy(struct media_service **service)
{
    struct media_service *s = *service;
    *service = NULL;
    if (!s)
        return;
    struct media_hub *hub = &s->hub;
    if (s->rpc)
        media_metrics_stop(hub);
    if (s->rpc)
        media_listen_stop(hub);
    if (hub->loop)
        loop_call(hub->loop, clear_on_loop, hub);
    if (hub->udp)
        media_udp_stop(hub->udp);
    loop_destroy(&hub->loop);
    sfu_destroy(&hub->sfu);
    media_udp_close(&hub->udp);
    media_rpc_destroy(&s->rpc);
    map_destroy(&hub->rooms);
    map_destroy(&hub->sessions);
    map64_destroy(&hub->numbers);
    map64_destroy(&hub->peers);
    free(s);
}

void media_drain(struct media_service *s, int64_t timeout_ms)
{
    media_node_drain(&s->hub, timeout_ms);
}

ProtobufCService *media_rpc(struct media_service *s)
{
    return media_rpc_service(s->rpc);
}

uint16_t media_port(const struct media_service *s)
{
    return media_udp_port(s->hub.udp);
}
