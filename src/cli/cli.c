/* cli: the list of commands, and help about them. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

const struct cli_command *const cli_commands[] = {&cli_check_config, &cli_version, &cli_help, NULL};

int cli_usage_error(const struct cli_command *command, const char *problem)
{
    fprintf(stderr, "parlance %s: %s\nusage: %s\n", command->name, problem, command->usage);
    return 2;
}

static int run_help(int argc, char **argv)
{
    for (int i = 0; argc > 1 && cli_commands[i]; i++) {
        if (strcmp(cli_commands[i]->name, argv[1]) == 0) {
            printf("%s\n\nusage: %s\n", cli_commands[i]->summary, cli_commands[i]->usage);
            return 0;
        }
    }
    if (argc > 1)
        return cli_usage_error(&cli_help, "there is no such command");
    printf("Parlance: accounts, messaging and meetings in one program.\n\nusage: parlance COMMAND "
           "[...]\n\n");
    for (int i = 0; cli_commands[i]; i++)
        printf("  %-14s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    return 0;
}

const struct cli_command cli_help = {
    .name = "help",
    .summary = "Lists the commands, or tells about one.",
    .usage = "parlance help [COMMAND]",
    .run = run_help,
};
