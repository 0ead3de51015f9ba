/* message_index_sqlite: the index of words as an FTS5 table, asked by MATCH. */
#include "services/message/message_internal.h"

/* "{c} : (0 OR 12 OR 15) AND {t} : (...) AND {s} : ... AND {k} : k1" */
static void write_match(const struct message_looking *l, struct strbuf *match)
{
    strbuf_adds(match, "{c} : (0");
    for (size_t i = 0; i < l->count; i++)
        strbuf_printf(match, " OR %lld", (long long)l->nums[i]);
    strbuf_addc(match, ')');
    if (l->terms)
        strbuf_printf(match, " AND {t} : (%s)", l->terms);
    if (l->sender_id[0])
        strbuf_printf(match, " AND {s} : \"%s\"", l->sender_id);
    if (l->kind[0])
        strbuf_printf(match, " AND {k} : %s", l->kind);
}

static struct store_stmt *find(struct store_tx *tx, const struct message_looking *l)
{
    struct strbuf match = {0};
    write_match(l, &match);
    struct store_stmt *st =
        store_query(tx,
                    "SELECT " MESSAGE_COLUMNS ", c.id FROM message_terms f" MESSAGE_INDEX_HITS
                    " WHERE f.message_terms MATCH ?" MESSAGE_INDEX_LIMITS,
                    "siiiisi", strbuf_str(&match).p, l->below_lsn, l->above_lsn, l->from_ms,
                    l->to_ms, l->asker_id, l->limit);
    strbuf_deinit(&match);
    return st;
}

static struct store_stmt *count(struct store_tx *tx, int64_t num)
{
    return store_query(tx, "SELECT COUNT(*) FROM message_terms WHERE c MATCH ?", "i", num);
}

/* FTS5's own comparison of the index with the words it was made of. It writes nothing, but is asked
 * for as if it did. */
static enum err check(struct store_tx *tx, void *arg)
{
    return store_run(tx, "INSERT INTO message_terms (message_terms) VALUES ('integrity-check')",
                     "");
}

const struct message_index message_index_sqlite = {
    .driver = "sqlite", .find = find, .count = count, .check = check};
