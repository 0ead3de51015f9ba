/* verify: walks all logs of messages and says whether they are whole. */
#include <stdio.h>

#include "app/app.h"
#include "cli/cli.h"
#include "core/arena.h"
#include "core/log.h"

static int run(int argc, char **argv)
{
    const char *path = cli_take_value(&argc, argv, "config");
    if (!cli_has_words(&cli_verify, argc, argv, 0))
        return 2;
    struct arena *arena = arena_create();
    struct app_config config = {0};
    struct strbuf problem = {0};
    struct strbuf report = {0};
    bool is_whole = false;
    struct store *store = NULL;
    log_set_level(LOG_WARN);
    enum err err = app_config_load(path, arena, &config, &problem);
    if (!err)
        err = app_store_open(&store, &config, &problem);
    if (!err)
        err = app_verify(store, &report, &is_whole);
    if (err)
        fprintf(stderr, "parlance verify: %s\n", problem.n ? problem.p : err_text(err));
    else
        fputs(strbuf_str(&report).p, is_whole ? stdout : stderr);
    strbuf_deinit(&report);
    store_close(&store);
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    return err || !is_whole ? 1 : 0;
}

const struct cli_command cli_verify = {
    .name = "verify",
    .summary = "Walks all conversations and says whether they are whole.",
    .usage = "parlance verify [--config FILE]",
    .about =
        "Every log from its first line: no message missing, doubled or altered, heads, counts\n"
        "and indexes as they should be. Exits 1 if anything is not; changes nothing.\n\n"
        "  --config FILE  the configuration; without it ./parlance.yaml if it is there\n\n"
        "The server must not be running.\n",
    .run = run,
};
