/* cli: the list of commands, and help about them. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

const struct cli_command *const cli_commands[] = {
    &cli_serve, &cli_check_config, &cli_migrate, &cli_openapi,
    &cli_user,  &cli_version,      &cli_help,    NULL};

int cli_usage_error(const struct cli_command *command, const char *problem)
{
    fprintf(stderr, "parlance %s: %s\nusage: %s\n", command->name, problem, command->usage);
    return 2;
}

static void take(int *argc, char **argv, int at, int count)
{
    for (int i = at; i + count <= *argc; i++) /* with the NULL at the end */
        argv[i] = argv[i + count];
    *argc -= count;
}

bool cli_take_flag(int *argc, char **argv, const char *name)
{
    for (int i = 1; i < *argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0) {
            take(argc, argv, i, 1);
            return true;
        }
    }
    return false;
}

const char *cli_take_value(int *argc, char **argv, const char *name)
{
    size_t n = strlen(name);
    for (int i = 1; i < *argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, name, n) != 0)
            continue;
        const char *value = argv[i] + 2 + n;
        if (*value == '=') {
            take(argc, argv, i, 1);
            return value + 1;
        }
        if (*value == '\0') {
            value = i + 1 < *argc ? argv[i + 1] : "";
            take(argc, argv, i, i + 1 < *argc ? 2 : 1);
            return value;
        }
    }
    return NULL;
}

bool cli_has_words(const struct cli_command *command, int argc, char **argv, int count)
{
    char problem[200];
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            snprintf(problem, sizeof(problem), "there is no option %s", argv[i]);
            cli_usage_error(command, problem);
            return false;
        }
    }
    if (argc - 1 == count)
        return true;
    if (argc - 1 > count)
        snprintf(problem, sizeof(problem), "what is \"%s\"?", argv[count + 1]);
    else
        snprintf(problem, sizeof(problem), "something is missing");
    cli_usage_error(command, problem);
    return false;
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
