/*
 * bus_rabbit: the driver for RabbitMQ (AMQP 0-9-1, librabbitmq). One connection, and one thread
 * that does all of it, since the library wants that; the others leave letters, wishes and receipts
 * and wake it.
 *
 * On the broker (all durable):
 *   exchange meeting.CHANNEL (fanout)      what is kept
 *   exchange meeting.CHANNEL.now (fanout)  what is heard now or never
 *   queue meeting.CHANNEL.GROUP (quorum, one active consumer, so that order holds)
 *   queue of each process (exclusive), bound to both exchanges of what it hears; what is for that
 *     process alone goes straight to it, and nowhere when it is gone
 *   exchange and queue meeting.dead        what nobody can read, or what ended its reader 20 times
 *
 * Publishing is confirmed; what is not confirmed when the link is lost is sent again by the outbox.
 * At most so much is unconfirmed as sockets hold, so a broker that froze never blocks the thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bus/bus_internal.h"
#include "bus/bus_rabbit_internal.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"

#define LETTERS_MAX 4096
#define POLL_MS 1000 /* also how often heartbeats are thought of */

static void wake(struct bus_impl *b)
{
    uint64_t one = 1;
    (void)!write(b->wake_fd, &one, sizeof(one));
}

/* ---- from other threads ---- */

void rabbit_wish_free(struct rabbit_wish *w)
{
    free(w->channel);
    free(w->group);
    free(w);
}

/* On our own thread (inside bus_link_up) at once: a gap must be told after it. */
static void wish(struct bus_impl *b, enum rabbit_verb verb, const char *channel, const char *group)
{
    struct rabbit_wish *w = mem_new(struct rabbit_wish);
    w->verb = verb;
    w->channel = mem_strdup(channel);
    w->group = group ? mem_strdup(group) : NULL;
    if (pthread_equal(pthread_self(), b->thread)) {
        if (!b->why[0])
            (void)rabbit_do(b, w);
        rabbit_wish_free(w);
        return;
    }
    pthread_mutex_lock(&b->lock);
    list_add_tail(&b->wishes, &w->node);
    pthread_mutex_unlock(&b->lock);
    wake(b);
}

static void rabbit_expect(struct bus_impl *b, const char *channel, const char *group)
{
    wish(b, RABBIT_EXPECT, channel, group);
}

static void rabbit_join(struct bus_impl *b, const char *channel, const char *group)
{
    wish(b, RABBIT_JOIN, channel, group);
}

static void rabbit_leave(struct bus_impl *b, const char *channel, const char *group)
{
    wish(b, RABBIT_LEAVE, channel, group);
}

static enum err rabbit_send(struct bus_impl *b, const struct bus_parcel *p)
{
    struct rabbit_letter *l = mem_alloc(sizeof(*l) + p->bytes.n);
    l->token = p->token;
    l->n = p->bytes.n;
    memcpy(l->bytes, p->bytes.p, p->bytes.n);
    snprintf(l->id, sizeof(l->id), "%s", p->id);
    const char *process = bus_channel_process(p->channel);
    l->is_direct = process != NULL;
    bool is_named = process
                        ? rabbit_name_queue(b, process, l->exchange)
                        : bus_link_topic(b->link, p->channel, p->token ? NULL : "now", l->exchange);
    pthread_mutex_lock(&b->lock);
    bool is_taken = is_named && b->is_linked && b->letter_count < LETTERS_MAX;
    if (is_taken) {
        list_add_tail(&b->letters, &l->node);
        b->letter_count++;
    }
    pthread_mutex_unlock(&b->lock);
    if (!is_taken) {
        free(l);
        return ERR_UNAVAILABLE;
    }
    wake(b);
    return ERR_OK;
}

static void rabbit_settle_later(struct bus_impl *b, uint64_t receipt)
{
    pthread_mutex_lock(&b->lock);
    if (b->receipt_count == b->receipt_capacity) {
        b->receipt_capacity = b->receipt_capacity ? b->receipt_capacity * 2 : 64;
        b->receipts = mem_realloc_array(b->receipts, b->receipt_capacity, sizeof(*b->receipts));
    }
    b->receipts[b->receipt_count++] = receipt;
    pthread_mutex_unlock(&b->lock);
    wake(b);
}

/* ---- the thread ---- */

static bool do_wishes(struct bus_impl *b)
{
    bool is_up = true;
    for (;;) {
        pthread_mutex_lock(&b->lock);
        struct rabbit_wish *w =
            list_is_empty(&b->wishes) ? NULL : LIST_ENTRY(b->wishes.next, struct rabbit_wish, node);
        if (w)
            list_remove(&w->node);
        pthread_mutex_unlock(&b->lock);
        if (!w)
            return is_up;
        is_up = is_up && rabbit_do(b, w);
        rabbit_wish_free(w);
    }
}

static bool do_receipts(struct bus_impl *b)
{
    pthread_mutex_lock(&b->lock);
    uint64_t *receipts = b->receipts;
    size_t count = b->receipt_count;
    b->receipts = NULL;
    b->receipt_count = b->receipt_capacity = 0;
    pthread_mutex_unlock(&b->lock);
    bool is_up = true;
    for (size_t i = 0; i < count && is_up; i++)
        is_up = rabbit_settle(b, receipts[i]);
    free(receipts);
    return is_up;
}

static struct rabbit_letter *take_letter(struct bus_impl *b)
{
    struct rabbit_letter *l = NULL;
    pthread_mutex_lock(&b->lock);
    if (!list_is_empty(&b->letters)) {
        l = LIST_ENTRY(b->letters.next, struct rabbit_letter, node);
        list_remove(&l->node);
        b->letter_count--;
    }
    pthread_mutex_unlock(&b->lock);
    return l;
}

static bool do_letters(struct bus_impl *b)
{
    bool is_up = true;
    struct rabbit_letter *l;
    while (is_up && rabbit_may_publish(b) && (l = take_letter(b))) {
        is_up = rabbit_publish(b, l);
        free(l);
    }
    return is_up;
}

static void sleep_until_news(struct bus_impl *b, int socket, int64_t wait_ms)
{
    struct pollfd fds[] = {{.fd = b->wake_fd, .events = POLLIN}, {.fd = socket, .events = POLLIN}};
    (void)poll(fds, socket < 0 ? 1 : 2, (int)wait_ms);
    if (fds[0].revents) {
        uint64_t count;
        (void)!read(b->wake_fd, &count, sizeof(count));
    }
}

static void serve(struct bus_impl *b)
{
    while (!atomic_load(&b->is_stopping)) {
        /* Receiving comes last: what arrives while something else is asked waits in the library. */
        if (!do_wishes(b) || !do_receipts(b) || !do_letters(b) || !rabbit_measure(b) ||
            !rabbit_receive(b))
            return;
        amqp_maybe_release_buffers(b->conn);
        pthread_mutex_lock(&b->lock);
        bool is_idle = !b->has_more && b->receipt_count == 0 && list_is_empty(&b->wishes) &&
                       (list_is_empty(&b->letters) || !rabbit_may_publish(b));
        pthread_mutex_unlock(&b->lock);
        if (is_idle)
            sleep_until_news(b, amqp_get_sockfd(b->conn), POLL_MS);
    }
    /* What was handled is settled, so that nobody need do it again. */
    if (do_receipts(b))
        (void)do_letters(b);
}

static void set_linked(struct bus_impl *b, bool is_linked)
{
    pthread_mutex_lock(&b->lock);
    b->is_linked = is_linked;
    while (!is_linked && !list_is_empty(&b->letters)) {
        struct rabbit_letter *l = LIST_ENTRY(b->letters.next, struct rabbit_letter, node);
        list_remove(&l->node);
        free(l);
    }
    b->letter_count = is_linked ? b->letter_count : 0;
    if (!is_linked)
        b->receipt_count = 0;
    pthread_mutex_unlock(&b->lock);
}

static void *rabbit_main(void *arg)
{
    struct bus_impl *b = arg;
    while (!atomic_load(&b->is_stopping)) {
        b->why[0] = '\0';
        if (rabbit_connect(b)) {
            set_linked(b, true);
            bus_link_up(b->link);
            if (!b->why[0])
                serve(b);
            set_linked(b, false);
        }
        rabbit_disconnect(b);
        if (atomic_load(&b->is_stopping))
            break;
        bus_link_down(b->link, b->why);
        int64_t until_ms = clock_mono_ms() + bus_link_backoff_ms(b->link);
        while (!atomic_load(&b->is_stopping) && clock_mono_ms() < until_ms)
            sleep_until_news(b, -1, MAX(until_ms - clock_mono_ms(), (int64_t)1));
    }
    return NULL;
}

/* ---- life ---- */

static bool is_address_sound(const char *url)
{
    struct rabbit_address address;
    struct strbuf problem = {0};
    bool is_address = rabbit_pick(url, 0, &address);
    bool is_sound = is_address && (!address.is_tls || bus_tls_check(&address.tls, &problem));
    if (!is_address)
        log_error(NULL, "bus: rabbitmq: expected an address as amqp://user:password@host:5672/, "
                        "amqps:// with ca=, cert= and key= over TLS");
    else if (!is_sound)
        log_error(NULL, "bus: rabbitmq: %s", problem.p);
    strbuf_deinit(&problem);
    rabbit_address_deinit(&address);
    return is_sound;
}

static enum err rabbit_open(struct bus_link *link, const struct bus_link_options *opt,
                            struct bus_impl **out)
{
    if (!is_address_sound(opt->url))
        return ERR_INVALID_ARGUMENT;
    struct bus_impl *b = mem_new(struct bus_impl);
    b->link = link;
    b->url = mem_strdup(opt->url);
    b->process = mem_strdup(opt->process);
    b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    b->exchanges = map_create();
    pthread_mutex_init(&b->lock, NULL);
    list_init(&b->wishes);
    list_init(&b->letters);
    list_init(&b->consumers);
    *out = b;
    return b->wake_fd < 0 ? err_from_errno(errno) : ERR_OK;
}

static void rabbit_start(struct bus_impl *b)
{
    thread_must_start(&b->thread, "bus-rabbit", rabbit_main, b);
}

static void rabbit_stop(struct bus_impl *b)
{
    atomic_store(&b->is_stopping, true);
    wake(b);
    if (b->thread)
        pthread_join(b->thread, NULL);
}

static void rabbit_close(struct bus_impl **bp)
{
    struct bus_impl *b = *bp;
    *bp = NULL;
    LIST_FOREACH(&b->wishes, node)
    rabbit_wish_free(LIST_ENTRY(node, struct rabbit_wish, node));
    LIST_FOREACH(&b->letters, node)
    free(LIST_ENTRY(node, struct rabbit_letter, node));
    if (b->wake_fd >= 0)
        close(b->wake_fd);
    map_destroy(&b->exchanges);
    pthread_mutex_destroy(&b->lock);
    free(b->receipts);
    free(b->url);
    free(b->process);
    free(b);
}

const struct bus_driver bus_rabbitmq = {
    .name = "rabbitmq",
    .open = rabbit_open,
    .start = rabbit_start,
    .stop = rabbit_stop,
    .close = rabbit_close,
    .expect = rabbit_expect,
    .join = rabbit_join,
    .leave = rabbit_leave,
    .send = rabbit_send,
    .settle = rabbit_settle_later,
};
