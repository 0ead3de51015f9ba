/* copy-store: everything that is in one database into another, perhaps of another engine. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app_copy.h"
#include "cli/cli.h"
#include "core/clock.h"
#include "core/log.h"

#define SHOW_MS 250

struct show {
    int64_t shown_ms;
    bool is_terminal;
};

/* One line that changes on a terminal, else a line for each table. */
static void show(void *arg, const char *table, int64_t rows, int64_t total, bool is_check)
{
    struct show *s = arg;
    const char *what = is_check ? "checking" : "copying";
    bool is_end = rows >= total;
    if (!s->is_terminal ? !is_end : !is_end && clock_mono_ms() - s->shown_ms < SHOW_MS)
        return;
    s->shown_ms = clock_mono_ms();
    fprintf(stderr, "%s%s %s: %lld of %lld rows%s", s->is_terminal ? "\r\033[K" : "", what, table,
            (long long)rows, (long long)total, s->is_terminal ? "" : "\n");
}

static int run(int argc, char **argv)
{
    struct app_copy_options opt = {.from = cli_take_value(&argc, argv, "from"),
                                   .to = cli_take_value(&argc, argv, "to")};
    if (!cli_has_words(&cli_copy_store, argc, argv, 0))
        return 2;
    if (!opt.from || !opt.to)
        return cli_usage_error(&cli_copy_store, "expected --from and --to");
    struct show s = {.is_terminal = isatty(STDERR_FILENO)};
    struct strbuf report = {0}, problem = {0};
    opt.progress = show;
    opt.arg = &s;
    log_set_level(LOG_WARN);
    enum err err = app_copy(&opt, &report, &problem);
    if (s.is_terminal)
        fputs("\r\033[K", stderr);
    fputs(strbuf_str(&report).p, err ? stderr : stdout);
    if (err)
        fprintf(stderr, "parlance copy-store: %s\n", problem.n ? problem.p : err_text(err));
    strbuf_deinit(&report);
    strbuf_deinit(&problem);
    return err ? 1 : 0;
}

const struct cli_command cli_copy_store = {
    .name = "copy-store",
    .summary = "Copies a whole database into another, of any engine.",
    .usage = "parlance copy-store --from URL --to URL",
    .about =
        "A URL is sqlite:PATH, postgres://user:password@host:port/database or\n"
        "mysql://user:password@host:port/database. The target must be empty: its tables are\n"
        "made, every row is copied and read back, counts and checksums are compared, and the\n"
        "logs are walked as by `parlance verify`. If anything is wrong it exits 1; then begin\n"
        "again with another empty target. The source is only read.\n\n"
        "No server may be running on either. What lies beside the database (files, avatars,\n"
        "keys in the data directory) is not part of it.\n",
    .run = run,
};
