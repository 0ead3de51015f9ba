/* cli: the commands of the binary, one file each. A command returns the exit status of the process.
 */
#pragma once

#include "core/base.h"

struct cli_command {
    const char *name;
    const char *summary;               /* one line */
    const char *usage;                 /* what `parlance help NAME` prints */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

/* 2 after saying what is wrong with the words of the call. */
int cli_usage_error(const struct cli_command *command, const char *problem);

/* NULL-terminated. */
extern const struct cli_command *const cli_commands[];
extern const struct cli_command cli_check_config;
extern const struct cli_command cli_help;
extern const struct cli_command cli_version;
