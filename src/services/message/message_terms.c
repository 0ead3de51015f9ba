/*
 * Terms: how text becomes searchable. Runs of letters and digits are words, in lower case; runs of
 * Chinese, Japanese and Korean characters, which no spaces divide, become overlapping pairs (and
 * their last character alone), so that a word of two characters is found wherever it stands. The
 * same on every engine: the index only ever sees words divided by spaces.
 */
#include "services/message/message_internal.h"

enum sort { BREAK, WORD, IDEOGRAPH };

static bool is_ideograph(uint32_t c)
{
    return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7AF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x323AF);
}

static enum sort sort_of(uint32_t c)
{
    if (is_ideograph(c))
        return IDEOGRAPH;
    return text_is_word(c) ? WORD : BREAK;
}

/* Called for each term; is_open: a query's term that may go on. */
typedef void term_fn(struct strbuf *out, struct str term, bool is_open);

static void each_pair(struct strbuf *out, struct str run, bool is_query, term_fn *fn)
{
    size_t first = 0, second = 0, end;
    text_next(run, &second);
    if (second == run.n) {
        fn(out, run, true);
        return;
    }
    for (; second < run.n; first = second, second = end) {
        end = second;
        text_next(run, &end);
        fn(out, (struct str){run.p + first, end - first}, false);
    }
    if (!is_query) /* so that a search for one character finds it at the end of a run too */
        fn(out, (struct str){run.p + first, run.n - first}, false);
}

static void each_term(struct strbuf *out, struct str text, bool is_query, term_fn *fn)
{
    enum sort sort = BREAK;
    size_t begin = 0;
    for (size_t at = 0; at <= text.n;) {
        size_t here = at;
        enum sort next = BREAK;
        if (at < text.n)
            next = sort_of(text_next(text, &at));
        else
            at++;
        if (next == sort)
            continue;
        struct str run = {text.p + begin, here - begin};
        if (sort == WORD)
            fn(out, run, true);
        else if (sort == IDEOGRAPH)
            each_pair(out, run, is_query, fn);
        sort = next;
        begin = here;
    }
}

static void add_term(struct strbuf *out, struct str term, bool is_open)
{
    (void)is_open;
    if (out->n)
        strbuf_addc(out, ' ');
    strbuf_add(out, term.p, term.n);
}

static void add_query_term(struct strbuf *out, struct str term, bool is_open)
{
    if (out->n)
        strbuf_adds(out, " AND ");
    strbuf_addc(out, '"');
    strbuf_add(out, term.p, term.n);
    strbuf_adds(out, is_open ? "\"*" : "\"");
}

static char *take(struct arena *arena, struct strbuf *out)
{
    char *text = out->n ? str_arena(arena, strbuf_str(out)) : NULL;
    strbuf_deinit(out);
    return text;
}

char *message_terms(struct arena *arena, const char *text)
{
    struct strbuf out = {0};
    each_term(&out, str_from(text_fold(arena, str_from(text))), false, add_term);
    char *terms = take(arena, &out);
    return terms ? terms : arena_strdup(arena, "");
}

char *message_terms_query(struct arena *arena, const char *text)
{
    struct strbuf out = {0};
    each_term(&out, str_from(text_fold(arena, str_from(text))), true, add_query_term);
    return take(arena, &out);
}
