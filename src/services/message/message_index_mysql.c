/*
 * message_index_mysql: the index of words as a table of them, each with the messages it stands in.
 * The engine's own full text knows no words of two characters unless its whole server is set so,
 * and cuts Chinese otherwise than we do. A search looks its first words up there; the others, of a
 * long query, are held against the words of what was found. The words of a message go with its row
 * in message_terms (a foreign key).
 */
#include <stdlib.h>

#include "services/message/message_internal.h"

#define LOOKED_UP_MAX 6    /* words of one query */
#define WORD_MAX_CHARS 255 /* of a longer one only these: no query has as many */
#define LAST_CHARACTER "\xf4\x8f\xbf\xbf"
#define CHECKED_AT_ONCE 500

/* ---- words ---- */

/* Takes the next of the words divided by spaces. */
static bool next_word(struct str *rest, struct str *word)
{
    while (rest->n && rest->p[0] == ' ')
        *rest = str_sub(*rest, 1, rest->n);
    size_t n = 0, chars = 0, kept = 0;
    while (n < rest->n && rest->p[n] != ' ') {
        text_next(*rest, &n);
        kept = ++chars <= WORD_MAX_CHARS ? n : kept;
    }
    *word = (struct str){rest->p, kept};
    *rest = str_sub(*rest, n, rest->n);
    return n > 0;
}

/* Of the terms of message_terms_query: "\"word\"* AND \"next\"". */
static bool next_term(const char **at, struct str *word, bool *is_open)
{
    const char *begin = strchr(*at, '"');
    const char *end = begin ? strchr(begin + 1, '"') : NULL;
    if (!end)
        return false;
    *word = (struct str){begin + 1, (size_t)(end - begin - 1)};
    *is_open = end[1] == '*';
    *at = end + 1;
    return true;
}

/* Words are letters and digits alone: nothing in them means anything to JSON. */
static enum err add(struct store_tx *tx, int64_t lsn, const char *terms)
{
    struct strbuf json = {0};
    struct str rest = str_from(terms), word;
    strbuf_addc(&json, '[');
    while (next_word(&rest, &word))
        strbuf_printf(&json, "%s\"%.*s\"", json.n > 1 ? "," : "", STR_FMT(word));
    strbuf_addc(&json, ']');
    enum err err = store_run(tx,
                             "INSERT INTO message_words (word, lsn) SELECT j.word, ? FROM"
                             " JSON_TABLE(?, '$[*]' COLUMNS (word VARCHAR(255) PATH '$')) j"
                             " WHERE j.word IS NOT NULL ON CONFLICT DO NOTHING",
                             "is", lsn, strbuf_str(&json).p);
    strbuf_deinit(&json);
    return err;
}

/* ---- searching ---- */

/* The conditions for the words; their parameters are two for each that is looked up, then one. */
static void write_words(struct strbuf *sql, const char *terms)
{
    struct str word;
    bool is_open;
    for (int i = 0; terms && next_term(&terms, &word, &is_open); i++)
        strbuf_adds(sql, i < LOOKED_UP_MAX ? " f.rowid IN (SELECT w.lsn FROM message_words w WHERE"
                                             " w.word >= ? AND w.word <= ?) AND"
                                           : " CONCAT(' ', f.t, ' ') LIKE ? AND");
}

static void bind_word(struct store_stmt *st, int *index, int place, struct str word, bool is_open)
{
    struct strbuf text = {0};
    if (place < LOOKED_UP_MAX) {
        store_bind_str(st, ++*index, word);
        strbuf_add(&text, word.p, word.n);
        strbuf_adds(&text, is_open ? LAST_CHARACTER : "");
    } else {
        strbuf_printf(&text, "%% %.*s%s", STR_FMT(word), is_open ? "%" : " %");
    }
    store_bind_str(st, ++*index, strbuf_str(&text));
    strbuf_deinit(&text);
}

static void bind_rest(struct store_stmt *st, int index, const struct message_looking *l,
                      const char *nums)
{
    const char *const texts[] = {nums, l->sender_id, l->sender_id, l->kind, l->kind};
    const int64_t numbers[] = {l->below_lsn, l->above_lsn, l->from_ms, l->to_ms};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_text(st, ++index, texts[i]);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        store_bind_int(st, ++index, numbers[i]);
    store_bind_text(st, ++index, l->asker_id);
    store_bind_int(st, ++index, l->limit);
}

static struct store_stmt *find(struct store_tx *tx, const struct message_looking *l)
{
    struct strbuf sql = {0}, nums = {0};
    struct str word;
    bool is_open;
    int index = 0;
    strbuf_adds(&nums, "[0");
    for (size_t i = 0; i < l->count; i++)
        strbuf_printf(&nums, ",%lld", (long long)l->nums[i]);
    strbuf_addc(&nums, ']');
    strbuf_adds(&sql, "SELECT " MESSAGE_COLUMNS ", c.id FROM message_terms f" MESSAGE_INDEX_HITS
                      " WHERE");
    write_words(&sql, l->terms);
    strbuf_adds(&sql,
                " f.c IN (SELECT p.num FROM JSON_TABLE(?, '$[*]' COLUMNS (num BIGINT PATH"
                " '$')) p) AND (? = '' OR f.s = ?) AND (? = '' OR f.k = ?)" MESSAGE_INDEX_LIMITS);
    struct store_stmt *st = store_prepare(tx, strbuf_str(&sql).p);
    const char *terms = l->terms;
    for (int i = 0; terms && next_term(&terms, &word, &is_open); i++)
        bind_word(st, &index, i, word, is_open);
    bind_rest(st, index, l, strbuf_str(&nums).p);
    strbuf_deinit(&sql);
    strbuf_deinit(&nums);
    return st;
}

static struct store_stmt *count(struct store_tx *tx, int64_t num)
{
    return store_query(tx, "SELECT COUNT(*) FROM message_terms WHERE c = ?", "i", num);
}

/* ---- the check ---- */

static int compare_words(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    int order = memcmp(x->p, y->p, MIN(x->n, y->n));
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* The words of a row, in the order of their bytes, each once. */
static size_t sort_words(struct arena *arena, struct str terms, struct str **out)
{
    struct str word, rest = terms;
    size_t n = 0, kept = 0;
    while (next_word(&rest, &word))
        n++;
    struct str *list = arena_array(arena, struct str, n);
    for (rest = terms, n = 0; next_word(&rest, &word);)
        list[n++] = word;
    if (n)
        qsort(list, n, sizeof(*list), compare_words);
    for (size_t i = 0; i < n; i++)
        if (!kept || compare_words(&list[kept - 1], &list[i]) != 0)
            list[kept++] = list[i];
    *out = list;
    return kept;
}

static enum err check_row(struct store_tx *tx, struct arena *arena, int64_t lsn, struct str terms)
{
    struct str *words;
    size_t count = sort_words(arena, terms, &words), at = 0;
    bool is_same = true;
    struct store_stmt *st =
        store_query(tx, "SELECT word FROM message_words WHERE lsn = ? ORDER BY word", "i", lsn);
    for (; store_step(st); at++)
        is_same = is_same && at < count && str_eq(store_str(st, 0), words[at]);
    enum err err = store_finish(st);
    return err ? err : is_same && at == count ? ERR_OK : ERR_DATA_LOSS;
}

/* One page; `lsn` moves to its last, or stays. */
static enum err check_page(struct store_tx *tx, struct arena *arena, int64_t *lsn)
{
    struct store_stmt *st =
        store_query(tx, "SELECT rowid, t FROM message_terms WHERE rowid > ? ORDER BY rowid LIMIT ?",
                    "ii", *lsn, (int64_t)CHECKED_AT_ONCE);
    enum err err = ERR_OK;
    while (!err && store_step(st)) {
        *lsn = store_int(st, 0);
        err = check_row(tx, arena, *lsn, store_str(st, 1));
    }
    enum err own = store_finish(st);
    return err ? err : own;
}

static enum err check(struct store_tx *tx, void *arg)
{
    enum err err = ERR_OK;
    for (int64_t lsn = -1, before = -2; !err && lsn != before;) {
        struct arena *arena = arena_create();
        before = lsn;
        err = check_page(tx, arena, &lsn);
        arena_destroy(&arena);
    }
    return err;
}

const struct message_index message_index_mysql = {
    .driver = "mysql", .add = add, .find = find, .count = count, .check = check};
