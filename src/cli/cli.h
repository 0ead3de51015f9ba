/* cli: the commands of the binary, one file each. A command returns the exit status of the process.
 */
#pragma once

#include "core/base.h"

struct cli_command {
    const char *name;
    const char *summary;               /* one line */
    const char *usage;                 /* how it is called; also shown beside an error */
    const char *about;                 /* what else `parlance help NAME` tells; may be NULL */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
    bool is_hidden;                    /* not for people: not in the list */
};

/* Picks the command by the first word: `serve` without one, `help` wherever --help or -h stands. */
int cli_main(int argc, char **argv);

/* 2 after saying what is wrong with the words of the call. */
int cli_usage_error(const struct cli_command *command, const char *problem);

/* Takes `--name` out of the words; true when it was there. */
bool cli_take_flag(int *argc, char **argv, const char *name);
/* Takes `--name VALUE` or `--name=VALUE` out; NULL when it was not there, "" when the value is
 * missing.
 */
const char *cli_take_value(int *argc, char **argv, const char *name);
/* What is left must be `count` words (argv[0] not counted) and no option: else says so. */
bool cli_has_words(const struct cli_command *command, int argc, char **argv, int count);

extern const struct cli_command cli_backup;
extern const struct cli_command cli_chat;
extern const struct cli_command cli_check_config;
extern const struct cli_command cli_config;
extern const struct cli_command cli_convert_helper;
extern const struct cli_command cli_erase;
extern const struct cli_command cli_export;
extern const struct cli_command cli_help;
extern const struct cli_command cli_migrate;
extern const struct cli_command cli_openapi, cli_asyncapi;
extern const struct cli_command cli_restore;
extern const struct cli_command cli_serve;
extern const struct cli_command cli_user;
extern const struct cli_command cli_events;
extern const struct cli_command cli_verify;
extern const struct cli_command cli_copy_store;
extern const struct cli_command cli_restored;
extern const struct cli_command cli_version;
