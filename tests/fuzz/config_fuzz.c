/* config: any bytes as a file. A refusal must name a reason; success must leave every field within
 * what its row allows. */
#include <stdlib.h>

#include "core/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct options {
    int64_t port;
    bool is_open;
    int mode;
    const char *dir;
    const char *secret;
    struct config_list origins;
};

static const char *const modes[] = {"one", "two", NULL};
static const struct config_row rows[] = {
    CONFIG_INT(struct options, port, "http.port", 8800, 0, 65535, "", "Port."),
    CONFIG_BOOL(struct options, is_open, "http.open", true, "Open."),
    CONFIG_ENUM(struct options, mode, "mode", "one", modes, "Mode."),
    CONFIG_TEXT(struct options, dir, "data.deep.dir", "./data", "Directory."),
    CONFIG_SECRET(struct options, secret, "jwt.secret", "JWT_SECRET", NULL, "Secret."),
    CONFIG_LIST(struct options, origins, "http.origins", "", NULL, NULL, "Origins."),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config_table table = {rows, ARRAY_LEN(rows)};
    struct arena *arena = arena_create();
    struct strbuf problem = {0};
    struct options out = {0};
    enum err err = config_parse(&table, (struct str){(const char *)data, size}, "fuzz.yaml", NULL,
                                arena, &out, &problem);
    if (err != ERR_OK && problem.n == 0)
        abort();
    if (err == ERR_OK && (out.port < 0 || out.port > 65535 || out.mode < 0 || out.mode > 1 ||
                          !out.dir || !str_is_utf8(str_from(out.dir)) || !out.secret))
        abort();
    for (size_t i = 0; err == ERR_OK && i < out.origins.count; i++)
        if (!str_is_utf8(str_from(out.origins.items[i])))
            abort();
    strbuf_deinit(&problem);
    arena_destroy(&arena);
    return 0;
}
