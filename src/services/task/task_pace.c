/*
 * task_pace: other people's servers wait for nobody else's. A webhook's deliveries are a lane of
 * the bus, so one holds one thread at most; those that failed or dawdled last time share half of
 * the threads, so however many there are, the rest stay free for those that answer. The operator's
 * own push server is one for all: while it fails, tasks are put off instead of each finding out.
 */
#include "core/clock.h"
#include "services/task/task_internal.h"

#define PUSH_WAIT_MAX_MS 60000

bool task_enter_doubtful(struct task_service *svc)
{
    if (atomic_fetch_add(&svc->doubtful, 1) < DELIVERIES_AT_ONCE / 2)
        return true;
    task_leave_doubtful(svc);
    return false;
}

void task_leave_doubtful(struct task_service *svc)
{
    atomic_fetch_sub(&svc->doubtful, 1);
}

int64_t task_push_wait_ms(struct task_service *svc)
{
    int64_t wait_ms = atomic_load(&svc->push_retry_at_ms) - clock_mono_ms();
    return CLAMP(wait_ms, 0, PUSH_WAIT_MAX_MS);
}

void task_push_went(struct task_service *svc, bool is_good)
{
    if (is_good) {
        atomic_store(&svc->push_failures, 0);
        atomic_store(&svc->push_retry_at_ms, 0);
        return;
    }
    int before = atomic_fetch_add(&svc->push_failures, 1);
    int64_t wait_ms = before < 6 ? INT64_C(1000) << before : PUSH_WAIT_MAX_MS;
    atomic_store(&svc->push_retry_at_ms, clock_mono_ms() + MIN(wait_ms, PUSH_WAIT_MAX_MS));
}
