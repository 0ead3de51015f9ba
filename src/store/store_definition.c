/*
 * store_definition: what the statements say that make tables, columns and indexes: names and the
 * items between commas. Read where an engine's words depend on what stands elsewhere
 * (store_dialect_mysql.c), and where all tables must be known (store_schema.c).
 */
#include "store/store_definition_internal.h"

#include "store/store_dialect_internal.h"

struct str definition_trim(struct str s)
{
    return str_sub(s, dialect_end_of_space(s, 0), s.n);
}

bool definition_has_word(struct str piece, const char *word)
{
    struct token token;
    for (size_t at = 0; dialect_next_token(piece, &at, &token);)
        if (token.kind == WORD && str_eq(token.text, str_from(word)))
            return true;
    return false;
}

static struct str word_at(struct str sql, size_t *at)
{
    struct token token = {0};
    *at = dialect_end_of_space(sql, *at);
    return dialect_next_token(sql, at, &token) ? token.text : STR("");
}

struct str definition_inner(struct str sql, size_t *at)
{
    struct token token;
    size_t begin = 0;
    int depth = 0;
    while (dialect_next_token(sql, at, &token)) {
        char c = token.kind == SIGN ? token.text.p[0] : 0;
        if (c == '(' && depth++ == 0)
            begin = *at;
        if (c == ')' && --depth == 0)
            return str_sub(sql, begin, *at - 1 - begin);
    }
    return STR("");
}

bool definition_next(struct str *body, struct str *item)
{
    struct token token;
    size_t at = 0, end = 0;
    int depth = 0;
    *body = definition_trim(*body);
    if (!body->n)
        return false;
    while (dialect_next_token(*body, &at, &token)) {
        char c = token.kind == SIGN ? token.text.p[0] : 0;
        depth += (c == '(') - (c == ')');
        if (c == ',' && depth == 0)
            break;
        end = at;
    }
    *item = str_sub(*body, 0, end);
    *body = str_sub(*body, at, body->n);
    return true;
}

struct str definition_name(struct str item)
{
    size_t at = 0;
    return word_at(item, &at);
}

bool definition_is_constraint(struct str item)
{
    struct str word = definition_name(item);
    static const char *const words[] = {"PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "CONSTRAINT"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(word, str_from(words[i])))
            return true;
    return false;
}

static void skip_if_not_exists(struct str sql, size_t *at)
{
    if (dialect_skip_word(sql, at, STR("IF")) && dialect_skip_word(sql, at, STR("NOT")))
        dialect_skip_word(sql, at, STR("EXISTS"));
}

bool definition_is_table(struct str sql, struct definition *d)
{
    size_t at = 0;
    *d = (struct definition){0};
    if (!dialect_skip_word(sql, &at, STR("CREATE")) || !dialect_skip_word(sql, &at, STR("TABLE")))
        return false;
    skip_if_not_exists(sql, &at);
    d->table = word_at(sql, &at);
    d->body = definition_inner(sql, &at);
    d->end = at;
    return d->body.n > 0;
}

bool definition_is_index(struct str sql, struct definition *d)
{
    size_t at = 0;
    *d = (struct definition){0};
    if (!dialect_skip_word(sql, &at, STR("CREATE")))
        return false;
    d->is_unique = dialect_skip_word(sql, &at, STR("UNIQUE"));
    if (!dialect_skip_word(sql, &at, STR("INDEX")))
        return false;
    skip_if_not_exists(sql, &at);
    word_at(sql, &at);
    if (!dialect_skip_word(sql, &at, STR("ON")))
        return false;
    d->table = word_at(sql, &at);
    d->body = definition_inner(sql, &at);
    d->end = at;
    return d->body.n > 0;
}

bool definition_is_addition(struct str sql, struct definition *d)
{
    size_t at = 0;
    *d = (struct definition){0};
    if (!dialect_skip_word(sql, &at, STR("ALTER")) || !dialect_skip_word(sql, &at, STR("TABLE")))
        return false;
    d->table = word_at(sql, &at);
    if (!dialect_skip_word(sql, &at, STR("ADD")) || !dialect_skip_word(sql, &at, STR("COLUMN")))
        return false;
    d->body = definition_trim(str_sub(sql, at, sql.n));
    return true;
}

bool definition_names(struct str columns, struct str column)
{
    struct str item;
    while (definition_next(&columns, &item))
        if (str_eq(definition_name(item), column))
            return true;
    return false;
}

bool definition_is_key(struct str body, struct str column)
{
    struct str item;
    while (definition_next(&body, &item)) {
        size_t at = 0;
        if (definition_is_constraint(item) && !definition_has_word(item, "CHECK") &&
            definition_names(definition_inner(item, &at), column))
            return true;
        if (!definition_is_constraint(item) && str_eq(definition_name(item), column) &&
            (definition_has_word(item, "PRIMARY") || definition_has_word(item, "UNIQUE") ||
             definition_has_word(item, "REFERENCES")))
            return true;
    }
    return false;
}
