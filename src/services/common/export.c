/* export: rows as lines of JSON; see the header. */
#include "services/common/export.h"

struct running {
    const struct export_query *query;
    const char *user_id;
    const struct export_sink *sink;
};

static void write_value(struct strbuf *out, struct store_stmt *st, int column, char mark)
{
    if (mark == '#')
        strbuf_printf(out, "%lld", (long long)store_int(st, column));
    else if (mark == '?')
        strbuf_adds(out, store_int(st, column) ? "true" : "false");
    else
        strbuf_add_json(out, store_str(st, column));
}

static void write_row(struct strbuf *out, struct store_stmt *st, struct str columns)
{
    struct str name;
    bool has_more = true;
    strbuf_clear(out);
    strbuf_addc(out, '{');
    for (int column = 0; has_more; column++) {
        has_more = str_cut(&columns, ' ', &name);
        char mark = name.n ? name.p[name.n - 1] : ' ';
        bool is_marked = mark == '#' || mark == '?';
        strbuf_adds(out, column ? ", " : "");
        strbuf_add_json(out, str_sub(name, 0, name.n - is_marked));
        strbuf_adds(out, ": ");
        write_value(out, st, column, mark);
    }
    strbuf_addc(out, '}');
}

static enum err query_job(struct store_tx *tx, void *arg)
{
    const struct running *r = arg;
    struct strbuf line = {0};
    struct store_stmt *st = store_query(tx, r->query->sql, "s", r->user_id);
    enum err err = ERR_OK;
    while (!err && store_step(st)) {
        write_row(&line, st, str_from(r->query->columns));
        err = r->sink->line(r->sink->arg, r->query->name, strbuf_str(&line));
    }
    enum err finished = store_finish(st);
    strbuf_deinit(&line);
    return err ? err : finished;
}

enum err export_run(struct store *store, const struct export_query *queries, size_t count,
                    const char *user_id, const struct export_sink *sink)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && !err; i++) {
        struct running r = {&queries[i], user_id, sink};
        err = store_read(store, query_job, &r);
    }
    return err;
}
