/*
 * span: W3C Trace Context (https://www.w3.org/TR/trace-context/, version 00). A trace that comes in
 * goes on with its sampling decision; a new one is sampled when somebody listens. Ids need only be
 * unlike each other, not secret, so a thread draws kernel randomness 512 bytes at a time.
 */
#include "core/span.h"

#include <pthread.h>
#include <string.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/str.h"

static pthread_rwlock_t sink_lock = PTHREAD_RWLOCK_INITIALIZER;
static span_sink_fn *sink_fn;
static void *sink_arg;

static bool is_listened_to(void)
{
    return __atomic_load_n(&sink_fn, __ATOMIC_RELAXED) != NULL;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return any == 0;
}

/* An all-zero id means "invalid" in the standard, so it is never handed out. */
static void draw_id(uint8_t *out, size_t n)
{
    static _Thread_local uint8_t pool[512];
    static _Thread_local size_t left;
    do {
        if (left < n) {
            id_random(pool, sizeof(pool));
            left = sizeof(pool);
        }
        left -= n;
        memcpy(out, pool + left, n);
    } while (is_zero(out, n));
}

static bool is_lower_hex(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
            return false;
    return true;
}

/*
 *   00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *   version  trace id                   parent id        flags
 * A higher version may carry more behind another dash; version ff is invalid.
 */
static bool parse_traceparent(const char *text, struct span *s)
{
    struct str all = str_from(text);
    uint8_t version, flags;
    if (all.n < 55 || all.p[2] != '-' || all.p[35] != '-' || all.p[52] != '-')
        return false;
    struct str fields[] = {str_sub(all, 0, 2), str_sub(all, 3, 32), str_sub(all, 36, 16),
                           str_sub(all, 53, 2)};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (!is_lower_hex(fields[i]))
            return false;
    if (!str_unhex(fields[0], &version, 1) || !str_unhex(fields[1], s->trace_id, 16) ||
        !str_unhex(fields[2], s->parent_id, 8) || !str_unhex(fields[3], &flags, 1))
        return false;
    if (version == 0xff || (version == 0 && all.n != 55) || (all.n > 55 && all.p[55] != '-'))
        return false;
    s->is_sampled = flags & 1;
    return !is_zero(s->trace_id, 16) && !is_zero(s->parent_id, 8);
}

struct span span_start(const char *name, const char *traceparent)
{
    struct span s = {.name = name};
    if (!traceparent || !parse_traceparent(traceparent, &s)) {
        s = (struct span){.name = name, .is_sampled = is_listened_to()};
        draw_id(s.trace_id, sizeof(s.trace_id));
    }
    draw_id(s.span_id, sizeof(s.span_id));
    s.start_us = clock_mono_us();
    s.start_wall_ms = clock_wall_ms();
    return s;
}

void span_traceparent(const struct span *s, char out[SPAN_TRACEPARENT_SIZE])
{
    memcpy(out, "00-", 3);
    str_hex(out + 3, s->trace_id, 16);
    out[35] = '-';
    str_hex(out + 36, s->span_id, 8);
    memcpy(out + 52, s->is_sampled ? "-01" : "-00", 4);
}

void span_set_sink(span_sink_fn *fn, void *arg)
{
    pthread_rwlock_wrlock(&sink_lock);
    __atomic_store_n(&sink_fn, fn, __ATOMIC_RELAXED);
    sink_arg = arg;
    pthread_rwlock_unlock(&sink_lock);
}

void span_end(const struct span *s, int err)
{
    if (!s->is_sampled || !is_listened_to())
        return;
    int64_t duration_us = clock_mono_us() - s->start_us;
    pthread_rwlock_rdlock(&sink_lock);
    if (sink_fn)
        sink_fn(sink_arg, s, duration_us, err);
    pthread_rwlock_unlock(&sink_lock);
}
