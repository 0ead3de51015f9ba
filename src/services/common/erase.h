/*
 * erase: an account that is erased leaves one task for each service that keeps something of people,
 * queued in the transaction that marks the account: whatever crashes, each service gets to it, and
 * again until it is done. A service works on its queue alone and touches its tables alone.
 */
#pragma once

#include <stdio.h>

#include "bus/bus.h"
#include "core/id.h"

#define ERASE_QUEUE(service) "erase_" service
#define ERASE_ATTEMPTS_MAX 200 /* with the back-off of tasks: about a week */

/* Whom a task is about; false: no id (nothing to do). */
static inline bool erase_take(const struct bus_task *task, char user_id[ID_SIZE])
{
    if (task->payload.n != ID_SIZE - 1)
        return false;
    snprintf(user_id, ID_SIZE, "%.*s", STR_FMT(task->payload));
    return id_is_valid(user_id);
}
