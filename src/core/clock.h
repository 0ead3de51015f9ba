/* clock: monotonic time for timers and measuring, wall time for humans and records. */
#pragma once

#include "core/base.h"

int64_t clock_mono_us(void);
static inline int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}
int64_t clock_wall_us(void); /* since 1970-01-01 UTC; may jump */
int64_t clock_wall_ms(void);
/* 2026-01-01, before the first of these programs: a clock before this was never set. */
#define CLOCK_FLOOR_MS INT64_C(1767225600000)

#define CLOCK_TEXT_SIZE 32
/* RFC 3339 in UTC with milliseconds: 2026-11-21T01:02:03.004Z */
void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);
