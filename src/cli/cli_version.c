/* version: what this binary is. */
#include <stdio.h>

#include "cli/cli.h"

static int run(int argc, char **argv)
{
    if (!cli_has_words(&cli_version, argc, argv, 0))
        return 2;
    printf("parlance %s\n", PARLANCE_VERSION);
    return 0;
}

const struct cli_command cli_version = {
    .name = "version",
    .summary = "Prints the version.",
    .usage = "parlance version",
    .run = run,
};
