/* net: a heap of datagrams by arrival. */
#include "net.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

void net_init(struct net *net, uint64_t seed)
{
    *net = (struct net){.random = seed * 2654435761u + 1};
}

void net_deinit(struct net *net)
{
    for (size_t i = 0; i < net->count; i++)
        free(net->heap[i]);
    free(net->heap);
    *net = (struct net){0};
}

uint32_t net_random(struct net *net)
{
    uint64_t z = (net->random += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (uint32_t)(z >> 32);
}

double net_chance(struct net *net)
{
    return (double)net_random(net) / 4294967296.0;
}

static bool is_before(const struct net_packet *a, const struct net_packet *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void push(struct net *net, struct net_packet *p)
{
    if (net->count + 1 >= net->capacity) {
        net->capacity = net->capacity ? net->capacity * 2 : 1024;
        net->heap = mem_realloc_array(net->heap, net->capacity, sizeof(*net->heap));
    }
    size_t at = net->count++;
    for (; at > 0 && is_before(p, net->heap[(at - 1) / 2]); at = (at - 1) / 2)
        net->heap[at] = net->heap[(at - 1) / 2];
    net->heap[at] = p;
}

static void copy_in(struct net *net, const struct net_link *link, int64_t now_us,
                    const struct sfu_address *from, const struct sfu_address *to,
                    const uint8_t *bytes, size_t n)
{
    struct net_packet *p = mem_alloc(sizeof(*p) + n);
    int64_t extra = link->jitter_us ? (int64_t)(net_random(net) % (uint64_t)link->jitter_us) : 0;
    p->at_us = now_us + link->delay_us + extra;
    p->order = net->sent++;
    p->from = *from;
    p->to = *to;
    p->n = n;
    memcpy(p->bytes, bytes, n);
    push(net, p);
}

bool net_send(struct net *net, const struct net_link *link, int64_t now_us,
              const struct sfu_address *from, const struct sfu_address *to, const uint8_t *bytes,
              size_t n)
{
    if (link->loss > 0 && net_chance(net) < link->loss)
        return false;
    copy_in(net, link, now_us, from, to, bytes, n);
    if (link->duplicate > 0 && net_chance(net) < link->duplicate)
        copy_in(net, link, now_us, from, to, bytes, n);
    return true;
}

struct net_packet *net_receive(struct net *net, int64_t now_us)
{
    if (net->count == 0 || net->heap[0]->at_us > now_us)
        return NULL;
    struct net_packet *first = net->heap[0];
    struct net_packet *last = net->heap[--net->count];
    size_t at = 0;
    for (size_t child = 1; child < net->count; child = at * 2 + 1) {
        if (child + 1 < net->count && is_before(net->heap[child + 1], net->heap[child]))
            child++;
        if (!is_before(net->heap[child], last))
            break;
        net->heap[at] = net->heap[child];
        at = child;
    }
    if (net->count)
        net->heap[at] = last;
    return first;
}
