/*
 * message_index_postgres: the index of words as a tsvector, made by the table itself of the words
 * that we cut, and a GIN index over it.
 */
#include "services/message/message_internal.h"

/* "\"word\"* AND \"next\"" becomes "'word':* & 'next'". Words are letters and digits alone, so the
 * quotes are ours. */
static const char *to_tsquery(struct strbuf *out, const char *terms)
{
    for (const char *at = terms; *at; at++) {
        if (strncmp(at, "\"*", 2) == 0) {
            strbuf_adds(out, "':*");
            at++;
        } else if (strncmp(at, " AND ", 5) == 0) {
            strbuf_adds(out, " & ");
            at += 4;
        } else {
            strbuf_addc(out, *at == '"' ? '\'' : *at);
        }
    }
    return strbuf_str(out).p;
}

#define FROM_TERMS "SELECT " MESSAGE_COLUMNS ", c.id FROM message_terms f" MESSAGE_INDEX_HITS
#define IN_PLACES                                            \
    " f.c = ANY (CAST(string_to_array(?, ',') AS BIGINT[]))" \
    " AND (? = '' OR f.s = ?) AND (? = '' OR f.k = ?)" MESSAGE_INDEX_LIMITS

static struct store_stmt *find(struct store_tx *tx, const struct message_looking *l)
{
    struct strbuf nums = {0}, words = {0};
    strbuf_adds(&nums, "0");
    for (size_t i = 0; i < l->count; i++)
        strbuf_printf(&nums, ",%lld", (long long)l->nums[i]);
    const char *list = strbuf_str(&nums).p;
    struct store_stmt *st;
    if (l->terms)
        st = store_query(tx, FROM_TERMS " WHERE f.v @@ CAST(? AS tsquery) AND" IN_PLACES,
                         "ssssssiiiisi", to_tsquery(&words, l->terms), list, l->sender_id,
                         l->sender_id, l->kind, l->kind, l->below_lsn, l->above_lsn, l->from_ms,
                         l->to_ms, l->asker_id, l->limit);
    else
        st = store_query(tx, FROM_TERMS " WHERE" IN_PLACES, "sssssiiiisi", list, l->sender_id,
                         l->sender_id, l->kind, l->kind, l->below_lsn, l->above_lsn, l->from_ms,
                         l->to_ms, l->asker_id, l->limit);
    strbuf_deinit(&words);
    strbuf_deinit(&nums);
    return st;
}

static struct store_stmt *count(struct store_tx *tx, int64_t num)
{
    return store_query(tx, "SELECT COUNT(*) FROM message_terms WHERE c = ?", "i", num);
}

/* The words and their index are one row, kept together by the engine. */
static enum err check(struct store_tx *tx, void *arg)
{
    return ERR_OK;
}

const struct message_index message_index_postgres = {
    .driver = "postgres", .find = find, .count = count, .check = check};
