/* parlance: one binary, many commands (cli/); without one it serves. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
