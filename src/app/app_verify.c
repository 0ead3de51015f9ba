/* app_verify: the services that can hold what they keep against itself, asked one after the other.
 */
#include "app/app.h"
#include "app/app_stores.h"
#include "core/str.h"
#include "services/message/message.h"

enum err app_verify(struct store *store, struct strbuf *report, bool *is_whole)
{
    struct message_verdict v;
    size_t pending;
    *is_whole = false;
    enum err err =
        store_migrations_pending(store, message_migrations, message_migration_count, &pending);
    if (err)
        return err;
    if (pending) {
        strbuf_adds(report, "the database is of an older version: `parlance migrate up` first\n");
        return ERR_OK;
    }
    err = message_verify(store, &v);
    *is_whole = !err && !v.problems;
    if (v.text.n)
        strbuf_add(report, v.text.p, v.text.n);
    strbuf_printf(report,
                  "%lld conversations, %lld messages, %lld revisions: ", (long long)v.conversations,
                  (long long)v.messages, (long long)v.revisions);
    if (v.problems)
        strbuf_printf(report, "%lld problems\n", (long long)v.problems);
    else
        strbuf_adds(report, "all is well\n");
    strbuf_deinit(&v.text);
    return err;
}

enum err app_verify_all(const struct app_stores *stores, struct strbuf *report, bool *is_whole)
{
    bool is_this_whole = true;
    enum err err = app_verify(stores->main, report, is_whole);
    for (size_t i = 0; i < stores->count && !err; i++) {
        strbuf_printf(report, "shards %s: ", stores->shard[i].range);
        err = app_verify(stores->shard_stores[i], report, &is_this_whole);
        *is_whole &= is_this_whole;
    }
    return err;
}

enum err app_restored(struct store *store)
{
    return message_restored(store);
}
