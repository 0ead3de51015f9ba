/* clock: whatever parses as RFC 3339 must survive being written and read again. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = str_dup((struct str){(const char *)data, size});
    char again[CLOCK_TEXT_SIZE];
    int64_t first, second;
    if (clock_parse(text, &first)) {
        clock_format(first, again);
        if (!clock_parse(again, &second) || first != second)
            abort();
    }
    free(text);
    return 0;
}
