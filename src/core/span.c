/*
 * span: W3C Trace Context (https://www.w3.org/TR/trace-context/, version 00). A trace that comes in
 * goes on with its sampling decision; of new ones a part is sampled, chosen by the trace's id, so
 * that everybody who knows the id chooses alike. Ids need only be unlike each other, not secret, so
 * a thread draws kernel randomness 512 bytes at a time.
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
static bool is_on; /* whether there is one */
static unsigned ratio_ppm = 1000000;
static _Thread_local const struct span *current;

bool span_is_on(void)
{
    return __atomic_load_n(&is_on, __ATOMIC_RELAXED);
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

/* The last seven bytes are random in every version of the standard. */
static bool is_chosen(const uint8_t trace_id[16])
{
    uint64_t number = 0;
    for (size_t i = 9; i < 16; i++)
        number = number << 8 | trace_id[i];
    return number < (1ull << 56) / 1000000 * __atomic_load_n(&ratio_ppm, __ATOMIC_RELAXED);
}

static void take_time(struct span *s)
{
    s->start_us = clock_mono_us();
    s->start_wall_us = clock_wall_us();
}

void span_start(struct span *s, const char *name, enum span_kind kind, const char *traceparent)
{
    *s = (struct span){.name = name, .kind = kind};
    if (!span_is_on())
        return;
    if (!traceparent || !parse_traceparent(traceparent, s)) {
        *s = (struct span){.name = name, .kind = kind};
        draw_id(s->trace_id, sizeof(s->trace_id));
        s->is_sampled = is_chosen(s->trace_id);
    }
    s->is_known = true;
    draw_id(s->span_id, sizeof(s->span_id));
    take_time(s);
}

void span_start_child(struct span *s, const char *name, enum span_kind kind)
{
    const struct span *parent = current;
    *s = (struct span){.name = name, .kind = kind};
    if (!parent || !parent->is_sampled || !span_is_on())
        return;
    s->is_known = s->is_sampled = true;
    s->service = parent->service;
    memcpy(s->trace_id, parent->trace_id, sizeof(s->trace_id));
    memcpy(s->parent_id, parent->span_id, sizeof(s->parent_id));
    draw_id(s->span_id, sizeof(s->span_id));
    take_time(s);
}

static void add(struct span *s, struct span_attribute attribute)
{
    if (s->is_sampled && s->attribute_count < SPAN_ATTRIBUTES_MAX)
        s->attributes[s->attribute_count++] = attribute;
}

void span_add_text(struct span *s, const char *key, const char *text)
{
    if (text)
        add(s, (struct span_attribute){.key = key, .text = text});
}

void span_add_number(struct span *s, const char *key, int64_t number)
{
    add(s, (struct span_attribute){.key = key, .number = number});
}

const struct span *span_enter(const struct span *s)
{
    const struct span *before = current;
    if (s->is_known)
        current = s;
    return before;
}

void span_leave(const struct span *before)
{
    current = before;
}

const struct span *span_current(void)
{
    return current;
}

void span_traceparent(const struct span *s, char out[SPAN_TRACEPARENT_SIZE])
{
    out[0] = '\0';
    if (!s->is_known)
        return;
    memcpy(out, "00-", 3);
    str_hex(out + 3, s->trace_id, 16);
    out[35] = '-';
    str_hex(out + 36, s->span_id, 8);
    memcpy(out + 52, s->is_sampled ? "-01" : "-00", 4);
}

void span_set_sink(span_sink_fn *fn, void *arg)
{
    pthread_rwlock_wrlock(&sink_lock);
    sink_fn = fn;
    sink_arg = arg;
    __atomic_store_n(&is_on, fn != NULL, __ATOMIC_RELAXED);
    pthread_rwlock_unlock(&sink_lock);
}

void span_set_ratio(unsigned ppm)
{
    __atomic_store_n(&ratio_ppm, MIN(ppm, 1000000u), __ATOMIC_RELAXED);
}

void span_end(struct span *s, int err)
{
    bool is_recorded = s->is_sampled && span_is_on();
    s->is_sampled = false;
    if (!is_recorded)
        return;
    int64_t duration_us = clock_mono_us() - s->start_us;
    pthread_rwlock_rdlock(&sink_lock);
    if (sink_fn)
        sink_fn(sink_arg, s, duration_us, err);
    pthread_rwlock_unlock(&sink_lock);
}
