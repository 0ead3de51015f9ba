/* openapi, asyncapi: the documents of the API and of its sockets, from the tables that serve. */
#include <stdio.h>

#include "app/app.h"
#include "cli/cli.h"

static int print(struct strbuf *text)
{
    strbuf_addc(text, '\n');
    bool is_written = fwrite(text->p, 1, text->n, stdout) == text->n && fflush(stdout) == 0;
    strbuf_deinit(text);
    return is_written ? 0 : 1;
}

static int run(int argc, char **argv)
{
    if (!cli_has_words(&cli_openapi, argc, argv, 0))
        return 2;
    struct strbuf text = {0};
    edge_openapi_write(&text, app_route_tables, app_route_table_count, PARLANCE_VERSION);
    return print(&text);
}

static int run_asyncapi(int argc, char **argv)
{
    if (!cli_has_words(&cli_asyncapi, argc, argv, 0))
        return 2;
    struct strbuf text = {0};
    edge_asyncapi_write(&text, app_sockets, app_socket_count, PARLANCE_VERSION);
    return print(&text);
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

const struct cli_command cli_asyncapi = {
    .name = "asyncapi",
    .summary = "Prints the AsyncAPI 3.0 document of the sockets.",
    .usage = "parlance asyncapi",
    .about =
        "It is made from the frames that the sockets speak, so it needs neither configuration\n"
        "nor a running server.\n",
    .run = run_asyncapi,
};
