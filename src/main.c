/* parlance: picks the command; without one it serves. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        return cli_help.run(1, argv);
    if (argc < 2 || argv[1][0] == '-')
        return cli_serve.run(argc, argv);
    for (int i = 0; cli_commands[i]; i++) {
        if (strcmp(cli_commands[i]->name, argv[1]) == 0)
            return cli_commands[i]->run(argc - 1, argv + 1);
    }
    fprintf(stderr, "parlance: there is no command \"%s\"; `parlance help` lists them\n", argv[1]);
    return 2;
}
