/* openapi: the API's document, from the tables that serve. */
#include <stdio.h>

#include "app/app.h"
#include "cli/cli.h"

static int run(int argc, char **argv)
{
    if (!cli_has_words(&cli_openapi, argc, argv, 0))
        return 2;
    struct strbuf text = {0};
    edge_openapi_write(&text, app_route_tables, app_route_table_count, PARLANCE_VERSION);
    strbuf_addc(&text, '\n');
    bool is_written = fwrite(text.p, 1, text.n, stdout) == text.n && fflush(stdout) == 0;
    strbuf_deinit(&text);
    return is_written ? 0 : 1;
}

const struct cli_command cli_openapi = {
    .name = "openapi",
    .summary = "Prints the OpenAPI 3.1 document of the HTTP API.",
    .usage = "parlance openapi",
    .about =
        "It is made from the tables that serve the API, so it needs neither configuration nor\n"
        "a running server.\n",
    .run = run,
};
