/* convert-helper: the sandboxed half of room convert; started by the server alone, so not listed.
 */
#include "cli/cli.h"
#include "convert/convert.h"

const struct cli_command cli_convert_helper = {
    .name = "convert-helper",
    .summary = "Looks into one file, locked in; the server starts it by itself.",
    .usage = "parlance convert-helper PX <FILE",
    .run = convert_helper_main,
    .is_hidden = true,
};
