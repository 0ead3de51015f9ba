/* check-config: reads the configuration as `serve` would, and says what is in force or what is
 * wrong. */
#include <stdio.h>
#include <string.h>

#include "app/app_config.h"
#include "cli/cli.h"
#include "core/arena.h"

static int print_example(void)
{
    struct strbuf text = {0};
    config_write_example(&app_config_table, &text);
    fwrite(text.p, 1, text.n, stdout);
    strbuf_deinit(&text);
    return 0;
}

static void say_unknown(void *arg UNUSED, struct str name)
{
    fprintf(stderr, "environment %.*s: no such option, it changes nothing\n", STR_FMT(name));
}

static int check(const char *path)
{
    struct arena *arena = arena_create();
    struct app_config config;
    struct strbuf text = {0};
    int status = 0;
    if (app_config_load(path, arena, &config, &text)) {
        fprintf(stderr, "%s\n", text.p);
        status = 1;
    } else {
        config_write_effective(&app_config_table, &config, &text);
        fwrite(text.p, 1, text.n, stdout);
        app_config_unknown(say_unknown, NULL);
    }
    strbuf_deinit(&text);
    arena_destroy(&arena);
    return status;
}

static int run(int argc, char **argv)
{
    const char *path = cli_take_value(&argc, argv, "config");
    bool is_example = cli_take_flag(&argc, argv, "example");
    if (!cli_has_words(&cli_check_config, argc, argv, 0))
        return 2;
    if (is_example)
        return print_example();
    return check(path);
}

const struct cli_command cli_check_config = {
    .name = "check-config",
    .summary = "Checks the configuration and prints what is in force.",
    .usage = "parlance check-config [--config FILE] [--example]",
    .about = "  --config FILE  the file to check; without it ./parlance.yaml if it is there\n"
             "  --example      print a file with every option, its default and what it does\n\n"
             "Reads the file and the environment (PARLANCE_...) as `serve` would, and prints what\n"
             "is in force, secrets left out. What is wrong is named with its line and what was\n"
             "expected there; the exit status is then 1.\n",
    .run = run,
};
