/* cli: the list of commands, and help about them. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct cli_command *const commands[] = {
    &cli_serve,    &cli_chat,     &cli_check_config,   &cli_config, &cli_migrate,
    &cli_openapi,  &cli_asyncapi, &cli_user,           &cli_backup, &cli_restore,
    &cli_export,   &cli_erase,    &cli_events,         &cli_verify, &cli_copy_store,
    &cli_restored, &cli_version,  &cli_convert_helper, &cli_help,   NULL};

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
        size_t dashes = strspn(argv[i], "-"); /* one does, too: -config=FILE */
        if (dashes < 1 || dashes > 2 || strncmp(argv[i] + dashes, name, n) != 0)
            continue;
        const char *value = argv[i] + dashes + n;
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

static const struct cli_command *find(const char *name)
{
    for (int i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int print_about(const struct cli_command *command)
{
    printf("%s\n\nusage: %s\n", command->summary, command->usage);
    if (command->about)
        printf("\n%s", command->about);
    return 0;
}

static int print_list(void)
{
    printf("Parlance: accounts, messaging and meetings in one program.\n\n"
           "usage: parlance COMMAND [...]\n\n");
    for (int i = 0; commands[i]; i++)
        if (!commands[i]->is_hidden)
            printf("  %-14s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n`parlance help COMMAND` (or `parlance COMMAND --help`) tells about one.\n");
    return 0;
}

static int run_help(int argc, char **argv)
{
    if (argc < 2)
        return print_list();
    if (argc > 2)
        return cli_usage_error(&cli_help, "one command at a time");
    const struct cli_command *command = find(argv[1]);
    return command ? print_about(command) : cli_usage_error(&cli_help, "there is no such command");
}

static bool is_help_wanted(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int cli_main(int argc, char **argv)
{
    bool has_command = argc > 1 && argv[1][0] != '-';
    const struct cli_command *command = has_command ? find(argv[1]) : &cli_serve;
    if (!command) {
        fprintf(stderr, "parlance: there is no command \"%s\"; `parlance help` lists them\n",
                argv[1]);
        return 2;
    }
    if (is_help_wanted(argc, argv))
        return has_command ? print_about(command) : print_list();
    return has_command ? command->run(argc - 1, argv + 1) : command->run(argc, argv);
}

const struct cli_command cli_help = {
    .name = "help",
    .summary = "Lists the commands, or tells about one.",
    .usage = "parlance help [COMMAND]",
    .run = run_help,
};
