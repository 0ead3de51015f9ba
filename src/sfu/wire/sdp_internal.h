/* sdp_internal: what the line reader and the attribute handlers share. */
#pragma once

#include "sfu/wire/sdp.h"

struct sdp_parser {
    struct arena *arena;
    struct sdp_session *session;
    struct sdp_media *media;   /* the section being read; &defaults before the first m-line */
    struct sdp_media defaults; /* session-level attributes that sections inherit */
    const char *problem;       /* set with err */
    enum err err;
};

/* Records the first problem; returns false, for `return sdp_fail(...)`. */
bool sdp_fail(struct sdp_parser *p, enum err err, const char *problem);
/* "name" or "name:value"; false after sdp_fail. Unknown names are ignored. */
bool sdp_parse_attribute(struct sdp_parser *p, struct str attribute);

/* The next word of a line, words being parted by spaces; false at its end. */
bool sdp_next_word(struct str *rest, struct str *word);

/*
 * Room for one more item behind `count` items in the arena: the array at its old or a new place.
 * Capacity doubles from 4, so the arena holds at most twice what is used.
 */
void *sdp_grow(struct arena *arena, void *items, size_t count, size_t item_bytes);
#define SDP_ADD(p, items, count) \
    ((items) = sdp_grow((p)->arena, (items), (count), sizeof(*(items))), &(items)[(count)++])
