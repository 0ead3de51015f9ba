/*
 * store_dialect_conflict: INSERT ... ON CONFLICT in the words of MySQL and MariaDB, which know
 * only ON DUPLICATE KEY UPDATE, of whichever key.
 *
 *   DO NOTHING                 sets a column to what it is: no row is changed, and none is counted
 *   (a, b) DO NOTHING          the same, but NULL, which the column refuses, when it is another key
 *                              that conflicts: that is an error here, too. `a` must be NOT NULL
 *   DO UPDATE SET c = ...      the same; excluded.c is VALUES(c)
 *   ... SET c = x WHERE y      c = IF(y, x, c); of one column, and no parameter in x or y
 */
#include "store/store_dialect_internal.h"

struct insertion {
    struct str table, first; /* its first column; "": the statement names none */
    struct str head;         /* before ON CONFLICT */
    struct str targets;      /* "": any */
    struct str set, where;   /* "": DO NOTHING; "": always */
    bool has_conflict;
};

static struct str next_word(struct str sql, size_t *at)
{
    struct token token = {0};
    *at = dialect_end_of_space(sql, *at);
    bool is_word = dialect_next_token(sql, at, &token) && token.kind == WORD;
    return is_word ? token.text : STR("");
}

/* Behind the word, outside of parentheses; false: it is not there. */
static bool find_word(struct str sql, const char *word, size_t *begin, size_t *behind)
{
    struct token token;
    int depth = 0;
    for (size_t at = *behind; dialect_next_token(sql, &at, &token);) {
        char c = token.kind == SIGN ? token.text.p[0] : 0;
        depth += (c == '(') - (c == ')');
        if (depth || token.kind != WORD || !str_eq(token.text, str_from(word)))
            continue;
        *begin = (size_t)(token.text.p - sql.p);
        *behind = at;
        return true;
    }
    return false;
}

/* "ON CONFLICT"; the ON of a join is another. */
static bool find_conflict(struct str sql, size_t *begin, size_t *behind)
{
    *behind = 0;
    while (find_word(sql, "ON", begin, behind))
        if (dialect_skip_word(sql, behind, STR("CONFLICT")))
            return true;
    return false;
}

static struct str take_targets(struct str sql, size_t *at)
{
    struct token token;
    size_t begin = dialect_end_of_space(sql, *at), next = begin;
    if (!dialect_next_token(sql, &next, &token) || token.text.p[0] != '(')
        return STR("");
    size_t open = next;
    while (dialect_next_token(sql, &next, &token) && token.text.p[0] != ')') {
    }
    *at = next;
    return str_sub(sql, open, next - 1 - open);
}

static bool read_insertion(struct str sql, struct insertion *in)
{
    size_t at = 0, begin, behind;
    struct token token;
    *in = (struct insertion){.head = sql};
    if (!dialect_skip_word(sql, &at, STR("INSERT")) || !dialect_skip_word(sql, &at, STR("INTO")))
        return false;
    in->table = next_word(sql, &at);
    at = dialect_end_of_space(sql, at);
    if (dialect_next_token(sql, &at, &token) && token.text.p[0] == '(')
        in->first = next_word(sql, &at);
    in->has_conflict = find_conflict(sql, &begin, &behind);
    if (!in->has_conflict)
        return true;
    in->head = str_sub(sql, 0, begin);
    in->targets = take_targets(sql, &behind);
    if (!dialect_skip_word(sql, &behind, STR("DO")))
        return false;
    if (dialect_skip_word(sql, &behind, STR("NOTHING")))
        return true;
    if (!dialect_skip_word(sql, &behind, STR("UPDATE")) ||
        !dialect_skip_word(sql, &behind, STR("SET")))
        return false;
    size_t set_at = behind;
    if (find_word(sql, "WHERE", &begin, &behind)) {
        in->set = str_sub(sql, set_at, begin - set_at);
        in->where = str_sub(sql, behind, sql.n);
    } else {
        in->set = str_sub(sql, set_at, sql.n);
    }
    return true;
}

/* ---- writing ---- */

/* Nothing is changed; of another key than the targets' it is refused. */
static void write_nothing(struct dialect_rewriting *r, const struct insertion *in)
{
    struct str column = in->first, rest = in->targets;
    struct token token;
    strbuf_adds(r->out, "ON DUPLICATE KEY UPDATE ");
    if (!in->targets.n) {
        strbuf_printf(r->out, "%.*s = %.*s.%.*s", STR_FMT(column), STR_FMT(in->table),
                      STR_FMT(column));
        return;
    }
    size_t first_at = 0;
    column = next_word(rest, &first_at);
    strbuf_printf(r->out, "%.*s = IF(", STR_FMT(column));
    const char *gap = "";
    for (size_t at = 0; dialect_next_token(rest, &at, &token);) {
        if (token.kind != WORD)
            continue;
        strbuf_printf(r->out, "%s%.*s.%.*s <=> VALUES(%.*s)", gap, STR_FMT(in->table),
                      STR_FMT(token.text), STR_FMT(token.text));
        gap = " AND ";
    }
    strbuf_printf(r->out, ", %.*s.%.*s, NULL)", STR_FMT(in->table), STR_FMT(column));
}

/* Word by word, with VALUES(x) for excluded.x; everything else goes through in pieces. */
static bool write_expression(struct dialect_rewriting *r, struct str piece)
{
    struct token token;
    size_t done = 0;
    for (size_t at = 0; dialect_next_token(piece, &at, &token);) {
        if (token.kind != WORD || !str_eq(token.text, STR("excluded")))
            continue;
        if (!dialect_write_plain(r, str_sub(piece, done, (size_t)(token.text.p - piece.p) - done)))
            return false;
        at++; /* the dot */
        struct str column = next_word(piece, &at);
        strbuf_printf(r->out, "VALUES(%.*s)", STR_FMT(column));
        done = at;
    }
    return dialect_write_plain(r, str_sub(piece, done, piece.n));
}

static bool has_token(struct str piece, enum token_kind kind, char c)
{
    struct token token;
    for (size_t at = 0; dialect_next_token(piece, &at, &token);)
        if (token.kind == kind && (!c || token.text.p[0] == c))
            return true;
    return false;
}

static bool write_guarded(struct dialect_rewriting *r, const struct insertion *in)
{
    size_t at = 0;
    struct str column = next_word(in->set, &at);
    at = dialect_end_of_space(in->set, at);
    bool is_simple = at < in->set.n && in->set.p[at] == '=' && !has_token(in->set, SIGN, ',') &&
                     !has_token(in->set, PLACEHOLDER, 0) && !has_token(in->where, PLACEHOLDER, 0);
    if (!is_simple)
        return false;
    strbuf_printf(r->out, "%.*s = IF(", STR_FMT(column));
    bool is_good = write_expression(r, in->where);
    strbuf_addc(r->out, ',');
    is_good = is_good && write_expression(r, str_sub(in->set, at + 1, in->set.n));
    strbuf_printf(r->out, ", %.*s.%.*s)", STR_FMT(in->table), STR_FMT(column));
    return is_good;
}

enum err dialect_mysql_insert(struct dialect_rewriting *r)
{
    struct insertion in;
    bool is_good = read_insertion(r->sql, &in);
    if (!is_good)
        return dialect_refuse(r->sql, "MySQL cannot say this");
    bool is_nothing = in.has_conflict && !in.set.n;
    if (is_nothing && !in.targets.n && !in.first.n) { /* no column to set */
        size_t at = 0;
        (void)dialect_skip_word(in.head, &at, STR("INSERT"));
        strbuf_adds(r->out, "INSERT IGNORE");
        is_good = dialect_write_plain(r, str_sub(in.head, at, in.head.n));
    } else {
        is_good = dialect_write_plain(r, in.head);
        if (is_nothing)
            write_nothing(r, &in);
    }
    if (is_good && in.set.n) {
        strbuf_adds(r->out, "ON DUPLICATE KEY UPDATE ");
        is_good = in.where.n ? write_guarded(r, &in) : write_expression(r, in.set);
        r->info->is_upsert = true;
        r->info->has_guard = in.where.n > 0;
    }
    return is_good ? ERR_OK : dialect_refuse(r->sql, "MySQL cannot say this");
}
