/*
 * live: what may stand in the registry as the value of an option that changes while the program
 * runs: the key, a newline, the value. A refusal names a reason and changes nothing; what is taken
 * is written so that it is taken again.
 */
#include <assert.h>

#include "app/app_config.h"
#include "app/app_live.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct strbuf written(const struct app_config *config, struct str key)
{
    struct strbuf out = {0};
    config_write_value(config_row_find(&app_config_table, key), config, &out);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    static struct app_config config;
    struct str value = {(const char *)data, size}, key;
    str_cut(&value, '\n', &key);
    if (app_live_has(key) &&
        !config_parse(&app_config_table, STR(""), "none", NULL, arena, &config, &problem)) {
        struct strbuf before = written(&config, key);
        enum err err = config_set(&app_config_table, key, value, arena, &config, &problem);
        struct strbuf after = written(&config, key);
        assert(err ? problem.n > 0 && str_eq(strbuf_str(&before), strbuf_str(&after))
                   : !config_set(&app_config_table, key, strbuf_str(&after), arena, &config,
                                 &problem));
        strbuf_deinit(&before);
        strbuf_deinit(&after);
    }
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    return 0;
}
