/* list: intrusive doubly linked list. A zeroed node is in no list; an initialised head links to
 * itself. */
#pragma once

#include "core/base.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list *node)
{
    return node->next != NULL;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_add_head(struct list *head, struct list *node)
{
    list_add_tail(head->next, node);
}

/* Safe for a node that is in no list. */
static inline void list_remove(struct list *node)
{
    if (!node->next)
        return;
    node->next->prev = node->prev;
    node->prev->next = node->next;
    node->next = node->prev = NULL;
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

/* The current node may be removed inside the body. */
#define LIST_FOREACH(head, node)                                                      \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
         node = node##_next, node##_next = node->next)
