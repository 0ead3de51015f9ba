/*
 * text: checks of what people type. One pass over the code points finds what may not be there
 * (controls, bidirectional overrides, which can make a name read as another) and whether anything
 * is there to be seen at all. Used at the entrance of every service, so a stored object never
 * surprises another reader.
 */
#include "services/common/text.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>

struct range {
    uint32_t first, last;
};

static bool is_in(uint32_t c, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

static bool is_space(uint32_t c)
{
    static const struct range spaces[] = {
        {0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680},
        {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000},
    };
    return is_in(c, spaces, ARRAY_LEN(spaces));
}

/* Takes no place on the screen by itself (default-ignorable code points). */
static bool is_invisible(uint32_t c)
{
    static const struct range ignorable[] = {
        {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},   {0x115f, 0x1160}, {0x17b4, 0x17b5},
        {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2060, 0x206f}, {0x2800, 0x2800}, {0x3164, 0x3164},
        {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0xe0000, 0xe0fff},
    };
    return is_in(c, ignorable, ARRAY_LEN(ignorable));
}

static bool is_forbidden(uint32_t c, unsigned flags)
{
    static const struct range forbidden[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0x2028, 0x2029}, {0x202a, 0x202e},
        {0x2066, 0x2069}, {0xfeff, 0xfeff}, {0xfffe, 0xffff},
    };
    if ((flags & TEXT_LINES) && (c == '\n' || c == '\r' || c == '\t'))
        return false;
    return is_in(c, forbidden, ARRAY_LEN(forbidden));
}

uint32_t text_next(struct str s, size_t *at)
{
    const uint8_t *p = (const uint8_t *)s.p + *at;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    *at += n;
    return c;
}

static struct str trim(struct str s)
{
    size_t first = s.n, end = 0;
    for (size_t at = 0; at < s.n;) {
        size_t start = at;
        uint32_t c = text_next(s, &at);
        if (!(c > 0x20 && c < 0x7f) && is_space(c))
            continue;
        if (first == s.n)
            first = start;
        end = at;
    }
    return first == s.n ? str_sub(s, 0, 0) : str_sub(s, first, end - first);
}

static const char *problem_of(struct str s, const struct text_rule *rule)
{
    bool is_visible = false;
    for (size_t at = 0; at < s.n;) {
        uint32_t c = text_next(s, &at);
        if (c > 0x20 && c < 0x7f) { /* most of what is typed */
            is_visible = true;
            continue;
        }
        if (is_forbidden(c, rule->flags))
            return "control characters are not allowed";
        is_visible |= !is_space(c) && !is_invisible(c);
    }
    return rule->min > 0 && !is_visible ? "nothing visible in it" : NULL;
}

char *text_take(struct rpc_call *call, const char *value, const struct text_rule *rule)
{
    struct str s = str_from(value ? value : "");
    /* Bounded before anything walks over it: a code point has at most 4 bytes. */
    if (s.n > rule->max * 4 + 256) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "%s: at most %zu characters", rule->field, rule->max);
        return NULL;
    }
    if (!str_is_utf8(s)) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "%s: expected UTF-8 text", rule->field);
        return NULL;
    }
    if (!(rule->flags & TEXT_EXACT))
        s = trim(s);
    size_t count = str_utf8_count(s);
    if (count > rule->max) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "%s: at most %zu characters", rule->field, rule->max);
        return NULL;
    }
    if (count < rule->min) {
        if (rule->min == 1)
            rpc_fail(call, ERR_INVALID_ARGUMENT, "%s: must not be empty", rule->field);
        else
            rpc_fail(call, ERR_INVALID_ARGUMENT, "%s: at least %zu characters", rule->field,
                     rule->min);
        return NULL;
    }
    const char *problem = problem_of(s, rule);
    if (problem) {
        rpc_fail(call, ERR_INVALID_ARGUMENT, "%s: %s", rule->field, problem);
        return NULL;
    }
    return str_arena(call->arena, s);
}

static locale_t utf8_locale;

static void make_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static bool has_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return utf8_locale != (locale_t)0;
}

bool text_is_word(uint32_t c)
{
    static const struct range marks[] = {{0x300, 0x36f}, {0x900, 0xdff}}; /* vowel signs */
    bool is_ascii = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (c < 0x80)
        return is_ascii;
    return is_in(c, marks, ARRAY_LEN(marks)) ||
           (has_locale() && iswalnum_l((wint_t)c, utf8_locale));
}

static void put_utf8(char *out, size_t *n, uint32_t c)
{
    if (c < 0x80) {
        out[(*n)++] = (char)c;
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[(*n)++] = (char)(lead[more] | c >> (6 * more));
    while (more-- > 0)
        out[(*n)++] = (char)(0x80 | (c >> (6 * more) & 0x3f));
}

char *text_fold(struct arena *arena, struct str s)
{
    bool is_folding_all = has_locale();
    char *out = arena_alloc(arena, s.n * 2 + 1);
    size_t n = 0;
    for (size_t at = 0; at < s.n;) {
        uint32_t c = text_next(s, &at);
        if (c >= 'A' && c <= 'Z')
            c += 'a' - 'A';
        else if (c >= 0x80 && is_folding_all)
            c = (uint32_t)towlower_l((wint_t)c, utf8_locale);
        put_utf8(out, &n, c);
    }
    out[n] = 0;
    return out;
}
