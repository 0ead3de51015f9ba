/*
 * text: UTF-8 and JSON literals. Whatever the bytes, the literal must be valid UTF-8, on one line,
 * closed by its first unescaped quote; valid text must come through it uncut.
 */
#include <stdlib.h>

#include "core/log.h"
#include "core/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_literal(struct str literal)
{
    if (!str_is_utf8(literal) || literal.n < 2 || literal.p[0] != '"')
        abort();
    for (size_t i = 1; i < literal.n; i++) {
        uint8_t c = (uint8_t)literal.p[i];
        if (c < 0x20 || (c == '"' && i != literal.n - 1))
            abort();
        if (c == '\\')
            i++;
    }
    if (literal.p[literal.n - 1] != '"')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    struct strbuf b = {0};
    char masked[64];
    strbuf_add_json(&b, s);
    check_literal(strbuf_str(&b));
    if (str_is_utf8(s) && str_utf8_count(s) > size)
        abort();
    char *text = str_dup(s);
    log_mask(masked, sizeof(masked), text);
    if (!str_is_utf8(str_from(masked)))
        abort();
    free(text);
    strbuf_deinit(&b);
    return 0;
}
