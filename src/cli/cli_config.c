/*
 * config: the options that change while the servers of a deployment run. They stand in the registry
 * (etcd); here they are shown, set, held to the same rules as in the file, and taken out.
 */
#include <stdio.h>
#include <string.h>

#include "app/app_config.h"
#include "app/app_live.h"
#include "app/app_registry.h"
#include "cli/cli.h"
#include "core/log.h"

struct state {
    struct arena *arena;
    struct app_config config;
    struct registry *registry;
    struct strbuf problem;
};

static int fail(struct state *s, const char *what)
{
    fprintf(stderr, "%s%s%s\n", what, s->problem.n ? ": " : "", s->problem.n ? s->problem.p : "");
    return 1;
}

static int list(struct state *s)
{
    struct strbuf value = {0};
    const char *key;
    for (size_t i = 0; (key = app_live_key(i)); i++) {
        char *set = registry_record_get(s->registry, APP_SPACE_CONFIG, key, s->arena);
        strbuf_clear(&value);
        config_write_value(config_row_find(&app_config_table, str_from(key)), &s->config, &value);
        printf("%-26s %s%s\n", key, set ? set : value.p, set ? "  (registry)" : "");
    }
    strbuf_deinit(&value);
    return 0;
}

static int set(struct state *s, const char *key, const char *value)
{
    struct app_config copy = s->config;
    if (!app_live_has(str_from(key))) {
        fprintf(stderr,
                "%s: no option that changes while the servers run (`parlance config list` "
                "shows them)\n",
                key);
        return 1;
    }
    if (value &&
        config_set(&app_config_table, str_from(key), str_from(value), s->arena, &copy, &s->problem))
        return fail(s, "refused");
    enum err err = registry_record_write(s->registry, APP_SPACE_CONFIG, key, value);
    if (err)
        return fail(s, err_text(err));
    return 0;
}

static int with_registry(struct state *s, const char *path, int argc, char **argv)
{
    if (app_config_load(path, s->arena, &s->config, &s->problem))
        return fail(s, "the configuration is wrong");
    if (!s->config.registry_type)
        return fail(s, "expected registry.type etcd: options change while running through etcd");
    log_set_level(LOG_WARN);
    if (app_registry_open_for_tool(&s->registry, &s->config, &s->problem))
        return fail(s, "no registry");
    int status =
        strcmp(argv[1], "list") == 0 ? list(s) : set(s, argv[2], argc > 3 ? argv[3] : NULL);
    registry_close(&s->registry);
    return status;
}

static int run(int argc, char **argv)
{
    struct state s = {0};
    const char *path = cli_take_value(&argc, argv, "config");
    const char *verb = argc > 1 ? argv[1] : "";
    int words = strcmp(verb, "set") == 0 ? 3 : strcmp(verb, "unset") == 0 ? 2 : 1;
    if (words == 1 && strcmp(verb, "list") != 0)
        return cli_usage_error(&cli_config, "expected list, set or unset");
    if (!cli_has_words(&cli_config, argc, argv, words))
        return 2;
    s.arena = arena_create();
    int status = with_registry(&s, path, argc, argv);
    strbuf_deinit(&s.problem);
    arena_destroy(&s.arena);
    return status;
}

const struct cli_command cli_config = {
    .name = "config",
    .summary = "Shows and changes options of running servers (through etcd).",
    .usage = "parlance config list|set KEY VALUE|unset KEY [--config FILE]",
    .about =
        "  list           the options that change while the servers run, and what is in force\n"
        "  set KEY VALUE  for every server of the deployment, at once and after every start\n"
        "  unset KEY      as each server's own file has it\n\n"
        "The file names the etcd (registry.*). A value that `serve` would refuse is refused.\n",
    .run = run,
};
