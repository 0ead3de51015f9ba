/*
 * log: one JSON object per line on stdout (or text on a terminal). A scope carries fields (request
 * id, user, room) that everything logged through it inherits. Secrets and message bodies never come
 * here.
 *
 *   struct log_scope log = log_scope(parent, "room", room->id);
 *   log_warn(&log, "peer %s left without a goodbye", peer_id);
 */
#pragma once

#include "core/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

/* Fields by reference: key and value must outlive the scope. Scopes chain; parent may be NULL. */
struct log_scope {
    const struct log_scope *parent;
    const char *key;
    const char *value;
};

static inline struct log_scope log_scope(const struct log_scope *parent, const char *key,
                                         const char *value)
{
    return (struct log_scope){parent, key, value};
}

/* Process-wide; may be called again at any time from any thread. */
void log_set_level(enum log_level level);
enum log_level log_level(void);
/* JSON lines (default when stdout is no terminal) or text. */
void log_set_json(bool is_json);
/* Every finished line also goes here (an exporter), as JSON without the line's end whatever stdout
 * shows; called on the logging thread, must not log. NULL: none. */
typedef void log_sink_fn(void *arg, enum log_level level, const char *line, size_t n);
void log_set_sink(log_sink_fn *fn, void *arg);

void log_write(enum log_level level, const char *file, int line, const struct log_scope *scope,
               const char *fmt, ...) PRINTF_LIKE(5, 6);

#define LOG_AT(level, scope, ...)                                         \
    do {                                                                  \
        if ((level) >= log_level())                                       \
            log_write((level), __FILE__, __LINE__, (scope), __VA_ARGS__); \
    } while (0)
#define log_debug(scope, ...) LOG_AT(LOG_DEBUG, scope, __VA_ARGS__)
#define log_info(scope, ...) LOG_AT(LOG_INFO, scope, __VA_ARGS__)
#define log_warn(scope, ...) LOG_AT(LOG_WARN, scope, __VA_ARGS__)
#define log_error(scope, ...) LOG_AT(LOG_ERROR, scope, __VA_ARGS__)

/* "alice@example.org" -> "a***@example.org", "+491701234567" -> "+49*****67". For logs and for
 * others' eyes. */
void log_mask(char *out, size_t size, const char *secret);
