/*
 * mail: making and passing messages. Senders push onto a stack with one compare-and-swap; the owner
 * takes the whole stack with one exchange and turns it round, so that no two threads ever pop and
 * nothing can be recycled under anybody.
 */
#include "sfu/mail.h"

#include <stdlib.h>

#include "core/mem.h"

struct mail *mail_create(enum mail_type type, sfu_peer_id peer, uint32_t number)
{
    struct mail *m = mem_new(struct mail);
    m->type = type;
    m->peer = peer;
    m->number = number;
    return m;
}

void mail_destroy(struct mail **mail)
{
    if (*mail)
        explicit_bzero(*mail, sizeof(**mail));
    free(*mail);
    *mail = NULL;
}

void inbox_push(struct inbox *inbox, struct mail *mail)
{
    struct mail *top = atomic_load_explicit(&inbox->top, memory_order_relaxed);
    do {
        mail->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&inbox->top, &top, mail, memory_order_release,
                                                    memory_order_relaxed));
}

struct mail *inbox_take(struct inbox *inbox)
{
    struct mail *newest = atomic_exchange_explicit(&inbox->top, NULL, memory_order_acquire);
    struct mail *oldest = NULL;
    while (newest) {
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}
