/* no_web: the server without its pages, when web/dist was not built. */
#include "net/static.h"

extern const struct static_table web_table;
const struct static_table web_table = {0};
