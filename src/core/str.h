/*
 * str: text as pointer and length (never a hunt for NUL), and a growable builder.
 * A struct str borrows; whoever made the bytes owns them.
 */
#pragma once

#include <stdarg.h>
#include <string.h>

#include "core/base.h"

struct arena;

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NULL ((struct str){NULL, 0})
/* For printf: printf("%.*s", STR_FMT(s)). */
#define STR_FMT(s) (int)(s).n, (s).p

static inline struct str str_from(const char *cstr)
{
    return cstr ? (struct str){cstr, strlen(cstr)} : STR_NULL;
}

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s); /* spaces, tabs, CR, LF at both ends */
/* Cuts the part before `sep` off *rest; false (and *part = all of it) when sep is absent. */
bool str_cut(struct str *rest, char sep, struct str *part);
struct str str_sub(struct str s, size_t from, size_t count); /* clamped */
/* Index of c, or -1. */
ptrdiff_t str_find(struct str s, char c);
/* Whole string is a decimal (optional leading '-') that fits; false otherwise. */
bool str_to_i64(struct str s, int64_t *out);
bool str_to_u64(struct str s, uint64_t *out);
char *str_dup(struct str s);                        /* malloc, NUL-terminated */
char *str_arena(struct arena *arena, struct str s); /* arena, NUL-terminated */
/* Well-formed UTF-8 without NUL, surrogates or overlong forms (RFC 3629). */
bool str_is_utf8(struct str s);
/* Number of code points; s must be UTF-8. */
size_t str_utf8_count(struct str s);
/* Equal in time that depends on n alone; false for different lengths. For secrets. */
bool str_eq_secret(struct str a, struct str b);

/* strbuf: grows by doubling, aborts on OOM, always NUL-terminated once written to. Zero value is
 * empty. */
struct strbuf {
    char *p;
    size_t n;
    size_t capacity;
};

void strbuf_add(struct strbuf *b, const void *bytes, size_t n);
void strbuf_adds(struct strbuf *b, const char *cstr);
void strbuf_addc(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_vprintf(struct strbuf *b, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
/* Makes room for n more bytes and returns where they go; the caller then adds to b->n. */
char *strbuf_reserve(struct strbuf *b, size_t n);
void strbuf_clear(struct strbuf *b);  /* keeps the memory */
void strbuf_deinit(struct strbuf *b); /* frees; b is empty and usable again */
static inline struct str strbuf_str(const struct strbuf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

/* JSON string literal with quotes, invalid UTF-8 replaced by U+FFFD. */
void strbuf_add_json(struct strbuf *b, struct str s);

/* Text forms of bytes. `out` of the encoders needs 2n+1 / str_base64_size(n) bytes. */
void str_hex(char *out, const void *bytes, size_t n);
bool str_unhex(struct str hex, uint8_t *out, size_t n);     /* exactly n bytes */
size_t str_base64_size(size_t n);                           /* with NUL */
void str_base64url(char *out, const void *bytes, size_t n); /* RFC 4648 section 5, unpadded */
