/*
 * log: one line per event, built whole and handed to the kernel in one write(2), so lines of
 * different threads never mix. JSON for machines, text when a person looks at a terminal. Whatever
 * a client smuggled into a value, the line stays one line of valid UTF-8.
 */
#include "core/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/span.h"
#include "core/str.h"
#include "core/str_internal.h"

#define MESSAGE_MAX 4096 /* bytes; longer messages are cut */
#define SCOPES_MAX 16    /* deeper chains lose their outermost fields */

enum mode { MODE_UNDECIDED, MODE_TEXT, MODE_JSON };

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

static int current_level = LOG_INFO;
static int current_mode = MODE_UNDECIDED;

/* The lock keeps fn and arg together, and lets log_set_sink(NULL) wait for a call under way. */
static pthread_rwlock_t sink_lock = PTHREAD_RWLOCK_INITIALIZER;
static log_sink_fn *sink_fn;
static void *sink_arg;

void log_set_level(enum log_level level)
{
    __atomic_store_n(&current_level, (int)level, __ATOMIC_RELAXED);
}

enum log_level log_level(void)
{
    return (enum log_level)__atomic_load_n(&current_level, __ATOMIC_RELAXED);
}

void log_set_json(bool is_json)
{
    __atomic_store_n(&current_mode, is_json ? MODE_JSON : MODE_TEXT, __ATOMIC_RELAXED);
}

static bool wants_json(void)
{
    int mode = __atomic_load_n(&current_mode, __ATOMIC_RELAXED);
    if (mode == MODE_UNDECIDED) {
        mode = isatty(STDOUT_FILENO) ? MODE_TEXT : MODE_JSON;
        log_set_json(mode == MODE_JSON);
    }
    return mode == MODE_JSON;
}

void log_set_sink(log_sink_fn *fn, void *arg)
{
    pthread_rwlock_wrlock(&sink_lock);
    __atomic_store_n(&sink_fn, fn, __ATOMIC_RELAXED);
    sink_arg = arg;
    pthread_rwlock_unlock(&sink_lock);
}

static bool has_sink(void)
{
    return __atomic_load_n(&sink_fn, __ATOMIC_RELAXED) != NULL;
}

static void feed_sink(enum log_level level, const struct strbuf *line)
{
    pthread_rwlock_rdlock(&sink_lock);
    if (sink_fn)
        sink_fn(sink_arg, level, line->p, line->n - 1);
    pthread_rwlock_unlock(&sink_lock);
}

/* Outermost first; a field that an inner scope names again is left out. */
static size_t collect_scopes(const struct log_scope *scope,
                             const struct log_scope *found[SCOPES_MAX])
{
    size_t count = 0;
    for (; scope && count < SCOPES_MAX; scope = scope->parent) {
        bool is_shadowed = !scope->key || !scope->value;
        for (size_t i = 0; i < count && !is_shadowed; i++)
            is_shadowed = strcmp(found[i]->key, scope->key) == 0;
        if (!is_shadowed)
            found[count++] = scope;
    }
    for (size_t i = 0; i < count / 2; i++) {
        const struct log_scope *swap = found[i];
        found[i] = found[count - 1 - i];
        found[count - 1 - i] = swap;
    }
    return count;
}

/* So that a line leads to its trace. */
static void add_trace(struct strbuf *b)
{
    const struct span *span = span_current();
    char id[33];
    if (!span || !span->is_sampled)
        return;
    str_hex(id, span->trace_id, sizeof(span->trace_id));
    strbuf_printf(b, ",\"trace_id\":\"%.32s\"", id);
}

static void build_json(struct strbuf *b, const char *ts, enum log_level level, const char *src,
                       const struct log_scope *scope, struct str message)
{
    const struct log_scope *fields[SCOPES_MAX];
    size_t count = collect_scopes(scope, fields);
    strbuf_printf(b, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":", ts, level_names[level]);
    strbuf_add_json(b, message);
    strbuf_adds(b, ",\"src\":");
    strbuf_add_json(b, str_from(src));
    for (size_t i = 0; i < count; i++) {
        strbuf_addc(b, ',');
        strbuf_add_json(b, str_from(fields[i]->key));
        strbuf_addc(b, ':');
        strbuf_add_json(b, str_from(fields[i]->value));
    }
    add_trace(b);
    strbuf_adds(b, "}\n");
}

/* Control characters would let a value forge lines or drive the terminal: they become '?'. */
static void add_clean(struct strbuf *b, struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    for (size_t i = 0; i < s.n;) {
        int step = str_utf8_step(p + i, s.n - i);
        bool is_control =
            p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && step == 2 && p[i + 1] < 0xa0);
        if (step > 0 && !is_control)
            strbuf_add(b, p + i, (size_t)step);
        else
            strbuf_addc(b, '?');
        i += (size_t)(step < 0 ? -step : step);
    }
}

static void build_text(struct strbuf *b, const char *ts, enum log_level level, const char *src,
                       const struct log_scope *scope, struct str message)
{
    static const char *const tags[] = {"\033[2mdebug\033[0m", "\033[32minfo \033[0m",
                                       "\033[33mwarn \033[0m", "\033[31merror\033[0m", "off  "};
    const struct log_scope *fields[SCOPES_MAX];
    size_t count = collect_scopes(scope, fields);
    strbuf_printf(b, "%.8s %s ", ts + 11, tags[level]); /* the time of day is enough here */
    add_clean(b, message);
    strbuf_adds(b, " \033[2m");
    for (size_t i = 0; i < count; i++) {
        add_clean(b, str_from(fields[i]->key));
        strbuf_addc(b, '=');
        add_clean(b, str_from(fields[i]->value));
        strbuf_addc(b, ' ');
    }
    strbuf_printf(b, "(%s)\033[0m\n", src);
}

static void put(const struct strbuf *line)
{
    size_t done = 0;
    while (done < line->n) {
        ssize_t n = write(STDOUT_FILENO, line->p + done, line->n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return; /* nobody to complain to */
        done += (size_t)n;
    }
}

void log_write(enum log_level level, const char *file, int line, const struct log_scope *scope,
               const char *fmt, ...)
{
    char message[MESSAGE_MAX], ts[CLOCK_TEXT_SIZE], src[64];
    struct strbuf b = {0};
    va_list args;
    int saved_errno = errno; /* callers log between a failing call and reading errno */
    if (level < LOG_DEBUG || level >= LOG_OFF)
        return;
    va_start(args, fmt);
    int n = vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    size_t message_n = n < 0 ? 0 : MIN((size_t)n, sizeof(message) - 1);
    const char *slash = strrchr(file, '/');
    snprintf(src, sizeof(src), "%s:%d", slash ? slash + 1 : file, line);
    clock_format(clock_wall_ms(), ts);
    strbuf_reserve(&b, message_n + 256);
    if (wants_json())
        build_json(&b, ts, level, src, scope, (struct str){message, message_n});
    else
        build_text(&b, ts, level, src, scope, (struct str){message, message_n});
    put(&b);
    if (has_sink() && !wants_json()) {
        strbuf_clear(&b);
        build_json(&b, ts, level, src, scope, (struct str){message, message_n});
    }
    if (has_sink())
        feed_sink(level, &b);
    strbuf_deinit(&b);
    errno = saved_errno;
}

static bool is_phone(struct str s)
{
    if (s.n < 8 || s.p[0] != '+')
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

/* Ends the text before its first broken character: the caller's, or one that snprintf cut. */
static void cut_broken_utf8(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        int step = str_utf8_step((const uint8_t *)text + i, n - i);
        if (step < 0) {
            text[i] = '\0';
            return;
        }
        i += (size_t)step;
    }
}

void log_mask(char *out, size_t size, const char *secret)
{
    struct str s = str_from(secret), rest = s, name;
    if (size == 0)
        return;
    out[0] = '\0';
    if (s.n == 0)
        return;
    int first = MAX(str_utf8_step((const uint8_t *)s.p, s.n), 0); /* bytes of the first character */
    if (str_cut(&rest, '@', &name) && name.n)
        snprintf(out, size, "%.*s***@%.*s", first, s.p, STR_FMT(rest));
    else if (is_phone(s))
        snprintf(out, size, "%.3s*****%s", s.p, s.p + s.n - 2);
    else
        snprintf(out, size, "%.*s***", s.n >= 6 ? first : 0, s.p);
    cut_broken_utf8(out);
}
