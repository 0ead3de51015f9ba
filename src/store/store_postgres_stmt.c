/*
 * store_postgres_stmt: prepared statements of the PostgreSQL driver. A statement is prepared by the
 * server when it runs for the first time, in the same round trip, with the types that were bound:
 * so
 * `? = ''` and `LIMIT ?` need no casts. All values travel in binary, both ways. The rows of an
 * answer are read wholly: services ask for pages.
 */
#include "store/store_postgres_internal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "store/store_kept.h"

/* The numbers of PostgreSQL's built-in types, which never change (pg_type.dat). */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700
};

struct store_prepared {
    struct store_conn *conn;
    char *sql; /* in PostgreSQL's words */
    struct store_dialect_info info;
    char name[16];
    unsigned generation; /* of the connection that has it; 0: none */
    Oid *types;          /* as last bound; 0: whatever the server thinks */
    const char **values;
    int *lengths, *formats;
    struct store_kept *parameters;
    PGresult *result;
    int row;
    char text[64]; /* a number that was asked for as text */
};

enum err postgres_prepare(struct store_conn *conn, const char *sql, struct store_prepared **out)
{
    struct strbuf text = {0};
    struct store_dialect_info info;
    *out = NULL;
    enum err err = store_dialect_rewrite(STORE_DIALECT_POSTGRES, str_from(sql), &text, &info);
    if (err) {
        strbuf_deinit(&text);
        return err;
    }
    struct store_prepared *p = mem_zalloc(sizeof(*p));
    size_t n = (size_t)info.parameters;
    p->conn = conn;
    p->sql = mem_strdup(text.p);
    p->info = info;
    p->types = mem_calloc(n, sizeof(*p->types));
    p->values = mem_calloc(n, sizeof(*p->values));
    p->lengths = mem_calloc(n, sizeof(*p->lengths));
    p->formats = mem_calloc(n, sizeof(*p->formats));
    p->parameters = mem_calloc(n, sizeof(*p->parameters));
    for (size_t i = 0; i < n; i++)
        p->formats[i] = 1;
    strbuf_deinit(&text);
    *out = p;
    return ERR_OK;
}

/* The server need not keep it; in a transaction that failed it cannot be told so, and keeps it. */
static void forget(struct store_prepared *p)
{
    char sql[48];
    if (p->generation && p->generation == p->conn->generation) {
        snprintf(sql, sizeof(sql), "DEALLOCATE %s", p->name);
        postgres_tell(p->conn, sql);
    }
    p->generation = 0;
}

void postgres_discard(struct store_prepared **prepared)
{
    struct store_prepared *p = *prepared;
    *prepared = NULL;
    forget(p);
    PQclear(p->result);
    for (int i = 0; i < p->info.parameters; i++)
        store_kept_deinit(&p->parameters[i]);
    free(p->parameters);
    free(p->formats);
    free(p->lengths);
    free(p->values);
    free(p->types);
    free(p->sql);
    free(p);
}

/* ---- parameters ---- */

static void keep(struct store_prepared *p, int i, Oid type, const void *bytes, size_t n)
{
    if (p->types[i] != type)
        forget(p); /* it was prepared for another */
    p->types[i] = type;
    p->values[i] = store_keep(&p->parameters[i], bytes, n);
    p->lengths[i] = (int)n;
}

static void keep_number(struct store_prepared *p, int i, Oid type, const void *bytes)
{
    uint64_t bits;
    memcpy(&bits, bytes, sizeof(bits));
    bits = htobe64(bits);
    keep(p, i, type, &bits, sizeof(bits));
}

enum err postgres_bind(struct store_prepared *p, int index, const struct store_value *v)
{
    int i = index - 1;
    if (i < 0 || i >= p->info.parameters) {
        log_error(NULL, "store: there is no parameter %d in: %s", index, p->sql);
        return ERR_INTERNAL;
    }
    switch (v->type) {
    case STORE_VALUE_NULL:
        p->values[i] = NULL;
        break;
    case STORE_VALUE_INT:
        keep_number(p, i, OID_INT8, &v->integer);
        break;
    case STORE_VALUE_REAL:
        keep_number(p, i, OID_FLOAT8, &v->real);
        break;
    case STORE_VALUE_TEXT:
        if (v->bytes.n && memchr(v->bytes.p, 0, v->bytes.n)) {
            log_error(NULL, "store: a NUL within text, in: %s", p->sql);
            return ERR_INVALID_ARGUMENT;
        }
        keep(p, i, OID_TEXT, v->bytes.p, v->bytes.n);
        break;
    case STORE_VALUE_BLOB:
        keep(p, i, OID_BYTEA, v->bytes.p, v->bytes.n);
        break;
    }
    return ERR_OK;
}

/* ---- rows ---- */

static enum err run(struct store_prepared *p)
{
    struct store_conn *conn = p->conn;
    struct postgres_command command = {
        .sql = p->sql,
        .name = p->name,
        .must_prepare = p->generation != conn->generation,
        .count = p->info.parameters,
        .types = p->types,
        .values = p->values,
        .lengths = p->lengths,
        .formats = p->formats,
    };
    if (command.must_prepare)
        snprintf(p->name, sizeof(p->name), "s%u", ++conn->next_id);
    enum err err = postgres_exchange(conn, &command, &p->result);
    if (command.is_prepared)
        p->generation = conn->generation;
    if (err == ERR_INTERNAL) /* perhaps the schema changed under it: the next use prepares anew */
        forget(p);
    if (p->info.is_schema)
        conn->is_schema_known = false;
    return err;
}

enum err postgres_step(struct store_prepared *p, bool *has_row)
{
    *has_row = false;
    if (!p->result) {
        enum err err = run(p);
        if (err)
            return err;
        p->row = -1;
    }
    p->row++;
    *has_row = p->row < PQntuples(p->result);
    return ERR_OK;
}

int64_t postgres_reset(struct store_prepared *p)
{
    bool has_changed = p->result && !p->info.is_reading && !p->info.is_schema;
    int64_t changes = has_changed ? strtoll(PQcmdTuples(p->result), NULL, 10) : 0;
    PQclear(p->result);
    p->result = NULL;
    for (int i = 0; i < p->info.parameters; i++)
        p->values[i] = NULL;
    return changes;
}

bool postgres_is_null(struct store_prepared *p, int column)
{
    return column < 0 || column >= PQnfields(p->result) || PQgetisnull(p->result, p->row, column);
}

static struct str raw(struct store_prepared *p, int column)
{
    return (struct str){PQgetvalue(p->result, p->row, column),
                        (size_t)PQgetlength(p->result, p->row, column)};
}

/* Bytes of the network's order, the highest with the sign. */
static int64_t integer_of(struct str bytes)
{
    int64_t value = bytes.n && (bytes.p[0] & 0x80) ? -1 : 0;
    for (size_t i = 0; i < bytes.n; i++)
        value = (int64_t)((uint64_t)value << 8 | (uint8_t)bytes.p[i]);
    return value;
}

static unsigned numeric_part(struct str bytes, size_t index)
{
    size_t at = index * 2;
    return at + 2 <= bytes.n ? (unsigned)(uint8_t)bytes.p[at] << 8 | (uint8_t)bytes.p[at + 1] : 0;
}

/* NUMERIC: how many digits of base 10,000, the weight of the first, sign, scale, the digits. Sums
 * of BIGINT are one. */
static double numeric_of(struct str bytes, int64_t *whole)
{
    int weight = (int16_t)numeric_part(bytes, 1);
    bool is_negative = numeric_part(bytes, 2) == 0x4000;
    unsigned count = numeric_part(bytes, 0);
    double value = 0, scale = 1;
    *whole = 0;
    for (int i = 0; i <= weight || i < (int)count; i++) {
        unsigned digit = i < (int)count ? numeric_part(bytes, 4 + (size_t)i) : 0;
        if (i > weight)
            scale /= 10000;
        value = i > weight ? value + digit * scale : value * 10000 + digit;
        if (i <= weight && i < 5)
            *whole = (int64_t)((uint64_t)*whole * 10000 + digit);
    }
    *whole = is_negative ? -*whole : *whole;
    return is_negative ? -value : value;
}

static double real_of(struct str bytes)
{
    uint64_t bits = (uint64_t)integer_of(bytes);
    double value;
    float small;
    uint32_t small_bits = (uint32_t)bits;
    memcpy(&value, &bits, sizeof(value));
    memcpy(&small, &small_bits, sizeof(small));
    return bytes.n == sizeof(float) ? (double)small : value;
}

int64_t postgres_get_int(struct store_prepared *p, int column)
{
    if (postgres_is_null(p, column))
        return 0;
    struct str bytes = raw(p, column);
    int64_t whole;
    switch (PQftype(p->result, column)) {
    case OID_INT8:
    case OID_INT4:
    case OID_INT2:
    case OID_BOOL:
        return integer_of(bytes);
    case OID_FLOAT8:
    case OID_FLOAT4:
        return (int64_t)real_of(bytes);
    case OID_NUMERIC:
        numeric_of(bytes, &whole);
        return whole;
    default:
        return strtoll(bytes.p, NULL, 10);
    }
}

double postgres_get_real(struct store_prepared *p, int column)
{
    if (postgres_is_null(p, column))
        return 0;
    struct str bytes = raw(p, column);
    int64_t whole;
    switch (PQftype(p->result, column)) {
    case OID_FLOAT8:
    case OID_FLOAT4:
        return real_of(bytes);
    case OID_NUMERIC:
        return numeric_of(bytes, &whole);
    case OID_TEXT:
        return strtod(bytes.p, NULL);
    default:
        return (double)integer_of(bytes);
    }
}

struct str postgres_get_bytes(struct store_prepared *p, int column)
{
    if (postgres_is_null(p, column))
        return STR_NULL;
    switch (PQftype(p->result, column)) {
    case OID_INT8:
    case OID_INT4:
    case OID_INT2:
    case OID_BOOL:
        snprintf(p->text, sizeof(p->text), "%lld", (long long)postgres_get_int(p, column));
        return str_from(p->text);
    case OID_FLOAT8:
    case OID_FLOAT4:
    case OID_NUMERIC:
        snprintf(p->text, sizeof(p->text), "%.17g", postgres_get_real(p, column));
        return str_from(p->text);
    default:
        return raw(p, column);
    }
}
