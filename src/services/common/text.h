/*
 * text: checks of what people type, the same for every service. Fields are UTF-8 without NUL,
 * counted in code points; markup and SQL are just text. Refusals name the field and the rule:
 * "title: at most 200 characters".
 */
#pragma once

#include "core/str.h"
#include "rpc/rpc.h"

enum text_flags {
    TEXT_LINES = 1 << 0, /* line breaks and tabs may stand in it */
    TEXT_EXACT = 1 << 1, /* not trimmed: passwords */
};

struct text_rule {
    const char *field;
    size_t min, max; /* code points, after trimming */
    unsigned flags;
};

/*
 * The value, trimmed of every kind of space, in the call's arena. NULL after rpc_fail when it is
 * too short or long, no UTF-8, has control or bidirectional-override characters, or nothing visible
 * although min > 0. A NULL value counts as "".
 */
char *text_take(struct rpc_call *call, const char *value, const struct text_rule *rule);

/* Lower case for comparing and searching (simple Unicode mapping); in the arena. */
char *text_fold(struct arena *arena, struct str s);

/* Part of a word: a letter, a digit, or a mark upon one. */
bool text_is_word(uint32_t c);

/* The code point at *at (s is valid UTF-8), which moves on. */
uint32_t text_next(struct str s, size_t *at);
